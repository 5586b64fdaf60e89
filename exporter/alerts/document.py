"""Writes rules/ anew: ``python -m exporter.alerts.document rules``."""

import sys
from collections.abc import Mapping
from pathlib import Path

from exporter.alerts.book import rules_text
from exporter.alerts.values import Values
from exporter.alerts.values_text import values_text


def committed() -> Mapping[str, str]:
    """Return the texts that ship in ``rules/``, by file name."""
    return {"fleet-tls.rules.yml": rules_text(Values()), "values.yml": values_text()}


if __name__ == "__main__":
    for name, text in committed().items():
        (Path(sys.argv[1]) / name).write_text(text, encoding="utf-8")
