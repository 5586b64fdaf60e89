from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.errors import StoreError
from exporter.modes import Mode
from exporter.observations import Reason, RejectedBy
from exporter.remediation.codec import decided, from_json, to_json
from exporter.remediation.decide import Question, decide_rollback
from exporter.remediation.model import (
    NEVER_OVERRIDDEN,
    Accepts,
    AlertState,
    Approval,
    Asker,
    DeviceEvidence,
    Evidence,
    Outcome,
    Refusal,
    RolledAway,
)
from exporter.remediation.options import Options
from exporter.remediation.refusals import CHECKS
from tests.remediation.cases import (
    ACT,
    ALL_OUT,
    CHANGED,
    INCIDENT,
    NEW,
    NO,
    NOW,
    OLD,
    YES,
    connecting,
    refusing,
    with_previous,
)

UNKNOWN = Accepts()
DAY = timedelta(days=1)


def refusals(evidence: Evidence, options: Options = ACT) -> set[Refusal]:
    return set(decide_rollback(evidence, options, now=NOW).refusals)


def with_devices(*devices: DeviceEvidence) -> Evidence:
    return replace(INCIDENT, devices=devices)


def every(devices: int, **changes: object) -> Evidence:
    made = (replace(refusing(n), **changes) for n in range(1, devices + 1))  # type: ignore[arg-type] # names in tests
    return with_devices(*made)


def test_every_refusal_has_its_check() -> None:
    assert list(CHECKS) == list(Refusal)


def test_the_incident_is_rolled_back() -> None:
    decision = decide_rollback(INCIDENT, ACT, now=NOW)

    assert decision.outcome is Outcome.ROLLBACK
    assert decision.identity is not None
    assert decision.identity.key == f"rollback:gw-1:{NEW}:7:3"
    assert (len(decision.forecast.gain), len(decision.forecast.loss)) == (14, 0)
    assert decision.sentence == (
        "14 of 18 devices refuse gw-1 (unknown_ca) since 12:01, 2m after version 4;"
        " version 3 (until 2027-01-04) would be accepted by 18: gain 14, loss 0: rolling back."
    )


def test_by_default_it_only_says_what_it_would_do() -> None:
    assert decide_rollback(INCIDENT, Options(), now=NOW).outcome is Outcome.WOULD_ROLLBACK


@pytest.mark.parametrize(
    ("evidence", "refusal"),
    [
        pytest.param(replace(INCIDENT, is_killed=True), Refusal.KILL_SWITCH, id="killed"),
        pytest.param(replace(INCIDENT, is_killed=None), Refusal.KILL_SWITCH, id="kill unknown"),
        pytest.param(replace(INCIDENT, held_until=NOW + DAY), Refusal.GATEWAY_HELD, id="held"),
        pytest.param(
            replace(INCIDENT, is_in_inventory=False), Refusal.UNKNOWN_GATEWAY, id="unknown gateway"
        ),
        pytest.param(
            replace(INCIDENT, alert=AlertState.RESOLVED), Refusal.ALERT_RESOLVED, id="resolved"
        ),
        pytest.param(
            with_devices(*map(connecting, range(1, 19))),
            Refusal.ALREADY_RECOVERED,
            id="well again",
        ),
        pytest.param(
            with_previous(INCIDENT, fingerprint=NEW),
            Refusal.ALREADY_RECOVERED,
            id="served already",
        ),
        pytest.param(
            replace(INCIDENT, is_control_good=False), Refusal.CANNOT_LOOK, id="we are blind"
        ),
        pytest.param(
            replace(INCIDENT, clock_offset_s=-86_400), Refusal.CANNOT_LOOK, id="our clock"
        ),
        pytest.param(
            replace(INCIDENT, clock_offset_s=None, alerts_offset_at_most_s=-61.0),
            Refusal.CANNOT_LOOK,
            id="our clock is behind the alerts', and no API tells",
        ),
        pytest.param(
            replace(INCIDENT, clock_offset_s=-61.0, alerts_offset_at_most_s=1e6),
            Refusal.CANNOT_LOOK,
            id="our clock is behind the API's, whatever alerts say",
        ),
        pytest.param(
            replace(INCIDENT, served=None, served_detail="connect_timeout"),
            Refusal.EVIDENCE_UNKNOWN,
            id="cannot see what is served",
        ),
        pytest.param(replace(INCIDENT, versions=None), Refusal.EVIDENCE_UNKNOWN, id="no versions"),
        pytest.param(
            replace(
                INCIDENT,
                versions=replace(  # type: ignore[type-var] # they are there
                    INCIDENT.versions, last_operation_number=INCIDENT.own_operation_number + 1
                ),
            ),
            Refusal.EVIDENCE_UNKNOWN,
            id="an operation that the journal does not know",
        ),
        pytest.param(
            replace(INCIDENT, change=None), Refusal.EVIDENCE_UNKNOWN, id="no change known"
        ),
        pytest.param(
            replace(INCIDENT, served=replace(INCIDENT.served, observed_at=NOW - DAY)),  # type: ignore[type-var] # it is there
            Refusal.EVIDENCE_UNKNOWN,
            id="stale look",
        ),
        pytest.param(
            replace(INCIDENT, served=replace(INCIDENT.served, observed_at=NOW + DAY)),  # type: ignore[type-var] # it is there
            Refusal.EVIDENCE_UNKNOWN,
            id="look from the future",
        ),
        pytest.param(
            replace(INCIDENT, served=replace(INCIDENT.served, fingerprint="c" * 64)),  # type: ignore[type-var] # it is there
            Refusal.EVIDENCE_UNKNOWN,
            id="API and look differ",
        ),
        pytest.param(
            with_previous(INCIDENT, is_key_usable=None), Refusal.EVIDENCE_UNKNOWN, id="key unknown"
        ),
        pytest.param(
            with_previous(INCIDENT, is_chain_good=None),
            Refusal.EVIDENCE_UNKNOWN,
            id="chain unknown",
        ),
        pytest.param(
            replace(INCIDENT, is_removing=None), Refusal.EVIDENCE_UNKNOWN, id="removes unknown"
        ),
        pytest.param(replace(INCIDENT, is_in_progress=True), Refusal.IN_PROGRESS, id="under way"),
        pytest.param(
            replace(INCIDENT, is_rotation_in_charge=True),
            Refusal.ROTATION_IN_CHARGE,
            id="rotation",
        ),
        pytest.param(
            replace(INCIDENT, automatic_actions=(NOW, NOW, NOW)), Refusal.BUDGET_SPENT, id="budget"
        ),
        pytest.param(
            replace(INCIDENT, is_fleet_busy=True), Refusal.BUDGET_SPENT, id="one at a time"
        ),
        pytest.param(
            replace(INCIDENT, rolled_away=(RolledAway(fingerprint=OLD, at=NOW - 6 * DAY),)),
            Refusal.FLIP_FLOP,
            id="to and fro",
        ),
        pytest.param(
            replace(INCIDENT, change=replace(INCIDENT.change, changed_at=None)),  # type: ignore[type-var] # it is there
            Refusal.NO_CHANGE_TO_UNDO,
            id="no change",
        ),
        pytest.param(
            replace(INCIDENT, change=replace(INCIDENT.change, changed_at=NOW - 2 * DAY)),  # type: ignore[type-var] # it is there
            Refusal.NO_CHANGE_TO_UNDO,
            id="changed long ago",
        ),
        pytest.param(
            every(18, failing=Reason.HANDSHAKE_TIMEOUT, rejected_by=RejectedBy.UNKNOWN),
            Refusal.NOT_CAUSED_BY_CERTIFICATE,
            id="all time out",
        ),
        pytest.param(
            every(18, rejected_by=RejectedBy.GATEWAY),
            Refusal.NOT_CAUSED_BY_CERTIFICATE,
            id="the gateway refuses the devices",
        ),
        pytest.param(
            every(18, failing=Reason.NOT_YET_VALID),
            Refusal.NOT_CAUSED_BY_CERTIFICATE,
            id="the devices' clocks",
        ),
        pytest.param(
            with_devices(refusing(1), *map(connecting, range(2, 19))),
            Refusal.TOO_FEW_WITNESSES,
            id="one of 18",
        ),
        pytest.param(
            with_devices(*map(refusing, range(1, 3)), *map(connecting, range(3, 19))),
            Refusal.TOO_FEW_WITNESSES,
            id="under a fifth",
        ),
        pytest.param(
            every(18, is_trusted_source=False), Refusal.TOO_FEW_WITNESSES, id="forged lines"
        ),
        pytest.param(every(18, connected_before=False), Refusal.TOO_FEW_WITNESSES, id="strangers"),
        pytest.param(
            every(18, failed_at=NOW - timedelta(hours=2)), Refusal.TOO_FEW_WITNESSES, id="long ago"
        ),
        pytest.param(with_devices(), Refusal.TOO_FEW_WITNESSES, id="a fleet of none"),
        pytest.param(with_devices(refusing(1)), Refusal.TOO_FEW_WITNESSES, id="a fleet of one"),
        pytest.param(
            replace(INCIDENT, versions=replace(INCIDENT.versions, previous=None)),  # type: ignore[type-var] # it is there
            Refusal.NO_PREVIOUS,
            id="nothing to go back to",
        ),
        pytest.param(
            with_previous(INCIDENT, not_after=NOW - DAY), Refusal.PREVIOUS_EXPIRED, id="expired"
        ),
        pytest.param(
            with_previous(INCIDENT, not_after=NOW + DAY / 2),
            Refusal.PREVIOUS_EXPIRED,
            id="expires within a day",
        ),
        pytest.param(
            with_previous(INCIDENT, is_revoked=True), Refusal.PREVIOUS_REVOKED, id="revoked"
        ),
        pytest.param(
            with_previous(INCIDENT, is_key_usable=False), Refusal.PREVIOUS_BROKEN, id="key lost"
        ),
        pytest.param(
            with_previous(INCIDENT, is_chain_good=False),
            Refusal.PREVIOUS_BROKEN,
            id="chain broken",
        ),
        pytest.param(every(18, accepts_previous=NO), Refusal.NO_GAIN, id="previous refused too"),
        pytest.param(every(18, accepts_previous=UNKNOWN), Refusal.NO_GAIN, id="nobody reported"),
        pytest.param(
            with_devices(
                *map(refusing, range(1, 9)),
                *(replace(connecting(n), accepts_previous=UNKNOWN) for n in range(9, 19)),
            ),
            Refusal.NO_GAIN,
            id="more to lose than to gain",
        ),
        pytest.param(replace(INCIDENT, is_removing=True), Refusal.REMOVES_IN_FLIGHT, id="removes"),
    ],
)
def test_each_brake_holds(evidence: Evidence, refusal: Refusal) -> None:
    decision = decide_rollback(evidence, ACT, now=NOW)

    assert decision.outcome is Outcome.REFUSED
    assert refusal in decision.refusals
    assert f"({refusal})" in decision.sentence


@pytest.mark.parametrize(
    "evidence",
    [
        pytest.param(replace(INCIDENT, held_until=NOW), id="the hold is over"),
        pytest.param(replace(INCIDENT, clock_offset_s=60.0), id="our clock is nearly right"),
        pytest.param(
            replace(INCIDENT, clock_offset_s=None, alerts_offset_at_most_s=-60.0),
            id="the alerts' clock, too",
        ),
        pytest.param(
            replace(INCIDENT, clock_offset_s=None, alerts_offset_at_most_s=1e6),
            id="an alert that began long ago",
        ),
        pytest.param(
            replace(INCIDENT, alerts_offset_at_most_s=-2.3e9), id="an alert forged with 2099"
        ),
        pytest.param(replace(INCIDENT, is_control_good=None), id="no control target"),
        pytest.param(
            replace(INCIDENT, automatic_actions=(NOW, NOW, NOW - timedelta(hours=1))),
            id="budget of the hour before",
        ),
        pytest.param(
            replace(INCIDENT, rolled_away=(RolledAway(fingerprint=OLD, at=NOW - 7 * DAY),)),
            id="a week after",
        ),
        pytest.param(with_previous(INCIDENT, not_after=NOW + DAY), id="previous lasts a day"),
        pytest.param(with_devices(refusing(1), refusing(2)), id="a fleet of two"),
        pytest.param(
            with_devices(*map(refusing, range(1, 3)), *map(connecting, range(3, 11))),
            id="just a fifth",
        ),
        pytest.param(every(18, accepts_current=UNKNOWN), id="no reports, only logs"),
        pytest.param(every(18, failing=Reason.VERIFY_FAILED), id="refused without a word why"),
        pytest.param(
            with_devices(
                *map(refusing, range(1, 10)),
                *(
                    replace(refusing(n), failing=Reason.HANDSHAKE_TIMEOUT, rejected_by=None)
                    for n in range(10, 18)
                ),
            ),
            id="a few time out",
        ),
        pytest.param(
            replace(
                every(18, failing=Reason.EXPIRED),
                served=replace(INCIDENT.served, not_after=CHANGED),  # type: ignore[type-var] # it is there
            ),
            id="an expired certificate was put in",
        ),
    ],
)
def test_no_brake_holds_without_cause(evidence: Evidence) -> None:
    decision = decide_rollback(evidence, ACT, now=NOW)

    assert decision.refusals == {}
    assert decision.outcome is Outcome.ROLLBACK


def test_all_refusals_are_told_not_only_the_first() -> None:
    evidence = replace(
        with_previous(INCIDENT, not_after=NOW - DAY, is_revoked=True),
        is_killed=True,
        held_until=NOW + DAY,
    )

    assert refusals(evidence) == {
        Refusal.KILL_SWITCH,
        Refusal.GATEWAY_HELD,
        Refusal.PREVIOUS_EXPIRED,
        Refusal.PREVIOUS_REVOKED,
    }


@pytest.mark.parametrize(
    ("device", "kind"),
    [
        pytest.param(refusing(1), "gain", id="refuses and would accept"),
        pytest.param(connecting(1), "stay", id="connects and would accept"),
        pytest.param(replace(connecting(1), accepts_previous=UNKNOWN), "loss", id="may lose"),
        pytest.param(replace(connecting(1), accepts_previous=NO), "loss", id="would lose"),
        pytest.param(replace(refusing(1), accepts_previous=NO), "stay", id="out either way"),
        pytest.param(replace(refusing(1), accepts_previous=UNKNOWN), "unknown", id="cannot say"),
        pytest.param(
            DeviceEvidence(device="dev-01", accepts_current=NO, accepts_previous=YES),
            "gain",
            id="silent, predicted to refuse",
        ),
        pytest.param(
            DeviceEvidence(device="dev-01", accepts_current=YES, accepts_previous=YES),
            "stay",
            id="asleep",
        ),
        pytest.param(
            replace(connecting(1), connected_since_at=None, connected_resumed=True,
                    accepts_current=NO),
            "gain",
            id="comes by ticket only",
        ),
        pytest.param(
            replace(refusing(1), connected_since_at=CHANGED), "gain", id="failed after success"
        ),
    ],
)  # fmt: skip
def test_the_forecast_names_what_each_device_gets(device: DeviceEvidence, kind: str) -> None:
    forecast = decide_rollback(with_devices(device), ACT, now=NOW).forecast

    assert getattr(forecast, kind) == ("dev-01",)


# By hand


def by_hand(evidence: Evidence, *overrides: Refusal, mode: Mode = Mode.DRY_RUN) -> Outcome:
    question = Question(
        asker=Asker.PERSON, overrides=frozenset(overrides), is_permitted_to_act=True
    )
    return decide_rollback(evidence, Options(mode=mode), now=NOW, question=question).outcome


def test_a_person_may_act_in_dry_run() -> None:
    assert by_hand(INCIDENT) is Outcome.ROLLBACK


def test_a_person_who_did_not_say_yes_is_shown_what_would_happen() -> None:
    question = Question(asker=Asker.PERSON)

    decision = decide_rollback(INCIDENT, ACT, now=NOW, question=question)

    assert decision.outcome is Outcome.WOULD_ROLLBACK


def test_disabled_and_the_kill_switch_bind_a_person_too() -> None:
    assert by_hand(INCIDENT, Refusal.MODE_DISABLED, mode=Mode.DISABLED) is Outcome.REFUSED
    assert by_hand(replace(INCIDENT, is_killed=True), Refusal.KILL_SWITCH) is Outcome.REFUSED


def test_an_override_passes_one_refusal_and_says_so() -> None:
    held = replace(INCIDENT, held_until=NOW + DAY)
    question = Question(
        asker=Asker.PERSON, overrides=frozenset({Refusal.GATEWAY_HELD}), is_permitted_to_act=True
    )

    decision = decide_rollback(held, Options(), now=NOW, question=question)

    assert decision.outcome is Outcome.ROLLBACK
    assert set(decision.passed) == {Refusal.GATEWAY_HELD}


@pytest.mark.parametrize(
    ("evidence", "refusal"),
    [
        (replace(INCIDENT, is_control_good=False), Refusal.CANNOT_LOOK),
        (
            replace(INCIDENT, versions=replace(INCIDENT.versions, previous=None)),  # type: ignore[type-var] # it is there
            Refusal.NO_PREVIOUS,
        ),
        (with_previous(INCIDENT, not_after=NOW), Refusal.PREVIOUS_EXPIRED),
        (with_previous(INCIDENT, is_revoked=True), Refusal.PREVIOUS_REVOKED),
        (with_previous(INCIDENT, is_key_usable=False), Refusal.PREVIOUS_BROKEN),
        (replace(INCIDENT, is_in_progress=True), Refusal.IN_PROGRESS),
    ],
)
def test_what_no_person_may_pass(evidence: Evidence, refusal: Refusal) -> None:
    assert by_hand(evidence, refusal) is Outcome.REFUSED
    assert refusal in NEVER_OVERRIDDEN


def test_the_budget_is_automation_s_own() -> None:
    assert by_hand(replace(INCIDENT, automatic_actions=(NOW,) * 9)) is Outcome.ROLLBACK


def test_automation_overrides_nothing() -> None:
    held = replace(INCIDENT, held_until=NOW + DAY)
    question = Question(overrides=frozenset(Refusal))

    assert decide_rollback(held, ACT, now=NOW, question=question).outcome is Outcome.REFUSED


# Approval

APPROVED = Options(mode=Mode.ACT, approval_from_devices=18)


def approved(at_s: float, plan_hash: str | None = None) -> Outcome:
    plan = decide_rollback(INCIDENT, APPROVED, now=NOW).plan_hash
    approval = Approval(plan_hash=plan_hash or plan, by="ops", at=NOW + timedelta(seconds=at_s))
    return decide_rollback(replace(INCIDENT, approval=approval), APPROVED, now=NOW).outcome


def test_many_devices_wait_for_a_person() -> None:
    assert decide_rollback(INCIDENT, APPROVED, now=NOW).outcome is Outcome.AWAITING_APPROVAL
    assert approved(-60) is Outcome.ROLLBACK


def test_an_approval_lapses_and_is_for_one_plan_only() -> None:
    assert approved(-1_801) is Outcome.AWAITING_APPROVAL
    assert approved(60) is Outcome.AWAITING_APPROVAL
    assert approved(-60, "0" * 64) is Outcome.AWAITING_APPROVAL


def test_an_approval_is_void_when_another_certificate_is_served() -> None:
    plan = decide_rollback(INCIDENT, APPROVED, now=NOW).plan_hash
    assert INCIDENT.served is not None
    assert INCIDENT.versions is not None
    other = replace(
        INCIDENT,
        served=replace(INCIDENT.served, fingerprint="d" * 64),
        versions=replace(INCIDENT.versions, current_fingerprint="d" * 64, activation_number=8),
        approval=Approval(plan_hash=plan, by="ops", at=NOW),
    )

    assert decide_rollback(other, APPROVED, now=NOW).outcome is Outcome.AWAITING_APPROVAL


# The full product

ACCEPTS = st.sampled_from([YES, NO, UNKNOWN])
FAILURES = st.sampled_from([None, Reason.UNKNOWN_CA, Reason.EXPIRED, Reason.CONNECTION_RESET])
MOMENTS = st.sampled_from([None, CHANGED + timedelta(minutes=3), NOW - timedelta(hours=3)])


@st.composite
def devices(draw: st.DrawFn) -> DeviceEvidence:
    failing = draw(FAILURES)
    return DeviceEvidence(
        device=f"dev-{draw(st.integers(1, 99)):02}",
        connected_before=draw(st.booleans()),
        connected_since_at=draw(MOMENTS),
        failing=failing,
        rejected_by=draw(st.sampled_from(list(RejectedBy))) if failing else None,
        failed_at=CHANGED + timedelta(minutes=2) if failing else None,
        is_trusted_source=draw(st.booleans()),
        accepts_current=draw(ACCEPTS),
        accepts_previous=draw(ACCEPTS),
    )


MAYBE = st.sampled_from([True, False, False, None])


@st.composite
def evidences(draw: st.DrawFn) -> Evidence:
    base = draw(st.sampled_from([INCIDENT, ALL_OUT]))
    if draw(st.booleans()):
        base = with_previous(
            base,
            not_after=draw(st.sampled_from([NOW - DAY, NOW, NOW + DAY / 2, NOW + 40 * DAY])),
            is_key_usable=draw(MAYBE),
            is_chain_good=draw(MAYBE),
            is_revoked=draw(st.booleans()),
            fingerprint=draw(st.sampled_from([OLD, NEW])),
        )
    changes: dict[str, object] = {
        "is_in_inventory": draw(st.booleans()),
        "alert": draw(st.sampled_from(list(AlertState))),
        "is_control_good": draw(MAYBE),
        "clock_offset_s": draw(st.sampled_from([None, 0.0, 59.0, 61.0, -1e6])),
        "alerts_offset_at_most_s": draw(st.sampled_from([None, 1e9, -59.0, -61.0])),
        "is_in_progress": draw(MAYBE),
        "is_fleet_busy": draw(MAYBE),
        "is_rotation_in_charge": draw(MAYBE),
        "is_removing": draw(MAYBE),
        "is_killed": draw(MAYBE),
        "held_until": draw(st.sampled_from([None, NOW - DAY, NOW + DAY])),
        "automatic_actions": (NOW - timedelta(minutes=5),) * draw(st.integers(0, 4)),
        "rolled_away": draw(st.sampled_from([(), (RolledAway(fingerprint=OLD, at=NOW - DAY),)])),
    }
    for name in ("served", "versions", "change"):
        if draw(st.integers(0, 4)) == 0:
            changes[name] = None
    if draw(st.booleans()):
        changes["devices"] = tuple(draw(st.lists(devices(), max_size=8)))
    kept = {name: value for name, value in changes.items() if draw(st.booleans())}
    return replace(base, **kept)  # type: ignore[arg-type] # drawn by name


OPTIONS = st.sampled_from([ACT, Options(), Options(mode=Mode.DISABLED), APPROVED])
QUESTIONS = st.sampled_from(
    [
        Question(),
        Question(asker=Asker.PERSON),
        Question(asker=Asker.PERSON, is_permitted_to_act=True),
        Question(asker=Asker.PERSON, is_permitted_to_act=True, overrides=frozenset(Refusal)),
    ]
)


@pytest.mark.timeout(300)
@settings(max_examples=1_000, deadline=None)
@given(evidence=evidences(), options=OPTIONS, question=QUESTIONS)
def test_no_combination_acts_on_what_is_unknown_or_worse(
    evidence: Evidence, options: Options, question: Question
) -> None:
    decision = decide_rollback(evidence, options, now=NOW, question=question)

    if decision.outcome is not Outcome.ROLLBACK:
        return
    assert options.mode is not Mode.DISABLED
    assert evidence.is_killed is False
    assert evidence.is_control_good is not False
    assert evidence.is_in_progress is not True
    assert evidence.versions is not None
    previous = evidence.versions.previous
    assert previous is not None
    assert previous.not_after >= NOW + DAY
    assert not previous.is_revoked
    assert previous.is_key_usable is not False
    assert previous.is_chain_good is not False
    assert abs(evidence.clock_offset_s or 0) <= 60
    if evidence.clock_offset_s is None:
        assert (evidence.alerts_offset_at_most_s or 0) >= -60
    if not question.overrides:
        assert evidence.is_in_inventory
        assert evidence.alert is not AlertState.RESOLVED
        assert evidence.served is not None
        assert evidence.change is not None
        assert previous.is_key_usable
        assert previous.is_chain_good
        assert evidence.is_in_progress is False
        assert evidence.is_rotation_in_charge is False
        assert evidence.is_removing is False
        assert len(decision.forecast.gain) > len(decision.forecast.loss)
        assert len(decision.witnesses) >= 2
    if question.asker is Asker.AUTOMATION:
        assert options.mode is Mode.ACT
        assert evidence.is_fleet_busy is False
        assert sum(at > NOW - timedelta(hours=1) for at in evidence.automatic_actions) < 3
    else:
        assert question.is_permitted_to_act


@settings(max_examples=300, deadline=None)
@given(evidence=evidences(), options=OPTIONS, question=QUESTIONS)
def test_a_stored_decision_is_replayed_to_the_same_end(
    evidence: Evidence, options: Options, question: Question
) -> None:
    case = decided(evidence, options, now=NOW, question=question)

    read = from_json(to_json(case))

    assert read == case
    assert read.replayed() == case.decision


@settings(max_examples=300, deadline=None)
@given(evidence=evidences())
def test_a_forecast_names_every_device_once(evidence: Evidence) -> None:
    forecast = decide_rollback(evidence, ACT, now=NOW).forecast

    named = sorted(forecast.gain + forecast.loss + forecast.stay + forecast.unknown)

    assert named == sorted(one.device for one in evidence.devices)


def test_a_stored_decision_that_cannot_be_read_is_an_error_that_says_where() -> None:
    with pytest.raises(StoreError, match=r"cannot be read by this version: \d+ faults"):
        from_json('{"evidence": {}}')


def test_the_sentence_counts_seconds_where_it_is_seconds() -> None:
    early = every(18, failed_at=CHANGED + timedelta(seconds=9))

    assert "9s after version 4" in decide_rollback(early, ACT, now=NOW).sentence


def test_the_sentence_says_since_when_it_is_and_not_when_it_was_last() -> None:
    long = every(18, failing_since_at=CHANGED + timedelta(seconds=9))

    assert "9s after version 4" in decide_rollback(long, ACT, now=NOW).sentence


def test_the_sentence_says_who_cannot_be_foretold() -> None:
    evidence = with_devices(*INCIDENT.devices, DeviceEvidence(device="dev-19"))

    assert "gain 14, loss 0, unknown 1" in decide_rollback(evidence, ACT, now=NOW).sentence


def test_a_refusal_before_the_change_is_not_dated_after_it() -> None:
    early = every(18, failed_at=CHANGED - timedelta(minutes=1))

    assert "after version" not in decide_rollback(early, ACT, now=NOW).sentence


@pytest.mark.parametrize(
    ("outcome", "refusals", "is_left"),
    [
        (Outcome.REFUSED, {Refusal.NO_GAIN}, True),
        (Outcome.REFUSED, {Refusal.GATEWAY_HELD}, True),
        (Outcome.REFUSED, {Refusal.TOO_FEW_WITNESSES}, True),
        # Served already, and many refuse it
        (Outcome.REFUSED, {Refusal.GATEWAY_HELD, Refusal.ALREADY_RECOVERED}, True),
        (Outcome.REFUSED, {Refusal.ALREADY_RECOVERED, Refusal.TOO_FEW_WITNESSES}, False),
        (Outcome.REFUSED, {Refusal.GATEWAY_HELD, Refusal.IN_PROGRESS}, False),
        (Outcome.REFUSED, {Refusal.NO_GAIN, Refusal.ALERT_RESOLVED}, False),
        (Outcome.WOULD_ROLLBACK, set(), False),
    ],
)
def test_what_is_left_to_a_person(outcome: Outcome, refusals: set[Refusal], is_left: bool) -> None:
    decision = decide_rollback(INCIDENT, ACT, now=NOW)

    told = replace(decision, outcome=outcome, refusals=dict.fromkeys(refusals, "so it is"))

    assert told.is_left_to_a_person is is_left


def test_who_has_nothing_to_go_back_to_is_told_the_command_of_the_other_way_out() -> None:
    known = replace(INCIDENT, stores=("fw 4=anchors/fw-4.pem",))
    command = (
        "fleet-tls-exporter recovery-bundle --csr gw-1.csr --ca OLD_CA.pem --ca-key OLD_CA.key"
        " --output gw-1-recovery --trust-store "
    )

    for evidence, store in ((known, "'fw 4=anchors/fw-4.pem'"), (INCIDENT, "DEVICES.pem")):
        told = decide_rollback(with_previous(evidence, not_after=NOW - DAY), ACT, now=NOW).sentence
        assert "version 3 ended at 2026-11-24 12:05 UTC (previous_expired)" in told
        assert told.endswith(f". The way out without their network: {command}{store}")


def test_no_command_is_told_where_it_would_help_nobody() -> None:
    expired = with_previous(INCIDENT, not_after=NOW - DAY)
    for evidence in (
        replace(expired, devices=()),
        replace(expired, is_removing=True),
        replace(INCIDENT, held_until=NOW + DAY),
    ):
        decision = decide_rollback(evidence, ACT, now=NOW)
        assert decision.outcome is Outcome.REFUSED
        assert "recovery-bundle" not in decision.sentence
