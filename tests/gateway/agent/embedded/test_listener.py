"""A listener closes what it accepted, also in the moment of its end."""

import asyncio
import socket

import pytest

from exporter.gateway.agent.drivers.embedded.listener import Peer, Streams, serve


async def test_connections_are_closed_when_it_is_cancelled() -> None:
    accepted = asyncio.Event()

    async def hold(streams: Streams, peer: Peer) -> None:
        accepted.set()
        await asyncio.Event().wait()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(serve(listening, hold))
            reader, writer = await asyncio.open_connection(*listening.getsockname())
            await accepted.wait()
            task.cancel()
        data = await reader.read()
        writer.close()

    assert data == b""


@pytest.mark.parametrize("yields", range(12))
async def test_none_is_forgotten_however_early_it_ends(yields: int) -> None:
    async def hold(streams: Streams, peer: Peer) -> None:
        await asyncio.Event().wait()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        plain = socket.create_connection(listening.getsockname())
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(serve(listening, hold))
            for _ in range(yields):
                await asyncio.sleep(0)  # noqa: TID251 - one step of the loop after the other
            task.cancel()
        plain.close()
