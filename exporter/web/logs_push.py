"""``POST /logs`` and ``POST /loki/api/v1/push``: handshake logs that are sent to us."""

import asyncio
import base64
import binascii
from collections.abc import Callable, Iterable, Mapping

from aiohttp import web

from exporter.errors import StoreError
from exporter.handshake_log.loki import BodyError, joined, lines_of_json, lines_of_protobuf
from exporter.handshake_log.push import PushBusyError, PushSource
from exporter.web.bodies import read_body
from exporter.web.server import Route
from exporter.web.tokens import bearer_token, is_token_in

MOST_BYTES = 16 << 20
"""Of one delivery, unpacked."""

_AGAIN = {"Retry-After": "5"}
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
    given = _given_token(request.headers.get("Authorization", ""))
    return await is_token_in(source.options.token_file, given)


def _given_token(header: str) -> bytes:
    """Return a bearer token, or the password of basic authentication (Loki's clients know it)."""
    scheme, _, rest = header.partition(" ")
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(rest.strip(), validate=True).partition(b":")[2]
        except (binascii.Error, ValueError):
            return b""
    return bearer_token(header)


async def _body(request: web.Request) -> bytes:
    return await read_body(request, most_bytes=MOST_BYTES, what="a delivery")


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
