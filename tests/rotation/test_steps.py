"""What is done next, over situations picked by hand and over all others."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.gateway.messages import DeviceUpdateStatus
from exporter.observations import Reason
from exporter.rotation.blockers import BlockReason
from exporter.rotation.gate import gate_of, rotation_blockers
from exporter.rotation.model import (
    ENDED,
    Consent,
    DeviceFacts,
    DeviceMark,
    Facts,
    GatewayFacts,
    GatewayMark,
    Marks,
    Phase,
    Step,
)
from exporter.rotation.phases import MOST_TRIES, TRANSITIONS
from exporter.rotation.reconcile import adopted, reconciled, to_be_put_back
from exporter.rotation.steps import Action, next_action
from exporter.rotation.view import View
from tests.rotation.cases import (
    ACT,
    APPROVED,
    DAY,
    DEVICES,
    FACTS,
    GATEWAYS,
    HOUR,
    NEW_CA,
    NOW,
    OLD_CA,
    ORDERED,
    PLAN,
    RENEWAL,
    VALIDATED,
    before,
    candidate,
    mark_device,
    mark_gateway,
    rotated,
    view,
    with_device,
    with_gateway,
)

FAILED, PENDING = DeviceUpdateStatus.FAILED, DeviceUpdateStatus.PENDING
ON_ALL = rotated(FACTS, VALIDATED, GATEWAYS, at=NOW - 8 * DAY)
REMOVING = (ON_ALL[0], replace(ON_ALL[1], removing_at=NOW - HOUR))


def step(seen: View) -> tuple[Step, tuple[str, ...]] | None:
    action = next_action(seen)
    return None if action is None else (action.step, action.gateways or action.devices)


def lacking(**changes: object) -> Facts:
    return with_device(FACTS, "dev-1", trusts_new=False, **changes)


def test_gateways_are_ordered_for_one_by_one_and_not_again_too_soon() -> None:
    assert step(view(marks=Marks())) == (Step.ORDER, ("gw-1",))
    waits = mark_gateway(Marks(), "gw-1", tries=1, retry_at=NOW + HOUR)
    assert step(view(marks=waits)) == (Step.ORDER, ("gw-2",))
    tired = mark_gateway(Marks(), "gw-1", tries=MOST_TRIES)
    assert step(view(marks=tired)) == (Step.ORDER, ("gw-2",))
    unseen = with_gateway(FACTS, "gw-1", served=None)
    assert step(view(unseen, Marks())) == (Step.ORDER, ("gw-2",))
    bad = with_gateway(FACTS, "gw-1", candidate_faults=("no name",))
    assert step(view(bad, ORDERED)) == (Step.ORDER, ("gw-1",))


def test_an_approved_plan_begins_with_add_or_of_a_renewal_with_questions() -> None:
    assert step(view(marks=ORDERED)) is None
    approved = replace(ORDERED, consents=VALIDATED.consents)
    assert step(view(marks=approved)) == (Step.ADD, ())
    renewal = {Consent.BEGIN: RENEWAL.consent_hash(Consent.BEGIN, {})}
    assert step(view(marks=replace(ORDERED, consents=renewal), plan=RENEWAL)) == (
        Step.VALIDATE,
        (),
    )


def test_anchors_are_added_group_by_group_canaries_first() -> None:
    facts = lacking(word=None)
    for name in DEVICES:
        facts = with_device(facts, name, trusts_new=False, word=None)
    assert step(view(facts, APPROVED)) == (Step.ADD, ("dev-1",))
    asked = mark_device(APPROVED, "dev-1", added_at=NOW, added_tries=1)
    assert step(view(facts, asked)) is None
    arrived = with_device(facts, "dev-1", trusts_new=True)
    assert step(view(arrived, asked)) == (Step.ADD, ("dev-2", "dev-3", "dev-4"))


@pytest.mark.parametrize(
    ("word", "age", "tries", "is_asked_again"),
    [
        (FAILED, HOUR, 1, True),
        (FAILED, HOUR / 8, 1, False),
        (FAILED, HOUR / 2, 2, True),
        (FAILED, HOUR / 3, 2, False),
        (FAILED, DAY, 3, False),
        (DeviceUpdateStatus.COMPLETE, HOUR, 1, True),
        (PENDING, DAY, 1, False),
        (None, HOUR / 8, 1, False),
        (None, HOUR, 1, True),  # perhaps it was never asked: we died between entry and request
    ],
)
def test_what_failed_is_asked_again_with_growing_pauses_three_times(
    word: DeviceUpdateStatus | None, age: object, tries: int, is_asked_again: bool
) -> None:
    marks = mark_device(APPROVED, "dev-1", added_at=NOW - age, added_tries=tries)  # type: ignore[operator] # a timedelta

    assert (step(view(lacking(word=word), marks)) is not None) is is_asked_again
    facts, removing = REMOVING
    removing = mark_device(removing, "dev-1", removed_at=NOW - age, removed_tries=tries)  # type: ignore[operator] # a timedelta
    again = step(view(with_device(facts, "dev-1", word=word), removing))
    assert (again is not None) is is_asked_again


def test_a_stale_report_of_a_device_that_was_not_asked_is_asked_for_with_add() -> None:
    facts = with_device(FACTS, "dev-1", fresh_until=NOW)

    assert step(view(facts, APPROVED)) == (Step.ADD, ("dev-1",))


def test_a_late_comer_gets_the_anchor_before_anything_else_in_every_later_phase() -> None:
    facts, marks = rotated(FACTS, VALIDATED, ["gw-1"])
    facts = with_device(facts, "dev-3", trusts_new=False, word=None)
    marks = mark_device(marks, "dev-3", added_at=None)
    assert step(view(facts, marks)) == (Step.ADD, ("dev-3",))

    asked = mark_device(marks, "dev-3", added_at=NOW, added_tries=1)
    assert step(view(facts, asked)) is None


def test_a_no_is_asked_again_after_news_of_the_device_only() -> None:
    marks = mark_device(VALIDATED, "dev-1", is_valid=False)
    assert step(view(marks=marks)) is None
    news = with_device(FACTS, "dev-1", reported_at=NOW + HOUR)
    assert step(view(news, marks)) == (Step.VALIDATE, ("dev-1",))
    assert step(view(marks=mark_device(VALIDATED, "dev-1", validated=None))) == (
        Step.VALIDATE,
        ("dev-1",),
    )


def test_a_chain_that_was_dropped_is_ordered_again_wherever_it_is_needed() -> None:
    bare = mark_gateway(VALIDATED, "gw-3", candidate=None)
    order = (Step.ORDER, ("gw-3",))
    assert step(view(marks=bare)) == order
    adding = with_device(FACTS, "dev-2", trusts_new=False, word=PENDING)
    assert step(view(adding, bare)) == order
    assert step(view(*rotated(FACTS, bare, ["gw-1"]))) == order
    assert step(view(*rotated(FACTS, bare, ["gw-1", "gw-2"]))) == order
    undoing = mark_gateway(bare, "gw-3", intended=Step.ROTATE)
    assert step(view(marks=undoing)) is None
    assert step(view(marks=mark_gateway(bare, "gw-3", tries=MOST_TRIES))) is None
    assert step(view(marks=mark_gateway(bare, "gw-3", retry_at=NOW + HOUR))) is None
    for lacking in ({"has_api": False}, {"served": None}):
        assert step(view(with_gateway(FACTS, "gw-3", **lacking), bare)) is None
    gone = replace(FACTS, gateways={name: FACTS.gateways[name] for name in GATEWAYS[:2]})
    assert step(view(gone, bare)) is None


def test_a_no_of_who_is_still_to_come_is_asked_again_between_batches() -> None:
    facts, marks = rotated(FACTS, VALIDATED, ["gw-1"])
    marks = mark_device(marks, "dev-3", is_valid=False)
    news = with_device(facts, "dev-3", reported_at=NOW + HOUR)

    assert step(view(news, marks)) == (Step.VALIDATE, ("dev-3",))


def test_a_fleet_of_which_everybody_is_left_out_comes_to_its_end() -> None:
    facts, marks = ON_ALL
    excluded = dict.fromkeys(DEVICES, "scrapped")
    consents = {Consent.REMOVE: PLAN.consent_hash(Consent.REMOVE, excluded)}
    done = next_action(view(facts, replace(marks, excluded=excluded, consents=consents)))
    assert done is not None
    assert (done.step, done.ends) == (Step.FINISH, Phase.DONE)


def test_canaries_go_alone_then_one_then_batches() -> None:
    assert step(view()) == (Step.ROTATE, ("gw-1",))
    wide = ACT.model_copy(update={"batch_ratio": 1.0})
    one = view(*rotated(FACTS, VALIDATED, ["gw-1"]), options=wide)
    assert step(one) == (Step.ROTATE, ("gw-2",))
    plan = replace(PLAN, gateways=(*PLAN.gateways, replace(PLAN.gateways[2], name="gw-4")))
    gateways = {**FACTS.gateways, "gw-4": replace(FACTS.gateways["gw-3"], name="gw-4")}
    marks = mark_gateway(VALIDATED, "gw-4", candidate=candidate("gw-4"))
    seen = view(*rotated(replace(FACTS, gateways=gateways), marks, ["gw-1", "gw-2"]), plan, wide)
    assert step(seen) == (Step.ROTATE, ("gw-3", "gw-4"))


def test_the_only_gateway_has_its_canary_on_the_second_port() -> None:
    plan = replace(PLAN, gateways=PLAN.gateways[:1])
    assert step(view(plan=plan)) == (Step.REHEARSE, ("gw-1",))
    marks = mark_gateway(VALIDATED, "gw-1", rehearsed=candidate("gw-1"))
    assert step(view(marks=marks, plan=plan)) == (Step.ROTATE, ("gw-1",))


def test_a_gateway_is_confirmed_when_it_is_met_in_full_for_a_while() -> None:
    facts, marks = rotated(FACTS, VALIDATED, ["gw-1"])
    marks = mark_gateway(marks, "gw-1", is_confirmed=False)
    assert step(view(facts, marks)) == (Step.CONFIRM, ("gw-1",))
    early = mark_gateway(marks, "gw-1", rotated_at=NOW)
    assert step(view(facts, early)) is None
    unmet = with_device(facts, "dev-1", full_at=None)
    assert step(view(unmet, marks)) == (Step.CONFIRM, ("gw-1",))
    assert step(view(with_device(unmet, "dev-4", full_at=None), marks)) is None
    alone = replace(marks, excluded={"dev-1": "x", "dev-4": "x"})
    assert step(view(facts, alone)) == (Step.CONFIRM, ("gw-1",))
    assert step(view(facts, mark_gateway(marks, "gw-1", rotated_at=None))) is None


def test_a_failing_batch_goes_back_and_what_was_kept_before_it_stays() -> None:
    facts, marks = rotated(FACTS, VALIDATED, ["gw-1", "gw-2"])
    marks = mark_gateway(marks, "gw-2", is_confirmed=False)
    failing = with_device(facts, "dev-2", failing=Reason.UNKNOWN_CA, device_class="")
    action = next_action(view(failing, marks))
    assert action is not None
    assert (action.step, action.gateways) == (Step.ROLL_BACK, ("gw-2",))
    assert action.why == "devices refuse the new chain: dev-2"

    late = with_device(facts, "dev-1", failing=Reason.UNKNOWN_CA)
    assert step(view(late, mark_gateway(marks, "gw-2", is_confirmed=True))) is None
    ended = with_gateway(failing, "gw-2", before_not_after=NOW)
    assert step(view(ended, marks)) is None
    gone = with_gateway(failing, "gw-2", before_not_after=None)
    assert step(view(gone, marks)) == (Step.ROLL_BACK, ("gw-2",))
    waiting = mark_gateway(marks, "gw-2", retry_at=NOW + HOUR)
    assert step(view(failing, waiting)) is None


def test_what_a_person_had_undone_goes_back_even_in_a_drift() -> None:
    facts = with_gateway(FACTS, "gw-2", served="e" * 64)
    marks = mark_gateway(VALIDATED, "gw-2", intended=Step.ROLL_BACK)

    action = next_action(view(facts, marks))

    assert action is not None
    assert (action.step, action.gateways) == (Step.ROLL_BACK, ("gw-2",))
    assert action.why == "a person asked for it"
    left = {name: found for name, found in facts.gateways.items() if name != "gw-2"}
    assert step(view(replace(facts, gateways=left), marks)) is None


def test_nothing_goes_forward_in_a_drift_or_a_pause_or_after_the_end() -> None:
    assert step(view(with_gateway(FACTS, "gw-2", served="e" * 64))) is None
    assert step(view(marks=replace(VALIDATED, is_paused=True))) is None
    assert step(view(marks=replace(VALIDATED, ended=Phase.DONE))) is None


def test_the_old_ca_is_removed_group_by_group_after_its_own_approval() -> None:
    facts, marks = ON_ALL
    assert step(view(facts, marks)) is None
    consents = {Consent.REMOVE: PLAN.consent_hash(Consent.REMOVE, {})}
    approved = replace(marks, consents=consents)
    assert step(view(facts, approved)) == (Step.REMOVE, ("dev-1",))
    action = next_action(view(facts, approved))
    assert action is not None
    assert action.anchor == OLD_CA

    facts, marks = REMOVING
    for name in DEVICES:
        marks = mark_device(marks, name, removed_at=NOW - HOUR / 8, removed_tries=1)
    assert step(view(facts, marks)) is None
    for name in DEVICES:
        facts = with_device(facts, name, trusts_old=False)
    done = next_action(view(facts, marks))
    assert done is not None
    assert (done.step, done.ends) == (Step.FINISH, Phase.DONE)
    needing = with_gateway(facts, "gw-3", needs_old=True)
    assert step(view(needing, marks)) is None


def test_a_renewal_never_removes_its_ca_whatever_the_journal_says() -> None:
    assert step(view(*REMOVING)) == (Step.REMOVE, ("dev-1",))
    assert step(view(*REMOVING, RENEWAL)) is None


def test_a_device_that_let_the_old_ca_go_before_it_was_asked_is_not_asked_twice() -> None:
    facts, marks = REMOVING
    for name in DEVICES:
        marks = mark_device(marks, name, removed_at=NOW - HOUR / 8, removed_tries=1)
        facts = with_device(facts, name, trusts_old=False, reported_at=NOW - HOUR / 4, word=FAILED)

    assert step(view(facts, marks)) is None


def aborting(facts: Facts, marks: Marks, **more: object) -> Action | None:
    return next_action(view(facts, replace(marks, is_aborting=True), **more))  # type: ignore[arg-type] # by name


def test_an_abort_ends_as_what_happened() -> None:
    nothing = aborting(FACTS, ORDERED)
    assert nothing is not None
    assert nothing.ends is Phase.ABORTED
    back = aborting(FACTS, mark_gateway(VALIDATED, "gw-1", rolled_back_at=NOW))
    assert back is not None
    assert back.ends is Phase.ROLLED_BACK
    taken = aborting(FACTS, VALIDATED)
    assert taken is not None
    assert (taken.step, taken.anchor, taken.devices) == (Step.REMOVE, NEW_CA, DEVICES)
    other = aborting(with_gateway(FACTS, "gw-3", needs_old=None), VALIDATED)
    assert other is not None
    assert other.ends is Phase.ABORTED
    renewal = aborting(FACTS, VALIDATED, plan=RENEWAL)
    assert renewal is not None
    assert renewal.ends is Phase.ABORTED


def test_an_abort_waits_for_a_gateway_that_cannot_be_seen_and_gives_up_in_the_end() -> None:
    facts, marks = rotated(FACTS, VALIDATED, ["gw-1"])
    assert aborting(with_gateway(facts, "gw-1", served=None), marks) is None
    begun = mark_gateway(VALIDATED, "gw-1", intended=Step.ROTATE)
    assert aborting(with_gateway(FACTS, "gw-1", served=None), begun) is None
    gone = {name: found for name, found in facts.gateways.items() if name != "gw-1"}
    ended = aborting(replace(facts, gateways=gone), marks)
    assert ended is not None
    assert ended.ends is Phase.ROLLED_BACK

    waits = mark_gateway(marks, "gw-1", tries=7, retry_at=NOW + HOUR)
    assert aborting(facts, waits) is None
    tired = aborting(facts, mark_gateway(marks, "gw-1", tries=8, retry_at=NOW + HOUR))
    assert tired is not None
    assert tired.ends is Phase.ABORTED
    assert "gw-1 could not be put back" in tired.why


def test_an_abort_of_the_removal_adds_the_old_again_to_who_was_asked() -> None:
    facts, marks = REMOVING
    marks = mark_device(marks, "dev-2", added_at=None, removed_at=NOW)
    marks = mark_device(marks, "dev-3", added_at=NOW, removed_at=NOW - HOUR)
    action = aborting(facts, marks)
    assert action is not None
    assert (action.step, action.devices, action.anchor) == (Step.RE_ADD, ("dev-2",), OLD_CA)
    done = aborting(facts, mark_device(marks, "dev-2", added_at=NOW))
    assert done is not None
    assert done.ends is Phase.ABORTED


def test_a_device_that_lists_the_anchor_is_not_asked_again_whatever_the_platform_says() -> None:
    facts = with_device(FACTS, "dev-1", word=FAILED)
    facts = with_device(facts, "dev-2", trusts_new=False)
    marks = mark_device(APPROVED, "dev-1", added_at=NOW - DAY, added_tries=1)
    assert step(view(facts, marks)) is None


# Looking tells


def found(facts: Facts, marks: Marks) -> dict[str, tuple[GatewayMark, str]]:
    told = reconciled(PLAN, facts, marks, now=NOW, options=ACT)
    return {one.gateway: (one.mark, one.why) for one in told}


def test_an_intent_is_settled_by_what_is_served() -> None:
    begun = mark_gateway(VALIDATED, "gw-1", intended=Step.ROTATE, tries=1)
    done, _ = found(with_gateway(FACTS, "gw-1", served=candidate("gw-1")), begun)["gw-1"]
    assert (done.rotated_at, done.intended, done.is_confirmed) == (NOW, None, False)

    failed, _ = found(FACTS, begun)["gw-1"]
    assert (failed.tries, failed.retry_at, failed.intended) == (2, NOW + HOUR / 2, None)
    given_up, why = found(FACTS, mark_gateway(begun, "gw-1", tries=2))["gw-1"]
    assert given_up.rolled_back_at == NOW
    assert "tried 3 times" in why

    assert found(with_gateway(FACTS, "gw-1", served=None), begun) == {}
    assert found(with_gateway(FACTS, "gw-1", served="e" * 64), begun) == {}
    gone = replace(FACTS, gateways={})
    assert found(gone, begun) == {}


def test_a_gateway_that_was_asked_and_did_not_answer_may_take_its_chain_yet() -> None:
    asked = mark_gateway(VALIDATED, "gw-1", intended=Step.ROTATE, asked_at=NOW - HOUR / 60)
    assert found(FACTS, asked) == {}
    blockers = rotation_blockers(view(FACTS, asked), "gw-1")
    assert [(one.reason, one.expected_at) for one in blockers] == [
        (BlockReason.RETRYING, NOW + 4 * HOUR / 60)
    ]
    assert aborting(FACTS, asked) is None  # nor is the anchor taken back from under it

    long_ago = mark_gateway(asked, "gw-1", asked_at=NOW - HOUR / 12)
    failed, _ = found(FACTS, long_ago)["gw-1"]
    assert (failed.tries, failed.intended) == (1, None)
    late = with_gateway(FACTS, "gw-1", served=candidate("gw-1"))
    done, _ = found(late, replace(VALIDATED, gateways={"gw-1": failed}))["gw-1"]
    assert (done.rotated_at, done.asked_at) == (NOW, None)


def test_a_gateway_that_took_its_chain_unseen_and_went_back_waits_for_a_person() -> None:
    asked = mark_gateway(VALIDATED, "gw-1", intended=Step.ROTATE, asked_at=NOW)
    left = with_gateway(FACTS, "gw-1", left_at=NOW - HOUR)

    back, why = found(left, asked)["gw-1"]

    assert (back.rolled_back_at, back.intended, back.asked_at) == (NOW, None, None)
    assert "went back by itself" in why
    # That was before a person let it be tried again: nothing is known of this time
    assert found(left, replace(asked, resumed_at=NOW - HOUR / 2)) == {}
    again = replace(asked, resumed_at=NOW - 2 * HOUR)
    assert found(left, again)["gw-1"] == (back, why)


def test_a_way_back_is_noted_once_it_is_seen_and_keeps_its_reason() -> None:
    begun = mark_gateway(
        VALIDATED, "gw-1", intended=Step.ROLL_BACK, rotated_at=NOW, rolled_back_why="dev-1 refuses"
    )

    mark, why = found(FACTS, begun)["gw-1"]

    assert (mark.rolled_back_at, mark.rotated_at, why) == (NOW, None, "dev-1 refuses")
    assert found(*rotated(FACTS, VALIDATED, ["gw-1"])) == {}


def test_what_a_person_adopts_is_what_is_served() -> None:
    def adopt(facts: Facts, marks: Marks) -> dict[str, GatewayMark]:
        return {one.gateway: one.mark for one in adopted(PLAN, facts, marks, now=NOW)}

    by_hand = with_gateway(FACTS, "gw-2", served=candidate("gw-2"))
    mark = adopt(by_hand, VALIDATED)["gw-2"]
    assert (mark.rotated_at, mark.is_confirmed) == (NOW, True)
    dated = adopt(with_gateway(by_hand, "gw-2", activated_at=NOW - DAY), VALIDATED)["gw-2"]
    assert dated.rotated_at == NOW - DAY

    facts, marks = rotated(FACTS, VALIDATED, ["gw-1"])
    assert adopt(facts, marks) == {}
    back = adopt(with_gateway(facts, "gw-1", served=before("gw-1")), marks)["gw-1"]
    assert (back.rotated_at, back.is_confirmed) == (None, False)

    other = adopt(with_gateway(FACTS, "gw-3", served="e" * 64), VALIDATED)
    # Whoever did it had another key made there: the chain that waits is for one that is gone
    assert (other["gw-3"].before, other["gw-3"].candidate) == ("e" * 64, None)
    undoing = to_be_put_back(ORDERED.gateways["gw-3"])
    assert (undoing.intended, undoing.candidate) == (Step.ROLL_BACK, None)
    served = adopt(with_gateway(facts, "gw-1", served="e" * 64), marks)["gw-1"]
    assert (served.before, served.candidate) == ("e" * 64, candidate("gw-1"))
    seen = view(with_gateway(FACTS, "gw-3", served="e" * 64), replace(VALIDATED, gateways={
        **VALIDATED.gateways, **other,
    }))  # fmt: skip
    assert seen.position.drift == ()

    begun = mark_gateway(VALIDATED, "gw-2", intended=Step.ROTATE)
    assert adopt(by_hand, begun) == {}
    assert adopt(with_gateway(by_hand, "gw-2", served=None), VALIDATED) == {}
    assert adopt(replace(FACTS, gateways={}), VALIDATED) == {}


# Over everything

MOMENTS = st.sampled_from([None, NOW - 9 * DAY, NOW - HOUR, NOW, NOW + HOUR])
MAYBE = st.sampled_from([None, False, True])


def gateway_facts(name: str) -> st.SearchStrategy[GatewayFacts]:
    return st.builds(
        GatewayFacts,
        name=st.just(name),
        served=st.sampled_from([None, before(name), candidate(name), candidate(name), "e" * 64]),
        observed_at=st.sampled_from([None, NOW, NOW, NOW, NOW - HOUR]),
        needs_old=MAYBE,
        has_api=st.sampled_from([True, True, False]),
        is_ready=st.sampled_from([True, True, None, False]),
        before_not_after=st.sampled_from([None, NOW - DAY, NOW + 300 * DAY]),
        candidate_faults=st.sampled_from([None, (), (), ("bad",)]),
        is_busy=st.sampled_from([False, False, True]),
        tickets_until=MOMENTS,
    )


def device_facts(name: str) -> st.SearchStrategy[DeviceFacts]:
    return st.builds(
        DeviceFacts,
        name=st.just(name),
        gateway=st.sampled_from(GATEWAYS),
        group=st.sampled_from(["canary", "a"]),
        contact_interval_s=st.sampled_from([None, 60.0, 9 * 86_400.0]),
        last_seen_at=MOMENTS,
        reported_at=MOMENTS,
        fresh_until=MOMENTS,
        trusts_new=MAYBE,
        trusts_old=MAYBE,
        word=st.sampled_from([None, *DeviceUpdateStatus]),
        accepts_candidate=MAYBE,
        full_at=MOMENTS,
        failing=st.sampled_from([None, None, Reason.UNKNOWN_CA]),
        is_client=st.sampled_from([False, False, True]),
    )


def gateway_mark(name: str) -> st.SearchStrategy[GatewayMark]:
    return st.builds(
        GatewayMark,
        candidate=st.sampled_from([None, candidate(name), candidate(name)]),
        intended=st.sampled_from([None, None, Step.ROTATE, Step.ROLL_BACK]),
        rotated_at=MOMENTS,
        is_confirmed=st.booleans(),
        rolled_back_at=st.sampled_from([None, None, NOW]),
        tries=st.integers(0, 9),
        retry_at=MOMENTS,
    )


def device_mark(name: str) -> st.SearchStrategy[DeviceMark]:
    return st.builds(
        DeviceMark,
        added_at=MOMENTS,
        removed_at=MOMENTS,
        added_tries=st.integers(0, 4),
        removed_tries=st.integers(0, 4),
        validated=st.sampled_from([None, *(candidate(one) for one in GATEWAYS)]),
        validated_at=MOMENTS,
        is_valid=st.booleans(),
    )


CONSENTS = {one: PLAN.consent_hash(one, {}) for one in Consent}
VIEWS = st.builds(
    view,
    st.builds(
        Facts,
        gathered_at=st.sampled_from([NOW, NOW, NOW, NOW - HOUR]),
        gateways=st.fixed_dictionaries({name: gateway_facts(name) for name in GATEWAYS}),
        devices=st.fixed_dictionaries({name: device_facts(name) for name in DEVICES}),
        is_control_good=MAYBE,
    ),
    st.builds(
        Marks,
        consents=st.sampled_from([{}, CONSENTS, CONSENTS]),
        excluded=st.sampled_from([{}, {}, {"dev-1": "x"}]),
        gateways=st.fixed_dictionaries({name: gateway_mark(name) for name in GATEWAYS}),
        devices=st.fixed_dictionaries({name: device_mark(name) for name in DEVICES}),
        begun_at=st.sampled_from([None, NOW - DAY, NOW - DAY]),
        removing_at=st.sampled_from([None, None, NOW - HOUR]),
        is_paused=st.sampled_from([False, False, True]),
        is_aborting=st.sampled_from([False, False, True]),
        ended=st.sampled_from([None] * 9 + sorted(ENDED)),
    ),
    st.sampled_from([PLAN, PLAN, RENEWAL]),
)


@settings(max_examples=600, deadline=None)
@given(VIEWS)
def test_over_everything_no_step_harms_whoever_depends_on_what_it_takes(seen: View) -> None:
    action = next_action(seen)
    gate = gate_of(seen)

    if action is None:
        return
    assert (seen.phase, action.step) in TRANSITIONS
    if action.step is Step.REMOVE and action.anchor == OLD_CA:
        assert all(one.needs_old is False for one in seen.facts.gateways.values())
        assert all(one.trusts_new and one.is_fresh(NOW) for one in seen.devices)
    if action.step is Step.REMOVE and action.anchor == NEW_CA:
        assert all(one.needs_old for one in seen.facts.gateways.values())
    if action.step is Step.ROTATE:
        assert gate.is_open
        for name in action.gateways:
            assert all(one.accepts_candidate for one in seen.behind(name))
            assert seen.plan.is_renewal or all(one.trusts_new for one in seen.behind(name))
    if action.step not in {Step.ROLL_BACK, Step.FINISH, Step.RE_ADD, Step.REMOVE}:
        assert not seen.position.drift
        assert not seen.marks.is_paused


def test_a_gateway_that_failed_waits_for_its_next_try() -> None:
    marks = mark_gateway(VALIDATED, "gw-1", tries=1, retry_at=NOW + HOUR)

    blockers = gate_of(view(marks=marks)).blockers

    assert [(one.name, one.reason) for one in blockers] == [("gw-1", BlockReason.RETRYING)]
    assert step(view(marks=marks)) is None
