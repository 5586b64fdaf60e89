"""Runs docs/rotating-a-ca.md on the demo, as a reader would."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.daemons import Daemon

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PAGE = Path(__file__).parents[2] / "docs/rotating-a-ca.md"
_BLOCK = re.compile(
    r"^```sh( setup)?\n(.*?)^```$(?:\n```text\n(.*?)^```$)?", re.DOTALL | re.MULTILINE
)


def fits(said: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whether lines are as wanted; a line of ``…`` alone stands for any number of lines."""
    if not wanted:
        return not said
    if wanted[0] == "…":
        return any(fits(said[skip:], wanted[1:]) for skip in range(len(said) + 1))
    pattern = ".*".join(re.escape(part) for part in wanted[0].split("…"))
    return bool(said) and bool(re.fullmatch(pattern, said[0])) and fits(said[1:], wanted[1:])


def test_each_block_of_the_guide_prints_what_stands_below_it(tmp_path: Path) -> None:
    blocks = [found.groups() for found in _BLOCK.finditer(PAGE.read_text("utf-8"))]
    command = [sys.executable, "-m", "exporter", "demo", "--json", "--port", "0"]
    differing, setup, compared = [], "", 0

    with Daemon(command, directory=tmp_path / "demo") as demo:
        demo.wait_for_line('"exporter"', within_s=120)
        found = json.loads(next(one for one in demo.text().splitlines() if one.startswith("{")))
        for is_setup, block, wanted in blocks:
            if is_setup:
                setup += block
                continue
            said = run(f"{setup}\n{block}", found)
            compared += wanted is not None
            if wanted is not None and not fits(said.splitlines(), wanted.splitlines()):
                differing.append(f"{block}\nprints\n{said}\nand not\n{wanted}")

    assert differing == []
    assert compared == 7


def run(script: str, found: dict[str, str]) -> str:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", f"set -euo pipefail\n{script}"],
        env={**os.environ, "PATH": path, "URL": found["exporter"], "DIR": found["directory"]},
        capture_output=True, text=True, timeout=240, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_lines_fit_where_only_what_is_left_open_differs() -> None:
    assert fits(["a 1 b", "c"], ["a … b", "c"])
    assert fits(["x", "y", "c"], ["…", "c"])
    assert not fits(["a 1 b"], ["a … c"])
    assert not fits(["a", "b"], ["a"])
