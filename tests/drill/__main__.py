"""``make drill``: one drill, its timeline, and whether it was good."""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from tests.drill.drill import run_drill


def main() -> int:
    """Run as often as asked; 0 only when each was good."""
    parser = argparse.ArgumentParser(prog="python -m tests.drill", description=__doc__)
    parser.add_argument("--times", type=int, default=1)
    is_good = True
    for _ in range(parser.parse_args().times):
        with tempfile.TemporaryDirectory(prefix="fleet-tls-drill-") as folder:
            outcome = asyncio.run(run_drill(Path(folder)))
        sys.stdout.write("\n".join(outcome.lines()) + "\n\n")
        is_good = is_good and outcome.is_good
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
