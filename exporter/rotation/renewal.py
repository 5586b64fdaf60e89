"""When a gateway's certificate is renewed by itself, under the same CA; pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from exporter.certificates import Certificate
from exporter.rotation.model import Marks, Plan
from exporter.rotation.options import Options
from exporter.rotation.phases import MOST_TRIES
from exporter.targets.model import phase_of

_SHORT = timedelta(days=10)
_JITTER_RATIO = 0.05
_FIRST_PAUSE = timedelta(hours=1)
_MOST_DOUBLINGS = 5


class RenewalState(StrEnum):
    """Where the renewal of one gateway's certificate is."""

    WAITING = "waiting"
    """Its time has not come."""
    DUE = "due"
    """It would be, or is about to be, renewed."""
    UNDER_WAY = "under_way"
    """A rotation or a renewal of it is open."""
    STOPPED = "stopped"
    """A person ended the renewal of exactly this certificate; it stays with persons."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """One gateway whose certificate lives so short that it is renewed by itself."""

    gateway: str
    leaf: str
    due_at: datetime
    expires_at: datetime
    state: RenewalState


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewed:
    """Where all renewals are.

    Attributes:
        faults: Why one that is due could not be started, by gateway.
        device_ends_s: When the devices' own certificates end that end soon; they are shown, and
            changed by nobody here.
    """

    renewals: tuple[Renewal, ...]
    faults: Mapping[str, str]
    device_ends_s: Mapping[str, float]


def due_at(leaf: Certificate, gateway: str, *, options: Options) -> datetime | None:
    """Return when a certificate is renewed; None: it lives too long for that.

    At two thirds of its life, or at half where that is 10 days or less; a little earlier by the
    gateway's name, so that a fleet does not do it in one moment.
    """
    lifetime = leaf.not_after - leaf.not_before
    if lifetime.total_seconds() >= options.renewal_below:
        return None
    share = 1 / 2 if lifetime <= _SHORT else 2 / 3
    jitter_s = phase_of(gateway, _JITTER_RATIO * lifetime.total_seconds())
    return leaf.not_before + share * lifetime - timedelta(seconds=jitter_s)


def renewal_of(
    gateway: str,
    leaf: Certificate,
    *,
    taken: Collection[str],
    stopped: Collection[tuple[str, str]],
    now: datetime,
    options: Options,
) -> Renewal | None:
    """Return where a gateway's renewal is; None: its certificate lives too long for that.

    ``taken``: gateways of open rotations; ``stopped``: gateway and leaf of those that persons
    ended.
    """
    at = due_at(leaf, gateway, options=options)
    if at is None:
        return None
    state = RenewalState.DUE if now >= at else RenewalState.WAITING
    if gateway in taken:
        state = RenewalState.UNDER_WAY
    elif (gateway, leaf.fingerprint_sha256) in stopped:
        state = RenewalState.STOPPED
    return Renewal(
        gateway=gateway,
        leaf=leaf.fingerprint_sha256,
        due_at=at,
        expires_at=leaf.not_after,
        state=state,
    )


def most_at_once(gateway_count: int, options: Options) -> int:
    """Return how many gateways may be in the middle of a renewal."""
    return max(1, int(options.batch_ratio * gateway_count))


def is_stuck(plan: Plan, marks: Marks) -> bool:
    """Return whether an open renewal waits for somebody: it failed too often, or was put back."""
    names = [one.name for one in plan.gateways]
    return any(
        marks.gateway(name).rolled_back_at is not None
        or (marks.gateway(name).candidate is None and marks.gateway(name).tries >= MOST_TRIES)
        for name in names
    )


def again_at(plan: Plan, marks: Marks, *, started_at: datetime) -> datetime:
    """Return when a renewal that is stuck is tried again: after 1 h, then up to 32 h."""
    moments = [marks.gateway(one.name) for one in plan.gateways]
    known = [one for mark in moments for one in (mark.rolled_back_at, mark.retry_at) if one]
    last = max([marks.resumed_at or started_at, *known])
    return last + _FIRST_PAUSE * 2.0 ** min(marks.resumed_count, _MOST_DOUBLINGS)


def is_only_to_be_proven(plan: Plan, marks: Marks) -> bool:
    """Return whether each gateway keeps its new chain for good, and devices are waited for."""
    return all(marks.gateway(one.name).is_confirmed for one in plan.gateways)


def expiring(ends_s: Mapping[str, float], *, now: datetime, within_s: float) -> dict[str, float]:
    """Return the devices whose own certificates end soon, or have ended; the first first."""
    limit_s = now.timestamp() + within_s
    found = {name: end_s for name, end_s in ends_s.items() if end_s <= limit_s}
    return dict(sorted(found.items(), key=lambda item: (item[1], item[0])))
