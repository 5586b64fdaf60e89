"""The snippets of docs/logging.md, as the tests give them to the real programs."""

import re
from pathlib import Path

_PAGE = Path(__file__).parents[2] / "docs" / "logging.md"
_SNIPPET = re.compile(r"<!-- snippet: (?P<name>[^>]+) -->\n```\w*\n(?P<text>.*?)```", re.DOTALL)


def snippet(name: str, **instead: str) -> str:
    """The text of one snippet, with paths of the page replaced by the test's own."""
    found = {match["name"]: match["text"] for match in _SNIPPET.finditer(_PAGE.read_text())}
    text = found[name]
    for path, own in instead.items():
        text = text.replace(PATHS[path], own)
    return text


PATHS = {
    "error_log": "/var/log/nginx/error.log",
    "tls_log": "/var/log/nginx/tls.log",
    "apache_log": "/var/log/apache2/tls.log",
}
