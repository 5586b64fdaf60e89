"""What logrotate's `copytruncate` itself loses: lines written between its copy and its truncation.

No reader is part of it: lines that are in neither file cannot be read by anybody.

    python -m bench.copytruncate
"""

import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

LINES_PER_S = 50_000
LINE = b"x" * 199 + b"\n"
ROTATIONS = 20
_STEP_S = 0.001


def _write(path: Path, seconds: float) -> None:
    """Append whole lines, each by one call, as a server does."""
    count = 0
    began = time.perf_counter()
    with path.open("ab", buffering=0) as log:
        while (spent := time.perf_counter() - began) < seconds:
            while count < spent * LINES_PER_S:
                log.write(LINE)
                count += 1
            time.sleep(_STEP_S)
    path.with_suffix(".written").write_text(str(count))


def main() -> int:
    """Rotate under a writer and print how many lines are gone."""
    with tempfile.TemporaryDirectory() as made:
        path = Path(made) / "gateway.log"
        path.touch()
        writer = multiprocessing.get_context("spawn").Process(
            target=_write, args=(path, ROTATIONS * 0.25 + 1)
        )
        writer.start()
        copied = 0
        for number in range(ROTATIONS):
            time.sleep(0.25)
            copy = path.with_suffix(f".{number}")
            shutil.copyfile(path, copy)
            os.truncate(path, 0)
            copied += copy.read_bytes().count(b"\n")
        writer.join()
        written = int(path.with_suffix(".written").read_text())
        lost = written - copied - path.read_bytes().count(b"\n")
    print(
        f"{ROTATIONS} rotations at {LINES_PER_S:,} lines/s: {lost} of {written} lines in neither"
    )
    print(
        f"  {lost / ROTATIONS:.1f} lines each, about {lost / ROTATIONS / LINES_PER_S * 1e6:.0f} us"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
