"""The demo's temporary directory: gone afterwards, also the one of a run that was killed."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PREFIX = "fleet-tls-demo-"
_LOCK = ".in-use"


@contextmanager
def workspace(parent: Path | None = None) -> Iterator[Path]:
    """Make a directory that only we can enter; remove it at the end, whatever happened.

    What a killed run left in ``parent`` (the system's temporary directory by default) is removed
    first: our prefix, our owner, and a lock that nobody holds any more.
    """
    root = parent or Path(tempfile.gettempdir())
    for leftover in root.glob(f"{PREFIX}*"):
        _remove_if_abandoned(leftover)
    directory = Path(tempfile.mkdtemp(prefix=PREFIX, dir=root))  # mode 0700
    unnamed = directory / f"{_LOCK}.new"
    lock = os.open(unnamed, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        # Locked before it has its name: under that name another run finds it held, or abandoned.
        # The kernel lets go of it when we end, however that is
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        unnamed.rename(directory / _LOCK)
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        os.close(lock)


def _remove_if_abandoned(directory: Path) -> None:
    try:
        if directory.is_symlink() or directory.stat().st_uid != os.getuid():
            return
        lock = os.open(directory / _LOCK, os.O_WRONLY | os.O_NOFOLLOW)
    except OSError:  # gone meanwhile, or just being made: no lock, not ours to judge
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    else:
        shutil.rmtree(directory, ignore_errors=True)
    finally:
        os.close(lock)
