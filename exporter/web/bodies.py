"""Reads what is sent to us: bounded in size and time, with a sentence for what is wrong."""

import asyncio

from aiohttp import web

_BODY_S = 30.0


async def read_body(request: web.Request, *, most_bytes: int, what: str) -> bytes:
    """Return the body; aiohttp has unpacked gzip as it came, so the bound is on the unpacked.

    ``what`` it should be, for the sentence: ``a delivery``.

    Raises:
        web.HTTPException: it is too large, too slow, or not what its header says.
    """
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(_BODY_S):
            async for chunk in request.content.iter_chunked(1 << 16):
                size += len(chunk)
                if size > most_bytes:
                    raise _too_large(most_bytes, what)
                parts.append(chunk)
    except TimeoutError:
        raise web.HTTPRequestTimeout(text=f"the body did not come in {_BODY_S:.0f} s\n") from None
    except web.RequestPayloadError as exc:
        raise web.HTTPBadRequest(text="the body is not what its header says\n") from exc
    return b"".join(parts)


def _too_large(most_bytes: int, what: str) -> web.HTTPRequestEntityTooLarge:
    return web.HTTPRequestEntityTooLarge(
        max_size=most_bytes,
        actual_size=most_bytes + 1,
        text=f"{what} holds at most {most_bytes} bytes, unpacked; send smaller ones\n",
    )
