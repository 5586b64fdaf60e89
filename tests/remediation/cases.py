"""Evidence of the incident, and strategies for all other evidence."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from exporter.modes import Mode
from exporter.observations import Reason, RejectedBy
from exporter.remediation.model import (
    AcceptanceBasis,
    Accepts,
    AlertState,
    Answer,
    ChangeFact,
    DeviceEvidence,
    Evidence,
    PreviousVersion,
    ServedFact,
    VersionsFact,
)
from exporter.remediation.options import Options

NOW = datetime(2026, 11, 25, 12, 5, tzinfo=UTC)
CHANGED = datetime(2026, 11, 25, 11, 59, tzinfo=UTC)
NEW, OLD = "b" * 64, "a" * 64
ACT = Options(mode=Mode.ACT)
YES = Accepts(answer=Answer.YES, basis=AcceptanceBasis.REPORTED)
NO = Accepts(answer=Answer.NO, basis=AcceptanceBasis.REPORTED)


def refusing(number: int) -> DeviceEvidence:
    """A device of the incident: it connected, and now it refuses the new CA."""
    return DeviceEvidence(
        device=f"dev-{number:02}",
        connected_before=True,
        failing=Reason.UNKNOWN_CA,
        rejected_by=RejectedBy.DEVICE,
        failed_at=CHANGED + timedelta(minutes=2, seconds=number),
        is_trusted_source=True,
        accepts_current=NO,
        accepts_previous=YES,
    )


def connecting(number: int) -> DeviceEvidence:
    """A device that shakes hands in full with what is served now."""
    return DeviceEvidence(
        device=f"dev-{number:02}",
        connected_before=True,
        connected_since_at=CHANGED + timedelta(minutes=3),
        accepts_current=YES,
        accepts_previous=YES,
    )


PREVIOUS = PreviousVersion(
    number=3,
    fingerprint=OLD,
    not_after=datetime(2027, 1, 4, tzinfo=UTC),
    is_key_usable=True,
    is_chain_good=True,
)
INCIDENT = Evidence(
    gateway="gw-1",
    gathered_at=NOW,
    is_in_inventory=True,
    alert=AlertState.FIRING,
    is_control_good=True,
    clock_offset_s=0.0,
    served=ServedFact(
        fingerprint=NEW,
        not_before=datetime(2026, 11, 1, tzinfo=UTC),
        not_after=datetime(2027, 11, 1, tzinfo=UTC),
        observed_at=NOW,
    ),
    versions=VersionsFact(
        current=4,
        current_fingerprint=NEW,
        previous=PREVIOUS,
        activation_number=7,
        observed_at=NOW,
    ),
    change=ChangeFact(changed_at=CHANGED, source="management API", observed_at=NOW),
    devices=tuple(refusing(n) for n in range(1, 15)) + tuple(connecting(n) for n in range(15, 19)),
    is_in_progress=False,
    is_fleet_busy=False,
    is_rotation_in_charge=False,
    is_removing=False,
    is_killed=False,
)
ALL_OUT = replace(INCIDENT, devices=tuple(refusing(n) for n in range(1, 19)))


def with_previous(evidence: Evidence, **changes: object) -> Evidence:
    """The same with another previous version."""
    assert evidence.versions is not None
    assert evidence.versions.previous is not None
    previous = replace(evidence.versions.previous, **changes)  # type: ignore[arg-type] # names in tests
    return replace(evidence, versions=replace(evidence.versions, previous=previous))
