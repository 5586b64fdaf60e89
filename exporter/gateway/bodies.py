"""Reads an answer's body, never more of it than is allowed, compressed or not."""

import zlib

import aiohttp
from aiohttp import hdrs

_CHUNK_BYTES = 65_536
_GZIP = 16 + zlib.MAX_WBITS


class BodyError(Exception):
    """The body is not taken; the text is the end of a sentence about the answer."""


async def read_body(response: aiohttp.ClientResponse, limit_bytes: int) -> bytes:
    """Return the body of ``response``, unpacked.

    The session must not unpack by itself: that knows no limit, and a few kilobytes of gzip can
    hold gigabytes.

    Raises:
        BodyError: it is larger than ``limit_bytes``, or packed in a way that we did not ask for.
    """
    if (response.content_length or 0) > limit_bytes:
        raise BodyError(_too_large(limit_bytes))
    unpack = _unpacker(response.headers.get(hdrs.CONTENT_ENCODING, "").strip().lower())
    body = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
        body += unpack(chunk, limit_bytes + 1 - len(body)) if unpack else chunk
        if len(body) > limit_bytes:
            raise BodyError(_too_large(limit_bytes))
    if unpack and not unpack.is_whole:
        raise BodyError("ends in the middle of its gzip data")
    return bytes(body)


class _Gunzip:
    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(_GZIP)

    def __call__(self, chunk: bytes, limit_bytes: int) -> bytes:
        try:
            return self._inflate.decompress(chunk, limit_bytes)
        except zlib.error as exc:
            raise BodyError("says that it is gzip and is not") from exc

    @property
    def is_whole(self) -> bool:
        return self._inflate.eof


def _unpacker(encoding: str) -> _Gunzip | None:
    if encoding in {"", "identity"}:
        return None
    if encoding in {"gzip", "x-gzip"}:
        return _Gunzip()
    raise BodyError("is packed in a way that was not asked for; gzip is understood")


def _too_large(limit_bytes: int) -> str:
    return f"is larger than the {limit_bytes} bytes that are read of one"
