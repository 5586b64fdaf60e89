"""Merges what all sources say into one inventory, and keeps it current."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import aiohttp

from exporter.clock import Clock, every
from exporter.targets.entries import Known
from exporter.targets.file_sd import FileWatch
from exporter.targets.http_sd import HttpWatch
from exporter.targets.merge import merge
from exporter.targets.model import Dropped, Inventory, Target
from exporter.targets.options import Options
from exporter.targets.source import Handed, Reading, SourceStats

log = logging.getLogger(__name__)

# A change is to be seen within 5 s; it is taken up when it has not moved for one look
FILE_INTERVAL_S = 1.0
_LOGGED_DROPS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryStats:
    """How the inventory is doing.

    Attributes:
        sources: In their order of precedence.
        dropped_count: Of all sources, and what was dropped in merging them.
        dropped: The first of them, at most ``MAX_DROPPED_KEPT``.
        change_count: How often the inventory changed since start.
    """

    sources: tuple[SourceStats, ...] = ()
    target_count: int = 0
    dropped_count: int = 0
    dropped: tuple[Dropped, ...] = ()
    change_count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LastGood:
    """What each source last said that was usable; handed on when sources are replaced."""

    files: Mapping[str, Handed] = field(default_factory=dict)
    urls: Mapping[str, Handed] = field(default_factory=dict)


class InventorySources:
    """The inventory from static targets, files and URLs; the first source that names one wins.

    ``on_change`` is called in the event loop with the first inventory, and then whenever the
    merged result differs. A source that fails keeps its last good entries.
    """

    def __init__(
        self,
        options: Options,
        *,
        static: Sequence[Target],
        known: Known,
        clock: Clock,
        on_change: Callable[[Inventory], None],
        last_good: LastGood | None = None,
    ) -> None:
        self._clock = clock
        self._on_change = on_change
        handed = last_good or LastGood()
        self._static = Reading(
            name="static", ok=True, last_success_at=clock.now(), targets=tuple(static)
        )
        self._files = FileWatch(options.files, known, clock, handed.files)
        self._file_readings: tuple[Reading, ...] = ()
        self._urls = [
            HttpWatch(source, known, clock, handed.urls.get(source.url)) for source in options.http
        ]
        self._inventory: Inventory | None = None
        self._stats = InventoryStats()

    @property
    def inventory(self) -> Inventory:
        """The latest merged inventory; empty before the first look."""
        return self._inventory or Inventory()

    @property
    def stats(self) -> InventoryStats:
        """How the sources are doing, as of the latest look."""
        return self._stats

    @property
    def last_good(self) -> LastGood:
        """What to hand to the sources that replace these after a reload."""
        return LastGood(
            files=self._files.last_good,
            urls={watch.url: watch.handed for watch in self._urls if watch.handed is not None},
        )

    async def run(self) -> None:
        """Keep the inventory current until cancelled."""
        for watch in self._urls:
            await watch.recall()
        await self._look_at_files()
        async with aiohttp.ClientSession(trust_env=False) as session, asyncio.TaskGroup() as tasks:
            tasks.create_task(every(FILE_INTERVAL_S, self._look_at_files, self._clock))
            for watch in self._urls:
                tasks.create_task(self._follow(watch, session))

    async def _look_at_files(self) -> None:
        self._file_readings = await asyncio.to_thread(self._files.look)
        self._publish()

    async def _follow(self, watch: HttpWatch, session: aiohttp.ClientSession) -> None:
        async def tick() -> None:
            await watch.look(session)
            self._publish()

        await every(watch.interval_s, tick, self._clock)

    def _publish(self) -> None:
        readings = [self._static, *self._file_readings, *(watch.reading for watch in self._urls)]
        merged, dropped_counts = merge(readings)
        changed = merged != self._inventory
        self._stats = InventoryStats(
            sources=tuple(
                reading.stats(count)
                for reading, count in zip(readings, dropped_counts, strict=True)
            ),
            target_count=len(merged.targets),
            dropped_count=sum(dropped_counts),
            dropped=merged.dropped,
            change_count=self._stats.change_count + changed,
        )
        if changed:
            _log_drops(self.inventory.dropped, merged.dropped)
            self._inventory = merged
            self._on_change(merged)


def _log_drops(before: Sequence[Dropped], now: Sequence[Dropped]) -> None:
    known = set(before)
    fresh = [one for one in now if one not in known]
    for one in fresh[:_LOGGED_DROPS]:
        log.warning(
            "target dropped name=%r source=%s reason=%s", one.name, one.source, one.message
        )
    if len(fresh) > _LOGGED_DROPS:
        log.warning("%d more targets were dropped", len(fresh) - _LOGGED_DROPS)
