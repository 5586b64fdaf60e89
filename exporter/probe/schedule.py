"""When each target is looked at: at its own steady phase, bounded, the live before the dead."""

import asyncio
import heapq
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime

from exporter.clock import Clock
from exporter.probe.lag import Lag
from exporter.probe.options import Options
from exporter.probe.pace import Health, Pace, Paces, first_spread_s, next_moment, pace_of
from exporter.probe.queues import Entry, Queues
from exporter.targets.model import Inventory, Target, phase_of

log = logging.getLogger(__name__)

GROUP_S = 0.1
"""Looks start in groups: one by one costs half as much CPU again, larger groups spoil the
measured durations."""

Look = Callable[[Target], Awaitable[None]]


@dataclass(slots=True, kw_only=True)
class ScheduleStats:
    """What the schedule counts of itself.

    Attributes:
        live_lag: Of targets that answered the look before.
        suspect_lag: Of all others: new ones, and those where nothing answers. They give way.
        look_count: Looks begun.
        error_count: Looks that raised or never came back: a bug of ours.
        pace_counts: Targets by pace.
        longest_live_wait_s: Of those that are due and wait, by the same two kinds.
    """

    live_lag: Lag = field(default_factory=Lag)
    suspect_lag: Lag = field(default_factory=Lag)
    look_count: int = 0
    error_count: int = 0
    pace_counts: Counter[Pace] = field(default_factory=Counter)
    running_count: int = 0
    waiting_count: int = 0
    longest_live_wait_s: float = 0.0
    longest_suspect_wait_s: float = 0.0


class Scheduler:
    """Calls ``look`` for each target with an address, again and again.

    A target's moments are those at which the wall clock, as it was when the process began,
    modulo the period equals its phase. So they are the same after a restart, and a clock that
    is set changes nothing. The first look of a target comes sooner (see ``first_spread_s``).
    """

    def __init__(self, options: Options, clock: Clock, look: Look) -> None:
        self._clock = clock
        self._look = look
        self._epoch_s = clock.now().timestamp() - clock.monotonic()
        self._paces = Paces.of(options)
        self._longest_look_s = _longest_look_s(options)
        self._queues = Queues(
            concurrency=options.concurrency, host_concurrency=options.host_concurrency
        )
        self._entries: dict[str, Entry] = {}
        self._heap: list[tuple[float, int, Entry]] = []
        self._pushed_count = 0
        self._stats = ScheduleStats()

    @property
    def stats(self) -> ScheduleStats:
        """The counters, with what runs and waits at this moment."""
        now_s = self._now_s()
        waiting = [entry for entry in self._queues.waiting() if not entry.is_gone]
        live = (now_s - entry.due_s for entry in waiting if not entry.is_suspect)
        suspect = (now_s - entry.due_s for entry in waiting if entry.is_suspect)
        stats = self._stats
        stats.running_count = self._queues.running_count
        stats.waiting_count = len(waiting)
        stats.longest_live_wait_s = max(live, default=0.0)
        stats.longest_suspect_wait_s = max(suspect, default=0.0)
        return stats

    @property
    def paces(self) -> Paces:
        """The intervals in force."""
        return self._paces

    def use(self, inventory: Inventory, options: Options | None = None) -> None:
        """Take over an inventory, and ``options`` when given.

        A target whose endpoint is the same keeps its phase, pace and running look.
        """
        if options is not None:
            self._paces = Paces.of(options)
            self._longest_look_s = _longest_look_s(options)
            self._queues.concurrency = options.concurrency
            self._queues.host_concurrency = options.host_concurrency
        old, self._entries = self._entries, {}
        new: list[tuple[Target, str]] = []
        for name, target in inventory.targets.items():
            entry = old.get(name)
            if entry is not None and _endpoint(entry.target) == _endpoint(target):
                entry.target = target
                self._entries[name] = old.pop(name)
                self._adjust(entry)
            elif target.host is not None:
                new.append((target, target.host))
        for entry in old.values():
            entry.is_gone = True
        self._add(new)
        self._stats.pace_counts = Counter(entry.pace for entry in self._entries.values())

    def note(
        self, name: str, *, failing: bool, not_after: datetime | None, answers: bool = False
    ) -> None:
        """Say how the last look at ``name`` went.

        Args:
            name: The target's; one that is no longer there is passed over.
            failing: Look faster, for the time ``dead_after``.
            not_after: End of the leaf, or None.
            answers: A chain was sent. A target that fails and does not answer counts as dead in
                the end; one that is good answers.
        """
        entry = self._entries.get(name)
        if entry is None:
            return
        since_s = entry.health.failing_since_s
        entry.health = Health(
            failing_since_s=(self._now_s() if since_s is None else since_s) if failing else None,
            answers=answers or not failing,
            not_after=not_after,
        )

    async def run(self) -> None:
        """Look at the targets until cancelled."""
        async with asyncio.TaskGroup() as looks:
            while True:
                now_s = self._now_s()
                self._take_due(now_s)
                self._begin(looks)
                await self._clock.sleep(next_moment(0.0, GROUP_S, after_s=now_s) - now_s)

    def _now_s(self) -> float:
        """Seconds of the clock as it was at the start, whatever was done to it since."""
        return self._epoch_s + self._clock.monotonic()

    def _add(self, new: list[tuple[Target, str]]) -> None:
        period_s = self._paces.normal_s
        spread_s = first_spread_s(len(new), period_s)
        for target, host in new:
            phase = phase_of(target.name, 1.0)
            due_s = self._now_s() + phase * spread_s
            entry = Entry(target=target, host=host, phase=phase, due_s=due_s, period_s=period_s)
            self._entries[target.name] = entry
            self._push(entry)

    def _adjust(self, entry: Entry) -> None:
        """Follow a changed interval; nothing is done while it is the same."""
        period_s = self._paces.seconds(entry.pace)
        if period_s != entry.period_s:
            entry.period_s = period_s
            if entry.is_idle and entry.health.answers is not None:
                entry.due_s = next_moment(entry.phase, period_s, after_s=self._now_s())
                self._push(entry)

    def _push(self, entry: Entry) -> None:
        self._pushed_count += 1
        heapq.heappush(self._heap, (entry.due_s, self._pushed_count, entry))

    def _take_due(self, now_s: float) -> None:
        while self._heap and self._heap[0][0] <= now_s:
            due_s, _, entry = heapq.heappop(self._heap)
            if entry.is_idle and not entry.is_gone and entry.due_s == due_s:
                entry.is_idle = False
                self._queues.put(entry)

    def _begin(self, looks: asyncio.TaskGroup) -> None:
        while (entry := self._queues.take()) is not None:
            self._lag(entry).add(max(0.0, self._now_s() - entry.due_s))
            self._stats.look_count += 1
            looks.create_task(self._look_at(entry, looks))

    def _lag(self, entry: Entry) -> Lag:
        return self._stats.suspect_lag if entry.is_suspect else self._stats.live_lag

    async def _look_at(self, entry: Entry, looks: asyncio.TaskGroup) -> None:
        began_s = self._now_s()
        try:
            # A prober keeps its own limits for each phase; this is for the one that does not
            async with asyncio.timeout(self._longest_look_s):
                await self._look(entry.target)
        except Exception:
            self._stats.error_count += 1
            log.exception("a look failed by a fault of this program target=%s", entry.target.name)
        self._queues.release(entry)
        self._plan_next(entry, began_s)
        self._begin(looks)

    def _plan_next(self, entry: Entry, began_s: float) -> None:
        entry.is_idle = True
        if entry.is_gone:
            return
        now_s = self._now_s()
        missed_count = max(0, int((now_s - entry.due_s) / entry.period_s))
        self._lag(entry).missed_count += missed_count
        pace = pace_of(entry.health, self._paces, now=self._clock.now(), now_s=now_s)
        if pace is not entry.pace:
            self._stats.pace_counts[entry.pace] -= 1
            self._stats.pace_counts[pace] += 1
        entry.pace = pace
        entry.period_s = self._paces.seconds(pace)
        # Not twice within a moment where the first look came just before the phase
        earliest_s = max(now_s, began_s + entry.period_s / 10)
        entry.due_s = next_moment(entry.phase, entry.period_s, after_s=earliest_s)
        self._push(entry)


def _longest_look_s(options: Options) -> float:
    return 4 * options.timeout + 5


def _endpoint(target: Target) -> tuple[object, ...]:
    return target.host, target.port, target.protocol, target.server_name
