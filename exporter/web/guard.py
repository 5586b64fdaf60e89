"""Keeps connections short of what would tie them up: slow headers, slow readers, too many."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from enum import Enum, auto
from typing import cast

from aiohttp import web

log = logging.getLogger(__name__)

HEADER_S = 10.0
"""From the connection, or a request's first byte, to the end of its header."""

ANSWER_S = 60.0
"""From there until the client has taken the whole answer."""

CONNECTIONS = 512

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Guard:
    """Makes the protocols of one server, and watches over their connections.

    aiohttp waits for the end of a header as long as for the next request (``keepalive_timeout``).
    """

    def __init__(
        self,
        *,
        header_s: float = HEADER_S,
        answer_s: float = ANSWER_S,
        connections: int = CONNECTIONS,
    ) -> None:
        self.header_s = header_s
        self.answer_s = answer_s
        self._limit = connections
        self._open: dict[asyncio.Protocol, GuardedProtocol] = {}

    def protocols_of(
        self, factory: Callable[[], asyncio.Protocol]
    ) -> Callable[[], asyncio.Protocol]:
        """Return what makes the protocol of a new connection."""
        return lambda: GuardedProtocol(self, factory())

    def opened(self, inner: asyncio.Protocol, guarded: "GuardedProtocol") -> bool:
        """Count a connection; False: it is one too many."""
        self._open[inner] = guarded
        return len(self._open) <= self._limit

    def closed(self, inner: asyncio.Protocol) -> None:
        """Forget a connection."""
        self._open.pop(inner, None)

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Tell the connection that its header is complete, and when its answer is ready."""
        guarded = self._open.get(request.protocol)
        if guarded is None:
            return await handler(request)
        guarded.header_complete()
        try:
            return await handler(request)
        finally:
            guarded.answer_ready()


class _Phase(Enum):
    """Where a connection is within one request."""

    HEADER = auto()
    HANDLING = auto()
    ANSWERED = auto()


class GuardedProtocol(asyncio.Protocol):
    """Hands everything on to the real protocol, with a timer beside it."""

    def __init__(self, guard: Guard, inner: asyncio.Protocol) -> None:
        self._guard = guard
        self._inner = inner
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._phase = _Phase.HEADER

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for a header."""
        # A stream server makes no others; uvloop's are no subclass
        self._transport = cast(asyncio.Transport, transport)
        if not self._guard.opened(self._inner, self):
            log.warning("a connection was refused: too many are open")
            self._transport.abort()
        self._arm(self._guard.header_s)
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Hand on; the first byte of the next request starts its timer."""
        if self._phase is _Phase.ANSWERED and not self._is_writing():
            self._phase = _Phase.HEADER
            self._arm(self._guard.header_s)
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        """Hand on."""
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        """Hand on."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Hand on."""
        self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer, hand on."""
        self._disarm()
        self._transport = None
        self._guard.closed(self._inner)
        self._inner.connection_lost(exc)

    def header_complete(self) -> None:
        """Stop waiting for a header; the handler keeps its own time."""
        self._phase = _Phase.HANDLING
        self._disarm()

    def answer_ready(self) -> None:
        """Give the client its time to take the answer; after that it may stay, idle."""
        self._phase = _Phase.ANSWERED
        self._arm(self._guard.answer_s)

    def _is_writing(self) -> bool:
        return self._transport is not None and self._transport.get_write_buffer_size() > 0

    def _arm(self, after_s: float) -> None:
        self._disarm()
        self._timer = asyncio.get_running_loop().call_later(after_s, self._time_is_up)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _time_is_up(self) -> None:
        self._timer = None
        if self._transport is not None and (self._phase is _Phase.HEADER or self._is_writing()):
            self._transport.abort()
