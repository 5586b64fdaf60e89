"""What a rotation meets on its way: the gate holds, what is in the way is named, nobody is dark.

With scripted APIs and a real store; what needs a real terminator is in ``test_real_situations``.
"""

import json
from collections.abc import Collection
from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import text

from exporter.observations import Reason
from exporter.rotation.blockers import BlockReason
from exporter.rotation.model import Phase
from tests.rotation.conftest import Started
from tests.rotation.scripted import HOUR, NEW_CA, OLD_CA, START, Device
from tests.rotation.stand import Stand

R = BlockReason
DAY = timedelta(days=1)


async def held(stand: Stand, *, looks: int = 12) -> set[tuple[str, BlockReason]]:
    """What is in the way once nothing has gone on for some hours."""
    for _ in range(looks):
        while await stand.tick():
            pass
        await stand.fleet.pass_time(HOUR)
    await stand.tick()
    assert not stand.fleet.dark
    return stand.blockers


def on_new(stand: Stand) -> Collection[str]:
    return {one.name for one in stand.fleet.gateways.values() if one.serving != one.before}


async def test_a_device_whose_later_report_lacks_the_anchor_keeps_its_gateway_back(
    stand: Stand,
) -> None:
    await stand.until(Phase.ROTATING)
    lapsed = stand.fleet.devices["gw-03-dev-1"]
    lapsed.store.discard(NEW_CA)
    lapsed.ignores_adds = True

    blockers = await held(stand)

    assert blockers == {("gw-03-dev-1", R.ANCHOR_MISSING)}
    assert "gw-03" not in on_new(stand)
    lapsed.ignores_adds = False
    await stand.rotator.resume("r-1", by="ann")
    await stand.until(Phase.OVERLAP)


async def test_a_device_that_joins_in_the_middle_gets_the_anchor_before_anything_else(
    stand: Stand,
) -> None:
    await stand.until(Phase.ROTATING)
    joined = Device("gw-03-late", "gw-03", "production", ignores_adds=True)
    stand.fleet.devices[joined.name] = joined

    blockers = await held(stand)

    assert blockers == {("gw-03-late", R.ANCHOR_MISSING)}
    assert "gw-03" not in on_new(stand)
    joined.ignores_adds = False
    await stand.rotator.resume("r-1", by="ann")
    await stand.until(Phase.OVERLAP)
    assert NEW_CA in joined.store


async def test_a_device_that_retires_is_waited_for_no_longer(stand: Stand) -> None:
    stand.fleet.devices["gw-02-dev-1"].never_reports = True
    await stand.until(Phase.ADDING)
    assert await held(stand) == {("gw-02-dev-1", R.NEVER_REPORTED)}

    del stand.fleet.devices["gw-02-dev-1"]  # by the inventory: nobody here left it out

    await stand.until(Phase.OVERLAP)
    assert not stand.rotator.seen["r-1"].rotation.marks.excluded


async def test_a_device_under_another_name_is_asked_as_one_that_is_not_known(
    stand: Stand,
) -> None:
    await stand.until(Phase.ROTATING)
    renamed = replace(stand.fleet.devices.pop("gw-03-dev-0"), name="gw-03-other")
    renamed.never_reports = True
    stand.fleet.devices[renamed.name] = renamed

    blockers = await held(stand)

    assert blockers == {("gw-03-other", R.NEVER_REPORTED)}
    assert "gw-03" not in on_new(stand)
    renamed.never_reports = False
    await stand.until(Phase.OVERLAP)


async def test_forty_devices_that_sleep_for_nine_days_are_waited_for_by_name(
    started: Started,
) -> None:
    async with started(gateways=3, each=20) as stand:
        sleepers = [one for one in stand.fleet.devices.values() if one.gateway != "gw-01"]
        for one in sleepers:
            one.asleep_until = START + 9 * DAY
        await stand.until(Phase.ADDING)

        blockers = await held(stand, looks=4)
        gate = stand.rotator.seen["r-1"].gate
        while stand.clock.now() < START + 9 * DAY:
            assert not on_new(stand)
            await stand.fleet.pass_time(3 * HOUR)
            await stand.tick()
        await stand.until(Phase.OVERLAP)
        view = stand.rotator.seen["r-1"].view
        await stand.until(Phase.DONE)

    assert len(blockers) == len(sleepers) == 40
    assert blockers == {(one.name, R.STALE) for one in sleepers}
    assert gate.is_open is None
    # Whoever slept so long once may sleep so long again: both CAs stay trusted as long
    rotated_at = max(one.rotated_at for one in view.marks.gateways.values() if one.rotated_at)
    assert view.position.overlap_end is not None
    assert view.position.overlap_end - rotated_at >= 9 * DAY - 3 * HOUR


async def test_who_was_left_out_after_a_long_silence_makes_no_overlap_longer(
    stand: Stand,
) -> None:
    gone = stand.fleet.devices["gw-02-dev-0"]
    gone.asleep_until = START + 1_000 * DAY
    await stand.until(Phase.ADDING)
    await stand.fleet.pass_time(30 * DAY)
    await held(stand)

    await stand.rotator.exclude("r-1", gone.name, by="ann", reason="scrapped")
    gone.store.add(NEW_CA)  # else it would count as gone dark, which it may now
    await stand.until(Phase.ROTATING)
    while on_new(stand) != {"gw-01", "gw-02", "gw-03"}:
        await stand.tick()
        await stand.fleet.pass_time(HOUR / 2)
    await stand.tick()
    view = stand.rotator.seen["r-1"].view

    assert view.position.overlap_end is not None
    assert view.position.overlap_end - stand.clock.now() <= 7 * DAY


async def test_a_class_of_devices_that_refuses_is_named_and_its_gateway_alone_goes_back(
    stand: Stand,
) -> None:
    for one in stand.fleet.devices.values():
        if one.gateway == "gw-02":
            one.device_class = "old OpenSSL"
    await stand.until(Phase.ROTATING)
    while on_new(stand) != {"gw-01", "gw-02"}:
        await stand.tick()
    stand.fleet.devices["gw-02-dev-1"].failing = Reason.UNKNOWN_CA

    blockers = await held(stand)

    assert blockers == {("gw-02", R.ROLLED_BACK)}
    assert "old OpenSSL" in stand.rotator.seen["r-1"].gate.blockers[0].unblocks
    assert on_new(stand) == {"gw-01"}
    await stand.rotator.abort("r-1", by="ann", reason="another firmware first")
    await stand.until(Phase.ROLLED_BACK)


async def test_a_canary_device_that_is_off_lets_nothing_pass(stand: Stand) -> None:
    await stand.until(Phase.CANARY)
    stand.fleet.devices["gw-01-dev-0"].is_dead = True

    blockers = await held(stand, looks=48)

    assert blockers == {("gw-01-dev-0", R.NOT_SEEN)}
    assert stand.rotator.seen["r-1"].gate.is_open is None
    assert on_new(stand) == {"gw-01"}
    stand.fleet.devices["gw-01-dev-0"].is_dead = False
    await stand.until(Phase.OVERLAP)


async def test_a_gateway_that_used_the_old_ca_yesterday_keeps_it_from_being_removed(
    stand: Stand,
) -> None:
    await stand.until(Phase.OVERLAP)
    await stand.fleet.pass_time(7 * DAY)
    # Nobody planned it: it came into service yesterday, by the old CA
    another = replace(stand.fleet.gateways["gw-03"], name="gw-99", sent=[])
    another.serving, another.activated_at = another.before, stand.clock.now() - DAY
    stand.fleet.gateways["gw-99"] = another

    blockers = await held(stand)

    assert blockers == {("gw-99", R.NEEDS_OLD), ("r-1", R.AWAITING_APPROVAL)}
    await stand.approve()
    assert await held(stand) == {("gw-99", R.NEEDS_OLD)}
    assert all(OLD_CA in one.store for one in stand.fleet.devices.values())
    another.serving = another.candidate_leaf
    await stand.until(Phase.DONE)


async def test_three_of_eighteen_that_fail_to_remove_are_named_and_it_is_not_done(
    started: Started,
) -> None:
    async with started(gateways=3, each=6) as stand:
        await stand.until(Phase.OVERLAP)
        names = ("gw-02-dev-0", "gw-02-dev-3", "gw-03-dev-5")
        failing = [stand.fleet.devices[name] for name in names]
        failing[0].failure = failing[1].failure = "the store cannot be written"
        failing[2].ignores_removals = True
        await stand.until(Phase.REMOVING)

        blockers = await held(stand, looks=24)
        trusting = {one.name for one in stand.fleet.devices.values() if OLD_CA in one.store}

        assert blockers == {
            (names[0], R.FAILED), (names[1], R.FAILED), (names[2], R.STILL_TRUSTED),
        }  # fmt: skip
        assert trusting == set(names)
        for one in failing:
            one.failure, one.ignores_removals = "", False
        await stand.rotator.resume("r-1", by="ann")
        await stand.until(Phase.DONE)


async def test_a_full_store_is_named_with_the_devices_own_words_until_it_has_room(
    stand: Stand,
) -> None:
    full = stand.fleet.devices["gw-02-dev-0"]
    full.failure = "No space left on device"
    await stand.until(Phase.ADDING)

    blockers = await held(stand)

    assert blockers == {(full.name, R.FAILED)}
    assert full.failure in stand.rotator.seen["r-1"].gate.blockers[0].unblocks
    assert not on_new(stand)
    full.failure = ""
    await stand.rotator.resume("r-1", by="ann")
    await stand.until(Phase.OVERLAP)


async def test_a_service_of_another_version_goes_on_in_the_middle(stand: Stand) -> None:
    await stand.until(Phase.ROTATING)
    async with stand.store.writing() as connection:
        row = (await connection.execute(text("SELECT marks FROM rotation"))).one()
        await connection.execute(
            text("UPDATE rotation SET marks = :marks"), {"marks": json.dumps(older(row.marks))}
        )

    stand.rotator = stand.made()
    await stand.until(Phase.DONE)

    assert all(one.store == {NEW_CA} for one in stand.fleet.devices.values())


LATER = ("phase", "phase_at", "longest_absence_s", "longest_absent", "resumed_at", "resumed_count")


def older(marks: str) -> Any:
    """The same as the first version kept it, and with what a later one may add."""
    told = json.loads(marks)
    for name in LATER:
        del told[name]
    for gateway in told["gateways"].values():
        del gateway["asked_at"]
    return told | {"of_a_later_version": True}


async def test_while_all_of_our_services_are_down_nothing_is_removed(stand: Stand) -> None:
    await stand.until(Phase.OVERLAP)

    await stand.fleet.pass_time(30 * DAY)
    stand.fleet.devices["gw-02-dev-0"].is_dead = True
    stand.fleet.devices["gw-02-dev-0"].never_reports = True
    stand.rotator = stand.made()
    blockers = await held(stand)

    # Time alone advances nothing: what is known must be fresh, and a person must say so
    assert blockers == {("gw-02-dev-0", R.NEVER_REPORTED), ("r-1", R.AWAITING_APPROVAL)}
    assert all(OLD_CA in one.store for one in stand.fleet.devices.values())
    stand.fleet.devices["gw-02-dev-0"].is_dead = False
    stand.fleet.devices["gw-02-dev-0"].never_reports = False
    await stand.until(Phase.DONE)
