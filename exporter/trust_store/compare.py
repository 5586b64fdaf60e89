"""What a device reported beside what is wanted of it; pure.

A report is judged by when it was received, and by the device's own clock where that can be
believed: no clock, wherever it stands, makes an old report fresh.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from exporter.certificates import Certificate
from exporter.gateway.messages import DeviceUpdateStatus
from exporter.observations import TrustReport
from exporter.trust_store.model import (
    Condition,
    Difference,
    Known,
    Standing,
    SyncState,
    Wanted,
)

FUTURE = timedelta(minutes=5)
"""So far may a receipt lie ahead of our clock: clocks differ."""

# No report is a year under way: then it is a clock that was never set. Whether a report of last
# week is late, or its device's clock slow, nobody can tell: it counts as old.
_CLOCK_IS_WRONG = timedelta(days=365)

_WORD_STATES = {
    DeviceUpdateStatus.PENDING: SyncState.PENDING,
    DeviceUpdateStatus.FAILED: SyncState.FAILED,
}


def difference_of(
    wanted: frozenset[str] | None,
    reported: frozenset[str],
    certificates: Mapping[str, Certificate],
    *,
    expiring_s: float,
    now: datetime,
) -> Difference:
    """Return what ``reported`` lacks of ``wanted`` and has beyond it, and what is over (soon).

    ``certificates`` by SHA-256, as far as they are known: of the others no end can be told.
    """
    ends = {one: certificates[one].not_after for one in reported if one in certificates}
    soon = now + timedelta(seconds=expiring_s)
    moments = [end - timedelta(seconds=expiring_s) for end in ends.values() if end > soon]
    moments += [end for end in ends.values() if now < end <= soon]
    return Difference(
        missing=tuple(sorted(wanted - reported)) if wanted else (),
        extra=tuple(sorted(reported - wanted)) if wanted else (),
        expired=tuple(sorted(one for one, end in ends.items() if end <= now)),
        expiring=tuple(sorted(one for one, end in ends.items() if now < end <= soon)),
        steady_until=min(moments, default=None),
    )


def standing_of(
    known: Known,
    wanted: Wanted | None,
    difference: Difference | None,
    *,
    limit_s: float,
    now: datetime,
) -> Standing:
    """Return how the device stands; its report is stale beyond ``limit_s``."""
    state, until = _state(known, wanted, difference, limit_s, now)
    return Standing(
        state=state, known=known, wanted=wanted, difference=difference, steady_until=until
    )


def _state(
    known: Known,
    wanted: Wanted | None,
    difference: Difference | None,
    limit_s: float,
    now: datetime,
) -> tuple[SyncState | None, datetime | None]:
    if known.report is None or difference is None:
        return SyncState.NEVER_REPORTED, None
    if known.report.received_at > now + FUTURE:
        # Nobody can say how old that is, until our own clock has come there
        return SyncState.STALE, known.report.received_at - FUTURE
    until = fresh_until(known.report, limit_s)
    if now >= until:
        return SyncState.STALE, None
    said = known.word.status if known.word is not None else None
    if said in _WORD_STATES:
        return _WORD_STATES[said], until
    if wanted is None:
        return None, until
    if not difference.missing:
        return SyncState.SYNCED, until
    # COMPLETE without the anchor: the very sentence that this project was begun for
    grace_until = wanted.since + timedelta(seconds=limit_s)
    if said is not None or now >= grace_until:
        return SyncState.FAILED, until
    return SyncState.PENDING, min(grace_until, until)


def fresh_until(report: TrustReport, limit_s: float) -> datetime:
    """Return from when on ``report`` is too old to say anything."""
    late = report.received_at - report.reported_at
    is_late = timedelta(0) < late < _CLOCK_IS_WRONG
    written_at = report.reported_at if is_late else report.received_at
    return written_at + timedelta(seconds=limit_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Counts over some devices.

    Attributes:
        states: Devices by state; all five are there.
        undefined_count: Devices with a fresh report of which nothing is known to be wanted.
        conditions: Devices with at least one such anchor in a fresh report; all are there.
        outstanding_since: The earliest moment from which something is wanted that is not
            synced; None: everything is.
    """

    states: Mapping[SyncState, int]
    undefined_count: int
    conditions: Mapping[Condition, int]
    outstanding_since: datetime | None


def tally_of(standings: Iterable[Standing]) -> Tally:
    """Return the counts over ``standings``."""
    states: Counter[SyncState | None] = Counter()
    conditions: Counter[Condition] = Counter()
    outstanding: list[datetime] = []
    for one in standings:
        states[one.state] += 1
        if one.difference is not None and one.state is not SyncState.STALE:
            conditions.update(one.difference.conditions)
        if one.wanted is not None and one.state is not SyncState.SYNCED:
            outstanding.append(one.wanted.since)
    return Tally(
        states={state: states[state] for state in SyncState},
        undefined_count=states[None],
        conditions={condition: conditions[condition] for condition in Condition},
        outstanding_since=min(outstanding, default=None),
    )


def total_of(tallies: Iterable[Tally]) -> Tally:
    """Return the counts of all ``tallies`` together."""
    parts = tuple(tallies)
    begins = [one.outstanding_since for one in parts if one.outstanding_since is not None]
    return Tally(
        states={state: sum(one.states[state] for one in parts) for state in SyncState},
        undefined_count=sum(one.undefined_count for one in parts),
        conditions={what: sum(one.conditions[what] for one in parts) for what in Condition},
        outstanding_since=min(begins, default=None),
    )
