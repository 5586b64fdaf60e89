"""Bearer tokens in files, read for each request: a changed file counts at once."""

import asyncio
from hmac import compare_digest
from pathlib import Path

_LONGEST = 4096


async def is_token_in(path: Path | None, given: bytes) -> bool:
    """Return whether the file holds the token ``given``; constant time; False without a file."""
    token = await asyncio.to_thread(_read_token, path) if path is not None else b""
    return bool(token) and compare_digest(given, token)


def bearer_token(header: str | None) -> bytes:
    """Return the token of an ``Authorization`` header (RFC 6750, 2.1); empty: it has none."""
    scheme, _, rest = (header or "").partition(" ")
    return rest.strip().encode("utf-8", "replace") if scheme.lower() == "bearer" else b""


def _read_token(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_LONGEST).strip()
    except OSError:
        return b""
