"""How a refusal shows values and names: bounded, escaped, with the nearest right word."""

import difflib
from collections.abc import Iterable


def shown(value: object, limit: int = 80) -> str:
    """Return ``value`` quoted and escaped for a message, cut to about ``limit`` characters."""
    text = value if isinstance(value, str) else str(value)
    cut = text if len(text) <= limit else text[:limit] + "…"
    return repr(cut)


def listed(words: Iterable[str], limit: int = 12) -> str:
    """Return ``words`` as ``a, b, c``; of many the first ``limit`` and how many more."""
    known = list(words)
    more = f" and {len(known) - limit} more" if len(known) > limit else ""
    return ", ".join(known[:limit]) + more


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ``did you mean 'x'?`` for the nearest of ``known``, empty when none is near."""
    found = difflib.get_close_matches(word[:100], list(known)[:5_000], n=1, cutoff=0.6)
    return f"did you mean {found[0]!r}?" if found else ""


def unknown(what: str, word: str, known: Iterable[str], *, none: str) -> str:
    """Return a sentence for a ``word`` that is none of ``known``; ``none`` when there are none."""
    words = list(known)
    hint = nearest(word, words) or (f"there are: {listed(words)}" if words else none)
    return f"{what} {shown(word)} is not known; {hint}"
