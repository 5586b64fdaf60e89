"""Whole rotations of fourteen days against scripted APIs, with a real store; in seconds."""

import asyncio
import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from exporter.journal import Kind, entries, faults_in
from exporter.modes import Mode
from exporter.observations import Reason
from exporter.rotation.blockers import BlockReason
from exporter.rotation.model import Phase, Step
from exporter.rotation.options import Options, Signer
from exporter.rotation.records import TakenError
from exporter.rotation.rotate import Rotator
from exporter.rotation.turn import BusyError
from exporter.rotation.words import RotationError
from tests.rotation.scripted import (
    HOUR,
    NEW_CA,
    OLD_CA,
    START,
    killed_at,
    some_faults,
)
from tests.rotation.stand import ACT, Stand


async def test_the_story_of_fourteen_days(stand: Stand) -> None:
    await stand.until(Phase.DONE)

    assert stand.phases == [
        Phase.PLANNED, Phase.ADDING, Phase.VALIDATING, Phase.CANARY, Phase.ROTATING,
        Phase.OVERLAP, Phase.REMOVING, Phase.DONE,
    ]  # fmt: skip
    assert all(one.store == {NEW_CA} for one in stand.fleet.devices.values())
    assert stand.rotator.seen["r-1"].rotation.marks.phase_at == stand.clock.now()
    assert stand.clock.now() - START > timedelta(days=7)
    assert await stand.records.open() == []
    async with stand.store.reading() as connection:
        told = await entries(connection)
    assert list(faults_in(told)) == []
    assert {one.kind for one in told} == {Kind.ROTATION}


@pytest.mark.parametrize("moment", [2, 4, 7, 9, 12, 14, 17, 20, 25, 31])
async def test_killed_at_any_moment_it_goes_on_by_looking(stand: Stand, moment: int) -> None:
    stand.fleet.fault = killed_at(moment)

    await stand.until(Phase.DONE)

    assert all(one.store == {NEW_CA} for one in stand.fleet.devices.values())


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_calls_that_fail_now_and_then_need_no_person(stand: Stand, seed: int) -> None:
    stand.fleet.fault = some_faults(seed, 0.05)

    await stand.until(Phase.DONE)

    assert all(one.store == {NEW_CA} for one in stand.fleet.devices.values())


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_large_fleet_with_faults_needs_named_exclusions_only(tmp_path: Path) -> None:
    # 2,000 devices behind 40 gateways are a minute of CPU: that is for the campaign
    gateways, each = (40, 50) if "FLEET_TLS_CAMPAIGN" in os.environ else (8, 20)
    stand = Stand(tmp_path, gateways=gateways, each=each)
    await stand.store.open()
    await stand.rotator.start(stand.fleet.rotation, by="ann")
    broken = [name for place, name in enumerate(stand.fleet.devices) if place % 20 == 7]
    for name in broken:
        stand.fleet.devices[name].is_dead = stand.fleet.devices[name].ignores_adds = True
    stand.fleet.fault = some_faults(7, 0.05)

    await stand.until(Phase.ADDING)
    while stand.phase is Phase.ADDING:
        if not await stand.tick():
            for name in broken:
                if (name, BlockReason.ANCHOR_MISSING) in stand.blockers:
                    await stand.rotator.exclude("r-1", name, by="ann", reason="broken")
                    del stand.fleet.devices[name]
            await stand.fleet.pass_time(HOUR / 2)

    await stand.until(Phase.DONE, limit=5_000)

    assert len(stand.fleet.devices) == gateways * each * 19 // 20
    assert all(one.store == {NEW_CA} for one in stand.fleet.devices.values())
    await stand.store.close()


async def test_the_only_gateway_is_met_on_the_second_port_first(tmp_path: Path) -> None:
    stand = Stand(tmp_path, gateways=1)
    await stand.store.open()
    await stand.rotator.start(stand.fleet.rotation, by="ann")

    await stand.until(Phase.DONE)

    sent = [key.split(":")[2] for key in stand.fleet.gateways["gw-01"].sent]
    assert sent.index(Step.REHEARSE) < sent.index(Step.ROTATE)
    await stand.store.close()


async def test_a_signer_may_take_its_time_and_no_second_key_is_made(stand: Stand) -> None:
    stand.fleet.is_unsigned = True
    for _ in range(20):
        if not await stand.tick():
            await stand.fleet.pass_time(HOUR)
    assert {reason for _, reason in stand.blockers} == {
        BlockReason.NO_CANDIDATE, BlockReason.AWAITING_APPROVAL,
    }  # fmt: skip
    assert [len(one.sent) for one in stand.fleet.gateways.values()] == [1, 1, 1]

    stand.fleet.is_unsigned = False
    await stand.until(Phase.DONE)


async def test_a_tick_takes_all_steps_that_may_be_taken(stand: Stand) -> None:
    await stand.rotator.tick()
    await stand.approve()
    await stand.rotator.tick()

    assert all(NEW_CA in one.store for one in stand.fleet.devices.values())
    assert not await stand.rotator.step("r-2")


async def test_by_default_nothing_is_changed_and_the_next_step_is_said(stand: Stand) -> None:
    stand.options = Options()

    await stand.tick()

    would = stand.rotator.seen["r-1"].would
    assert would is not None
    assert would.step is Step.ORDER
    assert all(not one.sent for one in stand.fleet.gateways.values())


@pytest.mark.parametrize("is_killed", [True, None])
async def test_the_kill_switch_stops_it(stand: Stand, is_killed: bool | None) -> None:
    stand.is_killed = is_killed

    await stand.tick()

    assert all(not one.sent for one in stand.fleet.gateways.values())


async def test_eighteen_of_eighteen_with_one_device_lacking_the_anchor(stand: Stand) -> None:
    stand.fleet.devices["gw-02-dev-0"].ignores_adds = True
    with pytest.raises(AssertionError, match="adding"):
        await stand.until(Phase.CANARY, limit=60)
    assert stand.blockers == {("gw-02-dev-0", BlockReason.ANCHOR_MISSING)}

    await stand.rotator.exclude("r-1", "gw-02-dev-0", by="ann", reason="scrapped")
    stand.fleet.devices.pop("gw-02-dev-0")
    await stand.until(Phase.DONE)


async def test_a_device_that_never_reports_is_named(stand: Stand) -> None:
    stand.fleet.devices["gw-03-dev-1"].never_reports = True
    with pytest.raises(AssertionError, match="adding"):
        await stand.until(Phase.CANARY, limit=60)

    assert stand.blockers == {("gw-03-dev-1", BlockReason.NEVER_REPORTED)}
    assert stand.rotator.seen["r-1"].gate.is_open is None


async def test_a_canary_that_starts_failing_is_put_back_alone(stand: Stand) -> None:
    await stand.until(Phase.CANARY)
    await stand.tick()
    canary = stand.fleet.gateways["gw-01"]
    assert canary.serving == canary.candidate_leaf
    stand.fleet.devices["gw-01-dev-0"].failing = Reason.UNKNOWN_CA

    await stand.tick()
    await stand.tick()

    assert canary.serving == canary.before
    assert stand.blockers == {("gw-01", BlockReason.ROLLED_BACK)}
    await stand.rotator.resume("r-1", by="ann")
    await stand.until(Phase.DONE)


async def test_clients_by_ticket_only_keep_the_gate_and_the_agent_goes_back(
    stand: Stand,
) -> None:
    for name in ("gw-01-dev-0", "gw-01-dev-1"):
        stand.fleet.devices[name].by_ticket_only = True
    with pytest.raises(AssertionError):
        await stand.until(Phase.ROTATING, limit=60)

    assert stand.fleet.gateways["gw-01"].serving == stand.fleet.gateways["gw-01"].before
    assert stand.blockers == {("gw-01", BlockReason.ROLLED_BACK)}


async def test_a_change_by_hand_stops_it_until_it_is_undone(stand: Stand) -> None:
    await stand.until(Phase.VALIDATING)
    stand.fleet.gateways["gw-02"].serving = stand.fleet.gateways["gw-02"].candidate_leaf
    await stand.tick()
    assert ("r-1", BlockReason.DRIFT) in stand.blockers

    await stand.rotator.undo("r-1", by="ann")
    await stand.tick()
    await stand.tick()
    assert stand.fleet.gateways["gw-02"].serving == stand.fleet.gateways["gw-02"].before
    with pytest.raises(RotationError, match="no gateway serves"):
        await stand.rotator.undo("r-1", by="ann")
    await stand.rotator.resume("r-1", by="ann")
    await stand.until(Phase.DONE)


async def test_a_change_by_hand_may_be_adopted(stand: Stand) -> None:
    await stand.until(Phase.CANARY)
    stand.options = Options()
    gateway = stand.fleet.gateways["gw-02"]
    stand.fleet.serve("gw-02", gateway.candidate_leaf)
    await stand.tick()
    assert ("r-1", BlockReason.DRIFT) in stand.blockers

    await stand.rotator.adopt("r-1", by="ann")
    stand.options = ACT
    await stand.until(Phase.DONE)


async def test_an_abort_is_told_as_what_happened(stand: Stand) -> None:
    await stand.until(Phase.ROTATING)
    await stand.rotator.abort("r-1", by="ann", reason="not today")

    await stand.until(Phase.ROLLED_BACK)

    assert all(one.serving == one.before for one in stand.fleet.gateways.values())
    assert all(one.store == {OLD_CA, NEW_CA} for one in stand.fleet.devices.values())
    with pytest.raises(RotationError, match="has ended: rolled_back"):
        await stand.rotator.pause("r-1", by="ann")


async def test_one_arbiter_is_in_charge_of_a_gateway(stand: Stand) -> None:
    assert Rotator(
        stand.records, stand.fleet, stand.clock, options=lambda: ACT
    ).is_in_charge("gw-01") is None  # fmt: skip
    assert stand.rotator.is_in_charge("gw-01") is False
    await stand.until(Phase.VALIDATING)
    assert stand.rotator.is_in_charge("gw-01") is True
    assert stand.rotator.is_in_charge("elsewhere") is False
    assert stand.rotator.is_removing(OLD_CA) is False
    await stand.until(Phase.DONE)
    await stand.tick()
    assert stand.rotator.is_in_charge("gw-01") is False
    assert stand.rotator.is_removing(OLD_CA) is True
    again = stand.made()
    assert again.is_removing(OLD_CA) is None
    await again.tick()
    assert again.is_removing(OLD_CA) is True


async def test_a_second_start_is_refused(stand: Stand) -> None:
    with pytest.raises(TakenError, match="r-1"):
        await stand.rotator.start(stand.fleet.rotation, by="bob")
    stand.options = Options(mode=Mode.DISABLED)
    with pytest.raises(RotationError, match="disabled"):
        await stand.rotator.start(stand.fleet.rotation, by="bob")


async def test_what_a_person_asks_wrongly_is_refused_with_a_sentence(stand: Stand) -> None:
    with pytest.raises(RotationError, match="no rotation r-2"):
        await stand.rotator.pause("r-2", by="ann")
    with pytest.raises(RotationError, match="hash of another plan"):
        await stand.rotator.approve("r-1", "0" * 64, by="ann")
    with pytest.raises(RotationError, match="no device dev-99"):
        await stand.rotator.exclude("r-1", "dev-99", by="ann", reason="x")
    with pytest.raises(RotationError, match="--reason"):
        await stand.rotator.exclude("r-1", "gw-01-dev-0", by="ann", reason=" ")
    await stand.until(Phase.CANARY)
    with pytest.raises(RotationError, match="nothing waits"):
        await stand.approve()
    await stand.until(Phase.REMOVING)
    with pytest.raises(RotationError, match="nothing that needs it is put back"):
        await stand.rotator.undo("r-1", by="ann")


async def test_a_pause_lasts_over_a_restart(stand: Stand) -> None:
    await stand.until(Phase.CANARY)
    await stand.rotator.pause("r-1", by="ann")
    stand.rotator = stand.made()
    before = [list(one.sent) for one in stand.fleet.gateways.values()]

    await stand.tick()

    assert [one.sent for one in stand.fleet.gateways.values()] == before
    assert ("r-1", BlockReason.PAUSED) in stand.blockers


def test_a_signer_is_a_command_or_a_folder() -> None:
    with pytest.raises(ValueError, match="one of the two"):
        Signer()
    with pytest.raises(ValueError, match="one of the two"):
        Signer(command=("sign",), folder=Path("/x"))
    assert Signer(command=("sign",)).folder is None


@pytest.mark.parametrize(("objecting", "is_served"), [("left-out", True), ("gw-01-dev-0", False)])
async def test_only_for_who_was_left_out_by_a_person_the_agent_is_not_to_ask(
    stand: Stand, objecting: str, is_served: bool
) -> None:
    gateway = stand.fleet.gateways["gw-01"]
    stand.fleet.devices["left-out"] = replace(
        stand.fleet.devices["gw-01-dev-0"], name="left-out", ignores_adds=True, store=set()
    )
    stand.fleet.objecting = (objecting,)
    await stand.tick()
    await stand.rotator.exclude("r-1", "left-out", by="anna", reason="in repair")
    await stand.tick()
    await stand.approve()

    for _ in range(12):
        await stand.tick()

    assert (gateway.serving == gateway.candidate_leaf) is is_served
    told = [one.facts() for one in await stand.records.history("r-1", after=0, limit=1_000)]
    assert any(one.get("left_out") == ["left-out"] for one in told) is is_served


async def test_a_persons_word_waits_for_the_step_under_way_and_is_not_lost(stand: Stand) -> None:
    async with stand.rotator.turn.of_a_person():
        paused = asyncio.ensure_future(stand.rotator.pause("r-1", by="anna"))  # noqa: TID251 - it is to wait
        await asyncio.sleep(0)  # noqa: TID251 - until it does
        is_waiting = not paused.done()
    await paused

    rotation = await stand.records.get("r-1")
    assert is_waiting
    assert rotation is not None
    assert rotation.marks.is_paused


async def test_a_person_is_told_when_a_step_takes_too_long(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.rotation.turn._PATIENCE_S", 0.01)
    async with stand.rotator.turn.of_a_person():
        with pytest.raises(BusyError, match="at this moment; try again"):
            await stand.rotator.pause("r-1", by="anna")


async def test_rotations_that_ended_are_shown_for_a_day(stand: Stand) -> None:
    await stand.rotator.abort("r-1", by="anna", reason="test")
    await stand.rotator.tick()
    shown = set(stand.rotator.seen)
    await stand.clock.advance(2 * 86_400)

    await stand.rotator.tick()

    assert shown == {"r-1"}
    assert stand.rotator.seen == {}


async def test_a_long_silence_that_was_seen_once_lengthens_the_overlap_for_good(
    stand: Stand,
) -> None:
    stand.fleet.absence_s = 12 * 86_400.0
    await stand.rotator.step("r-1")
    stand.fleet.absence_s = 0.0

    await stand.rotator.step("r-1")
    kept = await stand.records.get("r-1")

    assert kept is not None
    assert kept.marks.longest_absence_s == 12 * 86_400.0


async def test_each_gateway_of_a_batch_is_judged_by_what_is_known_then(tmp_path: Path) -> None:
    stand = Stand(tmp_path, gateways=4, each=1)
    stand.options = Options(mode=Mode.ACT, batch_ratio=0.5)
    await stand.store.open()
    await stand.rotator.start(stand.fleet.rotation, by="ann")
    await stand.until(Phase.ROTATING)
    fleet = stand.fleet
    asked: list[str] = []

    def fault(what: str) -> None:
        asked.append(what)
        if what == "after rotate" and fleet.gateways["gw-03"].serving == new("gw-03"):
            # While the first of the batch of two was under way
            fleet.devices["gw-04-dev-0"].store.discard(NEW_CA)

    def new(name: str) -> str:
        return fleet.gateways[name].candidate_leaf

    fleet.fault = fault
    for _ in range(30):
        await stand.tick()
        await fleet.pass_time(HOUR / 2)
        if fleet.gateways["gw-03"].serving == new("gw-03"):
            break
    await stand.store.close()

    assert fleet.gateways["gw-04"].serving == fleet.gateways["gw-04"].before
    assert not fleet.dark
