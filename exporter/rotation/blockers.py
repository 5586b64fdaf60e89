"""What keeps a gate shut, by name: with since when, what would unblock it, and when; pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from exporter.rotation.model import DeviceFacts


class Subject(StrEnum):
    """What a blocker is."""

    DEVICE = "device"
    GATEWAY = "gateway"
    ROTATION = "rotation"


class BlockReason(StrEnum):
    """Why a gate is not open; also a label value."""

    CANNOT_LOOK = "cannot_look"
    DRIFT = "drift"
    PAUSED = "paused"
    AWAITING_APPROVAL = "awaiting_approval"
    NEW_CA = "new_ca"
    NO_DEVICES = "no_devices"
    GATEWAY_UNKNOWN = "gateway_unknown"
    GATEWAY_BUSY = "gateway_busy"
    NO_CANDIDATE = "no_candidate"
    CANDIDATE_FAULT = "candidate_fault"
    NOT_READY = "not_ready"
    OLD_VERSION_ENDS = "old_version_ends"
    RETRYING = "retrying"
    ROLLED_BACK = "rolled_back"
    NEVER_REPORTED = "never_reported"
    STALE = "stale"
    PENDING = "pending"
    FAILED = "failed"
    ANCHOR_MISSING = "anchor_missing"
    NOT_VALIDATED = "not_validated"
    REFUSES = "refuses"
    DISAGREEMENT = "disagreement"
    TRUST_FAILURE = "trust_failure"
    TICKETS_ONLY = "tickets_only"
    NOT_SEEN = "not_seen"
    SOAKING = "soaking"
    UNCONFIRMED = "unconfirmed"
    OVERLAP = "overlap"
    NEEDS_OLD = "needs_old"
    CLIENT_CERTIFICATE = "client_certificate"
    STILL_TRUSTED = "still_trusted"


UNKNOWN = frozenset(
    {
        BlockReason.CANNOT_LOOK,
        BlockReason.NO_DEVICES,
        BlockReason.GATEWAY_UNKNOWN,
        BlockReason.NO_CANDIDATE,
        BlockReason.NEVER_REPORTED,
        BlockReason.STALE,
        BlockReason.NOT_VALIDATED,
        BlockReason.TICKETS_ONLY,
        BlockReason.NOT_SEEN,
        BlockReason.CLIENT_CERTIFICATE,
    }
)
"""Reasons that say "it is not known"; they open no gate either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocker:
    """One thing in the way.

    Attributes:
        since: None: it is not known since when.
        unblocks: A sentence: what would unblock it.
        expected_at: When that is to be expected; None: nobody can say.
    """

    name: str
    subject: Subject
    reason: BlockReason
    unblocks: str
    since: datetime | None = None
    expected_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Whether the next step may be taken.

    Attributes:
        is_open: None: it cannot be told, which opens nothing.
    """

    blockers: tuple[Blocker, ...]

    @property
    def is_open(self) -> bool | None:
        """Whether nothing is in the way; None: only what is not known is."""
        if not self.blockers:
            return True
        return None if all(one.reason in UNKNOWN for one in self.blockers) else False


def of_device(
    device: DeviceFacts,
    reason: BlockReason,
    unblocks: str,
    *,
    now: datetime,
    since: datetime | None = None,
) -> Blocker:
    """Return a blocker that is a device, expected when it is next heard of."""
    return Blocker(
        name=device.name,
        subject=Subject.DEVICE,
        reason=reason,
        unblocks=unblocks,
        since=since,
        expected_at=next_contact(device, now),
    )


def next_contact(device: DeviceFacts, now: datetime) -> datetime | None:
    """Return when the device is to be heard of; None: nobody can say, or it is overdue."""
    if device.last_seen_at is None or device.contact_interval_s is None:
        return None
    expected = device.last_seen_at + timedelta(seconds=device.contact_interval_s)
    return expected if expected > now else None


def of_gateway(
    name: str, reason: BlockReason, unblocks: str, *, since: datetime | None = None,
    expected_at: datetime | None = None,
) -> Blocker:  # fmt: skip
    """Return a blocker that is a gateway."""
    return Blocker(
        name=name,
        subject=Subject.GATEWAY,
        reason=reason,
        unblocks=unblocks,
        since=since,
        expected_at=expected_at,
    )


def of_rotation(
    name: str, reason: BlockReason, unblocks: str, *, expected_at: datetime | None = None
) -> Blocker:
    """Return a blocker that is about the whole."""
    return Blocker(
        name=name,
        subject=Subject.ROTATION,
        reason=reason,
        unblocks=unblocks,
        expected_at=expected_at,
    )
