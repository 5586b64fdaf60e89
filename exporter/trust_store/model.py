"""What is known of one device's trust store, and what is wanted of it; pure values."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from exporter.gateway.messages import DeviceUpdateStatus
from exporter.observations import TrustReport


class SyncState(StrEnum):
    """How a device's report stands to what is wanted of it."""

    SYNCED = "synced"
    PENDING = "pending"
    FAILED = "failed"
    STALE = "stale"
    NEVER_REPORTED = "never_reported"


class Condition(StrEnum):
    """What can be remarked about the anchors of a report."""

    MISSING = "missing"
    EXTRA = "extra"
    EXPIRED = "expired"
    EXPIRING = "expiring"


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """What the platform says of a device's update; its word, not a fact.

    Attributes:
        told_at: When it first said so.
        error: Its own words, cut; empty when it gave none.
    """

    status: DeviceUpdateStatus
    told_at: datetime
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of one device.

    Attributes:
        report: The last good one; None: it never reported.
        word: None: the platform says nothing, or said it before ``report`` was pushed.
    """

    report: TrustReport | None = None
    word: Word | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a device is to trust.

    Attributes:
        anchors: SHA-256 of each; never empty.
        since: Since when that is wanted, as far as we know; what was wanted before we first saw
            the device counts from then.
    """

    anchors: frozenset[str]
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The anchors of a report beside those that are wanted; each SHA-256, sorted.

    Attributes:
        extra: Reported and not wanted; no fault by itself.
        expired: Reported, and its certificate is known to be over.
        expiring: Likewise, over soon.
        steady_until: Nothing of this changes by itself until then; None: never.
    """

    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    expired: tuple[str, ...] = ()
    expiring: tuple[str, ...] = ()
    steady_until: datetime | None = None

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """Which of them there are any of."""
        found = (self.missing, self.extra, self.expired, self.expiring)
        return tuple(what for what, anchors in zip(Condition, found, strict=True) if anchors)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One device: what is known, what is wanted, and how the one stands to the other.

    Attributes:
        state: None: there is a fresh report, and nothing is known to be wanted of the device.
            That is no state to be counted as good.
        wanted: None: nothing is configured, or one of the stores is not there.
        difference: None without a report.
        steady_until: ``state`` does not change by itself until then; None: never.
    """

    state: SyncState | None
    known: Known
    wanted: Wanted | None
    difference: Difference | None
    steady_until: datetime | None

    @property
    def current_anchors(self) -> frozenset[str] | None:
        """What the device trusts by a report that is not stale; None: nobody can say."""
        if self.known.report is None or self.state is SyncState.STALE:
            return None
        return self.known.report.anchors

    def report_age_s(self, now: datetime) -> float | None:
        """Return how long ago the report was received; None without one."""
        report = self.known.report
        return None if report is None else max(0.0, (now - report.received_at).total_seconds())


def digest_of(anchors: Iterable[str]) -> str:
    """Return one name for a set of anchors."""
    return hashlib.sha256("\n".join(sorted(anchors)).encode()).hexdigest()
