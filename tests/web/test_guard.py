"""Connections that would tie up the server; real sockets, with short times.

Beside it the same with the times as they are, to the instant, in a loop's own time.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from exporter.web.guard import ANSWER_S, HEADER_S, Guard
from tests.jumping_time import LoopClock, in_no_time, joined, timed
from tests.jumping_time import read_to_end as end_of

BIG = b"x" * 8_000_000


async def hello(_request: web.Request) -> web.Response:
    return web.Response(text="hello")


async def big(_request: web.Request) -> web.Response:
    return web.Response(body=BIG)


@asynccontextmanager
async def running(guard: Guard) -> AsyncIterator[Callable[[], asyncio.Protocol]]:
    """What makes the protocol of a connection."""
    app = web.Application(middlewares=[guard.middleware])
    app.router.add_get("/", hello)
    app.router.add_get("/big", big)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    assert runner.server is not None
    try:
        yield guard.protocols_of(runner.server)
    finally:
        await runner.cleanup()


@asynccontextmanager
async def guarded(guard: Guard) -> AsyncIterator[int]:
    async with running(guard) as protocol:
        server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()


async def read_to_end(reader: asyncio.StreamReader) -> bytes:
    try:
        async with asyncio.timeout(30):
            return await reader.read()
    except ConnectionResetError:
        return b""


async def until_cut_off(guard: Guard) -> None:
    """Return when the server has had a connection, and has none any more."""
    async with asyncio.timeout(30):
        for wanted in (1, 0):
            while len(guard._open) != wanted:  # noqa: ASYNC110 - the guard has no event
                await asyncio.sleep(0.01)  # noqa: TID251 - its times are real ones


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: "])
async def test_a_header_that_does_not_end_is_cut_off(said: bytes) -> None:
    async with guarded(Guard(header_s=0.1)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(said)

        assert await read_to_end(reader) == b""
        writer.close()


async def test_dripping_does_not_buy_time() -> None:
    async with guarded(Guard(header_s=0.3)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        loop = asyncio.get_running_loop()
        writer.write(b"GET / HTTP/1.1\r\n")
        cut = asyncio.Event()

        def drip() -> None:
            if not cut.is_set():
                writer.write(b"X-A: b\r\n")
                loop.call_later(0.05, drip)

        drip()
        assert await read_to_end(reader) == b""  # it ends at all
        cut.set()
        writer.close()


async def test_a_connection_is_kept_for_the_next_request() -> None:
    guard = Guard(answer_s=0.1)
    async with guarded(guard) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)

        for idle_s in (0.5, 0.0):
            guard.header_s = 30
            writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            async with asyncio.timeout(30):
                assert b"200 OK" in await reader.readuntil(b"hello")
            guard.header_s = 0.1
            idle = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_later(idle_s, idle.set_result, None)
            await idle  # longer than both times: an idle connection may stay

        writer.close()


async def test_the_second_header_on_a_connection_has_its_time_too() -> None:
    guard = Guard()
    async with guarded(guard) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await reader.readuntil(b"hello")

        guard.header_s = 0.1
        writer.write(b"GET / HTTP/1.1\r\n")

        assert await read_to_end(reader) == b""
        writer.close()


async def test_a_client_that_does_not_read_is_cut_off() -> None:
    guard = Guard(answer_s=0.3)
    async with guarded(guard) as port:
        plain = socket.create_connection(("127.0.0.1", port))
        plain.sendall(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
        plain.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=plain, limit=1024)
        reader._transport.pause_reading()  # type: ignore[attr-defined]  # a reader that does nothing
        await until_cut_off(guard)
        reader._transport.resume_reading()  # type: ignore[attr-defined]  # look at what is left

        assert len(await read_to_end(reader)) < len(BIG)
        writer.close()


async def test_a_client_that_leaves_without_a_word_is_forgotten() -> None:
    guard = Guard()
    async with guarded(guard) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write_eof()

        assert await read_to_end(reader) == b""
        assert guard._open == {}
        writer.close()


async def test_one_connection_too_many_is_closed_and_the_others_live() -> None:
    async with guarded(Guard(connections=2)) as port:
        first = await asyncio.open_connection("127.0.0.1", port)
        second = await asyncio.open_connection("127.0.0.1", port)
        for reader, writer in (first, second):
            writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            await reader.readuntil(b"hello")

        third, closing = await asyncio.open_connection("127.0.0.1", port)

        assert await read_to_end(third) == b""
        first[1].write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"200 OK" in await first[0].readuntil(b"hello")
        for writer in (first[1], second[1], closing):
            writer.close()


Said = Callable[[socket.socket], Coroutine[Any, Any, None]]
REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
BEGUN = b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: "


async def send(client: socket.socket, data: bytes) -> None:
    await asyncio.get_running_loop().sock_sendall(client, data)


async def be_answered(client: socket.socket) -> None:
    await send(client, REQUEST)
    answer = b""
    while not answer.endswith(b"hello"):
        more = await asyncio.get_running_loop().sock_recv(client, 65_536)
        assert more, "cut off"
        answer += more


async def drip(client: socket.socket) -> None:
    await send(client, BEGUN)
    while True:
        await LoopClock().sleep(0.7)
        await send(client, b"x")


def cut_off_after_s(*, first: Said | None = None, then: Said) -> float:
    """Seconds from the moment when ``then`` begins to the end of the connection."""

    async def seconds() -> float:
        async with running(Guard()) as protocol, joined(protocol) as client:
            if first is not None:
                await first(client)
            async with asyncio.TaskGroup() as tasks:
                saying = tasks.create_task(then(client))
                _, took_s = await timed(end_of(client))
                saying.cancel()
            return took_s

    return in_no_time(seconds())


@pytest.mark.parametrize("said", [b"", BEGUN])
def test_a_header_has_ten_seconds(said: bytes) -> None:
    took_s = cut_off_after_s(then=lambda client: send(client, said))

    assert took_s == pytest.approx(10.0)


def test_dripping_buys_no_time_at_all() -> None:
    assert cut_off_after_s(then=drip) == pytest.approx(10.0)


@pytest.mark.parametrize("then", [lambda client: send(client, BEGUN), drip])
def test_the_next_header_has_ten_seconds_from_its_first_byte(then: Said) -> None:
    async def be_answered_and_rest(client: socket.socket) -> None:
        await be_answered(client)
        await LoopClock().sleep(7)

    took_s = cut_off_after_s(first=be_answered_and_rest, then=then)

    assert took_s == pytest.approx(10.0)


def test_an_idle_connection_outlasts_both_times() -> None:
    async def rest_between_two() -> None:
        async with running(Guard()) as protocol, joined(protocol) as client:
            await be_answered(client)
            await LoopClock().sleep(HEADER_S + ANSWER_S)
            await be_answered(client)

    in_no_time(rest_between_two())


def test_a_client_that_does_not_read_has_a_minute() -> None:
    async def open_at(*moments_s: float) -> list[bool]:
        guard = Guard()
        loop = asyncio.get_running_loop()
        async with running(guard) as protocol, joined(protocol) as client:
            await send(client, b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
            began_s, is_open = loop.time(), []
            for moment_s in moments_s:
                await LoopClock().sleep(began_s + moment_s - loop.time())
                is_open.append(bool(guard._open))
            assert len(await end_of(client)) < len(BIG)
            return is_open

    assert in_no_time(open_at(59.99, 60.01)) == [True, False]
