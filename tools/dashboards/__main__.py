"""Writes dashboards/ anew: ``python -m tools.dashboards dashboards``."""

import sys
from pathlib import Path

from tools.dashboards.book import committed

if __name__ == "__main__":
    for name, text in committed().items():
        (Path(sys.argv[1]) / name).write_text(text, encoding="utf-8")
