"""``logs doctor``: which source is blind, and the lines that would help."""

from pathlib import Path

import pytest
import yaml

from tests.cli.running import run
from tests.cli.test_classifying import REFUSED

pytestmark = pytest.mark.slow


def config(folder: Path, *logs: dict[str, str]) -> Path:
    path = folder / "config.yml"
    static = [{"name": "gw-1", "address": "127.0.0.1:1"}]
    document = {"targets": {"static": static}, "handshake_logs": list(logs)}
    path.write_text(yaml.safe_dump(document))
    return path


async def test_a_log_that_never_says_why_is_blind_and_bad_news(tmp_path: Path) -> None:
    log = tmp_path / "haproxy.log"
    head = "Nov 24 12:00:00 h haproxy[1]: 10.0.0.5:51234 [24/Nov/2026:12:00:00.1] f/1"
    line = f"{head}: SSL handshake failure"
    log.write_text(f"{line}\n" * 3)

    ended = await run(
        "logs", "doctor", "--config", config(tmp_path, {"file": str(log), "gateway": "gw-1"})
    )

    assert ended.code == 1
    assert f"file: {log}" in ended.out
    assert "blind: " in ended.out
    assert "error-log-format" in ended.out


async def test_a_log_that_shows_refusals_is_good(tmp_path: Path) -> None:
    log = tmp_path / "gateway.log"
    log.write_bytes(REFUSED + b"\n")

    ended = await run(
        "logs", "doctor", "--config", config(tmp_path, {"file": str(log), "gateway": "gw-1"})
    )

    assert ended.code == 0
    assert "clear: " in ended.out


async def test_no_source_at_all_is_said(tmp_path: Path) -> None:
    ended = await run("logs", "doctor", "--config", config(tmp_path))

    assert ended.code == 0
    assert "nothing is read" in ended.out


async def test_a_broken_configuration_is_code_2(tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    path.write_text("nope: 1\n")

    ended = await run("logs", "doctor", "--config", path)

    assert ended.code == 2
    assert "Traceback" not in ended.err
