"""What the page says of rotations: way, gate, who is in the way, and how far each device is."""

from dataclasses import replace
from datetime import timedelta

import pytest

from exporter.fleet_page.obstacles import obstacles_of
from exporter.fleet_page.query import Asked
from exporter.fleet_page.reached import REACHED_WORDS, Reached
from exporter.fleet_page.rotations import (
    GATEWAY_WORDS,
    MODE_WORDS,
    PHASE_WORDS,
    RotationBoard,
    Rotations,
    board_of,
    boards_of,
)
from exporter.modes import Mode
from exporter.observations import Reason
from exporter.rotation.blockers import Blocker, BlockReason, Gate, Subject
from exporter.rotation.model import (
    DeviceMark,
    Facts,
    GatewayMark,
    Marks,
    Phase,
    PlannedGateway,
)
from exporter.rotation.options import Options
from exporter.rotation.records import Rotation
from exporter.rotation.seen import Seen, seen_of
from exporter.rotation.view import view_of
from tests.fake_clock import FakeClock
from tests.rotation.scripted import NEW_CA, START, ScriptedFleet

DAY = timedelta(days=1)


def fleet(**known: int) -> ScriptedFleet:
    return ScriptedFleet(FakeClock(START), **known)


def signed(made: ScriptedFleet) -> Marks:
    """A plan that is approved; each gateway has its candidate."""
    marks = {
        name: GatewayMark(candidate=one.candidate_leaf) for name, one in made.gateways.items()
    }
    return Marks(gateways=marks, begun_at=START)


def seen(made: ScriptedFleet, marks: Marks, **plan: object) -> Seen:
    rotation = made.rotation
    rotation = replace(rotation, marks=marks, plan=replace(rotation.plan, **plan))  # type: ignore[arg-type] # names of fields
    facts = _facts(made, rotation)
    facts = replace(
        facts,
        gateways={n: replace(one, candidate_faults=()) for n, one in facts.gateways.items()},
    )
    view = view_of(rotation.plan, facts, marks, now=START, options=Options(mode=Mode.ACT))
    return seen_of(rotation, view)


def _facts(made: ScriptedFleet, rotation: Rotation) -> Facts:
    """What the scripted fleet says; it waits for nothing, and there may be a loop already."""
    asking = made.facts(rotation)
    try:
        asking.send(None)
    except StopIteration as told:
        found: Facts = told.value
        return found
    raise AssertionError("a scripted fleet waits for nothing")


def board(made: ScriptedFleet, marks: Marks, **plan: object) -> RotationBoard:
    return board_of(seen(made, marks, **plan), Mode.ACT)


def trusting(made: ScriptedFleet) -> ScriptedFleet:
    for device in made.devices.values():
        device.store.add(NEW_CA)
    return made


def validated(made: ScriptedFleet, marks: Marks) -> Marks:
    asked = {
        name: DeviceMark(
            added_at=START,
            validated=made.gateways[one.gateway].candidate_leaf,
            validated_at=START,
            is_valid=True,
        )
        for name, one in made.devices.items()
    }
    return replace(marks, devices=asked)


def on_new(made: ScriptedFleet, marks: Marks, *, is_confirmed: bool = True) -> Marks:
    for one in made.gateways.values():
        made.serve(one.name, one.candidate_leaf)
    served = {
        name: replace(one, rotated_at=START - 9 * DAY, is_confirmed=is_confirmed)
        for name, one in marks.gateways.items()
    }
    for device in made.devices.values():
        made.connect(device)
    return replace(marks, gateways=served)


def test_all_that_can_be_told_has_words() -> None:
    assert set(PHASE_WORDS) == set(Phase)
    assert set(MODE_WORDS) == set(Mode)
    assert set(REACHED_WORDS) == set(Reached)
    assert set(GATEWAY_WORDS) == {"unknown", "rolled_back", "waiting", "on_new", "settled"}


def test_a_plan_waits_for_a_person_with_the_command_that_says_yes() -> None:
    made = fleet()
    told = board(made, replace(signed(made), begun_at=None))

    assert (told.phase, told.gate, told.level) == (Phase.PLANNED, "shut", "warn")
    assert told.approval.startswith("fleet-tls-exporter rotation approve r-1 --plan-hash ")
    assert [one.reason for one in told.obstacles] == [BlockReason.AWAITING_APPROVAL]
    assert [one.place for one in told.passages] == ["here", *["ahead"] * 7]


def test_a_yes_is_not_asked_for_first_while_something_else_is_in_the_way() -> None:
    made = fleet()
    told = board(made, Marks())

    assert told.phase is Phase.PLANNED
    assert BlockReason.AWAITING_APPROVAL not in {one.reason for one in told.obstacles}


def test_devices_that_lack_the_new_ca_are_in_the_way_by_name_and_come_first() -> None:
    made = trusting(fleet())
    made.devices["gw-03-dev-1"].store.discard(NEW_CA)
    made.devices["gw-02-dev-0"].never_reports = True
    told = board(made, signed(made))

    assert told.phase is Phase.ADDING
    names = {name for one in told.obstacles for it in one.sayings for name in it.names}
    assert names == {"gw-03-dev-1", "gw-02-dev-0"}
    assert [(one.device, one.reached) for one in told.places[:2]] == [
        ("gw-02-dev-0", Reached.UNKNOWN),
        ("gw-03-dev-1", Reached.WAITING),
    ]
    assert told.counts == {Reached.UNKNOWN: 1, Reached.WAITING: 1, Reached.TRUSTS: 4}


STATES = [
    pytest.param("validated", Reached.WILLING, Phase.CANARY, id="willing"),
    pytest.param("served", Reached.PROVEN, Phase.OVERLAP, id="proven"),
    pytest.param("refusing", Reached.REFUSES, Phase.CANARY, id="refuses"),
    pytest.param("removing", Reached.RELEASED, Phase.REMOVING, id="released"),
    pytest.param("excluded", Reached.LEFT_OUT, Phase.CANARY, id="left out"),
]


@pytest.mark.parametrize(("what", "reached", "phase"), STATES)
def test_how_far_a_device_is_follows_from_what_is_measured(
    what: str, reached: Reached, phase: Phase
) -> None:
    made = trusting(fleet())
    marks = validated(made, signed(made))
    if what in {"served", "refusing", "removing"}:
        marks = on_new(made, marks)
    if what == "refusing":
        made.devices["gw-01-dev-0"].failing = Reason.UNKNOWN_CA
        made.devices["gw-01-dev-0"].full_at = None
    if what == "removing":
        for device in made.devices.values():
            device.store = {NEW_CA}
        marks = replace(marks, removing_at=START)
    if what == "excluded":
        marks = replace(marks, excluded={"gw-01-dev-0": "in a museum"})
    told = board(made, marks)

    found = {one.device: one.reached for one in told.places}
    assert (told.phase, found["gw-01-dev-0"]) == (phase, reached)
    assert set(told.counts) <= {reached, Reached.WILLING, Reached.PROVEN}


def test_a_refusal_is_bad_and_names_the_device_that_refuses() -> None:
    made = trusting(fleet())
    marks = on_new(made, validated(made, signed(made)))
    made.devices["gw-02-dev-1"].failing = Reason.UNKNOWN_CA
    told = board(made, marks)

    assert told.level == "bad"
    (refusing,) = (one for one in told.obstacles if one.reason is BlockReason.TRUST_FAILURE)
    assert refusing.sayings[0].names == ("gw-02-dev-1",)
    assert told.places[0].device == "gw-02-dev-1"
    assert told.places[0].is_blocking


def test_what_is_done_next_is_told_and_a_pause_and_drift_are_as_well() -> None:
    made = fleet()
    going = board(made, signed(made))
    made.serve("gw-01", "f" * 64)
    paused = board(made, replace(signed(made), is_paused=True))
    aborting = board(made, replace(signed(made), is_aborting=True))

    assert going.next.startswith("add (gw-01-dev-0, gw-01-dev-1): ")
    assert paused.notes[0] == "It is paused; rotation resume goes on."
    assert "somebody changed it by hand" in paused.notes[1]
    assert aborting.notes[0] == "It is being aborted: only the way back is left."
    assert paused.level == "bad"


@pytest.mark.parametrize(
    ("ended", "level"),
    [(Phase.DONE, "good"), (Phase.ROLLED_BACK, "bad"), (Phase.ABORTED, "bad")],
)
def test_how_it_ended_is_shown_as_what_happened(ended: Phase, level: str) -> None:
    made = trusting(fleet())
    told = board(made, replace(on_new(made, signed(made)), ended=ended))

    assert (told.phase, told.level, told.gate, told.next) == (ended, level, "", "")
    assert told.has_ended
    assert told.obstacles == ()
    assert [one.phase for one in told.passages if one.place == "here"] == [ended]
    assert not told.is_stale(START + 30 * DAY)


def test_a_renewal_and_a_fleet_with_one_gateway_go_shorter_ways() -> None:
    made = fleet(gateways=1)
    one_gateway = board(made, signed(made))
    renewal = board(made, signed(made), new_ca=made.rotation.plan.old_ca)

    assert Phase.ROTATING not in {one.phase for one in one_gateway.passages}
    assert [one.phase for one in renewal.passages] == [
        Phase.PLANNED, Phase.VALIDATING, Phase.CANARY, Phase.DONE,
    ]  # fmt: skip
    assert renewal.kind == "renewal under the same CA"


def test_gateways_that_are_not_done_come_first_and_no_page_has_too_many() -> None:
    made = fleet(gateways=70, each=1)
    marks = signed(made)
    put_back = replace(marks.gateways["gw-05"], rolled_back_at=START)
    marks = replace(marks, gateways={**marks.gateways, "gw-05": put_back})
    plan = made.rotation.plan
    gone = PlannedGateway(name="gone", before="0" * 64)
    told = board(made, marks, gateways=(*plan.gateways, gone))

    assert told.gateways[:2] == (("gone", "unknown"), ("gw-05", "rolled_back"))
    assert (len(told.gateways), told.more_gateways) == (60, 11)


def test_ten_thousand_in_the_way_can_be_read_and_each_be_found() -> None:
    made = fleet(gateways=2, each=5_000)
    told = board(made, signed(made))
    shown, count = told.places_for(Asked())
    found, found_count = told.places_for(Asked(text="GW-02-dev-4999"))
    behind, behind_count = told.places_for(Asked(gateway="gw-01", group="canary"))

    assert [(one.count, len(one.sayings[0].names)) for one in told.obstacles] == [(10_000, 12)]
    assert (len(shown), count) == (500, 10_000)
    assert ([one.device for one in found], found_count) == (["gw-02-dev-4999"], 1)
    assert (len(behind), behind_count) == (500, 5_000)
    assert len(told.next) < 500


def test_what_would_unblock_is_said_once_for_all_who_need_the_same() -> None:
    def blocker(number: int, unblocks: str) -> Blocker:
        return Blocker(
            name=f"dev-{number}", subject=Subject.DEVICE, reason=BlockReason.STALE,
            unblocks=unblocks, since=START + number * DAY, expected_at=START - number * DAY,
        )  # fmt: skip

    many = [blocker(n, "it must report again") for n in range(20)]
    few = [blocker(20 + n, f"words {n}") for n in range(8)]

    (told,) = obstacles_of([*few, *many])

    assert (told.count, told.since, told.more_count) == (28, START, 4)
    assert (told.sayings[0].count, len(told.sayings[0].names)) == (20, 12)
    assert told.sayings[0].expected_at == START - 19 * DAY
    assert len(told.sayings) == 5


def test_those_under_way_come_before_those_that_ended() -> None:
    made = fleet()
    under_way = seen(made, signed(made), id="b")
    ended = seen(made, replace(signed(made), ended=Phase.DONE), id="a")

    told = boards_of(Rotations(mode=Mode.ACT, seen={"a": ended, "b": under_way}))

    assert [one.id for one in told] == ["b", "a"]


def test_a_look_of_long_ago_is_stale() -> None:
    made = fleet()
    told = board(made, signed(made))

    assert not told.is_stale(START + timedelta(minutes=5))
    assert told.is_stale(START + timedelta(minutes=6))


def test_a_gate_that_cannot_be_told_is_not_open() -> None:
    made = fleet()
    blind = Blocker(
        name="r-1", subject=Subject.ROTATION, reason=BlockReason.CANNOT_LOOK, unblocks="wait"
    )
    told = board_of(replace(seen(made, signed(made)), gate=Gate(blockers=(blind,))), Mode.DRY_RUN)

    assert told.gate == "not known"
