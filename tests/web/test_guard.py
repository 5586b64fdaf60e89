"""Connections that would tie up the server; real sockets, with short times."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from exporter.web.guard import Guard

BIG = b"x" * 8_000_000


async def hello(_request: web.Request) -> web.Response:
    return web.Response(text="hello")


async def big(_request: web.Request) -> web.Response:
    return web.Response(body=BIG)


@asynccontextmanager
async def guarded(guard: Guard) -> AsyncIterator[int]:
    app = web.Application(middlewares=[guard.middleware])
    app.router.add_get("/", hello)
    app.router.add_get("/big", big)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    assert runner.server is not None
    server = await asyncio.get_running_loop().create_server(
        guard.protocols_of(runner.server), "127.0.0.1", 0
    )
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await runner.cleanup()


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
