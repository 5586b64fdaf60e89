"""A disk so small that it can really be filled up, without being root."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.daemons import need, wait_until


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A tmpfs of 64 KiB while the block runs; where it is seen from outside of its namespace."""
    folder.mkdir()
    # Whoever holds it ends with its standard input: also when we are killed
    script = f"mount -t tmpfs -o size=64k,mode=700 small {folder} && exec cat"
    argv = [need("unshare"), "--map-root-user", "--mount", need("sh"), "-c", script]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as holder:
        try:
            seen = Path(f"/proc/{holder.pid}/root{folder}")
            wait_until(lambda: os.path.ismount(seen), what="a small disk")
            yield seen
        finally:
            holder.kill()
