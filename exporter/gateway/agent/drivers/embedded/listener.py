"""A listening socket whose connections live and end with their task.

asyncio's own server starts tasks outside any group, and forgets to close a connection that it
accepts in the moment of its end.
"""

import asyncio
import socket
from collections.abc import Callable, Coroutine

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Peer = tuple[str, int]
Handle = Callable[[Streams, Peer], Coroutine[None, None, None]]


async def serve(listening: socket.socket, handle: Handle) -> None:
    """Give each connection to ``handle`` until cancelled; all of them are closed afterwards.

    The peer's address is handed on as it was accepted: one that resets at once has none later.
    """
    loop = asyncio.get_running_loop()
    waiting: set[socket.socket] = set()

    async def session(connection: socket.socket, peer: Peer) -> None:
        waiting.discard(connection)
        streams = await asyncio.open_connection(sock=connection)
        try:
            await handle(streams, peer)
        finally:
            streams[1].close()

    listening.setblocking(False)  # noqa: FBT003 - the standard library's own spelling
    try:
        async with asyncio.TaskGroup() as sessions:

            def accept() -> None:
                try:
                    connection, peer = listening.accept()
                except (BlockingIOError, ConnectionError):  # gone again
                    return
                connection.setblocking(False)  # noqa: FBT003 - as above
                waiting.add(connection)
                sessions.create_task(session(connection, peer[:2]))

            loop.add_reader(listening, accept)
            try:
                await asyncio.Event().wait()
            finally:
                loop.remove_reader(listening)
    finally:
        for connection in waiting:  # its task was cancelled before it began
            connection.close()
