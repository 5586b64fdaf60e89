"""Whole rotations in a world that does as it is asked, or not; pure, and in no time."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from exporter.observations import Reason
from exporter.rotation.blockers import BlockReason
from exporter.rotation.gate import gate_of
from exporter.rotation.model import ENDED, Consent, Phase, Step
from exporter.rotation.phases import TRANSITIONS
from exporter.rotation.steps import Action, next_action
from tests.rotation.cases import (
    DAY,
    DEVICES,
    GATEWAYS,
    HOUR,
    NEW_CA,
    OLD_CA,
    PLAN,
    RENEWAL,
    World,
    before,
    candidate,
    with_device,
    with_gateway,
)


def run(world: World, until: Phase, *, limit: int = 2_000) -> list[Phase]:
    """Let the world go on by half hours, a person approving, until a phase; return the phases."""
    phases = [world.view.phase]
    for _ in range(limit):
        if world.view.phase is until:
            return phases
        action = next_action(world.view)
        if action is not None:
            allowed(world, action)
            world.do(action)
        else:
            awaited = [one.reason for one in gate_of(world.view).blockers]
            if awaited == [BlockReason.AWAITING_APPROVAL]:
                is_planned = world.view.phase is Phase.PLANNED
                world.approve(Consent.BEGIN if is_planned else Consent.REMOVE)
            else:
                world.pass_time(timedelta(minutes=30))
        if world.view.phase is not phases[-1]:
            phases.append(world.view.phase)
        assert all(world.accepts(name) for name in DEVICES), "a device is dark"
    raise AssertionError(f"{world.view.phase}: {gate_of(world.view)}")


def allowed(world: World, action: Action) -> None:
    """No step that is not in the table, and none that somebody depends on."""
    view = world.view
    assert (view.phase, action.step) in TRANSITIONS
    if action.step is Step.REMOVE and action.anchor == OLD_CA:
        assert all(found.needs_old is False for found in view.facts.gateways.values())
    if action.step is Step.ROTATE:
        for name in action.gateways:
            for one in view.behind(name):
                assert one.accepts_candidate
                assert view.plan.is_renewal or (one.trusts_new and one.is_fresh(view.now))


def test_a_rotation_goes_through_all_phases_and_no_device_goes_dark() -> None:
    world = World()

    phases = run(world, Phase.DONE)

    assert phases == [
        Phase.PLANNED, Phase.ADDING, Phase.VALIDATING, Phase.CANARY, Phase.ROTATING,
        Phase.OVERLAP, Phase.REMOVING, Phase.DONE,
    ]  # fmt: skip
    assert {frozenset(store) for store in world.stores.values()} == {frozenset({NEW_CA})}
    assert world.now - world.view.facts.gathered_at == timedelta(0)
    rotated = [world.marks.gateway(name).rotated_at for name in GATEWAYS]
    assert all(at is not None and world.now - at >= 7 * DAY for at in rotated)


def test_a_renewal_takes_the_short_path() -> None:
    world = World(RENEWAL)

    phases = run(world, Phase.DONE)

    assert Phase.ADDING not in phases
    assert Phase.REMOVING not in phases
    assert {frozenset(store) for store in world.stores.values()} == {frozenset({OLD_CA})}


def test_a_device_that_never_reports_holds_the_rotation_by_name_until_it_is_left_out() -> None:
    world = World()
    world.dead.add("dev-3")
    world.facts = with_device(world.facts, "dev-3", reported_at=None, trusts_new=None, word=None)

    for _ in range(500):
        action = next_action(world.view)
        if action is not None:
            world.do(action)
        elif world.view.phase is Phase.PLANNED:
            world.approve(Consent.BEGIN)
        else:
            world.pass_time(timedelta(hours=1))

    assert world.view.phase is Phase.ADDING
    gate = gate_of(world.view)
    assert gate.is_open is None
    assert [(one.name, one.reason) for one in gate.blockers] == [
        ("dev-3", BlockReason.NEVER_REPORTED)
    ]
    assert "rotation exclude dev-3" in gate.blockers[0].unblocks
    world.marks = replace(world.marks, excluded={"dev-3": "scrapped"})
    assert next_action(world.view) is not None


def test_a_canary_that_starts_failing_is_put_back_alone() -> None:
    world = World()
    run(world, Phase.CANARY)
    while world.facts.gateways["gw-1"].served != candidate("gw-1"):
        action = next_action(world.view)
        assert action is not None
        world.do(action)
    world.facts = with_device(
        world.facts, "dev-1", failing=Reason.UNKNOWN_CA, failing_at=world.now, full_at=None
    )

    action = next_action(world.view)
    assert action is not None
    assert (action.step, action.gateways) == (Step.ROLL_BACK, ("gw-1",))
    assert "sensor" in action.why
    world.do(action)

    assert world.facts.gateways["gw-1"].served == before("gw-1")
    blockers = gate_of(world.view).blockers
    assert [(one.name, one.reason) for one in blockers] == [("gw-1", BlockReason.ROLLED_BACK)]
    assert next_action(world.view) is None


def test_clients_that_come_by_ticket_only_keep_the_gate_shut() -> None:
    world = World()
    run(world, Phase.CANARY)
    for _ in range(3):
        action = next_action(world.view)
        if action is not None:
            world.do(action)
    world.dead.update({"dev-1", "dev-4"})
    for name in ("dev-1", "dev-4"):
        world.facts = with_device(world.facts, name, full_at=None, is_by_ticket=True)

    world.pass_time(2 * HOUR)

    assert next_action(world.view) is None
    gate = gate_of(world.view)
    reasons = {one.name: one.reason for one in gate.blockers}
    assert reasons["dev-1"] is BlockReason.TICKETS_ONLY
    assert reasons["gw-1"] is BlockReason.UNCONFIRMED
    # we die here; the agent goes back by itself, and that is what is told
    world.facts = with_gateway(world.facts, "gw-1", served=before("gw-1"), needs_old=True)
    world.look()
    assert "not confirmed in time" in world.marks.gateway("gw-1").rolled_back_why


def test_somebody_rotating_by_hand_stops_it_until_it_is_adopted_or_undone() -> None:
    world = World()
    run(world, Phase.VALIDATING)
    world.facts = with_gateway(world.facts, "gw-2", served="e" * 64)

    assert next_action(world.view) is None
    assert [one.reason for one in gate_of(world.view).blockers].count(BlockReason.DRIFT) == 1


def test_an_abort_before_the_first_rotation_takes_the_new_anchor_back() -> None:
    world = World()
    run(world, Phase.CANARY)
    world.marks = replace(world.marks, is_aborting=True)

    run(world, Phase.ABORTED)

    assert {frozenset(store) for store in world.stores.values()} == {frozenset({OLD_CA})}


def test_an_abort_after_it_puts_gateways_back_and_leaves_both_trusted() -> None:
    world = World()
    run(world, Phase.ROTATING)
    world.marks = replace(world.marks, is_aborting=True)

    run(world, Phase.ROLLED_BACK)

    assert {frozenset(store) for store in world.stores.values()} == {frozenset({OLD_CA, NEW_CA})}
    assert all(found.served == before(name) for name, found in world.facts.gateways.items())


def test_an_abort_while_removing_adds_the_old_ca_again() -> None:
    world = World()
    run(world, Phase.REMOVING)
    world.marks = replace(world.marks, is_aborting=True)

    run(world, Phase.ABORTED)

    assert all(OLD_CA in store for store in world.stores.values())


class AnyOrder(RuleBasedStateMachine):
    """Persons, devices and gateways do what they like, in any order; nothing goes dark by us."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.robbed: set[str] = set()
        """Devices whose store somebody else changed: what goes dark by that is not ours."""

    @rule(hours=st.sampled_from([0.5, 4.0, 30.0, 200.0]))
    def time_passes(self, hours: float) -> None:
        self.world.pass_time(timedelta(hours=hours))

    @rule()
    def the_next_step_is_taken(self) -> None:
        action = next_action(self.world.view)
        if action is not None:
            allowed(self.world, action)
            phase = self.world.view.phase
            self.world.do(action)
            if self.world.view.phase not in TRANSITIONS[phase, action.step]:
                raise AssertionError(f"{phase} {action} {self.world.view.phase}")

    @rule(count=st.integers(2, 12))
    def some_steps_are_taken(self, count: int) -> None:
        for _ in range(count):
            self.the_next_step_is_taken()
            self.world.pass_time(timedelta(minutes=30))

    @rule(consent=st.sampled_from(list(Consent)))
    def a_person_approves(self, consent: Consent) -> None:
        self.world.approve(consent)

    @rule(name=st.sampled_from(DEVICES))
    def a_device_dies(self, name: str) -> None:
        self.world.dead.add(name)

    @rule(name=st.sampled_from(DEVICES))
    def a_device_comes_back(self, name: str) -> None:
        self.world.dead.discard(name)
        self.world.report(name)

    @rule(name=st.sampled_from(DEVICES))
    def a_device_is_reset(self, name: str) -> None:
        self.world.stores[name] = {OLD_CA}
        self.robbed.add(name)

    @rule(name=st.sampled_from(DEVICES))
    def a_person_leaves_one_out(self, name: str) -> None:
        marks = self.world.marks
        excluded = {**marks.excluded, name: "broken"}
        self.world.marks = replace(marks, excluded=excluded)
        self.robbed.add(name)

    @rule(name=st.sampled_from(GATEWAYS))
    def somebody_rotates_by_hand(self, name: str) -> None:
        served = self.world.facts.gateways[name].served
        other = candidate(name) if served == before(name) else before(name)
        self.world.facts = with_gateway(
            self.world.facts, name, served=other, needs_old=other == before(name)
        )
        found = self.world.facts.devices.values()
        self.robbed |= {one.name for one in found if one.gateway == name}

    @rule(name=st.sampled_from(GATEWAYS))
    def a_gateway_is_not_seen(self, name: str) -> None:
        self.world.facts = with_gateway(self.world.facts, name, served=None, needs_old=None)

    @rule(is_paused=st.booleans())
    def a_person_pauses(self, is_paused: bool) -> None:
        self.world.marks = replace(self.world.marks, is_paused=is_paused)

    @precondition(lambda self: self.world.now > World().now + 10 * DAY)
    @rule()
    def a_person_aborts(self) -> None:
        self.world.marks = replace(self.world.marks, is_aborting=True)

    @invariant()
    def nobody_is_dark_by_us(self) -> None:
        for name in set(DEVICES) - self.robbed:
            assert self.world.accepts(name), name

    @invariant()
    def the_gate_says_why_nothing_goes_on(self) -> None:
        view = self.world.view
        if view.phase in ENDED or view.marks.is_aborting:
            return
        if next_action(view) is None and gate_of(view).is_open:
            raise AssertionError(f"stuck in {view.phase}")

    def teardown(self) -> None:
        """There is a way out of every state, once everybody can be asked and seen."""
        self.world.dead.clear()
        self.world.marks = replace(self.world.marks, is_aborting=True)
        for name in GATEWAYS:
            if self.world.facts.gateways[name].served is None:
                self.world.facts = with_gateway(
                    self.world.facts, name, served=before(name), needs_old=True
                )
        for _ in range(40):
            self.world.pass_time(HOUR)
            action = next_action(self.world.view)
            if action is not None:
                self.world.do(action)
        assert self.world.view.phase in ENDED


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(
    max_examples=60,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("phase", [Phase.ADDING, Phase.CANARY, Phase.ROTATING, Phase.OVERLAP])
def test_a_pause_starts_nothing_further(phase: Phase) -> None:
    world = World()
    run(world, phase)
    world.marks = replace(world.marks, is_paused=True)

    assert next_action(world.view) is None
    assert PLAN.hash == world.plan.hash
