"""TLS over a pair of streams, with every alert sent and every error seen.

asyncio's own TLS drops the alert of a client that refuses a certificate, and tells a server
nothing of a failed handshake: both are what the demo is about.
"""

import asyncio
import ssl
from collections.abc import Callable
from typing import TypeVar

_Result = TypeVar("_Result")
_READ_BYTES = 16_384


class PeerClosedError(Exception):
    """The other side closed the connection without saying so in TLS."""


class TlsStream:
    """One TLS connection; a deadline is the caller's."""

    def __init__(
        self,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        context: ssl.SSLContext,
        *,
        server_name: str | None = None,
        server_side: bool = False,
    ) -> None:
        self._reader, self._writer = streams
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self.tls = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_side, server_hostname=server_name
        )

    async def handshake(self) -> None:
        """Shake hands.

        Raises:
            ssl.SSLError: one side refused; our own alert has been sent.
            PeerClosedError: the other side left.
            OSError: the connection broke.
        """
        await self._drive(self.tls.do_handshake)

    async def read(self) -> bytes:
        """Return what comes next; empty when the other side has said that it is done.

        Raises:
            ssl.SSLError: as ``handshake``, likewise the others.
        """
        try:
            return await self._drive(lambda: self.tls.read(_READ_BYTES))
        except ssl.SSLZeroReturnError:
            return b""

    async def write(self, data: bytes) -> None:
        """Send ``data``; raises as ``handshake``."""
        await self._drive(lambda: self.tls.write(data))

    async def say_goodbye(self) -> None:
        """Send ``close_notify`` and wait for the other side's; raises as ``handshake``."""
        await self._drive(self.tls.unwrap)

    async def _drive(self, step: Callable[[], _Result]) -> _Result:
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                await self._flush()
            except ssl.SSLError:
                await self._flush()
                raise
            else:
                await self._flush()
                return result
            data = await self._reader.read(_READ_BYTES)
            if not data:
                raise PeerClosedError
            self._incoming.write(data)

    async def _flush(self) -> None:
        pending = self._outgoing.read()
        if pending:
            self._writer.write(pending)
            await self._writer.drain()
