"""What was seen before now: chains by target, and handshakes by gateway; bounded, in memory."""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise

from exporter.certificates import Certificate
from exporter.fleet import FleetSnapshot, TargetState
from exporter.handshake_log.counts import Key, Tally

SAMPLE_S = 20.0
"""Between two samples of the handshake counts."""

SAMPLES = 181
"""So many are kept of each gateway: an hour of differences."""

_PAST_OF_ONE = 8
# A fleet that rotates all its devices' own certificates does not fill the memory
_PAST_OF_ALL = 4_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PastChain:
    """A chain that was served, in short.

    Attributes:
        last_seen_at: When the chain that follows it was first seen, or earlier.
        length: How many certificates it had.
    """

    subject: str
    issuer: str
    serial_number: str
    fingerprint_sha256: str
    not_after: datetime
    length: int
    first_seen_at: datetime
    last_seen_at: datetime


@dataclass(slots=True, kw_only=True)
class _Current:
    """The chain that was seen last.

    Attributes:
        seen_at: When it was last seen.
        has_followed: Another was seen before it.
    """

    chain: tuple[Certificate, ...]
    first_seen_at: datetime
    seen_at: datetime
    has_followed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Handshakes that were counted up to a moment."""

    at: datetime
    good_count: int
    bad_count: int


@dataclass(slots=True)
class History:
    """Since the start of this process; watches the fleet, and is told the counts now and then."""

    _current: dict[str, _Current] = field(default_factory=dict)
    _past: dict[str, deque[PastChain]] = field(default_factory=dict)
    _past_names: deque[str] = field(default_factory=deque)
    _samples: dict[str, deque[Sample]] = field(default_factory=dict)

    # As a watcher of the fleet

    def inventory_changed(self, snapshot: FleetSnapshot) -> None:
        """Forget what is no longer in the inventory."""
        for name in self._current.keys() - snapshot.targets.keys():
            del self._current[name]
            if self._past.pop(name, None):
                self._past_names = deque(other for other in self._past_names if other != name)
        for state in snapshot.targets.values():
            self.target_changed(state)

    def target_changed(self, state: TargetState) -> None:
        """Note the chain that a target serves."""
        if not state.chain or state.chain_observed_at is None:
            return
        name, seen_at = state.target.name, state.chain_observed_at
        before = self._current.get(name)
        if before is not None and before.chain == state.chain:
            before.seen_at = seen_at
            return
        if before is not None:
            self._keep(name, before)
        self._current[name] = _Current(
            chain=state.chain,
            first_seen_at=seen_at,
            seen_at=seen_at,
            has_followed=before is not None,
        )

    def _keep(self, name: str, ended: _Current) -> None:
        leaf = ended.chain[0]
        past = PastChain(
            subject=leaf.subject,
            issuer=leaf.issuer,
            serial_number=leaf.serial_number,
            fingerprint_sha256=leaf.fingerprint_sha256,
            not_after=leaf.not_after,
            length=len(ended.chain),
            first_seen_at=ended.first_seen_at,
            last_seen_at=ended.seen_at,
        )
        kept = self._past.setdefault(name, deque())
        kept.append(past)
        self._past_names.append(name)
        if len(kept) > _PAST_OF_ONE:
            self._past_names.remove(name)
            kept.popleft()
        elif len(self._past_names) > _PAST_OF_ALL:
            self._past[self._past_names.popleft()].popleft()

    def past_chains(self, name: str) -> tuple[PastChain, ...]:
        """Return the chains that ``name`` served before the present one, the latest first."""
        return tuple(reversed(self._past.get(name, ())))

    def served_since(self, name: str) -> datetime | None:
        """Return when the present chain was first seen; None: never one."""
        current = self._current.get(name)
        return current.first_seen_at if current else None

    def changed_at(self, name: str) -> datetime | None:
        """Return when the present chain took another's place; None: no change was seen."""
        current = self._current.get(name)
        return current.first_seen_at if current and current.has_followed else None

    # Handshakes

    def sample(self, tallies: Mapping[Key, Tally], at: datetime) -> None:
        """Note how many handshakes were counted at each gateway up to ``at``."""
        sums: dict[str, list[int]] = {}
        for (gateway, _), tally in tallies.items():
            both = sums.setdefault(gateway, [0, 0])
            both[0] += tally.success_count + tally.resumed_count
            both[1] += sum(tally.failure_counts.values())
        for gateway in self._samples.keys() - sums.keys():
            del self._samples[gateway]
        for gateway, (good, bad) in sums.items():
            kept = self._samples.setdefault(gateway, deque(maxlen=SAMPLES))
            kept.append(Sample(at=at, good_count=good, bad_count=bad))

    def samples(self, gateway: str) -> tuple[Sample, ...]:
        """Return the samples of ``gateway``, the oldest first."""
        return tuple(self._samples.get(gateway, ()))


def rates_of(samples: Iterable[Sample]) -> list[tuple[datetime, int, int]]:
    """Return the good and the bad handshakes between each two samples, at the later one.

    A device that leaves the inventory takes its counts along: what would be negative is 0.
    """
    return [
        (
            later.at,
            max(0, later.good_count - earlier.good_count),
            max(0, later.bad_count - earlier.bad_count),
        )
        for earlier, later in pairwise(samples)
    ]
