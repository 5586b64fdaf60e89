"""Who may be looked at now: limits overall and per host; the dead do not starve the live."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from exporter.probe.pace import Health, Pace
from exporter.targets.model import Target


@dataclass(slots=True, kw_only=True, eq=False)
class Entry:
    """One target of the schedule.

    Attributes:
        phase: In ``[0, 1)``: where in every period its own moment is.
        due_s: Its next moment, or that of the look that waits or runs.
        period_s: Seconds between its moments at its present pace.
        is_suspect: As it was when the look began to wait: nothing has answered there, so a look
            may take as long as its timeouts.
        is_idle: No look waits or runs.
        is_gone: No longer in the inventory.
    """

    target: Target
    host: str
    phase: float
    due_s: float
    period_s: float
    pace: Pace = Pace.NORMAL
    health: Health = field(default_factory=Health)
    is_suspect: bool = True
    is_idle: bool = True
    is_gone: bool = False


@dataclass(slots=True, kw_only=True)
class _Use:
    """What runs, overall or at one host, and who waits for the host."""

    running_count: int = 0
    suspect_count: int = 0
    live: deque[Entry] | None = None
    suspects: deque[Entry] | None = None


@dataclass(slots=True, kw_only=True)
class _Limits:
    all_count: int
    suspect_count: int

    def allow(self, use: _Use, entry: Entry) -> bool:
        if use.running_count >= self.all_count:
            return False
        return not entry.is_suspect or use.suspect_count < self.suspect_count


def _limits(count: int) -> _Limits:
    # A quarter is kept for those that are known to answer: looks there take milliseconds, so it
    # is plenty even while timeouts hold all the rest
    return _Limits(all_count=count, suspect_count=max(1, count - max(1, count // 4)))


@dataclass(slots=True, kw_only=True)
class Queues:
    """The entries that wait for their look, and the count of those that run."""

    concurrency: int
    host_concurrency: int
    _overall: _Use = field(default_factory=_Use)
    _hosts: dict[str, _Use] = field(default_factory=dict)
    _live: deque[Entry] = field(default_factory=deque)
    _suspects: deque[Entry] = field(default_factory=deque)

    @property
    def running_count(self) -> int:
        """Looks that run."""
        return self._overall.running_count

    def waiting(self) -> Iterator[Entry]:
        """Return those that wait, the overall queue's and the hosts'."""
        yield from self._live
        yield from self._suspects
        for use in self._hosts.values():
            yield from use.live or ()
            yield from use.suspects or ()

    def put(self, entry: Entry) -> None:
        """Let ``entry`` wait at the end of its queue."""
        entry.is_suspect = not entry.health.answers
        (self._suspects if entry.is_suspect else self._live).append(entry)

    def take(self) -> Entry | None:
        """Return who may begin now, counted as running; None: nobody."""
        overall = _limits(self.concurrency)
        host_limits = _limits(self.host_concurrency)
        for queue in (self._live, self._suspects):
            while queue and overall.allow(self._overall, queue[0]):
                entry = queue.popleft()
                if entry.is_gone:
                    self._call_next(entry.host)
                    continue
                use = self._hosts.setdefault(entry.host, _Use())
                if host_limits.allow(use, entry):
                    self._count(use, entry, 1)
                    return entry
                _park(use, entry)
        return None

    def release(self, entry: Entry) -> None:
        """Say that ``entry``'s look has ended; who waits for its host comes first."""
        self._count(self._hosts[entry.host], entry, -1)
        self._call_next(entry.host)

    def _call_next(self, host: str) -> None:
        """Let one who waits for ``host`` try again."""
        use = self._hosts.get(host)
        if use is None:
            return
        if use.live:
            self._live.appendleft(use.live.popleft())
        elif use.suspects:
            self._suspects.appendleft(use.suspects.popleft())
        elif not use.running_count:
            del self._hosts[host]

    def _count(self, use: _Use, entry: Entry, by: int) -> None:
        for counted in (self._overall, use):
            counted.running_count += by
            counted.suspect_count += by * entry.is_suspect


def _park(use: _Use, entry: Entry) -> None:
    if entry.is_suspect:
        use.suspects = use.suspects if use.suspects is not None else deque()
        use.suspects.append(entry)
    else:
        use.live = use.live if use.live is not None else deque()
        use.live.append(entry)
