"""The README's commands are run as they stand there."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from exporter.config import load
from tests.daemons import Daemon, is_listening, wait_until
from tests.pki import make_ca

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()

pytestmark = pytest.mark.timeout(240)


def commands() -> list[str]:
    """The lines of all ``sh`` blocks, without their comments."""
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    lines = (line.partition("  # ")[0].strip() for block in blocks for line in block.splitlines())
    return [line for line in lines if line]


def test_every_command_of_the_readme_is_run_by_a_test_here() -> None:
    assert set(commands()) == {HEALTHY, BROKEN, LOOK, "make test"}


HEALTHY = "make demo"
BROKEN = 'make demo ARGS="--break unknown-ca"'
LOOK = "curl -s http://127.0.0.1:9883/metrics | grep device_accepts_gateway"


@contextmanager
def started(command: str, directory: Path) -> Iterator[Daemon]:
    """The demo as the README starts it; the README's commands have one port."""
    wait_until(lambda: not is_listening(9883), within_s=60, what="port 9883 to be free")
    words = ["make", "-C", str(ROOT), *shlex.split(command)[1:]]
    with Daemon(words, directory=directory) as demo:
        demo.wait_for_line("Ctrl-C ends it", within_s=90)
        yield demo


@pytest.mark.slow
def test_the_demo_is_healthy_or_in_the_outage_and_rolled_back_by_what_it_prints(
    tmp_path: Path,
) -> None:
    with started(HEALTHY, tmp_path / "healthy"):
        wait_until(lambda: told_of_each_device() == ["1"] * 18, what="18 good devices")
    with started(BROKEN, tmp_path / "broken") as demo:
        wait_until(lambda: told_of_each_device() == ["0"] * 18, what="18 devices to be out")
        probe, rollback = printed_by(demo.text())
        refused = run(probe)
        # at once after the start its log may tell of too few yet
        wait_until(lambda: run(rollback).returncode == 0, within_s=60, what="a way back")
        done = run(rollback.replace("--dry-run", "--yes"))
        wait_until(
            lambda: told_of_each_device() == ["1"] * 18, within_s=60, what="all 18 to be back"
        )

    assert refused.returncode == 1
    assert "unknown_ca" in refused.stdout
    assert "version 1 " in done.stdout
    assert "would be accepted by 18" in done.stdout
    assert done.returncode == 0, done.stderr


def told_of_each_device() -> list[str]:
    """What the README's own command shows: one 1 or 0 for each device."""
    lines = run(LOOK).stdout.splitlines()
    return [line.rsplit(" ", 1)[1] for line in lines if not line.startswith("#")]


def printed_by(text: str) -> list[str]:
    """The commands of ours that the demo prints: to look, and to ask for a rollback."""
    return re.findall(r"^  (\S*fleet-tls-exporter .*)$", text, re.MULTILINE)


def run(command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, check=False, timeout=60
    )


def test_the_configuration_shown_is_one_that_can_be_used(tmp_path: Path) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    ours = next(block for block in blocks if block.startswith("trust_stores:"))
    (tmp_path / "anchors").mkdir()
    (tmp_path / "anchors" / "fw-4.2.pem").write_bytes(make_ca().pem)
    (tmp_path / "config.yml").write_text(ours)

    config = load(tmp_path / "config.yml")

    assert [target.name for target in config.static_targets] == ["gw-1", "dev-01"]


def test_what_is_pasted_into_prometheus_and_alertmanager_is_what_the_tests_run() -> None:
    blocks = [
        yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    ]
    pasted = {key: value for block in blocks for key, value in block.items()}
    prometheus, alertmanager = (
        yaml.safe_load((ROOT / "docs" / name).read_text("utf-8"))
        for name in ("prometheus.yml", "alertmanager.yml")
    )

    assert pasted["rule_files"] == prometheus["rule_files"]
    assert pasted["scrape_configs"] == prometheus["scrape_configs"]
    assert pasted["routes"] == alertmanager["route"]["routes"]
    assert pasted["receivers"] == alertmanager["receivers"][-1:]


def test_every_page_that_is_linked_is_there() -> None:
    pages = re.findall(r"\]\(([a-zA-Z/-]+\.md)\)", README)

    assert len(pages) > 8
    assert [page for page in pages if not (ROOT / page).exists()] == []


def test_the_comparison_shows_what_was_measured_at_each_endpoint() -> None:
    page = (ROOT / "docs" / "comparison.md").read_text()
    program = (ROOT / "bench" / "comparison.py").read_text()

    measured = re.findall(r"^\| ([^|]+) \| success [01], dates", page, re.MULTILINE)

    assert measured == re.findall(r'Case\(\s*name="([^"]+)"', program) != []


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.name)
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    named = set(re.findall(r"`([a-z_/]+(?:/|\.py))`", page.read_text()))

    gone = [
        name
        for name in named
        if not (ROOT / name).exists() and not any((ROOT / "exporter").rglob(name.rstrip("/")))
    ]

    assert gone == []


PICTURES = re.compile(r"(?:src|srcset)=\"(\S+)\"|!\[[^\]]+\]\((\S+)\)")


def test_every_picture_that_is_shown_is_there_and_every_one_there_is_shown() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    shown = {
        (page.parent / (match[1] or match[2])).resolve()
        for page in pages
        for match in PICTURES.finditer(page.read_text())
    }

    assert [picture for picture in shown if not picture.exists()] == []
    assert set((ROOT / "docs" / "pictures").iterdir()) <= shown


def test_the_readme_shows_the_page_healthy_and_in_the_outage_and_a_terminal() -> None:
    shown = " ".join(match[0] for match in PICTURES.finditer(README))

    assert all(name in shown for name in ("fleet-healthy-", "fleet-outage-", "probe.svg"))
    assert all(re.findall(r'<img alt="([^"]*)"', README))
