"""The source that is pushed: whoever sends lines waits until they are durable."""

import asyncio
from collections.abc import AsyncIterator

from exporter.clock import Clock
from exporter.errors import ExporterError, StoreError
from exporter.handshake_log.options import Options
from exporter.handshake_log.source import Batch

# Deliveries that wait for their turn; whoever comes later is told to come again
_WAITING = 64
_WAITING_BYTES = 32 << 20


class PushBusyError(ExporterError):
    """Too many deliveries wait; the sender may try again."""


class PushSource:
    """One named source of ``POST /logs`` and the Loki push API.

    Deliveries have no identity: one that is sent again, because its answer was lost, is counted
    again.
    """

    def __init__(self, options: Options, clock: Clock) -> None:
        self.options = options
        self.name = f"push:{options.push}"
        self._clock = clock
        self._waiting: asyncio.Queue[Batch] = asyncio.Queue()
        self._waiting_bytes = 0

    @property
    def is_full(self) -> bool:
        """Whether the next delivery is told to come again."""
        return self._waiting.qsize() >= _WAITING or self._waiting_bytes >= _WAITING_BYTES

    async def push(self, data: bytes) -> None:
        r"""Return once the lines in ``data`` are counted and durable; each ends in ``\n``.

        Raises:
            PushBusyError: too many deliveries wait.
            StoreError: they could not be stored.
        """
        if self.is_full:
            raise PushBusyError(
                f"{self._waiting.qsize()} deliveries wait already, {self._waiting_bytes} bytes;"
                " try again"
            )
        committed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        now = self._clock.now()
        batch = Batch(data=data, read_at=now, newest_at=now, committed=committed)
        self._waiting.put_nowait(batch)
        self._waiting_bytes += len(data)
        await committed

    async def batches(self, resume: str | None) -> AsyncIterator[Batch]:  # noqa: ARG002 - a push has no position
        """Yield deliveries in the order in which they came; one whose sender left is dropped."""
        try:
            while True:
                batch = await self._waiting.get()
                self._waiting_bytes -= len(batch.data)
                if batch.committed is not None and not batch.committed.cancelled():
                    yield batch
        finally:
            self._refuse_waiting()

    def _refuse_waiting(self) -> None:
        while not self._waiting.empty():
            batch = self._waiting.get_nowait()
            self._waiting_bytes -= len(batch.data)
            committed = batch.committed
            if committed is not None and not committed.done():
                committed.set_exception(
                    StoreError(f"{self.name} is not read at this moment", retryable=True)
                )
