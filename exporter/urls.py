"""URLs in the configuration: http, https and the store's, without secrets inside."""

from urllib.parse import SplitResult, urlsplit

from exporter.wording import shown

SQLITE = "sqlite:///"


def http_url(text: str) -> str:
    """Return ``text`` unchanged when it is an http or https URL without a password.

    Raises:
        ValueError: with a sentence that repeats no password.
    """
    parts = split_url(text)
    refuse_password(parts)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"{shown(text)} is not a URL; write http://HOST/… or https://HOST/…")
    try:
        parts.port  # noqa: B018 - the property raises on a port that is no number
    except ValueError:
        raise ValueError(f"{shown(text)} has a port that is not from 0 to 65535") from None
    return text


def fault_of_store(url: str) -> str:
    """Return why ``url`` is no store that can be used; empty: it is one."""
    if url.startswith(SQLITE) and len(url) > len(SQLITE):
        return ""
    right = "write sqlite:///FILE, or leave store out"
    scheme, separator, _ = url.partition("://")
    if separator and scheme != "sqlite":
        return f"the store {scheme}:// is not supported; {right}"
    return f"{shown(url)} is not a store; {right}"


def split_url(text: str) -> SplitResult:
    """Return the parts of ``text``; raises ValueError with a sentence."""
    if not text.isprintable() or " " in text or len(text) > 2_000:
        raise ValueError("this is not a URL; it holds spaces or is too long")
    try:
        return urlsplit(text)
    except ValueError:
        raise ValueError("this is not a URL; the host cannot be read") from None


def refuse_password(parts: SplitResult) -> None:
    """Raise ValueError when ``parts`` carry a password; the message does not repeat it."""
    if parts.password is not None:
        raise ValueError(
            f"this URL (host {shown(parts.hostname or '')}) holds a password;"
            " secrets are named by file only"
        )
