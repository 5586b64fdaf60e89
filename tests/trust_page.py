"""The trust map in ``docs/trust-map.md`` and its drawing, from a demo that runs.

python -m tests.trust_page     # both anew; a test holds them to what the demo says
"""

import re
import tempfile
import urllib.request
from pathlib import Path

from exporter.trust_map.model import TrustMap
from exporter.trust_map.svg import as_svg
from exporter.trust_map.text import as_text
from tests.daemons import wait_until
from tests.pictures import demo, found_in

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "trust-map.md"
DRAWING = DOCS / "trust-map.svg"
_SHOWN = re.compile(r"(?<=```text\n)Trust map of .*?(?=```\n)", re.DOTALL)
# What is another one in each run: fingerprints and dates, and how long that is from now
_CHANGING = re.compile(
    r"\b[0-9a-f]{12}…?|when is not known|\d{4}-\d\d-\d\d(?: \d\d:\d\d UTC)?|\b\d+(?= days left)"
)
_KNOWN_WITHIN_S = 150.0


def map_at(exporter: str) -> TrustMap:
    """What the service there says."""
    with urllib.request.urlopen(f"{exporter}/api/v1/trust-map", timeout=20) as answer:  # noqa: S310 - our own
        return TrustMap.model_validate_json(answer.read())


def shown() -> str:
    """The map on the page."""
    found = _SHOWN.search(PAGE.read_text("utf-8"))
    assert found is not None
    return found.group()


def constant(text: str) -> str:
    """The text without what is another one in each run."""
    return _CHANGING.sub("#", text)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, demo(Path(folder)) as running:
        exporter = found_in(running).exporter
        # It is noted once a minute since when each class holds what it holds
        wait_until(
            lambda: "when is not known" not in as_text(map_at(exporter)),
            within_s=_KNOWN_WITHIN_S,
            what="the service to note since when",
        )
        told = map_at(exporter)
    text = as_text(told)
    PAGE.write_text(_SHOWN.sub(lambda _: text, PAGE.read_text("utf-8"), count=1), "utf-8")
    DRAWING.write_text(as_svg(told), "utf-8")


if __name__ == "__main__":
    main()
