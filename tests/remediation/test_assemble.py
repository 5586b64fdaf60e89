"""What was looked at, asked for and logged becomes evidence; what is not known stays unknown."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from exporter.certificates import Certificate
from exporter.fleet.model import Acceptance, Basis, TargetState
from exporter.gateway.messages import (
    CertificateVersion,
    GatewayCertificates,
    Serving,
    VersionState,
)
from exporter.handshake_log.recent import Recent
from exporter.observations import Observation, Reason, RejectedBy
from exporter.remediation.assemble import (
    chain_of,
    change_of,
    device_of,
    devices_of,
    previous_in,
    served_of,
    versions_of,
)
from exporter.remediation.model import AcceptanceBasis, Accepts, Answer, DeviceEvidence
from exporter.targets.model import Role, Target
from exporter.verdicts.model import Verdict
from tests.pki import certificate_of, make_ca, make_leaf, utc

NOW = utc("2026-11-25T12:05:00")
CHANGED = NOW - timedelta(minutes=6)
DAY_S = 86_400.0
CA = make_ca("old CA", not_before=utc("2026-01-01"), not_after=utc("2030-01-01"))
LEAF = make_leaf(CA, "gw-1", not_before=utc("2026-06-01"), not_after=utc("2027-06-01"))
OTHER = make_ca("new CA")
CHAIN = (certificate_of(LEAF), certificate_of(CA))


def version(
    *chain: bytes, state: VersionState = VersionState.PREVIOUS, **changes: object
) -> CertificateVersion:
    made = {
        "version": 3,
        "state": state,
        "fingerprint": CHAIN[0].fingerprint_sha256,
        "not_before": CHAIN[0].not_before,
        "not_after": CHAIN[0].not_after,
        "activated_at": CHANGED,
        "proven": True,
        "key_usable": True,
        "chain": b"".join(chain).decode(),
        **changes,
    }
    return CertificateVersion(**made)  # type: ignore[arg-type] # by name


def answer(
    *versions: CertificateVersion, fingerprint: str | None = "b" * 64
) -> GatewayCertificates:
    return GatewayCertificates(
        serving=Serving(version=4, fingerprint=fingerprint),
        activation_number=7,
        last_operation_number=2,
        versions=versions,
    )


# What is served


def seen(*chain: Certificate) -> Observation:
    return Observation(target="gw-1", address="gw-1:8883", observed_at=NOW, chain=chain)


def test_what_is_served_lasts_as_long_as_all_of_it() -> None:
    served = served_of(seen(*CHAIN))

    assert served is not None
    assert served.fingerprint == CHAIN[0].fingerprint_sha256
    assert (served.not_before, served.not_after) == (utc("2026-06-01"), utc("2027-06-01"))


def test_a_look_without_a_certificate_tells_nothing() -> None:
    assert served_of(seen()) is None


# The versions


def test_the_previous_version_is_told_with_its_key_and_chain() -> None:
    told = versions_of(answer(version(LEAF.pem, CA.pem)), compromised=(), now=NOW)

    assert told is not None
    assert (told.current, told.activation_number, told.last_operation_number) == (4, 7, 2)
    assert told.previous is not None
    assert told.previous.is_key_usable
    assert told.previous.is_chain_good
    assert not told.previous.is_revoked
    assert told.previous.not_after == utc("2027-06-01")


def test_a_version_lasts_no_longer_than_its_intermediates() -> None:
    short = make_ca("short CA", not_before=utc("2026-01-01"), not_after=utc("2026-12-01"))
    leaf = make_leaf(short, "gw-1", not_after=utc("2027-06-01"))
    of_short = version(leaf.pem, short.pem, fingerprint=certificate_of(leaf).fingerprint_sha256)

    told = versions_of(answer(of_short), compromised=(), now=NOW)

    assert told is not None
    assert told.previous is not None
    assert told.previous.not_after == utc("2026-12-01")


@pytest.mark.parametrize(
    ("previous", "is_good"),
    [
        pytest.param(version(LEAF.pem, CA.pem), True, id="whole"),
        pytest.param(version(LEAF.pem), True, id="the leaf alone"),
        pytest.param(version(LEAF.pem, OTHER.pem), False, id="another CA behind it"),
        pytest.param(version(), None, id="not given"),
        pytest.param(version(CA.pem, LEAF.pem), None, id="another leaf than it says"),
        pytest.param(version(b"-----BEGIN CERTIFICATE-----\n"), None, id="damaged"),
    ],
)
def test_whether_the_previous_chain_is_whole(
    previous: CertificateVersion, is_good: bool | None
) -> None:
    told = versions_of(answer(previous), compromised=(), now=NOW)

    assert told is not None
    assert told.previous is not None
    assert told.previous.is_chain_good is is_good


def test_an_expired_chain_is_whole_and_its_end_is_another_matter() -> None:
    told = versions_of(answer(version(LEAF.pem, CA.pem)), compromised=(), now=utc("2029-01-01"))

    assert told is not None
    assert told.previous is not None
    assert told.previous.is_chain_good


def test_what_is_marked_as_compromised_is_revoked() -> None:
    marked = {CHAIN[0].fingerprint_sha256}

    told = versions_of(answer(version()), compromised=marked, now=NOW)

    assert told is not None
    assert told.previous is not None
    assert told.previous.is_revoked


def test_without_a_previous_version_there_is_none() -> None:
    current = version(state=VersionState.CURRENT)

    told = versions_of(answer(current), compromised=(), now=NOW)

    assert told is not None
    assert told.previous is None
    assert previous_in(answer(current)) is None
    assert chain_of(None) == ()


def test_an_api_that_cannot_say_what_is_served_says_nothing() -> None:
    assert versions_of(answer(version(), fingerprint=None), compromised=(), now=NOW) is None


def test_the_change_is_when_what_is_served_was_activated() -> None:
    current = version(state=VersionState.CURRENT, fingerprint="b" * 64)

    change = change_of(answer(version(), current), NOW)

    assert change is not None
    assert (change.changed_at, change.observed_at) == (CHANGED, NOW)


@pytest.mark.parametrize(
    "given",
    [
        answer(version()),
        answer(version(fingerprint="b" * 64, activated_at=None)),
        answer(),
    ],
)
def test_a_change_that_nobody_dates_is_unknown(given: GatewayCertificates) -> None:
    assert change_of(given, NOW) is None


# The devices

DEVICE = Target(name="dev-01", role=Role.DEVICE, gateway="gw-1", contact_interval_s=3_600.0)
BEFORE, SINCE = CHANGED - timedelta(minutes=10), CHANGED + timedelta(minutes=2)
UNKNOWN_CA = (Reason.UNKNOWN_CA, RejectedBy.DEVICE)


def told(*, verified: bool, basis: Basis = Basis.REPORTED, is_partial: bool = False) -> Acceptance:
    verdict = Verdict(trust_store="x", verified=verified, judged_at=NOW)
    return Acceptance(gateway="gw-1", basis=basis, verdict=verdict, is_partial=is_partial)


def connected(at: datetime) -> Recent:
    return Recent().succeeded(at, is_resumed=False, is_evidence=True)


def device(recent: Recent | None, previous: Acceptance | None = None) -> DeviceEvidence:
    return device_of(
        TargetState(target=DEVICE, acceptance=told(verified=False)),
        recent,
        previous,
        changed_at=CHANGED,
        look_back_s=DAY_S,
    )


def test_a_device_of_the_incident_connected_before_and_refuses_since() -> None:
    recent = connected(BEFORE).failed(SINCE, UNKNOWN_CA, is_evidence=True)

    found = device_of(
        TargetState(target=DEVICE, acceptance=told(verified=False)),
        recent,
        told(verified=True),
        changed_at=CHANGED,
        look_back_s=DAY_S,
    )

    assert found.connected_before
    assert found.connected_since_at is None
    assert (found.failing, found.rejected_by, found.failed_at) == (*UNKNOWN_CA, SINCE)
    assert found.failing_since_at == SINCE
    assert found.is_trusted_source
    assert found.accepts_current == Accepts(answer=Answer.NO, basis=AcceptanceBasis.REPORTED)
    assert found.accepts_previous == Accepts(answer=Answer.YES, basis=AcceptanceBasis.REPORTED)


def test_a_device_of_which_nothing_is_known_is_unknown() -> None:
    found = device_of(
        TargetState(target=DEVICE), None, None, changed_at=CHANGED, look_back_s=DAY_S
    )

    assert not found.connected_before
    assert (found.failing, found.connected_since_at) == (None, None)
    assert found.accepts_current == found.accepts_previous == Accepts()


def test_who_shook_hands_before_the_change_accepts_the_previous_chain() -> None:
    found = device(connected(BEFORE))

    assert found.accepts_previous == Accepts(answer=Answer.YES, basis=AcceptanceBasis.HANDSHAKE)


def test_an_old_handshake_beyond_the_contact_interval_proves_nothing() -> None:
    found = device(connected(CHANGED - timedelta(hours=2)))

    assert found.connected_before
    assert found.accepts_previous == Accepts()


def test_a_report_goes_before_an_old_handshake() -> None:
    found = device(connected(BEFORE), told(verified=False, basis=Basis.INVENTORY))

    assert found.accepts_previous == Accepts(answer=Answer.NO, basis=AcceptanceBasis.INVENTORY)


def test_where_only_a_part_of_the_store_is_known_its_no_is_unknown() -> None:
    found = device(None, told(verified=False, is_partial=True))

    assert found.accepts_previous == Accepts()


def test_a_report_that_leaves_it_open_goes_before_an_old_handshake_too() -> None:
    found = device(connected(BEFORE), told(verified=False, is_partial=True))

    assert found.connected_before
    assert found.accepts_previous == Accepts()


def test_a_ticket_since_the_change_is_told_and_proves_nothing() -> None:
    found = device(Recent().succeeded(SINCE, is_resumed=True, is_evidence=True))

    assert found.connected_resumed
    assert found.connected_since_at is None


def test_only_the_devices_behind_the_gateway_are_told() -> None:
    states = {
        "dev-01": TargetState(target=DEVICE),
        "dev-02": TargetState(target=replace(DEVICE, name="dev-02", gateway="gw-2")),
        "gw-1": TargetState(target=Target(name="gw-1", role=Role.GATEWAY)),
    }

    found = devices_of(
        states, "gw-1", {"dev-01": connected(BEFORE)}, {}, changed_at=CHANGED, look_back_s=DAY_S
    )

    assert [one.device for one in found] == ["dev-01"]
    assert found[0].connected_before
