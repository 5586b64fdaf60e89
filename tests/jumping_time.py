"""An event loop whose time passes only while there is nothing to do: each limit to the instant.

A machine that is busy changes nothing about it, and nobody waits. What is sent must be there at
once, or time would pass before it comes: so it goes over Unix sockets here. Where it has to be
TCP, the loop's time is held until it is there. Threads of the loop's own are waited for, a
store's are not.
"""

import asyncio
import selectors
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, TypeVarTuple
from unittest.mock import patch

from aiohttp import web

from exporter.probe.resolve import Address

_BEGIN_S = 1000.0

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class _JumpingSelector(selectors.DefaultSelector):
    """Says at once that the time is over in which nothing can come."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = _BEGIN_S
        self.hold_count = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None or self.hold_count:
            return super().select(None)
        self.now_s += timeout
        return []


class JumpingLoop(asyncio.SelectorEventLoop):
    """asyncio's own loop, with another time."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now_s

    def hold(self) -> None:
        """Let no time pass until ``release`` was called as often."""
        self._jumping.hold_count += 1

    def release(self) -> None:
        self._jumping.hold_count -= 1

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Let a thread do its work while no time passes."""
        self.hold()
        done = super().run_in_executor(executor, func, *args)
        done.add_done_callback(lambda _: self.release())
        return done


def jumping_loop() -> JumpingLoop:
    """The running loop."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, JumpingLoop)
    return loop


class LoopClock:
    """The time of the running loop, for those who ask a clock."""

    def now(self) -> datetime:
        return datetime(2026, 11, 24, 12, 0, tzinfo=UTC) + timedelta(
            seconds=self.monotonic() - _BEGIN_S
        )

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))  # noqa: TID251 - in the loop's own time


def in_no_time(work: Coroutine[Any, Any, T]) -> T:
    """Do ``work`` in a loop of its own."""
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(work)


async def timed(work: Coroutine[Any, Any, T]) -> tuple[T, float]:
    """What ``work`` returns, and the seconds of the loop that it took."""
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    result = await work
    return result, loop.time() - began_s


def unix_listener() -> socket.socket:
    """A listener at an address that the kernel chooses; nothing lies on the disk."""
    made = socket.socket(socket.AF_UNIX)
    made.bind("")
    made.listen()
    return made


def address_of(listener: socket.socket) -> Address:
    return Address(listener.family, listener.getsockname())


def found_at(*listeners: socket.socket) -> Any:
    """While this holds, every name and address leads to ``listeners``."""
    found = [(one.family, socket.SOCK_STREAM, 0, "", one.getsockname()) for one in listeners]
    return patch("socket.getaddrinfo", lambda *_args, **_wishes: found)


@asynccontextmanager
async def joined(protocol: Callable[[], asyncio.Protocol]) -> AsyncIterator[socket.socket]:
    """A client's end of a connection that a server has accepted, for ``sock_recv`` and so on."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours:
        await asyncio.get_running_loop().connect_accepted_socket(protocol, theirs)
        yield ours


@asynccontextmanager
async def client_of(app: web.Application) -> AsyncIterator[socket.socket]:
    """A client's end of a connection to a server of ``app``."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    assert runner.server is not None
    try:
        async with joined(runner.server) as client:
            yield client
    finally:
        await runner.cleanup()


async def read_to_end(client: socket.socket) -> bytes:
    """All that comes until the other side ends or resets the connection."""
    loop = asyncio.get_running_loop()
    read = b""
    try:
        while more := await loop.sock_recv(client, 65_536):
            read += more
    except ConnectionResetError:
        pass
    return read


async def answer_to_post(
    app: web.Application, path: str, token: str, sent: bytes, *, length: int | None = None
) -> tuple[str, float]:
    """What ``app`` answers to a body, ended or not, and after how many seconds."""
    loop = asyncio.get_running_loop()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: text/plain\r\n"
        f"Authorization: Bearer {token}\r\nContent-Length: {length or len(sent)}\r\n\r\n"
    )
    async with client_of(app) as client:
        await loop.sock_sendall(client, head.encode() + sent)
        begun, took_s = await timed(loop.sock_recv(client, 65_536))
        rest = await read_to_end(client)  # what is left of a body has ten seconds more
    return (begun + rest).decode(), took_s
