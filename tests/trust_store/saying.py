"""Short ways to reports, to what platforms say, and to anchors."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from exporter.certificates import fingerprint_of
from exporter.gateway.messages import DeviceTrustStore, DeviceUpdateStatus
from exporter.observations import TrustReport
from exporter.trust_store.model import Known, Wanted, Word

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOUR_S = 3_600.0


def anchor(name: str) -> str:
    """The SHA-256 of an anchor that is called ``name``."""
    return fingerprint_of(name.encode())


OLD, NEW, OTHER = anchor("old CA"), anchor("new CA"), anchor("other CA")


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def report(
    *anchors: str,
    device: str = "dev-01",
    received_s: float = 0.0,
    reported_at: datetime | None = None,
) -> TrustReport:
    received_at = after(received_s)
    return TrustReport(
        device=device,
        anchors=frozenset(anchors),
        reported_at=reported_at or received_at,
        received_at=received_at,
    )


def word(status: str = "COMPLETE", *, told_s: float = 0.0, error: str = "") -> Word:
    return Word(status=DeviceUpdateStatus(status), told_at=after(told_s), error=error)


def known(
    *anchors: str,
    device: str = "dev-01",
    said: str | None = "COMPLETE",
    received_s: float = 0.0,
) -> Known:
    return Known(
        report=report(*anchors, device=device, received_s=received_s),
        word=None if said is None else word(said),
    )


def wanted(*anchors: str, since_s: float = 0.0) -> Wanted:
    return Wanted(anchors=frozenset(anchors), since=after(since_s))


def entry(
    device: str = "dev-01",
    anchors: Sequence[str] | None = (OLD,),
    *,
    status: str = "COMPLETE",
    reported_at: datetime | None = NOON,
    received_at: datetime | None = NOON,
    error: str | None = None,
) -> DeviceTrustStore:
    """One device of a platform's answer."""
    return DeviceTrustStore(
        device_id=device,
        status=DeviceUpdateStatus(status),
        anchors=None if anchors is None else tuple(anchors),
        reported_at=reported_at,
        received_at=received_at,
        error=error,
    )
