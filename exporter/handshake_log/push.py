"""The source that is pushed: whoever sends lines waits until they are durable."""

import asyncio
from collections.abc import AsyncIterator

from exporter.clock import Clock
from exporter.errors import ExporterError, StoreError
from exporter.handshake_log.options import Options
from exporter.handshake_log.source import Batch

# Deliveries that wait for their turn; whoever comes later is told to come again
_WAITING = 64


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
        self._waiting: asyncio.Queue[Batch] = asyncio.Queue(_WAITING)

    async def push(self, data: bytes) -> None:
        r"""Return once the lines in ``data`` are counted and durable; each ends in ``\n``.

        Raises:
            PushBusyError: too many deliveries wait.
            StoreError: they could not be stored.
        """
        committed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        now = self._clock.now()
        batch = Batch(data=data, read_at=now, newest_at=now, committed=committed)
        try:
            self._waiting.put_nowait(batch)
        except asyncio.QueueFull:
            raise PushBusyError(f"{_WAITING} deliveries wait already; try again") from None
        await committed

    async def batches(self, resume: str | None) -> AsyncIterator[Batch]:  # noqa: ARG002 - a push has no position
        """Yield deliveries in the order in which they came; one whose sender left is dropped."""
        try:
            while True:
                batch = await self._waiting.get()
                if batch.committed is not None and not batch.committed.cancelled():
                    yield batch
        finally:
            self._refuse_waiting()

    def _refuse_waiting(self) -> None:
        while not self._waiting.empty():
            committed = self._waiting.get_nowait().committed
            if committed is not None and not committed.done():
                committed.set_exception(
                    StoreError(f"{self.name} is not read at this moment", retryable=True)
                )
