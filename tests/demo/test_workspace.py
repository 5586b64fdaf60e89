"""The demo's directory is gone afterwards, whatever happened."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from exporter.demo.workspace import PREFIX, workspace

HOLD = """
import sys
from pathlib import Path
from exporter.demo.workspace import workspace
with workspace(Path(sys.argv[1])) as directory:
    (directory / "file").write_text("x")
    print(directory, flush=True)
    sys.stdin.read()
"""


def hold(parent: Path) -> tuple[subprocess.Popen[str], Path]:
    """A process of its own that holds a workspace until its standard input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(parent)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_the_directory_is_ours_alone_and_gone_at_the_end(tmp_path: Path) -> None:
    with workspace(tmp_path) as directory:
        (directory / "folder").mkdir()
        mode = stat.S_IMODE(directory.stat().st_mode)

    assert mode == 0o700
    assert list(tmp_path.iterdir()) == []


def test_it_is_gone_after_a_failure_too(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), workspace(tmp_path):
        raise RuntimeError

    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_goes_at_the_next_start(tmp_path: Path) -> None:
    process, left = hold(tmp_path)
    process.kill()
    process.communicate()
    assert left.exists()

    with workspace(tmp_path):
        assert not left.exists()


def test_a_run_that_is_alive_keeps_its_directory(tmp_path: Path) -> None:
    process, kept = hold(tmp_path)

    with workspace(tmp_path):
        assert (kept / "file").exists()

    process.communicate()
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_ours_stays(tmp_path: Path) -> None:
    others = tmp_path / f"{PREFIX}without-a-lock"
    others.mkdir()
    link = tmp_path / f"{PREFIX}link"
    link.symlink_to(others)

    with workspace(tmp_path):
        pass

    assert others.is_dir()
    assert link.is_symlink()
