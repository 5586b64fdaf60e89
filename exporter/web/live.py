"""``GET /fleet/events``: says, as server-sent events, when the fleet's page has changed."""

import asyncio
import json

from aiohttp import web

from exporter.clock import Clock
from exporter.web.boards import Boards
from exporter.web.service import SERVICE

CLIENTS = 32
"""Streams at a time; a page without one asks now and then."""

_LOOK_S = 1.0
# Ages grow and looks go on while nothing else changes; also, a dead connection is noticed
_REFRESH_S = 10.0
# A client that does not read is sent away
_WRITE_S = 10.0
_HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx would hold events back
}


class Live:
    """The stream; all clients share the boards, so that one more costs next to nothing."""

    def __init__(self, boards: Boards, clock: Clock, *, clients: int = CLIENTS) -> None:
        self._boards = boards
        self._clock = clock
        self._free = clients

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer with a stream that ends when the client or the service does."""
        if self._free <= 0:
            raise web.HTTPServiceUnavailable(
                text="enough pages are kept current already; this one asks now and then\n",
                headers={"Retry-After": "15"},
            )
        self._free -= 1
        try:
            return await self._stream(request)
        finally:
            self._free += 1

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers=_HEADERS)
        await answer.prepare(request)
        told: int | None = None
        told_s = 0.0
        while True:
            shown = await self._boards.current(request.app[SERVICE])
            now_s = self._clock.monotonic()
            if shown.fingerprint != told or now_s - told_s >= _REFRESH_S:
                told, told_s = shown.fingerprint, now_s
                sentence = shown.sentence
                data = json.dumps({"level": sentence.level.value, "text": sentence.text})
                try:
                    async with asyncio.timeout(_WRITE_S):
                        await answer.write(f"event: changed\ndata: {data}\n\n".encode())
                except (TimeoutError, ConnectionError):
                    _abort(request)
                    return answer
            await self._clock.sleep(_LOOK_S)


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
