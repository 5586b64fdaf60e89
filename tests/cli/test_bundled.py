"""What ships inside the package, and that it does."""

import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from exporter.metrics.catalogue import CATALOGUE
from tests.cli.running import run

ROOT = Path(__file__).parents[2]
_NAME = re.compile(r"\bfleet_tls_[a-z0-9_]+")


@pytest.mark.slow
async def test_the_rules_are_written_where_they_are_wanted(tmp_path: Path) -> None:
    ended = await run("rules", "--output", tmp_path / "new" / "rules")

    written = sorted((tmp_path / "new" / "rules").iterdir())
    assert ended.code == 0
    assert ended.out.splitlines() == [str(path) for path in written]
    assert {path.name: path.read_bytes() for path in written} == {
        path.name: path.read_bytes() for path in (ROOT / "rules").glob("*.yml")
    }


@pytest.mark.slow
async def test_the_dashboards_are_written_where_they_are_wanted(tmp_path: Path) -> None:
    ended = await run("dashboards", "--output", tmp_path)

    assert ended.code == 0
    assert titles_in(tmp_path) == ["Fleet TLS"]


def titles_in(folder: Path) -> list[str]:
    return [json.loads(path.read_text("utf-8"))["title"] for path in folder.iterdir()]


def series_in(text: str) -> set[str]:
    return set(_NAME.findall(text))


@pytest.mark.parametrize(
    "path", [*(ROOT / "rules").glob("*.yml"), *(ROOT / "dashboards").glob("*.json")], ids=str
)
def test_only_metrics_of_the_catalogue_are_used(path: Path) -> None:
    known = {*CATALOGUE, *(f"{name}_bucket" for name in CATALOGUE)}

    assert series_in(path.read_text("utf-8")) - known == set()


def test_every_alert_says_what_and_how_bad() -> None:
    for path in (ROOT / "rules").glob("*.yml"):
        for group in yaml.safe_load(path.read_text("utf-8"))["groups"]:
            for rule in group["rules"]:
                assert rule["labels"]["severity"] in {"warning", "critical"}
                assert {"summary", "description"} <= set(rule["annotations"])


def test_every_alert_has_a_test() -> None:
    tests = "".join(path.read_text("utf-8") for path in (ROOT / "tests/rules").glob("*.yml"))
    for path in (ROOT / "rules").glob("*.yml"):
        for name in re.findall(r"alert: (\w+)", path.read_text("utf-8")):
            assert f"alertname: {name}" in tests


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs Debian's package prometheus")
def test_the_rules_hold_before_promtool() -> None:
    rules, tests = (ROOT / "rules").glob("*.yml"), (ROOT / "tests/rules").glob("*.yml")
    for arguments in (["check", "rules", *map(str, rules)], ["test", "rules", *map(str, tests)]):
        done = subprocess.run(
            ["promtool", *arguments], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_the_wheel_holds_every_data_file(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("rules", "dashboards", "exporter"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=ignored)
    build = (
        "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"
    )
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", build, str(tmp_path)],
        cwd=source,
        check=True,
        capture_output=True,
    )
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())

    wanted = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "exporter").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    wanted |= {f"exporter/bundled/rules/{path.name}" for path in (ROOT / "rules").iterdir()}
    wanted |= {
        f"exporter/bundled/dashboards/{path.name}" for path in (ROOT / "dashboards").iterdir()
    }
    assert wanted - held == set()
