"""Each thing that keeps a gate shut, by name."""

from dataclasses import replace
from datetime import timedelta

import pytest

from exporter.gateway.messages import DeviceUpdateStatus
from exporter.observations import Reason
from exporter.rotation.blockers import UNKNOWN, BlockReason
from exporter.rotation.gate import CHECKS, gate_of, removal_blockers, rotation_blockers
from exporter.rotation.model import ENDED, Consent, Phase, Step
from exporter.rotation.phases import TRANSITIONS, consent_needed
from exporter.rotation.steps import FORWARD, confirm_within_s, next_action
from exporter.rotation.view import View, absence_to_keep
from tests.rotation.cases import (
    APPROVED,
    DAY,
    FACTS,
    GATEWAYS,
    HOUR,
    NOW,
    ORDERED,
    PLAN,
    RENEWAL,
    VALIDATED,
    candidate,
    mark_device,
    mark_gateway,
    rotated,
    view,
    with_device,
    with_gateway,
)

R = BlockReason
BEGUN = mark_device(mark_gateway(APPROVED, "gw-1"), "dev-1", added_at=NOW - HOUR, added_tries=1)
ON_CANARY = rotated(FACTS, VALIDATED, ["gw-1"])
ON_ALL = rotated(FACTS, VALIDATED, GATEWAYS, at=NOW - 8 * DAY)
REMOVING = (ON_ALL[0], replace(ON_ALL[1], removing_at=NOW - HOUR))


def told(seen: View) -> set[tuple[str, BlockReason]]:
    return {(one.name, one.reason) for one in gate_of(seen).blockers}


def test_every_phase_that_has_not_ended_has_its_checks_and_its_way_forward() -> None:
    assert set(CHECKS) == set(FORWARD) == set(Phase) - ENDED
    assert {phase for phase, _ in TRANSITIONS} == set(Phase) - ENDED


def test_a_device_whose_turn_has_not_come_is_not_told_as_one_that_lacks_what_it_got() -> None:
    facts = with_device(FACTS, "dev-2", trusts_new=False, word=DeviceUpdateStatus.COMPLETE)
    found = {one.name: one for one in gate_of(view(facts, BEGUN)).blockers}

    assert found["dev-2"].reason is R.PENDING
    assert "once the groups before it have it" in found["dev-2"].unblocks


@pytest.mark.parametrize("phase", sorted(set(Phase) - ENDED))
def test_every_phase_can_be_left_for_an_end(phase: Phase) -> None:
    assert TRANSITIONS[phase, Step.FINISH] <= ENDED


@pytest.mark.parametrize(
    ("seen", "phase"),
    [
        (view(marks=ORDERED), Phase.PLANNED),
        (view(with_device(FACTS, "dev-1", trusts_new=False), APPROVED), Phase.ADDING),
        (view(marks=APPROVED), Phase.VALIDATING),
        (view(), Phase.CANARY),
        (view(*rotated(FACTS, VALIDATED, ["gw-1"], at=NOW)), Phase.CANARY),
        (view(*ON_CANARY), Phase.ROTATING),
        (view(*ON_ALL), Phase.OVERLAP),
        (view(*REMOVING), Phase.REMOVING),
        (view(marks=replace(VALIDATED, ended=Phase.DONE)), Phase.DONE),
        (view(with_device(FACTS, "dev-1", trusts_new=None), APPROVED, RENEWAL), Phase.VALIDATING),
    ],
)
def test_the_phase_is_what_the_facts_say(seen: View, phase: Phase) -> None:
    assert seen.phase is phase


@pytest.mark.parametrize(
    ("changes", "blocker"),
    [
        ({"served": None, "detail": "refused"}, R.GATEWAY_UNKNOWN),
        ({"observed_at": None}, R.GATEWAY_UNKNOWN),
        ({"observed_at": NOW - HOUR}, R.GATEWAY_UNKNOWN),
        ({"has_api": False}, R.GATEWAY_UNKNOWN),
        ({"is_busy": True}, R.GATEWAY_BUSY),
        ({"candidate_faults": None}, R.NO_CANDIDATE),
        ({"candidate_faults": ("it lacks a name",)}, R.CANDIDATE_FAULT),
        ({"is_ready": None}, R.NOT_READY),
        ({"is_ready": False}, R.NOT_READY),
        ({"before_not_after": None}, R.OLD_VERSION_ENDS),
        ({"before_not_after": NOW + 6 * DAY}, R.OLD_VERSION_ENDS),
        ({"served": "e" * 64}, R.DRIFT),
    ],
)
def test_a_gateway_holds_the_plan(changes: dict[str, object], blocker: BlockReason) -> None:
    consents = replace(VALIDATED, begun_at=None).consents
    marks = replace(ORDERED, consents=consents)

    seen = view(with_gateway(FACTS, "gw-2", **changes), marks)

    assert {reason for _, reason in told(seen)} == {blocker}
    assert told(view(marks=marks)) == set()


def test_an_order_that_failed_too_often_says_who_lets_it_be_tried_again() -> None:
    bare = with_gateway(FACTS, "gw-2", candidate_faults=None)
    tired = mark_gateway(ORDERED, "gw-2", tries=3)
    said = [
        [one.unblocks for one in gate_of(view(bare, marks)).blockers if one.name == "gw-2"]
        for marks in (ORDERED, tired)
    ]
    assert ["resume" in text for texts in said for text in texts] == [False, True]


def test_a_plan_waits_for_its_approval_and_another_plan_for_another() -> None:
    assert told(view(marks=ORDERED)) == {("r-1", R.AWAITING_APPROVAL)}
    approved = replace(ORDERED, consents=VALIDATED.consents)
    other = replace(PLAN, overlap_s=1.0)
    assert told(view(marks=approved, plan=other)) == {("r-1", R.AWAITING_APPROVAL)}
    # who is left out afterwards was not approved either
    left_out = replace(approved, excluded={"dev-4": "broken"})
    assert told(view(marks=left_out)) == {("r-1", R.AWAITING_APPROVAL)}


def test_a_bad_ca_and_an_empty_fleet_hold_the_plan() -> None:
    facts = replace(FACTS, ca_faults=("no CA",), devices={})

    assert {("r-1", R.NEW_CA), ("r-1", R.NO_DEVICES)} <= told(view(facts, ORDERED))


def test_a_gateway_that_left_the_inventory_is_unknown_and_a_drift() -> None:
    gateways = {name: found for name, found in FACTS.gateways.items() if name != "gw-3"}
    facts = replace(FACTS, gateways=gateways)

    assert {("gw-3", R.GATEWAY_UNKNOWN), ("r-1", R.DRIFT)} <= told(view(facts, ORDERED))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"reported_at": None}, R.NEVER_REPORTED),
        ({"fresh_until": NOW}, R.STALE),
        ({"trusts_new": False, "word": DeviceUpdateStatus.PENDING}, R.PENDING),
        ({"trusts_new": False, "word": DeviceUpdateStatus.FAILED}, R.FAILED),
        ({"trusts_new": False}, R.ANCHOR_MISSING),
        ({"reported_at": NOW - 2 * HOUR, "trusts_new": False}, R.PENDING),
        ({"reported_at": NOW - 2 * HOUR, "word": DeviceUpdateStatus.PENDING}, R.PENDING),
    ],
)
def test_a_device_holds_the_adding_by_name(
    changes: dict[str, object], reason: BlockReason
) -> None:
    facts = with_device(FACTS, "dev-2", trusts_new=False, word=DeviceUpdateStatus.PENDING)
    asked = mark_device(BEGUN, "dev-1", added_at=NOW - HOUR)

    seen = view(with_device(facts, "dev-1", **changes), asked)

    assert ("dev-1", reason) in told(seen)
    assert next_action(view(facts, replace(asked, excluded={"dev-2": "x"}))) is not None


def test_a_blocker_says_when_its_device_is_expected() -> None:
    def expected(**changes: object) -> object:
        facts = with_device(FACTS, "dev-1", trusts_new=False, **changes)
        return gate_of(view(facts, BEGUN)).blockers[0].expected_at

    assert expected(last_seen_at=NOW - HOUR / 2) == NOW + HOUR / 2
    assert expected(last_seen_at=NOW - 2 * HOUR) is None
    assert expected(last_seen_at=None) is None
    assert expected(contact_interval_s=None) is None


@pytest.mark.parametrize(
    ("accepts", "mark", "reason"),
    [
        (True, {"validated": None}, R.NOT_VALIDATED),
        (True, {"validated": "f" * 64}, R.NOT_VALIDATED),
        (None, {}, R.NOT_VALIDATED),
        (False, {}, R.DISAGREEMENT),
        (True, {"is_valid": False}, R.DISAGREEMENT),
        (False, {"is_valid": False, "refusal": "unknown_ca"}, R.REFUSES),
    ],
)
def test_platform_and_we_must_both_say_yes(
    accepts: bool | None, mark: dict[str, object], reason: BlockReason
) -> None:
    facts = with_device(FACTS, "dev-1", accepts_candidate=accepts)
    seen = view(facts, mark_device(VALIDATED, "dev-1", **mark))

    assert seen.phase is Phase.VALIDATING
    assert told(seen) == {("dev-1", reason)}
    assert ("dev-1", reason) in {(one.name, one.reason) for one in rotation_blockers(seen, "gw-1")}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"full_at": None}, R.NOT_SEEN),
        ({"full_at": None, "is_by_ticket": True}, R.TICKETS_ONLY),
        ({"failing": Reason.UNKNOWN_CA}, R.TRUST_FAILURE),
    ],
)
def test_a_device_behind_a_canary_must_be_met_in_full(
    changes: dict[str, object], reason: BlockReason
) -> None:
    facts, marks = ON_CANARY
    seen = view(with_device(facts, "dev-1", **changes), marks)

    assert seen.phase is Phase.CANARY
    assert told(seen) == {("dev-1", reason)}
    assert next_action(seen) is None or reason is R.TRUST_FAILURE


def test_a_canary_is_watched_for_a_while() -> None:
    seen = view(*rotated(FACTS, VALIDATED, ["gw-1"], at=NOW))

    blocker = gate_of(seen).blockers[0]
    assert (blocker.name, blocker.reason) == ("gw-1", R.SOAKING)
    assert blocker.expected_at == NOW + HOUR
    assert confirm_within_s(seen, "gw-1") == 3 * 3_600.0


@pytest.mark.parametrize(
    ("seen", "blocker"),
    [
        (view(*ON_ALL), ("r-1", R.AWAITING_APPROVAL)),
        (view(*rotated(FACTS, VALIDATED, GATEWAYS, at=NOW - 6 * DAY)), ("r-1", R.OVERLAP)),
        (view(with_gateway(ON_ALL[0], "gw-2", needs_old=True), ON_ALL[1]), ("gw-2", R.NEEDS_OLD)),
        (
            view(with_gateway(ON_ALL[0], "gw-2", needs_old=None), ON_ALL[1]),
            ("gw-2", R.GATEWAY_UNKNOWN),
        ),
        (
            view(with_device(ON_ALL[0], "dev-3", is_client=True), ON_ALL[1]),
            ("dev-3", R.CLIENT_CERTIFICATE),
        ),
        (
            view(with_device(ON_ALL[0], "dev-3", trusts_new=False), ON_ALL[1]),
            ("dev-3", R.ANCHOR_MISSING),
        ),
        (
            view(with_device(ON_ALL[0], "dev-3", fresh_until=NOW), ON_ALL[1]),
            ("dev-3", R.STALE),
        ),
        (view(replace(ON_ALL[0], gathered_at=NOW - HOUR), ON_ALL[1]), ("r-1", R.CANNOT_LOOK)),
        (view(replace(ON_ALL[0], is_control_good=False), ON_ALL[1]), ("r-1", R.CANNOT_LOOK)),
        (view(replace(ON_ALL[0], longest_absence_s=9e5), ON_ALL[1]), ("r-1", R.OVERLAP)),
        (
            view(with_gateway(ON_ALL[0], "gw-1", tickets_until=NOW + DAY), ON_ALL[1]),
            ("r-1", R.OVERLAP),
        ),
    ],
)
def test_nothing_is_removed_while_something_hangs_on_the_old_ca(
    seen: View, blocker: tuple[str, BlockReason]
) -> None:
    assert seen.phase is Phase.OVERLAP
    assert blocker in told(seen)
    if blocker[1] is not R.AWAITING_APPROVAL:
        assert blocker in {(one.name, one.reason) for one in removal_blockers(seen)}


def test_a_person_may_say_that_devices_have_certificates_of_another_ca() -> None:
    plan = replace(PLAN, has_other_client_ca=True)
    facts = with_device(ON_ALL[0], "dev-3", is_client=True)

    assert told(view(facts, ON_ALL[1], plan)) == {("r-1", R.AWAITING_APPROVAL)}


@pytest.mark.parametrize(
    ("changes", "asked", "reason"),
    [
        ({}, False, R.STILL_TRUSTED),
        ({}, True, R.STILL_TRUSTED),
        ({"trusts_old": False, "reported_at": NOW - 2 * HOUR}, True, R.STILL_TRUSTED),
        ({"word": DeviceUpdateStatus.FAILED}, True, R.FAILED),
        ({"reported_at": None}, True, R.NEVER_REPORTED),
    ],
)
def test_a_device_that_keeps_the_old_ca_holds_the_end(
    changes: dict[str, object], asked: bool, reason: BlockReason
) -> None:
    facts, marks = REMOVING
    if asked:
        marks = mark_device(marks, "dev-1", removed_at=NOW - HOUR, removed_tries=1)

    assert ("dev-1", reason) in told(view(with_device(facts, "dev-1", **changes), marks))


def test_a_gate_of_nothing_but_ignorance_is_neither_open_nor_shut() -> None:
    seen = view(with_device(FACTS, "dev-1", reported_at=None), APPROVED)

    assert gate_of(seen).is_open is None
    assert gate_of(view(with_device(FACTS, "dev-1", trusts_new=False), APPROVED)).is_open is False
    assert gate_of(view(marks=replace(VALIDATED, ended=Phase.DONE))).is_open is True
    assert R.NOT_SEEN in UNKNOWN


def test_a_renewal_needs_no_report_and_no_overlap() -> None:
    marks = replace(VALIDATED, consents={})
    facts = with_device(FACTS, "dev-1", reported_at=None, trusts_new=None)
    assert rotation_blockers(view(facts, marks, RENEWAL), "gw-1") == ()

    facts, marks = rotated(FACTS, VALIDATED, GATEWAYS)
    seen = view(facts, marks, RENEWAL)
    assert (seen.phase, told(seen)) == (Phase.OVERLAP, set())
    action = next_action(seen)
    assert action is not None
    assert (action.step, action.ends) == (Step.FINISH, Phase.DONE)


def test_a_rotated_gateway_that_serves_the_old_chain_again_is_a_drift() -> None:
    facts, marks = ON_CANARY

    seen = view(with_gateway(facts, "gw-1", served=FACTS.gateways["gw-1"].served), marks)

    assert "nobody here put it back" in seen.position.drift[0]


def test_a_plan_without_a_gateway_is_none() -> None:
    with pytest.raises(ValueError, match="at least one gateway that goes first"):
        replace(PLAN, gateways=())


def test_only_two_phases_wait_for_a_person() -> None:
    asking = {phase: consent_needed(phase) for phase in Phase}

    assert {phase: one for phase, one in asking.items() if one is not None} == {
        Phase.PLANNED: Consent.BEGIN, Phase.OVERLAP: Consent.REMOVE,
    }  # fmt: skip


def test_a_failed_order_says_when_it_is_tried_again() -> None:
    marks = mark_gateway(ORDERED, "gw-1", candidate=None, tries=1, retry_at=NOW + HOUR)

    blocker = next(one for one in gate_of(view(marks=marks)).blockers if one.name == "gw-1")

    assert blocker.expected_at == NOW + timedelta(hours=1)


@pytest.mark.parametrize(
    ("rehearsed", "faults", "said"),
    [
        (None, (), "not met on the agent's second_port"),
        (candidate("gw-1"), (), "did not take its new chain"),
        (None, ("bad",), "did not take its new chain"),
    ],
)
def test_a_gateway_that_is_tried_again_says_what_went_wrong(
    rehearsed: str | None, faults: tuple[str, ...], said: str
) -> None:
    facts = with_gateway(FACTS, "gw-1", candidate_faults=faults)
    marks = mark_gateway(VALIDATED, "gw-1", rehearsed=rehearsed, retry_at=NOW + HOUR)
    alone = replace(PLAN, gateways=PLAN.gateways[:1])

    blockers = gate_of(view(facts, marks, alone)).blockers

    assert [said in one.unblocks for one in blockers if one.reason is R.RETRYING] == [True]


def test_a_rotation_of_which_the_journal_does_not_know_begins_no_overlap() -> None:
    facts, marks = ON_ALL
    seen = view(facts, mark_gateway(marks, "gw-1", rotated_at=None))

    assert seen.position.overlap_end is None
    assert ("r-1", R.DRIFT) in told(seen)
    assert R.OVERLAP in {one.reason for one in removal_blockers(seen)}


@pytest.mark.parametrize(
    ("was", "now", "kept", "told"),
    [
        (None, 6.0, 0.0, None),
        (None, 8.0, 0.0, 8.0),
        (8.0, 9.0, 8.0, None),
        (10.0, 10.5, 8.0, 10.5),
        (9.0, 0.1, 8.0, 9.0),
        (9.0, 0.1, 9.0, None),
    ],
)
def test_a_long_silence_is_kept_when_it_has_grown_much_and_when_it_is_over(
    was: float | None, now: float, kept: float, told: float | None
) -> None:
    def seen(days: float) -> View:
        facts = replace(FACTS, longest_absence_s=days * 86_400, longest_absent="dev-1")
        return view(facts, replace(ORDERED, longest_absence_s=kept * 86_400))

    found = absence_to_keep(seen(now), None if was is None else seen(was))

    assert found == (None if told is None else (told * 86_400, "dev-1"))


@pytest.mark.parametrize(
    ("absent", "excluded", "days"),
    [("dev-1", {}, 30), ("", {}, 30), ("dev-1", {"dev-1": "scrapped"}, 7), ("retired", {}, 7)],
)
def test_how_long_a_device_was_silent_counts_as_long_as_it_is_waited_for(
    absent: str, excluded: dict[str, str], days: int
) -> None:
    facts, marks = ON_ALL
    before = view(replace(facts, longest_absence_s=3e6, longest_absent=absent), marks)
    marks = replace(
        marks, longest_absence_s=30 * 86_400.0, longest_absent=absent, excluded=excluded
    )
    seen, rotated_at = view(facts, marks), marks.gateway("gw-1").rotated_at

    assert rotated_at is not None
    assert seen.position.overlap_end == rotated_at + days * DAY
    assert (absence_to_keep(seen, before) is not None) is (days == 30)
