import asyncio
from datetime import timedelta

import pytest

from exporter.fleet import Basis, FleetSnapshot, TargetState
from exporter.observations import Reason
from exporter.targets.model import Target
from tests.fake_clock import FakeClock
from tests.fleet.stand import (
    NEW,
    OLD,
    STORES,
    certificate,
    device,
    gateway,
    inventory,
    look,
    make_fleet,
    silence,
    state_of,
    store,
)
from tests.pki import utc

GW = gateway(trust_stores=("fw-1", "fw-2"))


class Diary:
    def __init__(self) -> None:
        self.inventories: list[FleetSnapshot] = []
        self.changed: list[TargetState] = []

    def inventory_changed(self, snapshot: FleetSnapshot) -> None:
        self.inventories.append(snapshot)

    def target_changed(self, state: TargetState) -> None:
        self.changed.append(state)


def test_before_the_first_look_nothing_is_known() -> None:
    fleet, _ = make_fleet(FakeClock(), GW)

    state = state_of(fleet)

    assert (state.is_success, state.is_handshake_done, state.is_verified) == (None, None, None)
    assert not state.is_chain_current


def test_a_look_is_judged_by_every_store_of_the_target() -> None:
    clock = FakeClock()
    fleet, _ = make_fleet(clock, GW)

    state = fleet.record(look(GW, clock))

    assert state is state_of(fleet)
    assert {name: verdict.verified for name, verdict in state.verdicts.items()} == {
        "fw-1": True,
        "fw-2": False,
    }
    assert state.is_handshake_done is True
    assert state.is_success is False


def test_success_needs_the_handshake_and_all_stores() -> None:
    clock = FakeClock()
    target = gateway()
    fleet, _ = make_fleet(clock, target)

    fleet.record(look(target, clock))
    assert state_of(fleet).is_success is True

    fleet.record(look(target, clock, handshake=False, reason=Reason.CLIENT_CERT_REQUIRED))
    assert state_of(fleet).is_success is False
    assert state_of(fleet).is_verified is True


def test_what_nothing_can_judge_is_never_a_success() -> None:
    clock = FakeClock()
    bare, unloaded = gateway(trust_stores=()), gateway("gw-2", trust_stores=("not-there",))
    fleet, _ = make_fleet(clock, bare, unloaded)

    fleet.record(look(bare, clock))
    fleet.record(look(unloaded, clock))

    assert state_of(fleet).is_success is None
    assert state_of(fleet, "gw-2").is_success is None


def test_a_handshake_without_a_chain_is_no_success() -> None:
    clock = FakeClock()
    target = gateway()
    fleet, _ = make_fleet(clock, target)
    fleet.record(look(target, clock))

    fleet.record(look(target, clock, chain=()))

    assert state_of(fleet).is_success is False


def test_looks_are_counted_and_failures_by_reason() -> None:
    clock = FakeClock()
    fleet, _ = make_fleet(clock, GW)

    fleet.record(look(GW, clock))
    for reason in (Reason.CONNECT_REFUSED, Reason.CONNECT_TIMEOUT, Reason.CONNECT_REFUSED, None):
        fleet.record(silence(GW, clock, reason=reason))

    state = state_of(fleet)
    assert state.attempt_count == 5
    assert state.failure_counts == {
        Reason.CONNECT_REFUSED: 2,
        Reason.CONNECT_TIMEOUT: 1,
        Reason.OTHER: 1,
    }


def test_a_bad_verdict_is_no_failed_look() -> None:
    clock = FakeClock()
    fleet, _ = make_fleet(clock, GW)

    fleet.record(look(GW, clock, chain=(certificate(issuer="strange CA"),)))

    assert state_of(fleet).failure_counts == {}
    assert state_of(fleet).failing_since is None


async def test_a_row_of_failures_has_a_beginning() -> None:
    clock = FakeClock()
    fleet, _ = make_fleet(clock, GW)
    began = clock.now()

    fleet.record(silence(GW, clock))
    await clock.advance(60)
    fleet.record(silence(GW, clock))
    assert state_of(fleet).failing_since == began

    fleet.record(look(GW, clock))
    assert state_of(fleet).failing_since is None


async def test_dates_stay_and_verdicts_vanish_after_three_looks_without_a_chain() -> None:
    clock = FakeClock()
    fleet, _ = make_fleet(clock, GW)
    fleet.record(look(GW, clock))
    observed = clock.now()

    seen = []
    for _ in range(4):
        await clock.advance(60)
        fleet.record(silence(GW, clock))
        seen.append(len(state_of(fleet).verdicts))

    state = state_of(fleet)
    assert seen == [2, 2, 0, 0]
    assert state.chain == (certificate(),)
    assert state.chain_observed_at == observed
    assert not state.is_chain_current
    assert state.is_success is False


async def test_verdicts_vanish_when_no_look_comes_for_three_intervals() -> None:
    clock = FakeClock()
    fleet, _ = make_fleet(clock, GW)
    fleet.record(look(GW, clock))

    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(fleet.run())
        await clock.advance(179)
        before = state_of(fleet)
        await clock.advance(12)
        after = state_of(fleet)
        running.cancel()

    assert before.is_success is False
    assert len(before.verdicts) == 2
    assert after.is_overdue
    assert after.verdicts == {}
    assert (after.is_success, after.is_handshake_done) == (None, None)
    assert after.chain

    fleet.record(look(GW, clock))
    assert len(state_of(fleet).verdicts) == 2


async def test_what_is_long_dead_stays_a_failure_between_its_rare_looks() -> None:
    clock = FakeClock()
    fleet, _ = make_fleet(clock, GW)
    fleet.record(silence(GW, clock))

    await clock.advance(299)
    fleet.find_overdue()
    assert state_of(fleet).is_success is False

    await clock.advance(700)
    fleet.find_overdue()
    assert state_of(fleet).is_success is None


async def test_a_verdict_changes_at_its_moment_without_a_look() -> None:
    clock = FakeClock(utc("2026-12-31T23:59:00"))
    target = gateway()
    fleet, _ = make_fleet(clock, target)
    fleet.record(look(target, clock, chain=(certificate(not_after="2027-01-01"),)))

    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(fleet.run())
        await clock.advance(58)
        before = state_of(fleet).is_success
        await clock.advance(4)
        after = state_of(fleet)
        running.cancel()

    assert before is True
    assert after.is_success is False
    assert after.verdicts["fw-1"].reasons == (Reason.EXPIRED,)
    assert after.attempt_count == 1


async def test_many_verdicts_that_end_at_once_are_made_bit_by_bit() -> None:
    clock = FakeClock(utc("2026-12-31T23:59:00"))
    targets = [gateway(f"gw-{number}") for number in range(120)]
    fleet, _ = make_fleet(clock, *targets)
    for target in targets:
        chain = (certificate(f"{target.name}.example", not_after="2027-01-01"),)
        fleet.record(look(target, clock, chain=chain))
    clock.jump_wall(timedelta(minutes=2))

    rounds = 0
    while fleet.judge_due():
        rounds += 1

    assert rounds == 3
    assert all(state.is_success is False for state in fleet.snapshot().targets.values())


def test_devices_behind_a_gateway_are_judged_once_for_all_that_hold_the_same() -> None:
    clock = FakeClock()
    devices = [device(f"dev-{number:02}") for number in range(18)]
    both = device("dev-both", holds=("fw-1", "fw-2"))
    fleet, judge = make_fleet(clock, gateway(trust_stores=()), *devices, both)

    fleet.record(look(gateway(trust_stores=()), clock))

    told = fleet.snapshot().acceptances
    assert len(told) == 19
    assert {accepted.basis for accepted in told.values()} == {Basis.INVENTORY}
    assert all(accepted.verdict.verified for accepted in told.values())
    assert [name for name, _ in judge.judged] == ["fw-1", "fw-1+fw-2"]


def test_the_outage_a_chain_of_a_new_ca_is_refused_by_every_device() -> None:
    clock = FakeClock()
    gw = gateway()
    devices = [device(f"dev-{number:02}") for number in range(18)]
    fleet, _ = make_fleet(clock, gw, *devices)
    fleet.record(look(gw, clock))

    fleet.record(look(gw, clock, chain=(certificate(issuer="new CA"),)))

    told = fleet.snapshot().acceptances
    assert [accepted.verdict.reasons for accepted in told.values()] == [(Reason.UNKNOWN_CA,)] * 18


def test_the_gateways_name_is_part_of_what_devices_accept() -> None:
    clock = FakeClock()
    gw = gateway(server_name="other.example")
    fleet, _ = make_fleet(clock, gw, device())

    fleet.record(look(gw, clock))

    assert state_of(fleet, "dev-01").acceptance is not None
    verdict = fleet.snapshot().acceptances["dev-01"].verdict
    assert verdict.reasons == (Reason.HOSTNAME_MISMATCH,)


def test_nothing_is_predicted_of_a_device_that_we_know_too_little_of() -> None:
    clock = FakeClock()
    gw = gateway()
    fleet, _ = make_fleet(
        clock,
        gw,
        device("holds-nothing", holds=()),
        device("holds-half", holds=("fw-1", "not-there")),
        device("no-gateway", gateway=None),
        device("other-gateway", gateway="gw-2"),
    )

    fleet.record(look(gw, clock))

    assert fleet.snapshot().acceptances == {}


def test_predictions_vanish_with_the_gateways_chain() -> None:
    clock = FakeClock()
    gw = gateway()
    fleet, _ = make_fleet(clock, gw, device())
    fleet.record(look(gw, clock))

    for _ in range(3):
        assert len(fleet.snapshot().acceptances) == 1
        fleet.record(silence(gw, clock))

    assert fleet.snapshot().acceptances == {}


async def test_a_prediction_changes_at_its_moment_without_a_look() -> None:
    clock = FakeClock(utc("2026-12-31T23:59:00"))
    gw = gateway(trust_stores=())
    fleet, _ = make_fleet(clock, gw, device())
    fleet.record(look(gw, clock, chain=(certificate(not_after="2027-01-01"),)))

    await clock.advance(61)
    fleet.judge_due()

    assert fleet.snapshot().acceptances["dev-01"].verdict.reasons == (Reason.EXPIRED,)


def test_a_snapshot_does_not_change_afterwards() -> None:
    clock = FakeClock()
    fleet, _ = make_fleet(clock, GW)
    before = fleet.snapshot()

    fleet.record(look(GW, clock))
    fleet.use(inventory(), {})

    assert before.targets["gw-1"].observation is None
    assert list(before.targets) == ["gw-1"]
    assert dict(before.stores) == STORES
    with pytest.raises(TypeError):
        before.targets["gw-1"] = state_of  # type: ignore[index]  # that is the test


def test_a_snapshot_is_the_same_object_while_nothing_changes() -> None:
    clock = FakeClock()
    fleet, _ = make_fleet(clock, GW)
    fleet.record(look(GW, clock))

    assert fleet.snapshot() is fleet.snapshot()


def test_an_unchanged_chain_and_its_verdicts_stay_the_same_objects() -> None:
    clock = FakeClock()
    fleet, judge = make_fleet(clock, GW, device())
    first = fleet.record(look(GW, clock))
    judged = len(judge.judged)

    second = fleet.record(look(GW, clock))

    assert first is not None
    assert second is not None
    assert second.chain is first.chain
    assert second.verdicts is first.verdicts
    assert len(judge.judged) == judged


def test_a_look_at_what_is_no_longer_there_is_passed_over() -> None:
    clock = FakeClock()
    fleet, _ = make_fleet(clock, GW)

    moved = look(gateway(host="gw-1.elsewhere"), clock)

    assert fleet.record(moved) is None
    assert fleet.record(look(gateway("gw-9"), clock)) is None
    assert fleet.stats.ignored_count == 2
    assert fleet.stats.observation_count == 0
    assert state_of(fleet).observation is None


def test_a_reload_keeps_the_state_of_unchanged_targets() -> None:
    clock = FakeClock()
    gw, dev = gateway(), device()
    fleet, judge = make_fleet(clock, gw, dev)
    before = fleet.record(look(gw, clock))
    told = state_of(fleet, "dev-01").acceptance
    judged = len(judge.judged)

    fleet.use(inventory(gw, device("dev-02"), dev), STORES)

    assert state_of(fleet) is before
    assert state_of(fleet, "dev-01").acceptance is told
    assert state_of(fleet, "dev-02").acceptance is told
    assert len(judge.judged) == judged


def test_a_reload_with_other_labels_keeps_what_was_seen() -> None:
    clock = FakeClock()
    fleet, judge = make_fleet(clock, gateway())
    before = fleet.record(look(gateway(), clock))
    assert before is not None
    judged = len(judge.judged)

    fleet.use(inventory(gateway(rollout_group="canary")), STORES)

    state = state_of(fleet)
    assert state.target.rollout_group == "canary"
    assert state.chain is before.chain
    assert state.verdicts is before.verdicts
    assert len(judge.judged) == judged


@pytest.mark.parametrize(
    "moved",
    [
        gateway(host="gw-9.example"),
        gateway(port=443),
        gateway(server_name="x"),
        gateway(protocol="dtls"),
    ],
)
def test_another_endpoint_begins_anew(moved: Target) -> None:
    clock = FakeClock()
    gw = gateway()
    fleet, _ = make_fleet(clock, gw, device())
    fleet.record(look(gw, clock))

    fleet.use(inventory(moved, device()), STORES)

    assert state_of(fleet).attempt_count == 0
    assert state_of(fleet).chain == ()
    assert fleet.snapshot().acceptances == {}


def test_a_removed_gateway_takes_its_predictions_along() -> None:
    clock = FakeClock()
    gw = gateway()
    fleet, _ = make_fleet(clock, gw, device())
    fleet.record(look(gw, clock))

    fleet.use(inventory(device()), STORES)
    assert fleet.snapshot().acceptances == {}
    assert list(fleet.snapshot().targets) == ["dev-01"]

    fleet.use(inventory(gw, device()), STORES)
    assert fleet.snapshot().acceptances == {}


def test_another_trust_store_is_judged_by_at_once_for_a_few_targets() -> None:
    clock = FakeClock()
    gw = gateway()
    fleet, _ = make_fleet(clock, gw, device())
    fleet.record(look(gw, clock))

    fleet.use(inventory(gw, device()), {"fw-1": NEW})

    assert state_of(fleet).verdicts["fw-1"].reasons == (Reason.UNKNOWN_CA,)
    assert not fleet.snapshot().acceptances["dev-01"].verdict.verified


def test_a_store_with_the_same_anchors_changes_nothing() -> None:
    clock = FakeClock()
    fleet, judge = make_fleet(clock, gateway())
    before = fleet.record(look(gateway(), clock))
    judged = len(judge.judged)

    fleet.use(inventory(before.target if before else gateway()), {"fw-1": store("fw-1", "old CA")})

    assert state_of(fleet) is before
    assert len(judge.judged) == judged


def test_of_many_targets_the_rest_is_judged_later_and_absent_meanwhile() -> None:
    clock = FakeClock()
    targets = [gateway(f"gw-{number}") for number in range(120)]
    fleet, _ = make_fleet(clock, *targets)
    for target in targets:
        chain = (certificate(f"{target.name}.example"),)
        fleet.record(look(target, clock, chain=chain))

    fleet.use(inventory(*targets), {"fw-1": store("fw-1", "old CA", "other CA")})

    absent = [s for s in fleet.snapshot().targets.values() if s.is_success is None]
    assert len(absent) == 70
    while fleet.judge_due():
        pass
    assert all(state.is_success for state in fleet.snapshot().targets.values())


def test_a_target_that_leaves_is_not_judged_any_more() -> None:
    clock = FakeClock(utc("2026-12-31T23:59:00"))
    fleet, _ = make_fleet(clock, gateway())
    fleet.record(look(gateway(), clock, chain=(certificate(not_after="2027-01-01"),)))

    fleet.use(inventory(), STORES)
    clock.jump_wall(timedelta(hours=1))

    assert fleet.judge_due() is False


async def test_a_shorter_interval_makes_looks_overdue_sooner() -> None:
    clock = FakeClock()
    fleet, _ = make_fleet(clock, gateway())
    fleet.record(look(gateway(), clock))
    fleet.use(inventory(gateway()), STORES, interval_s=1.0, slow_s=5.0)
    await clock.advance(4)

    fleet.find_overdue()

    assert state_of(fleet).is_overdue


def test_ca_certificates_that_are_seen_help_to_judge_others() -> None:
    clock = FakeClock()
    fleet, judge = make_fleet(clock, gateway())
    between = certificate("issuing CA", "old CA")

    for _ in range(2):
        fleet.record(look(gateway(), clock, chain=(certificate(issuer="issuing CA"), between)))

    assert judge.learned == [*OLD.anchors, *NEW.anchors, between]


def test_watchers_are_told_the_state_and_then_each_change() -> None:
    clock = FakeClock()
    gw = gateway()
    fleet, _ = make_fleet(clock, gw, device())
    diary = Diary()

    fleet.watch(diary)
    fleet.record(look(gw, clock))
    fleet.use(inventory(gw), STORES)

    assert [list(snapshot.targets) for snapshot in diary.inventories] == [
        ["gw-1", "dev-01"],
        ["gw-1"],
    ]
    assert [state.target.name for state in diary.changed] == ["gw-1", "dev-01"]
    assert diary.changed[0] is diary.inventories[1].targets["gw-1"]
