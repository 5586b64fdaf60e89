"""The sample lines of trust sync, rendered when something has changed."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from exporter.labels import label_value
from exporter.trust_store.compare import Tally, total_of
from exporter.trust_store.merge import Ignored
from exporter.trust_store.model import Condition, Standing, SyncState
from exporter.trust_store.poll import FAILURES, PollStats
from exporter.trust_store.standings import Standings

_T = "fleet_tls_trust_"
SYNCED = f"{_T}store_synced"
REPORTED_AT = f"{_T}store_report_timestamp_seconds"
DURABLE = f"{_T}reports_durable"
PUSHED = f"{_T}reports_pushed_total"

Lines = list[bytes]


@dataclass(slots=True, kw_only=True)
class PushCounts:
    """Reports that were pushed, by what became of them."""

    accepted: int = 0
    refused: int = 0
    failed: int = 0


class TrustLines:
    """The lines that tell of devices; the same list while nothing has changed."""

    def __init__(self, standings: Standings) -> None:
        self._standings = standings
        self._version: int | None = None
        self._cells: dict[str, tuple[bytes, bytes]] = {}
        self._families: Mapping[str, Lines] = {}

    def update(self, names: Iterable[str]) -> None:
        """Render what is told of these devices, whose standing is another."""
        standings = self._standings.by_device
        for name in names:
            self._cells[name] = _device_cells(label_value(name), standings[name])

    def forget_gone(self) -> None:
        """Forget the devices that are gone; those that stay may be of other classes."""
        self._version = None
        for name in self._cells.keys() - self._standings.by_device.keys():
            del self._cells[name]

    def lines_of(self, family: str) -> Lines:
        """Return the lines of one family; empty for one that tells of something else."""
        if self._version != self._standings.version:
            self._version = self._standings.version
            self._families = self._render()
        return self._families.get(family, [])

    def _render(self) -> Mapping[str, Lines]:
        tallies = self._standings.tally_by_class()
        return {
            SYNCED: [synced for synced, _ in self._cells.values() if synced],
            REPORTED_AT: [at for _, at in self._cells.values() if at],
            **_fleet_lines(total_of(tallies.values())),
            **_class_lines(tallies),
        }


def _device_cells(name: str, standing: Standing) -> tuple[bytes, bytes]:
    synced = at = ""
    if standing.state in (SyncState.SYNCED, SyncState.PENDING, SyncState.FAILED):
        value = int(standing.state is SyncState.SYNCED)
        synced = f'{SYNCED}{{device="{name}"}} {value}\n'
    if standing.known.report is not None:
        moment = standing.known.report.received_at.timestamp()
        at = f'{REPORTED_AT}{{device="{name}"}} {moment:.3f}\n'
    return synced.encode(), at.encode()


def _fleet_lines(tally: Tally) -> Mapping[str, Lines]:
    states = f"{_T}store_devices"
    undefined = f"{_T}store_undefined_devices"
    return {
        states: [
            f'{states}{{state="{state}"}} {count}\n'.encode()
            for state, count in tally.states.items()
        ],
        undefined: [f"{undefined} {tally.undefined_count}\n".encode()],
    }


def _class_lines(tallies: Mapping[str, Tally]) -> Mapping[str, Lines]:
    states, conditions, since = (
        f"{_T}store_class_devices",
        f"{_T}store_anchor_devices",
        f"{_T}store_outstanding_since_timestamp_seconds",
    )
    found: dict[str, Lines] = {states: [], conditions: [], since: []}
    for device_class, tally in tallies.items():
        label = f'device_class="{label_value(device_class)}"'
        found[states] += [
            f'{states}{{{label},state="{state}"}} {tally.states[state]}\n'.encode()
            for state in SyncState
        ]
        found[conditions] += [
            f'{conditions}{{{label},condition="{one}"}} {tally.conditions[one]}\n'.encode()
            for one in Condition
        ]
        if tally.outstanding_since is not None:
            moment = tally.outstanding_since.timestamp()
            found[since].append(f"{since}{{{label}}} {moment:.3f}\n".encode())
    return found


def poll_lines(family: str, stats: Mapping[str, PollStats]) -> Lines:
    """Return the lines of a family that tells of polling; empty for any other."""
    render = _OF_POLL.get(family)
    if render is None:
        return []
    return [
        f'{family}{{api="{label_value(name)}"{more}}} {value}\n'.encode()
        for name, one in stats.items()
        for more, value in render(one)
    ]


def push_lines(counts: PushCounts) -> Lines:
    """Return the lines of what was pushed."""
    return [
        f'{PUSHED}{{outcome="accepted"}} {counts.accepted}\n'.encode(),
        f'{PUSHED}{{outcome="refused"}} {counts.refused}\n'.encode(),
        f'{PUSHED}{{outcome="failed"}} {counts.failed}\n'.encode(),
    ]


_Samples = Iterable[tuple[str, str]]


def _plain(value: float | None) -> _Samples:
    return [] if value is None else [("", f"{value}")]


def _success(stats: PollStats) -> _Samples:
    at = stats.last_success_at
    return [] if at is None else [("", f"{at.timestamp():.3f}")]


_OF_POLL: Mapping[str, Callable[[PollStats], _Samples]] = {
    f"{_T}poll_attempts_total": lambda stats: _plain(stats.attempt_count),
    f"{_T}poll_failures_total": lambda stats: [
        (f',reason="{reason}"', f"{stats.failure_counts[reason]}") for reason in FAILURES
    ],
    f"{_T}poll_ignored_entries_total": lambda stats: [
        (f',reason="{reason}"', f"{stats.ignored_counts[reason]}") for reason in Ignored
    ],
    f"{_T}poll_last_success_timestamp_seconds": _success,
    f"{_T}platform_devices": lambda stats: _plain(stats.total),
    f"{_T}platform_complete_devices": lambda stats: _plain(stats.complete),
}
