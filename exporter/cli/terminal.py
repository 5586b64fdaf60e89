"""Text on its way to a terminal: what comes from a certificate or a log is shown, not obeyed."""

# Longer names do not help anybody who reads them; a certificate may carry megabytes of them
_LONGEST = 300


def safe(text: str) -> str:
    r"""Return ``text`` with everything that a terminal would obey written out.

    Escape sequences, line ends and the marks that reverse a line's direction (Unicode 9,
    section 2) are shown as ``\x1b``, ``\n``, ``\u202e``; letters of every script stay.
    """
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")
        for letter in text
    )


def short(text: str, limit: int = _LONGEST) -> str:
    """Return ``text`` made safe and cut to about ``limit`` characters."""
    return safe(text if len(text) <= limit else text[:limit] + "…")
