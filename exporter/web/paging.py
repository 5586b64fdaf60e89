"""Pages of the API's lists: ``?limit=&cursor=``; pure."""

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import TypeVar

from exporter.wording import shown

DEFAULT_LIMIT = 100
MAX_LIMIT = 1_000

T = TypeVar("T")


def page_of(
    keys: Iterable[str], query: Mapping[str, str], item_of: Callable[[str], T]
) -> dict[str, object]:
    """Return a page with the items of ``keys``, which are put in order, as the query asks.

    A page goes on behind the last key of the one before, whether that is still there or not.

    Raises:
        ValueError: with a sentence.
    """
    limit, after = _limit_in(query), _cursor_in(query)
    page = list(islice((key for key in sorted(keys) if key > after), limit + 1))
    more = len(page) > limit
    return {
        "items": [item_of(key) for key in page[:limit]],
        "nextCursor": _cursor_after(page[limit - 1]) if more else None,
    }


def _limit_in(query: Mapping[str, str]) -> int:
    text = query.get("limit", str(DEFAULT_LIMIT))
    if text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= MAX_LIMIT:
        return int(text)
    raise ValueError(f"limit {shown(text)} is not possible; 1 to {MAX_LIMIT} are")


def _cursor_after(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def _cursor_in(query: Mapping[str, str]) -> str:
    """Return the key after which the page begins; empty: from the start."""
    text = query.get("cursor", "")
    try:
        padded = text + "=" * (-len(text) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise ValueError(
            f"cursor {shown(text)} is not one of ours; take it from nextCursor"
        ) from None
