"""Standard input as a source: ``journalctl -f -o cat | fleet-tls-exporter run …``."""

import asyncio
import os
import stat
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import IO

from exporter.clock import Clock
from exporter.handshake_log.classify import MAX_LINE_BYTES
from exporter.handshake_log.options import Options
from exporter.handshake_log.source import Batch

_CHUNK_BYTES = 1 << 20


class StandardInputSource:
    """Reads until the end of standard input; what was read before a crash is gone with it."""

    def __init__(self, options: Options, clock: Clock, stream: IO[bytes] | None = None) -> None:
        self.options = options
        self.name = "stdin"
        self._clock = clock
        self._stream = stream if stream is not None else sys.stdin.buffer

    async def batches(self, resume: str | None) -> AsyncIterator[Batch]:  # noqa: ARG002 - a pipe has no position
        """Yield whole lines as they come; the last one may lack its newline."""
        rest = b""
        async with aclosing(self._chunks()) as chunks:
            async for chunk in chunks:
                lines, newline, rest = (rest + chunk).rpartition(b"\n")
                if len(rest) > _CHUNK_BYTES:
                    rest = rest[: 2 * MAX_LINE_BYTES]  # judged by its beginning, as anywhere
                if newline:
                    yield self._batch(lines + newline)
        if rest:
            yield self._batch(rest, is_final=True)

    async def _chunks(self) -> AsyncGenerator[bytes, None]:
        mode = os.fstat(self._stream.fileno()).st_mode
        if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(self._stream.fileno())):
            # A file, or /dev/null: epoll refuses them, and reading never waits
            while chunk := await asyncio.to_thread(self._stream.read, _CHUNK_BYTES):
                yield chunk
            return
        reader = asyncio.StreamReader(limit=_CHUNK_BYTES)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), self._stream
        )
        try:
            while chunk := await reader.read(_CHUNK_BYTES):
                yield chunk
        finally:
            transport.close()

    def _batch(self, data: bytes, *, is_final: bool = False) -> Batch:
        now = self._clock.now()
        return Batch(data=data, read_at=now, newest_at=now, is_final=is_final)
