"""Makes what all sources told durable together, then visible."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from exporter.clock import Clock
from exporter.errors import StoreError
from exporter.handshake_log.attribution import Attributor, Scanned
from exporter.handshake_log.counts import Change, Counts, Event, write
from exporter.handshake_log.identity import Identity
from exporter.handshake_log.push import PushSource
from exporter.handshake_log.readers import reader_for
from exporter.handshake_log.source import Batch, Source
from exporter.store import Store
from exporter.targets.model import Inventory

log = logging.getLogger(__name__)

_RETRY_S = 5.0
_TICK_S = 0.25
_SHORT_READINGS = 200  # attributed at once, in less than a millisecond
# Where only positions have changed: a log may grow all day and tell nothing, and each commit is a
# write to what may be a flash card. After a crash such lines are read again.
_QUIET_S = 5.0


@dataclass(slots=True, kw_only=True)
class _Waiting:
    """A batch on its way into the store."""

    source: Source
    attributor: Attributor
    batch: Batch
    scanned: Scanned
    at: datetime
    done: asyncio.Future[None]


class Commits:
    """The way into the store.

    All that came up to a moment is committed in one transaction; meanwhile the sources wait.

    Args:
        show: Is told what has become durable.
    """

    def __init__(
        self, store: Store, counts: Counts, clock: Clock, show: Callable[[Change], Awaitable[None]]
    ) -> None:
        self._store = store
        self._counts = counts
        self._clock = clock
        self._show = show
        self._inventory: Inventory | None = None
        self._identity = Identity(Inventory())
        self._identified: Inventory | None = None
        self._attributors: dict[str, Attributor] = {}
        self._waiting: list[_Waiting] = []
        self._in_flight: dict[str, asyncio.Future[None]] = {}
        self._held: dict[str, tuple[str | None, str]] = {}
        self._written_s = clock.monotonic()
        self._work = asyncio.Event()
        self.fault = ""
        """Why the store cannot be used; empty when it can, or was not needed yet."""

    def use(self, inventory: Inventory) -> None:
        """Attribute to the devices of ``inventory`` from now on."""
        self._inventory = inventory

    async def load(self) -> None:
        """Return once the counts are what the store holds."""
        while True:
            try:
                await self._store.open()
                async with self._store.reading() as connection:
                    await self._counts.load(connection)
            except StoreError as exc:
                await self._wait_for_store(exc)
            else:
                self.fault = ""
                return

    async def begin(self, source: Source) -> tuple[Attributor, str | None]:
        """Return who attributes what ``source`` tells, and the position where it goes on."""
        if (before := self._in_flight.get(source.name)) is not None:
            await asyncio.wait([before])  # of the same log, as it was configured before
        await asyncio.to_thread(reader_for, source.options)  # made once, and that takes a while
        position, joins = self._held.get(source.name) or self._counts.position(source.name)
        attributor = Attributor(source.name, source.options, joins, self._clock.monotonic())
        self._attributors[source.name] = attributor
        return attributor, position

    def end(self, name: str) -> None:
        """Forget who attributes what that source tells; it is not read any more."""
        self._attributors.pop(name, None)

    async def add(
        self, source: Source, attributor: Attributor, batch: Batch, scanned: Scanned
    ) -> None:
        """Return once ``batch`` is durable."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(
            _Waiting(
                source=source,
                attributor=attributor,
                batch=batch,
                scanned=scanned,
                at=batch.newest_at or batch.read_at,
                done=done,
            )
        )
        self._in_flight[source.name] = done
        self._work.set()
        await asyncio.shield(done)  # it is committed all the same when this source is stopped

    async def run(self) -> None:
        """Commit until cancelled."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_TICK_S):
                    await self._work.wait()
            self._work.clear()
            waiting, self._waiting = self._waiting, []
            if self._inventory is not None and self._identified is not self._inventory:
                self._identified = self._inventory
                self._identity = await asyncio.to_thread(Identity, self._inventory)
            attributors = list(self._attributors.items())
            if sum(len(one.scanned.readings) for one in waiting) > _SHORT_READINGS:
                change, events = await asyncio.to_thread(self._change, waiting, attributors)
            else:
                change, events = self._change(waiting, attributors)
            await self._store_change(change, events, waiting)
            for one in waiting:
                one.done.set_result(None)

    def _change(
        self, waiting: Sequence[_Waiting], attributors: Sequence[tuple[str, Attributor]]
    ) -> tuple[Change, list[Event]]:
        change = Change()
        events: list[Event] = []
        now, now_s = self._clock.now(), self._clock.monotonic()
        for one in waiting:
            if one.batch.is_late and one.batch.data:
                one.attributor.note_late(now_s)
            events += one.attributor.events(one.scanned, self._identity, one.at, now_s)
            self._note_position(change, one.source.name, one.attributor, one.batch)
        for name, attributor in attributors:
            if late := list(attributor.due(self._identity, now, now_s)):
                events += late
                self._note_position(change, name, attributor, None)
        for event in events:
            self._counts.apply(change, event)
        return change, events

    def _note_position(
        self, change: Change, name: str, attributor: Attributor, batch: Batch | None
    ) -> None:
        known = change.positions.get(name) or self._held.get(name)
        position, _ = known or self._counts.position(name)
        if batch is not None and batch.position is not None:
            position = batch.position
        change.positions[name] = (position, attributor.dump())

    async def _store_change(
        self, change: Change, events: list[Event], waiting: Sequence[_Waiting]
    ) -> None:
        change.positions = self._held | change.positions
        # The very first position tells where the reading began; without it all would begin anew
        is_first = not all(map(self._counts.has_position, change.positions))
        is_asked_for = change.tallies or is_first or any(True for _ in _pushed(waiting))
        now_s = self._clock.monotonic()
        if is_asked_for or (change.positions and now_s - self._written_s >= _QUIET_S):
            for event in await self._commit(change, events, waiting):
                self._counts.note_peer(event)
            self._held, self._written_s = {}, now_s
        else:
            self._held = change.positions

    async def _commit(
        self, change: Change, events: list[Event], waiting: Sequence[_Waiting]
    ) -> list[Event]:
        """Return the events once they are in the store and shown; tries until they are."""
        while True:
            try:
                async with self._store.writing() as connection:
                    await write(connection, change)
            except StoreError as exc:
                # Whoever pushed is told, and sends again what then must not be counted already
                refused = _refuse_pushes(waiting, exc)
                events = [event for event in events if event.source not in refused]
                change = Change(positions=change.positions)
                for event in events:
                    self._counts.apply(change, event)
                await self._wait_for_store(exc)
            else:
                break
        self.fault = ""
        self._counts.publish(change)
        await self._show(change)
        for committed in _pushed(waiting):
            committed.set_result(None)
        return events

    async def _wait_for_store(self, exc: StoreError) -> None:
        if self.fault != str(exc):
            log.error("handshake logs are not read: %s", exc)
        self.fault = str(exc)
        await self._clock.sleep(_RETRY_S)


def _pushed(waiting: Sequence[_Waiting]) -> Iterator[asyncio.Future[None]]:
    """Yield what those wait for who pushed."""
    for one in waiting:
        committed = one.batch.committed
        if committed is not None and not committed.done():
            yield committed


def _refuse_pushes(waiting: Sequence[_Waiting], exc: StoreError) -> set[str]:
    """Let whoever pushed know; return the names of those sources."""
    for committed in _pushed(waiting):
        committed.set_exception(exc)
    return {one.source.name for one in waiting if isinstance(one.source, PushSource)}
