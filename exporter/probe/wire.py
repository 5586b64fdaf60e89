"""A TCP connection in the running event loop: non-blocking, one reader, nothing left behind."""

import asyncio
import errno
import os
import socket
from types import TracebackType
from typing import Self

from exporter.probe.resolve import Address

_READ_BYTES = 65_536


class TooLate(Exception):  # noqa: N818 - a slow endpoint is an answer, not an error
    """The time allowed on a wire is over; ``TimeoutError`` might be the kernel's ETIMEDOUT."""


class Wire:
    """Bytes to and from one endpoint; one coroutine at a time may wait on it.

    Streams and transports cost more for the few bytes of a look, and hide whether the other side
    ended or reset the connection.

    Attributes:
        received_bytes: How much came so far.
        first_bytes: The first few of it.
    """

    def __init__(self, address: Address) -> None:
        self.received_bytes = 0
        self.first_bytes = b""
        self._loop = asyncio.get_running_loop()
        self._sockaddr = address.sockaddr
        self._socket = socket.socket(address.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self._fd = self._socket.fileno()
        self._is_reading = False
        self._awaited_data: asyncio.Future[bytes] | None = None
        self._awaited_room: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_late = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def allow(self, seconds: float) -> None:
        """From now on, all that is not done within ``seconds`` ends with TooLate.

        A timer of its own, since three ``asyncio.timeout`` are 4 % of a look's CPU time.
        """
        if self._timer is not None:
            self._timer.cancel()
        self._is_late = False
        self._timer = self._loop.call_later(seconds, self._expire)

    async def connect(self) -> None:
        """Make the connection.

        Raises:
            OSError: what the network said.
            TooLate: it said nothing.
        """
        code = self._socket.connect_ex(self._sockaddr)
        if code == errno.EINPROGRESS:
            await self._until_writable()
            code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))

    async def send(self, data: bytes) -> None:
        """Send all of ``data``.

        Raises:
            OSError: what the network said.
            TooLate: the other side does not take it.
        """
        while data:
            try:
                data = data[self._socket.send(data) :]
            except BlockingIOError:
                await self._until_writable()

    async def receive(self) -> bytes:
        """Return what has come, waiting for it; empty at the end of the connection.

        Raises:
            OSError: what the network said.
            TooLate: nothing came.
        """
        self._check_time()
        self._awaited_data = self._loop.create_future()
        if not self._is_reading:
            self._loop.add_reader(self._fd, self._on_readable)
            self._is_reading = True
        try:
            data = await self._awaited_data
        finally:
            self._awaited_data = None
        self.received_bytes += len(data)
        if len(self.first_bytes) < 24:
            self.first_bytes = (self.first_bytes + data)[:24]
        return data

    def finish(self) -> None:
        """Say that nothing more will be sent; what comes can still be received.

        Raises:
            OSError: what the network said.
        """
        self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Let go of everything; may be called twice."""
        if self._timer is not None:
            self._timer.cancel()
        if self._is_reading:
            self._loop.remove_reader(self._fd)
            self._is_reading = False
        self._socket.close()

    def _on_readable(self) -> None:
        waiter = self._awaited_data
        if waiter is None or waiter.done():
            # nobody asks at the moment: leave it to the kernel, or the loop would spin
            self._loop.remove_reader(self._fd)
            self._is_reading = False
            return
        try:
            waiter.set_result(self._socket.recv(_READ_BYTES))
        except BlockingIOError:
            pass
        except OSError as exc:
            # With the traceback, and so this frame, it would hold the waiter that holds it
            waiter.set_exception(exc.with_traceback(None))

    async def _until_writable(self) -> None:
        self._check_time()
        self._awaited_room = self._loop.create_future()
        self._loop.add_writer(self._fd, self._on_writable)
        try:
            await self._awaited_room
        finally:
            self._awaited_room = None
            self._loop.remove_writer(self._fd)

    def _on_writable(self) -> None:
        if self._awaited_room is not None and not self._awaited_room.done():
            self._awaited_room.set_result(None)

    def _expire(self) -> None:
        self._is_late = True
        for waiter in (self._awaited_data, self._awaited_room):
            if waiter is not None and not waiter.done():
                waiter.set_exception(TooLate)

    def _check_time(self) -> None:
        if self._is_late:
            raise TooLate
