"""What one device lately did at one gateway, as evidence for a decision; bounded, pure.

Counts say how often, never when. Here is when: of full handshakes a few moments, dense where they
are recent and sparse where they are old; of each kind of failure its first and last moment.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from exporter.observations import TRUST_REASONS, Reason, RejectedBy

MAX_MOMENTS = 16
MAX_FAILURES = 8
KEEP_S = 14 * 86_400.0
_DENSE_S = 600.0
"""Within this time moments are kept evenly; before it, farther apart the older they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    """Failures of one kind, since they are remembered.

    Attributes:
        is_evidence: They were told by a source that we trust, each at a moment that is known.
            Only such ones are witnesses.
    """

    reason: Reason
    rejected_by: RejectedBy
    first_s: float
    last_s: float
    count: int
    is_evidence: bool

    @property
    def first_at(self) -> datetime:
        """The first one's moment."""
        return datetime.fromtimestamp(self.first_s, UTC)

    @property
    def last_at(self) -> datetime:
        """The latest one's moment."""
        return datetime.fromtimestamp(self.last_s, UTC)

    @property
    def proves_distrust(self) -> bool:
        """Whether they witness that the device does not trust what it was shown."""
        by_device = self.rejected_by is RejectedBy.DEVICE
        return self.is_evidence and by_device and self.reason in TRUST_REASONS


@dataclass(frozen=True, slots=True, kw_only=True)
class Recent:
    """What is known of one device at one gateway; moments are seconds since 1970.

    Attributes:
        full_s: Handshakes that were finished and are known to be full, told by a source that we
            trust; ascending, thinned out. The latest is always among them.
        unknown_s: The latest that was finished and may have been resumed; None: there was none.
        untold_s: Of those the latest that a source that we trust told without saying which it
            was. Where no ticket of before is left, it rests on a full one.
        resumed_s: The latest that was resumed, which proves nothing; None: there was none.
        failures: One for each kind, the latest last.
    """

    full_s: tuple[float, ...] = ()
    unknown_s: float | None = None
    untold_s: float | None = None
    resumed_s: float | None = None
    failures: tuple[Failures, ...] = ()

    @property
    def latest_s(self) -> float:
        """When anything was heard of the device; 0: never."""
        known = (*self.full_s[-1:], *(one.last_s for one in self.failures))
        return max(*known, self.unknown_s or 0.0, self.resumed_s or 0.0, 0.0)

    def full_between(self, begin: datetime, end: datetime) -> datetime | None:
        """Return the latest full handshake from ``begin`` on and before ``end``; None: none known.

        Of long ago not every moment is kept: None may then mean that it was forgotten.
        """
        begin_s, end_s = begin.timestamp(), end.timestamp()
        found = max((at_s for at_s in self.full_s if begin_s <= at_s < end_s), default=None)
        return None if found is None else datetime.fromtimestamp(found, UTC)

    def full_since(self, moment: datetime) -> datetime | None:
        """Return the latest full handshake from ``moment`` on; None: none is known."""
        return self.full_between(moment, datetime.max.replace(tzinfo=UTC))

    def untold_since(self, moment: datetime) -> datetime | None:
        """Return the latest from ``moment`` on of which nobody tells whether it was resumed."""
        if self.untold_s is None or self.untold_s < moment.timestamp():
            return None
        return datetime.fromtimestamp(self.untold_s, UTC)

    def resumed_since(self, moment: datetime) -> bool:
        """Return whether it came by a ticket since, or may have."""
        latest_s = max(self.resumed_s or 0.0, self.unknown_s or 0.0)
        return latest_s >= moment.timestamp()

    def failing_since(self, moment: datetime) -> Failures | None:
        """Return how it failed last, from ``moment`` on; None: it did not, or succeeded since.

        What is evidence goes before what is not. A success of unknown kind ends a failure too.
        The first of what is returned is not before ``moment`` or the latest success.
        """
        succeeded_s = max((*self.full_s[-1:], self.unknown_s or 0.0))
        begin_s = max(moment.timestamp(), succeeded_s)
        found = [one for one in self.failures if one.last_s >= begin_s]
        last = max(found, key=lambda one: (one.is_evidence, one.last_s), default=None)
        if last is None or last.first_s >= begin_s:
            return last
        # It failed so before as well; when it began anew is not remembered
        return replace(last, first_s=last.last_s)

    def succeeded(self, at: datetime, *, is_resumed: bool | None, is_evidence: bool) -> "Recent":
        """Return what is known after a handshake that was finished."""
        at_s = at.timestamp()
        if is_resumed:
            return replace(self, resumed_s=max(at_s, self.resumed_s or 0.0))
        if not is_evidence:
            return replace(self, unknown_s=max(at_s, self.unknown_s or 0.0))
        if is_resumed is None:
            return replace(
                self,
                unknown_s=max(at_s, self.unknown_s or 0.0),
                untold_s=max(at_s, self.untold_s or 0.0),
            )
        return replace(self, full_s=_thinned(sorted({*self.full_s, at_s})))

    def failed(
        self, at: datetime, why: tuple[Reason, RejectedBy], *, is_evidence: bool
    ) -> "Recent":
        """Return what is known after a handshake that failed."""
        at_s, kind = at.timestamp(), (*why, is_evidence)
        same = next((one for one in self.failures if _kind(one) == kind), None)
        others = [one for one in self.failures if one is not same]
        if same is None or at_s - same.last_s > KEEP_S:
            same = Failures(
                reason=why[0],
                rejected_by=why[1],
                first_s=at_s,
                last_s=at_s,
                count=0,
                is_evidence=is_evidence,
            )
        same = replace(
            same,
            first_s=min(at_s, same.first_s),
            last_s=max(at_s, same.last_s),
            count=same.count + 1,
        )
        latest = sorted((*others, same), key=lambda one: one.last_s)
        return replace(self, failures=tuple(latest[-MAX_FAILURES:]))

    def dump(self) -> str:
        """Return JSON from which ``load`` makes the same."""
        rows = [
            [one.reason, one.rejected_by, one.first_s, one.last_s, one.count, one.is_evidence]
            for one in self.failures
        ]
        return json.dumps([self.full_s, self.unknown_s, self.resumed_s, rows, self.untold_s])

    @classmethod
    def load(cls, text: str) -> "Recent":
        """Return what ``dump`` wrote."""
        full_s, unknown_s, resumed_s, rows, *later = json.loads(text)  # versions before had four
        failures = tuple(
            Failures(
                reason=Reason(reason),
                rejected_by=RejectedBy(rejected_by),
                first_s=first_s,
                last_s=last_s,
                count=count,
                is_evidence=is_evidence,
            )
            for reason, rejected_by, first_s, last_s, count, is_evidence in rows
        )
        return cls(
            full_s=tuple(full_s),
            unknown_s=unknown_s,
            untold_s=later[0] if later else None,
            resumed_s=resumed_s,
            failures=failures,
        )


def _kind(one: Failures) -> tuple[Reason, RejectedBy, bool]:
    return one.reason, one.rejected_by, one.is_evidence


def _thinned(moments: Iterable[float]) -> tuple[float, ...]:
    """Return at most ``MAX_MOMENTS`` of the ascending ``moments``, the latest among them."""
    kept = list(moments)
    latest = kept[-1]
    kept = [at_s for at_s in kept if latest - at_s <= KEEP_S]
    while len(kept) > MAX_MOMENTS:
        # The one whose loss leaves the smallest gap for its age
        spare = min(
            range(1, len(kept) - 1),
            key=lambda i: (kept[i + 1] - kept[i - 1]) / (latest - kept[i] + _DENSE_S),
        )
        del kept[spare]
    return tuple(kept)
