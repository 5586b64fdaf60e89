"""Keeps the book of reports in the durable store."""

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from exporter.clock import Clock
from exporter.errors import ExporterError, StoreError
from exporter.store import Store
from exporter.trust_store.records import erase, read, write
from exporter.trust_store.reports import ReportBook

log = logging.getLogger(__name__)

MOST_WAITING = 256
"""Pushes that wait to be durable; whoever comes later is told to come again."""

_RETRY_S = 5.0
_MEMORY = ":memory:"


class BusyError(ExporterError):
    """Too many reports wait to be stored; the sender may try again."""


class Keeper:
    """Writes what the book has not written yet, and reads the store before the first time.

    While the store cannot be used, the book goes on in memory. Where nobody reports, no store is
    made.

    Attributes:
        is_needed: Somebody is asked for reports.
        is_loaded: What the store held is in the book.
        fault: Why the store cannot be used; empty when it can, or was not needed yet.
    """

    def __init__(
        self, book: ReportBook, store: Store, clock: Clock, on_load: Callable[[], None]
    ) -> None:
        """``on_load`` is called when the book was filled after it was in use already."""
        self.is_needed = self.is_loaded = self._was_used = False
        self.fault = ""
        self._book = book
        self._store = store
        self._clock = clock
        self._on_load = on_load
        self._waiting: list[asyncio.Future[None]] = []
        self._work = asyncio.Event()

    def wake(self) -> None:
        """Write soon what has changed."""
        self._work.set()

    def refuse_when_busy(self) -> None:
        """Raise BusyError while too many wait already."""
        if len(self._waiting) >= MOST_WAITING:
            raise BusyError(f"{len(self._waiting)} reports wait to be stored already; try again")

    async def durable(self) -> None:
        """Return once all that the book was told so far is durable.

        Raises:
            StoreError: it could not be written; it is tried again all the same.
        """
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(written)
        self._work.set()
        await written

    async def load_at_start(self) -> None:
        """Read the store if there is one; one that fails is tried again by ``run``."""
        path = self._store.path
        self._was_used = path != _MEMORY and await asyncio.to_thread(Path(path).exists)
        if self.is_needed or self._was_used:
            try:
                await self._load()
            except Exception as exc:  # noqa: BLE001 - logged by _fault_of, tried again by run
                self._note_fault(self._fault_of(exc))

    async def run(self) -> None:
        """Write until cancelled."""
        try:
            while True:
                await self._work.wait()
                self._work.clear()
                if self._was_used or self.is_loaded or self.is_needed or self._waiting:
                    await self._write_or_wait()
        finally:
            self._answer(
                self._take_waiting(), StoreError("the service is stopping", retryable=True)
            )

    async def close(self) -> None:
        """Close the store."""
        await self._store.close()

    async def _write_or_wait(self) -> None:
        waiting = self._take_waiting()
        try:
            await self._write()
        except Exception as exc:  # noqa: BLE001 - logged by _fault_of, and the loop goes on
            fault = self._fault_of(exc)
            self._note_fault(fault)
            self._answer(waiting, fault)
            await self._clock.sleep(_RETRY_S)
            self._work.set()
        except BaseException:
            self._waiting += waiting  # to be told that the service is stopping
            raise
        else:
            self.fault = ""
            self._answer(waiting, None)

    @staticmethod
    def _fault_of(exc: Exception) -> StoreError:
        if isinstance(exc, StoreError):
            return exc
        log.error("trust reports: a fault of this program", exc_info=exc)
        return StoreError("trust reports cannot be written; see the log", retryable=True)

    async def _write(self) -> None:
        if not self.is_loaded:
            await self._load()
            self._on_load()
        change = self._book.take_change()
        if not change:
            return
        try:
            async with self._store.writing() as connection:
                await write(connection, change)
        except BaseException:
            self._book.put_back(change)
            raise
        self._book.note_written(change)

    async def _load(self) -> None:
        await self._store.open()
        async with self._store.reading() as connection:
            self._book.restore(await read(connection))
        self.is_loaded = True
        self.fault = ""

    async def forget(self, keep: Collection[str]) -> None:
        """Forget devices outside ``keep`` that were last heard of long ago.

        Raises:
            StoreError: they are forgotten until the next start only.
        """
        gone = self._book.forget(keep, self._clock.now())
        if gone and self.is_loaded:
            async with self._store.writing() as connection:
                await erase(connection, gone)

    def _take_waiting(self) -> Sequence[asyncio.Future[None]]:
        waiting, self._waiting = self._waiting, []
        return [one for one in waiting if not one.done()]

    @staticmethod
    def _answer(waiting: Sequence[asyncio.Future[None]], fault: StoreError | None) -> None:
        for one in waiting:
            if one.done():
                continue  # who waited is gone
            if fault is None:
                one.set_result(None)
            else:
                one.set_exception(fault)

    def _note_fault(self, exc: StoreError) -> None:
        if self.fault != str(exc):
            log.error("trust reports are not stored: %s", exc)
        self.fault = str(exc)
