"""Who gains and who loses if the previous version is served again; pure."""

from datetime import datetime

from exporter.observations import TRUST_REASONS, Reason, RejectedBy
from exporter.remediation.model import (
    Answer,
    DeviceEvidence,
    Evidence,
    Forecast,
    ServedFact,
)

_ABOUT_TIME = frozenset({Reason.NOT_YET_VALID, Reason.EXPIRED})


def is_about_certificate(device: DeviceEvidence, served: ServedFact | None) -> bool:
    """Return whether the device's latest failure is its refusal of what the gateway serves."""
    if device.rejected_by is not RejectedBy.DEVICE or device.failing not in TRUST_REASONS:
        return False
    if device.failing in _ABOUT_TIME and served is not None and device.failed_at is not None:
        # The certificate was good at that moment: it is the device's clock that is wrong
        return not served.not_before <= device.failed_at < served.not_after
    return True


def is_witness(device: DeviceEvidence, served: ServedFact | None, *, since: datetime) -> bool:
    """Return whether the device's word counts: it refused, lately, and a trusted source tells."""
    return (
        device.is_trusted_source
        and device.failed_at is not None
        and device.failed_at >= since
        and is_about_certificate(device, served)
    )


def forecast_of(evidence: Evidence) -> Forecast:
    """Return what a rollback would do to each device."""
    kinds: dict[str, list[str]] = {"gain": [], "loss": [], "stay": [], "unknown": []}
    for device in evidence.devices:
        kinds[_kind(device, evidence.served)].append(device.device)
    return Forecast(
        gain=tuple(kinds["gain"]),
        loss=tuple(kinds["loss"]),
        stay=tuple(kinds["stay"]),
        unknown=tuple(kinds["unknown"]),
    )


def _kind(device: DeviceEvidence, served: ServedFact | None) -> str:
    if connects_now(device):
        # It has something to lose, and only what is known to hold counts
        return "stay" if device.accepts_previous.answer is Answer.YES else "loss"
    if device.accepts_previous.answer is Answer.UNKNOWN:
        return "unknown"
    if device.accepts_previous.answer is Answer.NO:
        return "stay"  # out now, and out afterwards
    is_out = device.accepts_current.answer is Answer.NO or is_about_certificate(device, served)
    return "gain" if is_out else "stay"


def connects_now(device: DeviceEvidence) -> bool:
    """Return whether the device's latest full handshake since the change was a success."""
    if device.connected_since_at is None:
        return False
    return device.failed_at is None or device.failed_at <= device.connected_since_at
