"""Reads requests: headers, query and body, each bounded, each refusal a sentence."""

import asyncio
import re
from typing import TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from exporter.gateway.agent.answers import RefusedError
from exporter.gateway.calls import (
    DEFAULT_PAGE_DEVICES,
    IDEMPOTENCY_KEY,
    IF_MATCH,
    MAX_KEY_CHARS,
    MAX_PAGE_DEVICES,
    OPERATION_NUMBER,
)
from exporter.gateway.messages import ErrorCode, Fingerprint
from exporter.wording import shown

_KEY = re.compile(rf"[!-~]{{1,{MAX_KEY_CHARS}}}")
_FINGERPRINT = re.compile(r'("?)([0-9a-f]{64})\1')
_MAX_NUMBER = 2**53 - 1
_BODY_S = 30.0
_MAX_FAULTS = 10
_M = TypeVar("_M", bound=BaseModel)


def idempotency_key(request: web.Request) -> str | None:
    """Return the key that was sent; None: none was.

    Raises:
        RefusedError: it is no key.
    """
    key = request.headers.get(IDEMPOTENCY_KEY)
    if key is not None and not _KEY.fullmatch(key):
        raise _bad(
            f"{IDEMPOTENCY_KEY} is 1 to {MAX_KEY_CHARS} printable ASCII characters without spaces"
        )
    return key


def expected_fingerprint(request: web.Request) -> Fingerprint | None:
    """Return what must be served at that moment; None: nothing is said.

    Raises:
        RefusedError: it is no fingerprint.
    """
    header = request.headers.get(IF_MATCH)
    if header is None:
        return None
    found = _FINGERPRINT.fullmatch(header)
    if found is None:
        raise _bad(f"{IF_MATCH} is the SHA-256 of a leaf: 64 lower-case hex digits, quoted or not")
    return found[2]


def operation_number(request: web.Request) -> int | None:
    """Return the number of the caller's lease; None: none was sent.

    Raises:
        RefusedError: it is no number.
    """
    return _number(request.headers.get(OPERATION_NUMBER), OPERATION_NUMBER, 0, _MAX_NUMBER)


def page_limit(request: web.Request) -> int:
    """Return how many devices a page may hold.

    Raises:
        RefusedError: it is no number, or out of range.
    """
    limit = _number(request.query.get("limit"), "limit", 1, MAX_PAGE_DEVICES)
    return DEFAULT_PAGE_DEVICES if limit is None else limit


def page_cursor(request: web.Request) -> str:
    """Return the last device of the page before; empty: there was none.

    Raises:
        RefusedError: it cannot be one.
    """
    cursor = request.query.get("cursor", "")
    if len(cursor) > 1024:
        raise _bad("cursor is longer than any that was given out")
    return cursor


def _number(text: str | None, what: str, least: int, most: int) -> int | None:
    if text is None:
        return None
    is_number = text.isascii() and text.isdigit() and len(text) <= len(str(most))
    if not is_number or not least <= int(text) <= most:
        raise _bad(f"{what} is {shown(text)}; a whole number from {least} to {most} belongs there")
    return int(text)


async def body_of(request: web.Request, model: type[_M], max_bytes: int) -> _M:
    """Return the body, read as ``model``.

    Raises:
        RefusedError: it is no JSON, not what belongs there, too large, or too slow.
    """
    if request.content_type != "application/json":
        raise RefusedError(
            ErrorCode.UNSUPPORTED_MEDIA_TYPE,
            f"the body is {shown(request.content_type)}; send Content-Type: application/json",
        )
    data = await _read(request, max_bytes)
    return await asyncio.to_thread(_parsed, data, model)


async def _read(request: web.Request, max_bytes: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(_BODY_S):
            async for chunk in request.content.iter_chunked(1 << 16):
                size += len(chunk)
                if size > max_bytes:
                    raise RefusedError(
                        ErrorCode.TOO_LARGE, f"the body is larger than {max_bytes} bytes"
                    )
                parts.append(chunk)
    except TimeoutError:
        raise _bad(f"the body did not come in {_BODY_S:.0f} s") from None
    except web.RequestPayloadError as exc:
        raise _bad("the body is not what its header says") from exc
    return b"".join(parts)


def _parsed(data: bytes, model: type[_M]) -> _M:
    try:
        return model.model_validate_json(data)
    except ValidationError as exc:
        details = exc.errors(include_url=False, include_input=False)
        if details[0]["type"] == "json_invalid":
            raise _bad(f"the body is no JSON: {details[0]['msg']}") from exc
        # The input is left out: there may be a key in it
        faults = [f"{_place(one['loc'])}: {one['msg']}" for one in details[:_MAX_FAULTS]]
        raise RefusedError(ErrorCode.INVALID, "; ".join(faults)) from exc
    except RecursionError as exc:
        raise _bad("the body is nested too deeply") from exc


def _place(path: tuple[int | str, ...]) -> str:
    return ".".join(shown(one, 60)[1:-1] for one in path) or "the body"


def _bad(sentence: str) -> RefusedError:
    return RefusedError(ErrorCode.BAD_REQUEST, sentence)
