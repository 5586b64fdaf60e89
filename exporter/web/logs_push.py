"""``POST /logs`` and ``POST /loki/api/v1/push``: handshake logs that are sent to us."""

import asyncio
import base64
import binascii
import hmac
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from aiohttp import web

from exporter.errors import StoreError
from exporter.handshake_log.loki import BodyError, joined, lines_of_json, lines_of_protobuf
from exporter.handshake_log.push import PushBusyError, PushSource
from exporter.web.server import Route

MOST_BYTES = 16 << 20
"""Of one delivery, unpacked."""

_AGAIN = {"Retry-After": "5"}
_BODY_S = 30.0
_DURABLE_S = 20.0
_TEXT = {"text/plain", "application/x-ndjson", "application/octet-stream"}

Sources = Callable[[], Mapping[str, PushSource]]


class LogsPush:
    """Takes deliveries, hands them to their source, and answers once they are durable.

    Args:
        sources: The sources in force, by the name in the configuration.
    """

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def routes(self) -> Iterable[Route]:
        """Return the endpoints; each checks its own token."""
        return [("POST", "/logs", self.lines), ("POST", "/loki/api/v1/push", self.loki)]

    async def lines(self, request: web.Request) -> web.Response:
        """Take lines of text or NDJSON for ``?source=NAME``."""
        source = await self._source_named(request, request.query.get("source", ""))
        if request.content_type not in _TEXT:
            raise web.HTTPUnsupportedMediaType(
                text=f"send text/plain or application/x-ndjson, not {request.content_type[:64]}\n"
            )
        data = await _body(request)
        return await _deliver(source, data if data.endswith(b"\n") or not data else data + b"\n")

    async def loki(self, request: web.Request) -> web.Response:
        """Take what Promtail, Alloy and Vector send; the token tells the source."""
        named = request.query.get("source")
        source = (
            await self._source_by_token(request)
            if named is None
            else await self._source_named(request, named)
        )
        body = await _body(request)
        try:
            lines = (
                lines_of_json(body)
                if request.content_type == "application/json"
                else lines_of_protobuf(body, most_bytes=MOST_BYTES)
            )
        except BodyError as exc:
            raise web.HTTPBadRequest(text=f"{exc}\n") from exc
        return await _deliver(source, joined(lines))

    async def _source_named(self, request: web.Request, name: str) -> PushSource:
        source = self._sources().get(name)
        # The same answer with and without such a source: names are not for strangers
        if source is None or not await _is_authorized(request, source):
            raise _unauthorized()
        return source

    async def _source_by_token(self, request: web.Request) -> PushSource:
        for source in self._sources().values():
            if await _is_authorized(request, source):
                return source
        raise _unauthorized()


def _unauthorized() -> web.HTTPUnauthorized:
    return web.HTTPUnauthorized(
        text="no source of this name takes this token; see handshake_logs in the configuration\n",
        headers={"WWW-Authenticate": 'Bearer realm="handshake logs"'},
    )


async def _is_authorized(request: web.Request, source: PushSource) -> bool:
    path = source.options.token_file
    token = await asyncio.to_thread(_read_token, path) if path is not None else b""
    given = _given_token(request.headers.get("Authorization", ""))
    return bool(token) and hmac.compare_digest(given, token)


def _read_token(path: Path) -> bytes:
    # Read for each delivery, so that a changed file counts at once
    try:
        with path.open("rb") as file:
            return file.read(4096).strip()
    except OSError:
        return b""


def _given_token(header: str) -> bytes:
    """Return a bearer token, or the password of basic authentication (Loki's clients know it)."""
    scheme, _, rest = header.partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip().encode("utf-8", "replace")
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(rest.strip(), validate=True).partition(b":")[2]
        except (binascii.Error, ValueError):
            return b""
    return b""


async def _body(request: web.Request) -> bytes:
    """Return the body; aiohttp has unpacked gzip as it came, so the bound is on the unpacked."""
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(_BODY_S):
            async for chunk in request.content.iter_chunked(1 << 16):
                size += len(chunk)
                if size > MOST_BYTES:
                    raise _too_large()
                parts.append(chunk)
    except TimeoutError:
        raise web.HTTPRequestTimeout(text=f"the body did not come in {_BODY_S:.0f} s\n") from None
    except web.RequestPayloadError as exc:
        raise web.HTTPBadRequest(text="the body is not what its header says\n") from exc
    return b"".join(parts)


def _too_large() -> web.HTTPRequestEntityTooLarge:
    return web.HTTPRequestEntityTooLarge(
        max_size=MOST_BYTES,
        actual_size=MOST_BYTES + 1,
        text=f"a delivery holds at most {MOST_BYTES} bytes, unpacked; send smaller ones\n",
    )


async def _deliver(source: PushSource, data: bytes) -> web.Response:
    if data:
        try:
            async with asyncio.timeout(_DURABLE_S):
                await source.push(data)
        except TimeoutError as exc:
            text = f"the lines were not durable within {_DURABLE_S:.0f} s; send them again\n"
            raise web.HTTPServiceUnavailable(text=text, headers=_AGAIN) from exc
        except PushBusyError as exc:
            raise web.HTTPTooManyRequests(text=f"{exc}\n", headers=_AGAIN) from exc
        except StoreError as exc:
            text = f"the lines could not be stored: {exc}\n"
            raise web.HTTPServiceUnavailable(text=text, headers=_AGAIN) from exc
    return web.Response(status=204)
