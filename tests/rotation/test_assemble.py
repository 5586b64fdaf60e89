"""Facts made of what was gathered: what is not known stays unknown, and opens nothing."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from exporter.anchors import trust_store
from exporter.certificates import Certificate
from exporter.fleet.model import FleetSnapshot, TargetState
from exporter.gateway.messages import (
    CertificateVersion,
    DeviceUpdateStatus,
    GatewayCertificates,
    Serving,
    Tickets,
    VersionState,
)
from exporter.handshake_log.recent import Recent
from exporter.observations import Reason, RejectedBy, TrustReport
from exporter.rotation.assemble import facts_of
from exporter.rotation.gathered import GatewayLook, Gathered
from exporter.rotation.model import Facts, GatewayMark, Marks, Plan, PlannedGateway, Step
from exporter.rotation.options import Options
from exporter.rotation.records import Ordered, Rotation
from exporter.targets.model import Role, Target
from exporter.trust_store.model import Known, Standing, SyncState, Word
from exporter.verdicts.cache import Judge
from tests.pki import Issued, certificate_of, make_ca, make_leaf, utc

NOW = utc("2026-11-25T12:00:00")
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
_LIFE: Any = {"not_before": NOW - 30 * DAY, "not_after": NOW + 300 * DAY}
OLD, NEW = make_ca("old CA", **_LIFE), make_ca("new CA", **_LIFE)
THIRD = make_ca("third CA", **_LIFE)
NAME = "gw.example"
BEFORE = certificate_of(make_leaf(OLD, NAME, **_LIFE))
OLD_CA, NEW_CA = certificate_of(OLD), certificate_of(NEW)
OPTIONS = Options()


def _request(made: Issued, name: str = NAME) -> str:
    san = x509.SubjectAlternativeName([x509.DNSName(name)])
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(made.certificate.subject)
        .add_extension(san, critical=False)
        .sign(made.key, hashes.SHA256())
    )
    return request.public_bytes(serialization.Encoding.PEM).decode()


CANDIDATE = make_leaf(NEW, NAME, **_LIFE)
ORDER = Ordered(request=_request(CANDIDATE), chain=CANDIDATE.pem.decode())
LEAF = certificate_of(CANDIDATE).fingerprint_sha256
MARK = GatewayMark(candidate=LEAF)
PLAN = Plan(
    id="r-1",
    old_ca=OLD_CA.fingerprint_sha256,
    new_ca=NEW_CA.fingerprint_sha256,
    gateways=(
        PlannedGateway(name="gw-1", before=BEFORE.fingerprint_sha256, is_canary=True),
    ),
    overlap_s=7 * 86_400.0,
)  # fmt: skip
ROTATION = Rotation(
    plan=PLAN,
    old_pem=OLD.pem.decode(),
    new_pem=NEW.pem.decode(),
    started_at=NOW,
    marks=Marks(gateways={"gw-1": MARK}),
    orders={"gw-1": ORDER},
)
GATEWAY = Target(name="gw-1", role=Role.GATEWAY, host="127.0.0.1", port=1, server_name=NAME)
DEVICE = Target(
    name="dev-1", role=Role.DEVICE, gateway="gw-1", device_class="sensor", holds=("fw",),
    contact_interval_s=3_600.0,
)  # fmt: skip


def version(leaf: Certificate, **changes: object) -> CertificateVersion:
    made = CertificateVersion(
        version=1,
        state=VersionState.CURRENT,
        fingerprint=leaf.fingerprint_sha256,
        not_before=leaf.not_before,
        not_after=leaf.not_after,
        activated_at=NOW - DAY,
        proven=True,
        key_usable=True,
    )
    return made.model_copy(update=changes)


def answer(*versions: CertificateVersion, **more: Any) -> GatewayCertificates:
    return GatewayCertificates(serving=Serving(version=1), versions=versions, **more)


LOOK = GatewayLook(chain=(BEFORE,), observed_at=NOW, certificates=answer(version(BEFORE)))
ON_NEW = GatewayLook(
    chain=(certificate_of(CANDIDATE),),
    observed_at=NOW,
    certificates=answer(
        version(BEFORE), version(certificate_of(CANDIDATE), activated_at=NOW - HOUR)
    ),
)


def standing(*anchors: Certificate, **changes: object) -> Standing:
    report = TrustReport(
        device="dev-1",
        reported_at=NOW - MINUTE,
        received_at=NOW - MINUTE,
        anchors=frozenset(one.fingerprint_sha256 for one in anchors),
    )
    made = Standing(
        state=SyncState.SYNCED, known=Known(report=report), wanted=None, difference=None,
        steady_until=None,
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type] # names in tests


def gathered(**changes: object) -> Gathered:
    targets = {
        "gw-1": TargetState(target=GATEWAY),
        "dev-1": TargetState(target=DEVICE),
        "dev-2": TargetState(target=replace(DEVICE, name="dev-2", gateway="gw-2")),
    }
    snapshot = FleetSnapshot(at=NOW, targets=targets, stores={"fw": trust_store("fw", [OLD_CA])})
    made = Gathered(
        at=NOW,
        snapshot=snapshot,
        looks={"gw-1": LOOK},
        chains={BEFORE.fingerprint_sha256: (BEFORE,)},
        standings={"dev-1": standing(OLD_CA)},
        stale_s={"dev-1": 900.0},
    )
    return replace(made, **changes)  # type: ignore[arg-type] # names in tests


def reported(*anchors: Certificate, **changes: object) -> Gathered:
    names = frozenset(one.fingerprint_sha256 for one in anchors)
    base = gathered()
    snapshot = replace(base.snapshot, reported={"dev-1": names})
    standings = {"dev-1": standing(*anchors)}
    return gathered(snapshot=snapshot, standings=standings, **changes)


def facts(found: Gathered | None = None, rotation: Rotation = ROTATION) -> Facts:
    return facts_of(rotation, found or gathered(), Judge(), options=OPTIONS)


def rotated(**changes: object) -> Rotation:
    mark = replace(MARK, rotated_at=NOW - HOUR / 2, **changes)  # type: ignore[arg-type] # names
    return replace(ROTATION, marks=Marks(gateways={"gw-1": mark}))


def test_a_gateway_that_is_well_and_ready_is_known_as_that() -> None:
    found = facts().gateways["gw-1"]

    assert (found.served, found.needs_old) == (BEFORE.fingerprint_sha256, True)
    assert (found.is_ready, found.is_busy, found.candidate_faults) == (True, False, ())
    assert found.before_not_after == BEFORE.not_after


def test_what_was_not_seen_is_unknown() -> None:
    found = facts(gathered(looks={"gw-1": GatewayLook(detail="timeout")})).gateways["gw-1"]

    assert (found.served, found.needs_old, found.is_ready) == (None, None, None)
    assert found.detail == "timeout"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [({"key_usable": None}, None), ({"key_usable": False}, False), ({"proven": False}, False)],
)
def test_the_way_back_is_ready_only_by_a_plain_yes(
    changes: dict[str, object], expected: bool | None
) -> None:
    look = replace(LOOK, certificates=answer(version(BEFORE, **changes)))

    assert facts(gathered(looks={"gw-1": look})).gateways["gw-1"].is_ready is expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"state": VersionState.OLD}, NOW - DAY),
        ({"state": VersionState.OLD, "proven": False}, None),
        ({"state": VersionState.CURRENT}, None),
    ],
)
def test_a_candidate_that_was_proven_and_is_served_no_more_was_left(
    changes: dict[str, object], expected: datetime | None
) -> None:
    candidate = version(certificate_of(CANDIDATE), **changes)
    look = replace(LOOK, certificates=answer(version(BEFORE), candidate))

    assert facts(gathered(looks={"gw-1": look})).gateways["gw-1"].left_at == expected
    assert facts().gateways["gw-1"].left_at is None


@pytest.mark.parametrize(
    ("busy", "pending", "mark", "expected"),
    [
        ((), None, MARK, False),
        (("gw-1",), None, MARK, True),
        (None, None, MARK, True),
        ((), "op-7", MARK, True),
        ((), "op-7", replace(MARK, intended=Step.ROTATE), False),
    ],
)
def test_whoever_else_is_at_a_gateway_keeps_it(
    busy: tuple[str, ...] | None, pending: str | None, mark: GatewayMark, expected: bool
) -> None:
    look = replace(LOOK, certificates=answer(version(BEFORE), pending_confirmation=pending))
    rotation = replace(ROTATION, marks=Marks(gateways={"gw-1": mark}))

    found = facts(gathered(looks={"gw-1": look}, busy=busy), rotation)

    assert found.gateways["gw-1"].is_busy is expected


@pytest.mark.parametrize(
    ("tickets", "expected"),
    [
        (Tickets(kept=False), None),
        (Tickets(kept=True, lifetime_seconds=7_200.0), NOW - DAY + 2 * HOUR),
        (Tickets(), NOW + 6 * DAY),
    ],
)
def test_tickets_of_which_nobody_tells_hide_refusals_for_as_long_as_any_may(
    tickets: Tickets, expected: datetime | None
) -> None:
    look = replace(LOOK, certificates=answer(version(BEFORE), tickets=tickets))

    assert facts(gathered(looks={"gw-1": look})).gateways["gw-1"].tickets_until == expected


@pytest.mark.parametrize(("issuer", "expected"), [(OLD, True), (NEW, False), (THIRD, False)])
def test_a_gateway_needs_the_old_ca_when_its_chain_is_by_that_alone(
    issuer: Issued, expected: bool
) -> None:
    look = replace(LOOK, chain=(certificate_of(make_leaf(issuer, NAME, **_LIFE)),))

    assert facts(gathered(looks={"gw-1": look})).gateways["gw-1"].needs_old is expected


def test_a_chain_of_the_old_ca_that_has_ended_needs_it_all_the_same() -> None:
    over = make_leaf(OLD, NAME, not_before=NOW - 9 * DAY, not_after=NOW - DAY)
    look = replace(LOOK, chain=(certificate_of(over),))

    assert facts(gathered(looks={"gw-1": look})).gateways["gw-1"].needs_old is True


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (make_leaf(THIRD, NAME, **_LIFE), "it is not signed by the CA that was named"),
        (make_leaf(NEW, "other.example", **_LIFE), "it lacks the names gw.example"),
    ],
)
def test_a_candidate_is_read_like_a_strangers(made: Issued, said: str) -> None:
    order = Ordered(request=_request(made), chain=made.pem.decode())
    mark = GatewayMark(candidate=certificate_of(made).fingerprint_sha256)
    rotation = replace(ROTATION, orders={"gw-1": order}, marks=Marks(gateways={"gw-1": mark}))

    assert said in (facts(rotation=rotation).gateways["gw-1"].candidate_faults or ())


@pytest.mark.parametrize(
    ("rotation", "found", "said"),
    [
        (replace(ROTATION, orders={}), None, None),
        (replace(ROTATION, orders={"gw-1": replace(ORDER, chain="no PEM")}), None, None),
        (
            replace(ROTATION, marks=Marks(gateways={"gw-1": GatewayMark(candidate="0" * 64)})),
            None,
            "is not the one that was judged",
        ),
        (ROTATION, gathered(chains={}), "cannot be compared"),
        (replace(ROTATION, orders={"gw-1": replace(ORDER, request="?")}), None, "no certificate"),
    ],
)
def test_a_candidate_that_cannot_be_judged_is_none_that_is_good(
    rotation: Rotation, found: Gathered | None, said: str | None
) -> None:
    faults = facts(found, rotation).gateways["gw-1"].candidate_faults

    assert faults is None if said is None else said in (faults or ("",))[0]


def test_a_leaf_without_names_asks_for_none() -> None:
    bare = certificate_of(make_leaf(OLD, common_name="gw", **_LIFE))
    rotation = replace(
        ROTATION,
        marks=Marks(gateways={"gw-1": replace(MARK, before=bare.fingerprint_sha256)}),
    )

    found = facts(gathered(chains={bare.fingerprint_sha256: (bare,)}), rotation)

    assert found.gateways["gw-1"].candidate_faults == ()


def test_a_leaf_whose_names_cannot_be_read_leaves_open_what_to_ask_for() -> None:
    crooked = x509.UnrecognizedExtension(x509.SubjectAlternativeName.oid, b"\x30\xff")
    served = certificate_of(make_leaf(OLD, common_name="gw", extra=((crooked, False),), **_LIFE))
    rotation = replace(
        ROTATION,
        marks=Marks(gateways={"gw-1": replace(MARK, before=served.fingerprint_sha256)}),
    )

    found = facts(gathered(chains={served.fingerprint_sha256: (served,)}), rotation)

    assert "cannot be compared" in (found.gateways["gw-1"].candidate_faults or ("",))[0]


def test_only_devices_behind_gateways_of_the_plan_are_asked_about() -> None:
    assert set(facts().devices) == {"dev-1"}


@pytest.mark.parametrize(
    ("anchors", "new", "old", "accepts"),
    [
        ((OLD_CA,), False, True, False),
        ((OLD_CA, NEW_CA), True, True, True),
        ((NEW_CA,), True, False, True),
        ((), False, False, False),
    ],
)
def test_what_a_device_reported_is_what_it_trusts(
    anchors: tuple[Certificate, ...], new: bool, old: bool, accepts: bool
) -> None:
    found = facts(reported(*anchors)).devices["dev-1"]

    assert (found.trusts_new, found.trusts_old, found.accepts_candidate) == (new, old, accepts)
    assert found.is_fresh(NOW)


def test_of_anchors_that_are_known_by_hash_only_nothing_is_said_against_it() -> None:
    stranger = certificate_of(THIRD)

    assert facts(reported(OLD_CA, stranger)).devices["dev-1"].accepts_candidate is None
    assert facts(reported(NEW_CA, stranger)).devices["dev-1"].accepts_candidate is True


def test_a_device_that_never_reported_is_unknown() -> None:
    silent = gathered(standings={"dev-1": standing(known=Known(), state=SyncState.NEVER_REPORTED)})
    stranger = gathered(standings={})

    for found in (facts(silent), facts(stranger)):
        device = found.devices["dev-1"]
        assert (device.trusts_new, device.trusts_old, device.reported_at) == (None, None, None)
        assert not device.is_fresh(NOW)


@pytest.mark.parametrize(
    "found",
    [
        gathered(standings={"dev-1": standing(NEW_CA, state=SyncState.STALE)}),
        gathered(standings={"dev-1": standing(NEW_CA)}, stale_s={"dev-1": 30.0}),
        gathered(standings={"dev-1": standing(NEW_CA)}, stale_s={}),
    ],
)
def test_an_old_report_is_not_fresh(found: Gathered) -> None:
    assert not facts(found).devices["dev-1"].is_fresh(NOW)


def test_the_platforms_word_is_told_with_its_reason() -> None:
    word = Word(status=DeviceUpdateStatus.FAILED, told_at=NOW, error="store full")
    base = standing(OLD_CA)
    told = replace(base, known=replace(base.known, word=word))

    device = facts(gathered(standings={"dev-1": told})).devices["dev-1"]

    assert (device.word, device.error) == (DeviceUpdateStatus.FAILED, "store full")


def heard(recent: Recent, **changes: object) -> Gathered:
    return gathered(looks={"gw-1": ON_NEW}, heard={"gw-1": {"dev-1": recent}}, **changes)


def full(*moments: datetime) -> Recent:
    made = Recent()
    for moment in moments:
        made = made.succeeded(moment, is_resumed=False, is_evidence=True)
    return made


def test_a_full_handshake_counts_from_our_own_look_at_the_new_chain_on() -> None:
    at_switch, later = NOW - HOUR + MINUTE, NOW - MINUTE

    before_our_look = facts(heard(full(at_switch)), rotated()).devices["dev-1"]
    after = facts(heard(full(at_switch, later)), rotated()).devices["dev-1"]

    assert before_our_look.full_at is None
    assert after.full_at == later


def test_no_handshake_proves_anything_about_a_chain_that_is_not_served() -> None:
    found = gathered(heard={"gw-1": {"dev-1": full(NOW)}})

    assert facts(found, rotated()).devices["dev-1"].full_at is None
    assert facts(heard(full(NOW)), ROTATION).devices["dev-1"].full_at is None


def test_a_chain_of_which_no_moment_is_known_is_proven_by_nothing() -> None:
    look = replace(ON_NEW, certificates=None)
    found = gathered(looks={"gw-1": look}, heard={"gw-1": {"dev-1": full(NOW)}})

    assert facts(found).devices["dev-1"].full_at is None


def test_who_came_by_a_ticket_is_told() -> None:
    recent = Recent().succeeded(NOW - MINUTE, is_resumed=True, is_evidence=True)

    device = facts(heard(recent), rotated()).devices["dev-1"]

    assert (device.full_at, device.is_by_ticket) == (None, True)


@pytest.mark.parametrize(
    ("tickets", "is_evidence", "proves"),
    [
        (Tickets(kept=False), True, True),
        (Tickets(kept=False), False, False),
        (Tickets(), True, False),
        (Tickets(kept=True, lifetime_seconds=60.0), True, True),
        (Tickets(kept=True, lifetime_seconds=7_200.0), True, False),
    ],
)
def test_where_no_ticket_of_before_is_left_each_session_rests_on_a_full_handshake(
    tickets: Tickets, is_evidence: bool, proves: bool
) -> None:
    """As with mosquitto, whose log never says which of both it was."""
    recent = Recent().succeeded(NOW - MINUTE, is_resumed=None, is_evidence=is_evidence)
    at_switch = Recent().succeeded(NOW - HOUR, is_resumed=None, is_evidence=is_evidence)
    assert ON_NEW.certificates is not None
    certificates = ON_NEW.certificates.model_copy(update={"tickets": tickets})
    looks = {"gw-1": replace(ON_NEW, certificates=certificates)}

    def full_at(recent: Recent) -> datetime | None:
        found = gathered(looks=looks, heard={"gw-1": {"dev-1": recent}})
        return facts(found, rotated()).devices["dev-1"].full_at

    assert full_at(recent) == (NOW - MINUTE if proves else None)
    assert full_at(at_switch) is None


@pytest.mark.parametrize(
    ("why", "is_evidence", "expected"),
    [
        ((Reason.UNKNOWN_CA, RejectedBy.DEVICE), True, Reason.UNKNOWN_CA),
        ((Reason.UNKNOWN_CA, RejectedBy.DEVICE), False, None),
        ((Reason.UNKNOWN_CA, RejectedBy.GATEWAY), True, None),
        ((Reason.HANDSHAKE_TIMEOUT, RejectedBy.DEVICE), True, None),
    ],
)
def test_only_a_devices_own_refusal_for_trust_is_a_failure(
    why: tuple[Reason, RejectedBy], is_evidence: bool, expected: Reason | None
) -> None:
    recent = Recent().failed(NOW - MINUTE, why, is_evidence=is_evidence)

    assert facts(heard(recent), rotated()).devices["dev-1"].failing is expected


def test_the_longest_silence_is_that_of_a_device_that_is_not_left_out() -> None:
    found = gathered(heard_at_s={"dev-1": (NOW - 9 * DAY).timestamp()}, standings={})
    left_out = replace(ROTATION, marks=Marks(excluded={"dev-1": "sold"}))

    assert facts(found).longest_absence_s == (9 * DAY).total_seconds()
    assert facts(found).longest_absent == "dev-1"
    assert facts(found, left_out).longest_absence_s == 0.0
    assert facts(gathered(standings={})).longest_absence_s == 0.0


def test_a_new_ca_that_is_none_is_told_and_a_renewal_has_none() -> None:
    no_ca = replace(ROTATION, new_pem=make_leaf(THIRD, "leaf", **_LIFE).pem.decode())
    renewal = replace(ROTATION, plan=replace(PLAN, new_ca=PLAN.old_ca), new_pem=ROTATION.old_pem)

    assert "does not say that it is one" in facts(rotation=no_ca).ca_faults[0]
    assert facts(rotation=renewal).ca_faults == ()


def test_a_gateway_of_the_plan_that_left_the_inventory_is_no_fact() -> None:
    base = gathered()
    targets = {name: one for name, one in base.snapshot.targets.items() if name != "gw-1"}
    found = facts(gathered(snapshot=replace(base.snapshot, targets=targets)))

    assert found.gateways == {}
    assert found.devices["dev-1"].full_at is None
