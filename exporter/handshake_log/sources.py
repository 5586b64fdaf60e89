"""Reads all sources of handshake logs and makes what they tell durable, then visible."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from exporter.clock import Clock
from exporter.errors import StoreError
from exporter.handshake_log.attribution import Attributor, Scanned, scan
from exporter.handshake_log.counts import Change, Counts, Event, UnknownPeer, write
from exporter.handshake_log.follow import FileSource
from exporter.handshake_log.identity import Identity
from exporter.handshake_log.journal import JournalSource
from exporter.handshake_log.lines import STORE_OK, HandshakeLines, source_lines
from exporter.handshake_log.options import Options
from exporter.handshake_log.push import PushSource
from exporter.handshake_log.source import Batch, Source
from exporter.handshake_log.standard_input import StandardInputSource
from exporter.handshake_log.stats import SourceStats
from exporter.store import Store
from exporter.targets.model import Inventory

log = logging.getLogger(__name__)

_RETRY_S = 5.0
_TICK_S = 0.25
_SHORT_BYTES = 16 << 10  # scanned at once, in less than a millisecond
_SHORT_READINGS = 200  # likewise attributed at once
_SLICE = 500  # devices that are shown at once
# Where only positions have changed: a log may grow all day and tell nothing, and each commit is a
# write to what may be a flash card. After a crash such lines are read again.
_QUIET_S = 5.0

KINDS: Mapping[str, Callable[[Options, Clock], Source]] = {
    "file": FileSource,
    "journald": JournalSource,
    "push": PushSource,
    "stdin": StandardInputSource,
}
"""By the key of the configuration."""


def source_of(options: Options, clock: Clock) -> Source:
    """Return the source that ``options`` describe."""
    kind = next(kind for kind in KINDS if getattr(options, kind))
    return KINDS[kind](options, clock)


@dataclass(slots=True, kw_only=True)
class _Waiting:
    """A batch on its way into the store."""

    source: Source
    attributor: Attributor
    batch: Batch | None
    scanned: Scanned
    at: datetime
    done: asyncio.Future[None]


class HandshakeLogs:
    """The part of the service that reads handshake logs; a ``LineSource`` of the exposition.

    All that came up to a moment is committed in one transaction; meanwhile the sources wait.
    While the store cannot write, nothing is read and the last durable counts are shown.
    """

    def __init__(self, options: Sequence[Options], store: Store, clock: Clock) -> None:
        self._clock = clock
        self._store = store
        self._counts = Counts()
        self._lines = HandshakeLines()
        self._inventory: Inventory | None = None
        self._identity = Identity(Inventory())
        self._identified: Inventory | None = None
        self._stats: dict[str, SourceStats] = {}
        self._attributors: dict[str, Attributor] = {}
        self._sources: dict[str, Source] = {}
        self._waiting: list[_Waiting] = []
        self._in_flight: dict[str, asyncio.Future[None]] = {}
        self._held: dict[str, tuple[str | None, str]] = {}
        self._written_s = clock.monotonic()
        self._is_loaded = False
        self._changed, self._ready, self._work = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.store_fault = ""
        """Why the store cannot be used; empty when it can, or was not needed yet."""
        self.read(options)

    # What it is told

    def read(self, options: Sequence[Options]) -> None:
        """Read these sources from now on; those that stay as they are go on."""
        made = [source_of(one, self._clock) for one in options]
        before = self._sources
        self._sources = {
            source.name: before[source.name]
            if source.name in before and before[source.name].options == source.options
            else source
            for source in made
        }
        self._stats = {name: self._stats.get(name) or SourceStats() for name in self._sources}
        self._show()
        self._changed.set()

    def use(self, inventory: Inventory) -> None:
        """Attribute to the devices of ``inventory`` from now on."""
        self._inventory = inventory
        self._show()
        self._ready.set()

    def _show(self) -> None:
        if not self._is_loaded:
            return  # a zero now, and the old count in a moment, would be an increase
        self._lines.use(
            self._inventory or Inventory(),
            sorted({source.options.gateway or "" for source in self._sources.values()}),
            self._counts.tallies,
            self._counts.certificates,
        )

    # What it is asked

    def lines_of(self, family: str) -> Iterable[bytes]:
        """Return the sample lines of one family; what is durable, and nothing else."""
        if not self._sources:
            return ()
        if family == STORE_OK:
            return [f"{STORE_OK} {int(not self.store_fault)}\n".encode()]
        of_source = source_lines(family, self._stats, self._clock.monotonic())
        return of_source or self._lines.lines_of(family)

    @property
    def stats(self) -> Mapping[str, SourceStats]:
        """By source."""
        return MappingProxyType(self._stats)

    @property
    def shown(self) -> HandshakeLines:
        """The counts that are exposed."""
        return self._lines

    @property
    def peers(self) -> Mapping[tuple[str, str], UnknownPeer]:
        """Who is no device, by gateway and address; the latest."""
        return self._counts.peers

    @property
    def shapes(self) -> Mapping[str, int]:
        """Lines that speak of a TLS error in words nobody knows; the latest that differ."""
        return self._counts.shapes

    @property
    def push_sources(self) -> Mapping[str, PushSource]:
        """Those that are pushed, by their name in the configuration."""
        found = (one for one in self._sources.values() if isinstance(one, PushSource))
        return {source.options.push or "": source for source in found}

    # What it does

    async def run(self) -> None:
        """Read until cancelled."""
        try:
            await self._ready.wait()  # without an inventory every handshake would be nobody's
            while not self._sources:
                self._changed.clear()
                await self._changed.wait()
            await self._load()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._commit_forever())
                await self._follow_sources(tasks)
        finally:
            await self._store.close()

    async def _load(self) -> None:
        while not self._is_loaded:
            try:
                await self._store.open()
                async with self._store.reading() as connection:
                    await self._counts.load(connection)
            except StoreError as exc:
                await self._wait_for_store(exc)
            else:
                self._is_loaded = True
                self.store_fault = ""
                self._show()

    async def _follow_sources(self, tasks: asyncio.TaskGroup) -> None:
        """Keep one task for each source."""
        running: dict[str, tuple[Source, asyncio.Task[None]]] = {}
        while True:
            self._changed.clear()
            for name, (source, task) in list(running.items()):
                if self._sources.get(name) is not source:
                    task.cancel()
                    await asyncio.wait([task])
                    del running[name]
                    self._attributors.pop(name, None)
            for name, source in self._sources.items():
                if name not in running:
                    running[name] = (source, tasks.create_task(self._follow(source)))
            await self._changed.wait()

    async def _follow(self, source: Source) -> None:
        """Read one source; a fault of it is told and it is begun again where it was durable."""
        while True:
            try:
                await self._read(source)
            except OSError as exc:
                self._note_fault(source, exc)
            except Exception as exc:
                log.exception("the log source failed: source=%s", source.name)
                self._note_fault(source, exc)
            else:
                return  # it has an end, and that was it
            await self._clock.sleep(_RETRY_S)

    async def _read(self, source: Source) -> None:
        if (before := self._in_flight.get(source.name)) is not None:
            await asyncio.wait([before])  # of the same log, as it was configured before
        position, joins = self._held.get(source.name) or self._counts.position(source.name)
        now_s = self._clock.monotonic()
        attributor = Attributor(source.name, source.options, joins, now_s)
        self._attributors[source.name] = attributor
        batches = source.batches(position)
        try:
            async for batch in batches:
                await self._take(source, attributor, batch)
        finally:
            if isinstance(batches, AsyncGenerator):
                await batches.aclose()

    def _note_fault(self, source: Source, exc: Exception) -> None:
        stats = self._stats.get(source.name) or SourceStats()
        if stats.fault != str(exc):
            log.error("the log source cannot be read: source=%s %s", source.name, exc)
        stats.is_ok, stats.fault = False, str(exc)

    async def _take(self, source: Source, attributor: Attributor, batch: Batch) -> None:
        """Return once ``batch`` is durable."""
        stats = self._stats.get(source.name) or SourceStats()
        if batch.fault and batch.fault != stats.fault:
            log.warning("the log source is not whole: source=%s %s", source.name, batch.fault)
        stats.is_ok, stats.fault = not batch.fault, batch.fault
        if batch.data and stats.waiting_since_s is None:
            stats.waiting_since_s = self._clock.monotonic()
        if len(batch.data) > _SHORT_BYTES:
            scanned = await asyncio.to_thread(scan, batch)
        else:
            scanned = scan(batch)
        await self._queue(source, attributor, batch, scanned)
        stats.line_count += scanned.stats.line_count
        stats.matched_count += scanned.stats.matched_count
        stats.cut_count += scanned.stats.cut_count
        stats.suspicious_count += scanned.stats.suspicious_count
        for shape in scanned.shapes:
            self._counts.note_shape(shape)
        if not batch.is_behind:
            stats.waiting_since_s = None

    async def _queue(
        self, source: Source, attributor: Attributor, batch: Batch | None, scanned: Scanned
    ) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        at = self._clock.now() if batch is None else (batch.newest_at or batch.read_at)
        self._waiting.append(
            _Waiting(
                source=source,
                attributor=attributor,
                batch=batch,
                scanned=scanned,
                at=at,
                done=done,
            )
        )
        self._in_flight[source.name] = done
        self._work.set()
        await asyncio.shield(done)  # it is committed all the same when this source is stopped

    # Into the store

    async def _commit_forever(self) -> None:
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

    def _change(
        self, waiting: Sequence[_Waiting], attributors: Sequence[tuple[str, Attributor]]
    ) -> tuple[Change, list[Event]]:
        change = Change()
        events: list[Event] = []
        now, now_s = self._clock.now(), self._clock.monotonic()
        for one in waiting:
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
        self.store_fault = ""
        self._counts.publish(change)
        await self._show_change(change)
        for committed in _pushed(waiting):
            committed.set_result(None)
        return events

    async def _show_change(self, change: Change) -> None:
        keys = list(change.tallies)
        for begin in range(0, len(keys), _SLICE):
            part = {key: change.tallies[key] for key in keys[begin : begin + _SLICE]}
            self._lines.update(part, {})
            if len(keys) > _SLICE:
                await self._clock.sleep(0)
        if change.certificates:
            self._lines.update({}, change.certificates)

    async def _wait_for_store(self, exc: StoreError) -> None:
        if self.store_fault != str(exc):
            log.error("handshake logs are not read: %s", exc)
        self.store_fault = str(exc)
        await self._clock.sleep(_RETRY_S)


def _pushed(waiting: Sequence[_Waiting]) -> Iterator[asyncio.Future[None]]:
    """Yield what those wait for who pushed."""
    for one in waiting:
        committed = one.batch.committed if one.batch is not None else None
        if committed is not None and not committed.done():
            yield committed


def _refuse_pushes(waiting: Sequence[_Waiting], exc: StoreError) -> set[str]:
    """Let whoever pushed know; return the names of those sources."""
    for committed in _pushed(waiting):
        committed.set_exception(exc)
    return {one.source.name for one in waiting if isinstance(one.source, PushSource)}
