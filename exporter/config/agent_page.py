"""Writes the keys into docs/gateway-agent.md: ``python -m exporter.config.agent_page FILE``."""

import sys
from pathlib import Path

from exporter.config.document import keys_of
from exporter.gateway.agent.options import Options

TITLE = "## Keys\n"


def keys() -> str:
    """Return the end of docs/gateway-agent.md, from its title on."""
    return "\n".join([TITLE, *keys_of(Options)])


if __name__ == "__main__":  # pragma: no cover - a test compares keys() with the file
    page = Path(sys.argv[1])
    page.write_text(page.read_text("utf-8").partition(TITLE)[0] + keys(), encoding="utf-8")
