"""Odd listeners in the test's own event loop: rude, slow, silent or plainly not TLS."""

import asyncio
import socket
import ssl
import struct
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from itertools import cycle
from pathlib import Path

from tests.pki import Issued

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(
    handler: Handler,
    *,
    host: str = "127.0.0.1",
    tls: ssl.SSLContext | None = None,
    at: socket.socket | None = None,
) -> AsyncIterator[int]:
    """The port where each connection is given to ``handler``; closed when that returns.

    ``host`` is one address: of several each has a port of its own. Or it listens ``at`` a Unix
    socket, which has no port: 0.
    """
    running: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        try:
            with suppress(OSError, ssl.SSLError, asyncio.IncompleteReadError):
                await handler(reader, writer)
        except asyncio.CancelledError:
            pass  # the test is over
        finally:
            running.discard(task)
            writer.close()
            with suppress(OSError, ssl.SSLError, asyncio.CancelledError):
                await writer.wait_closed()

    if at is None:
        server = await asyncio.start_server(serve, host, 0, ssl=tls)
    else:
        server = await asyncio.start_server(serve, sock=at, ssl=tls)
    try:
        yield 0 if at else int(server.sockets[0].getsockname()[1])
    finally:
        for one in server.sockets:
            asyncio.get_running_loop().remove_reader(one)
        await asyncio.sleep(0)  # noqa: TID251 - begins what was accepted: it cannot once it is closed
        server.close()
        if accepting := _accepting(server):  # and ends where its client is gone
            await asyncio.wait(accepting, timeout=0.5)
        while tasks := [*running, *_accepting(server)]:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


def _accepting(server: asyncio.Server) -> list[asyncio.Task[None]]:
    """Handshakes of which this side has not heard the end; the client may be gone.

    A server that is closed leaves them alone, and what is left is a transport that nobody closes.
    """
    found = []
    for task in asyncio.all_tasks():
        frame = getattr(task.get_coro(), "cr_frame", None)  # none where the loop is not asyncio's
        if frame is not None and frame.f_code.co_name == "_accept_connection2":
            found += [task] if frame.f_locals.get("server") is server else []
    return found


@contextmanager
def alerting(context: ssl.SSLContext) -> Iterator[int]:
    """The port of a TLS listener that says by an alert why it refuses, then stays silent.

    (asyncio's own TLS server hangs up without the alert; this one has a thread.) One connection
    after the other.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        thread = threading.Thread(target=_serve_all, args=(server, context), daemon=True)
        thread.start()
        try:
            yield int(server.getsockname()[1])
        finally:
            server.shutdown(socket.SHUT_RDWR)  # wakes the thread
            thread.join(30)


def _serve_all(server: socket.socket, context: ssl.SSLContext) -> None:
    while True:
        try:
            plain, _ = server.accept()
        except OSError:
            return
        with plain:
            plain.settimeout(30)
            with suppress(OSError), context.wrap_socket(plain, server_side=True) as secured:
                while secured.recv(65_536):
                    pass
                secured.unwrap()


async def say_nothing(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Take everything, answer never."""
    while await reader.read(65_536):
        pass


async def close_after_hello(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """End the connection in an orderly way as soon as the client has spoken."""
    await reader.read(65_536)


async def reset_after_hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reset the connection as soon as the client has spoken."""
    await reader.read(65_536)
    reset(writer)


async def reset_at_once(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reset the connection before a word was said."""
    reset(writer)


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection by RST."""
    plain: socket.socket = writer.get_extra_info("socket")
    # SO_LINGER with no time: close() resets
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def answering(data: bytes) -> Handler:
    """Wait for the client's first words, answer ``data``, close."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65_536)
        writer.write(data)
        await writer.drain()

    return handler


def greeting(data: bytes) -> Handler:
    """Say ``data`` at once, as SSH and mail servers do, then listen."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        while await reader.read(65_536):
            pass

    return handler


def dripping(data: bytes, pause_s: float) -> Handler:
    """Answer one byte at a time."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65_536)
        for byte in data:
            writer.write(bytes([byte]))
            await writer.drain()
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.get_running_loop().create_future(), pause_s)

    return handler


def server_context(directory: Path, chain: Sequence[Issued]) -> ssl.SSLContext:
    """A server's settings for this chain, sent exactly as given; the first one's key signs."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    load_chain(context, directory, chain)
    return context


def load_chain(context: ssl.SSLContext, directory: Path, chain: Sequence[Issued]) -> None:
    """Put another chain into a context; the next connection gets it."""
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "served.pem"
    file.write_bytes(chain[0].key_pem + b"".join(issued.pem for issued in chain))
    context.load_cert_chain(file)


def by_name(name: str, named: ssl.SSLContext, others: ssl.SSLContext) -> ssl.SSLContext:
    """Settings of ``named`` for who asks for ``name``, of ``others`` for all else and no name."""
    return _choosing(lambda asked: named if asked == name else others)


def by_turns(*workers: ssl.SSLContext) -> ssl.SSLContext:
    """Settings of the next one for each connection, as if each came to another worker."""
    turn = cycle(workers)
    return _choosing(lambda _asked: next(turn))


def _choosing(choose: Callable[[str | None], ssl.SSLContext]) -> ssl.SSLContext:
    def chosen(connection: ssl.SSLObject, asked: str | None, _own: ssl.SSLContext) -> None:
        connection.context = choose(asked)

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sni_callback = chosen  # called for clients that send no name, too
    return context


def demand_client_certificate(
    context: ssl.SSLContext, *anchors: Issued, optional: bool = False
) -> None:
    """Ask for a client certificate by one of ``anchors``."""
    context.load_verify_locations(cadata="".join(anchor.pem.decode() for anchor in anchors))
    context.verify_mode = ssl.CERT_OPTIONAL if optional else ssl.CERT_REQUIRED
