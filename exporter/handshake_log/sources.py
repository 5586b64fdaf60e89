"""Reads all sources of handshake logs, and shows what they told once it is durable."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

from exporter.clock import Clock
from exporter.errors import ExporterError
from exporter.handshake_log.attribution import Attributor, scan
from exporter.handshake_log.commits import Commits
from exporter.handshake_log.counts import Change, Counts, UnknownPeer
from exporter.handshake_log.follow import FileSource
from exporter.handshake_log.journal import JournalSource
from exporter.handshake_log.lines import STORE_OK, HandshakeLines, source_lines
from exporter.handshake_log.options import Options
from exporter.handshake_log.push import PushSource
from exporter.handshake_log.recent import Recent
from exporter.handshake_log.source import Batch, Source
from exporter.handshake_log.standard_input import StandardInputSource
from exporter.handshake_log.stats import SourceStats
from exporter.store import Store
from exporter.targets.model import Inventory

log = logging.getLogger(__name__)

_RETRY_S = 5.0
_SHORT_BYTES = 16 << 10  # scanned at once, in less than a millisecond
_SLICE = 500  # devices that are shown at once

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


class HandshakeLogs:
    """The part of the service that reads handshake logs; a ``LineSource`` of the exposition.

    All that came up to a moment is committed in one transaction; meanwhile the sources wait.
    While the store cannot write, nothing is read and the last durable counts are shown.
    """

    def __init__(self, options: Sequence[Options], store: Store, clock: Clock) -> None:
        self._clock = clock
        self._store = store
        self._counts = Counts()
        self._commits = Commits(store, self._counts, clock, self._show_change)
        self._lines = HandshakeLines()
        self._inventory: Inventory | None = None
        self._stats: dict[str, SourceStats] = {}
        self._sources: dict[str, Source] = {}
        self._is_loaded = False
        self._changed, self._ready = asyncio.Event(), asyncio.Event()
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
        self._commits.use(inventory)
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
    def store_fault(self) -> str:
        """Why the store cannot be used; empty when it can, or was not needed yet."""
        return self._commits.fault

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

    def recent(self, gateway: str, since: datetime) -> Mapping[str, Recent]:
        """Return what each device that was heard of at ``gateway`` since then did, by its name.

        What is durable only. ``Recent`` answers who connected in full before a change and since,
        who fails now and why, and whether that is evidence: only what a file, the journal or an
        authenticated push told, at a moment that is known, may be a witness. Ask with a ``since``
        that lies as far before the change as one looks back.
        """
        return self._counts.recent(gateway, since)

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
            await self._commits.load()
            self._is_loaded = True
            self._show()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._commits.run())
                await self._follow_sources(tasks)
        finally:
            await self._store.close()

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
                    self._commits.end(name)
            for name, source in self._sources.items():
                if name not in running:
                    running[name] = (source, tasks.create_task(self._follow(source)))
            await self._changed.wait()

    async def _follow(self, source: Source) -> None:
        """Read one source; a fault of it is told and it is begun again where it was durable."""
        while True:
            try:
                await self._read(source)
            except (OSError, ExporterError) as exc:
                self._note_fault(source, exc)
            except Exception as exc:
                log.exception("the log source failed: source=%s", source.name)
                self._note_fault(source, exc)
            else:
                return  # it has an end, and that was it
            await self._clock.sleep(_RETRY_S)

    async def _read(self, source: Source) -> None:
        attributor, position = await self._commits.begin(source)
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
            scanned = await asyncio.to_thread(scan, batch, attributor.reader)
        else:
            scanned = scan(batch, attributor.reader)
        await self._commits.add(source, attributor, batch, scanned)
        stats.line_count += scanned.stats.line_count
        stats.matched_count += scanned.stats.matched_count
        stats.cut_count += scanned.stats.cut_count
        stats.suspicious_count += scanned.stats.suspicious_count
        for shape in scanned.shapes:
            self._counts.note_shape(shape)
        if not batch.is_behind:
            stats.waiting_since_s = None

    async def _show_change(self, change: Change) -> None:
        keys = list(change.tallies)
        for begin in range(0, len(keys), _SLICE):
            part = {key: change.tallies[key] for key in keys[begin : begin + _SLICE]}
            self._lines.update(part, {})
            if len(keys) > _SLICE:
                await self._clock.sleep(0)
        if change.certificates:
            self._lines.update({}, change.certificates)
