"""One rollback from its intent to its end, with a gateway that does as a script says."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from exporter.errors import StoreError
from exporter.gateway.api import GatewayError, GatewayReason
from exporter.gateway.messages import OperationStatus, Recovery
from exporter.journal import Kind, entries, faults_in
from exporter.remediation.carry_out import CarryOut
from exporter.remediation.codec import decided
from exporter.remediation.decide import Question
from exporter.remediation.hands import Looked
from exporter.remediation.intents import Ending, Hold, Intent, Stage, TakenError, TakenUpError
from exporter.remediation.leases import LEASE_S
from exporter.remediation.model import Approval, Evidence
from exporter.remediation.options import Options
from exporter.remediation.records import Records
from exporter.remediation.waiting import Waiting, patience_for
from exporter.store import Store
from tests.remediation.cases import ACT, ALL_OUT, INCIDENT, NEW, NOW, OLD
from tests.remediation.scripted import OTHER, TIMED_OUT, HastyClock, ScriptedApi, ScriptedHands

OK, FAILED = OperationStatus.SUCCESS, OperationStatus.FAILED
KEY = f"rollback:gw-1:{NEW}:7:3:1"
DEVICES = tuple(f"dev-{n:02}" for n in range(1, 19))
BROKEN = GatewayError(GatewayReason.FAILED, "500", retryable=False, is_outcome_unknown=True)
GONE = GatewayError(GatewayReason.UNREACHABLE, "refused", retryable=True)


def final(reason: GatewayReason) -> GatewayError:
    return GatewayError(reason, "no", retryable=False)


class Stand:
    """Records in a store, and hands on a scripted gateway."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "state.db"
        self.store = Store(f"sqlite:///{self.path}")
        self.records = Records(self.store)
        self.clock = HastyClock(NOW)
        self.api = ScriptedApi()
        self.hands = ScriptedHands(self.api, self.clock)
        self.stopped = ""
        self.options = Options()
        self.carry_out = CarryOut(
            self.records,
            self.hands,
            self.clock,
            options=lambda: self.options,
            why_stopped=self._why_stopped,
        )
        self.waiting = Waiting(
            self.carry_out, self.records, self.hands, self.clock, options=lambda: self.options
        )

    async def _why_stopped(self, intent: Intent) -> str:
        return self.stopped

    async def intend(self, evidence: Evidence = ALL_OUT) -> Intent:
        case = decided(evidence, ACT, now=self.clock.now(), question=Question())
        return await self.records.intend(case, hold=timedelta(days=1))

    async def kinds(self) -> list[Kind]:
        async with self.store.reading() as connection:
            journal = await entries(connection)
        assert list(faults_in(journal)) == []
        return [entry.kind for entry in journal]

    async def last_facts(self) -> dict[str, object]:
        async with self.store.reading() as connection:
            return dict((await entries(connection))[-1].facts())


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Stand]:
    made = Stand(tmp_path)
    await made.store.open()
    yield made
    await made.store.close()


def after(seconds: float, devices: Collection[str]) -> Callable[[datetime], Collection[str]]:
    """All of ``devices`` are back so many seconds after the beginning."""
    return lambda now: devices if now >= NOW + timedelta(seconds=seconds) else ()


# Serving


async def test_the_previous_version_is_asked_for_once_with_key_match_and_number(
    stand: Stand,
) -> None:
    stand.api.script = [(OK, True)]

    intent = await stand.carry_out.serve(await stand.intend())

    assert (intent.stage, intent.ending) == (Stage.SERVED, None)
    assert stand.api.sent == [(KEY, NEW, 1)]
    assert await stand.kinds() == [
        Kind.DECISION, Kind.INTENT, Kind.HOLD, Kind.ATTEMPT, Kind.ATTEMPT, Kind.ATTEMPT,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("switched_s", "since_s"),
    [
        pytest.param(1.5, 1.5, id="at the switch"),
        pytest.param(-86_400.0, 3.0, id="when it was first served: that is another time"),
        pytest.param(60.0, 3.0, id="by a clock that is ahead"),
    ],
)
async def test_devices_count_from_the_switch_on_and_not_only_from_its_proof(
    stand: Stand, switched_s: float, since_s: float
) -> None:
    stand.api.script = [(OK, True)]
    stand.api.activated_at = NOW + timedelta(seconds=switched_s)
    intent = await stand.intend()
    stand.clock.jump_wall(timedelta(seconds=3))

    intent = await stand.carry_out.serve(intent)

    assert intent.stage_at == NOW + timedelta(seconds=since_s)
    assert await stand.records.unfinished() == [intent]


@pytest.mark.parametrize(
    "script",
    [
        pytest.param([(TIMED_OUT, True)], id="timed out after acting"),
        pytest.param([(BROKEN, True)], id="500 although done"),
        pytest.param([(final(GatewayReason.CONFLICT), True)], id="409, done by our first try"),
        pytest.param([(TIMED_OUT, False), (OK, True)], id="timed out before acting"),
        pytest.param([(GONE, False), (GONE, False), (OK, True)], id="away for a moment"),
        pytest.param([(OK, False), (OK, True)], id="says success and serves the old one"),
    ],
)
async def test_what_is_served_decides_and_not_what_was_answered(
    stand: Stand, script: list[tuple[OperationStatus | GatewayError, bool]]
) -> None:
    stand.api.script = list(script)

    intent = await stand.carry_out.serve(await stand.intend())

    assert intent.stage is Stage.SERVED
    assert {key for key, _, _ in stand.api.sent} == {KEY}
    assert len(stand.api.sent) == len(script)


@pytest.mark.parametrize(
    ("said", "ending"),
    [
        (final(GatewayReason.PRECONDITION_FAILED), Ending.NOT_SERVED),
        (final(GatewayReason.CONFLICT), Ending.NOT_SERVED),
        (final(GatewayReason.REFUSED), Ending.NOT_SERVED),
        (final(GatewayReason.UNAUTHORIZED), Ending.NOT_SERVED),
        (FAILED, Ending.NOT_SERVED),
        (OperationStatus.ROLLED_BACK, Ending.NOT_SERVED),
    ],
)
async def test_a_refusal_is_not_sent_again(
    stand: Stand, said: OperationStatus | GatewayError, ending: Ending
) -> None:
    stand.api.script = [(said, False)]

    intent = await stand.carry_out.serve(await stand.intend())

    assert (intent.stage, intent.ending) == (Stage.ENDED, ending)
    assert len(stand.api.sent) == 1


@pytest.mark.parametrize("name", ["Gerät 1", "gw 1", "g" * 200])
async def test_a_gateway_may_have_any_name(stand: Stand, name: str) -> None:
    stand.api.script = [(OK, True)]

    intent = await stand.carry_out.serve(await stand.intend(replace(ALL_OUT, gateway=name)))

    ((key, _, _),) = stand.api.sent
    assert (intent.stage, intent.key) == (Stage.SERVED, key)


async def test_after_a_crash_it_looks_before_it_sends(stand: Stand) -> None:
    await stand.intend()
    stand.api.serving = OLD  # the request of the process that died was carried out
    (intent,) = await stand.records.unfinished()

    intent = await stand.carry_out.serve(intent)

    assert intent.stage is Stage.SERVED
    assert stand.api.sent == []


async def test_after_a_crash_before_the_request_it_is_sent_with_the_same_key(
    stand: Stand,
) -> None:
    await stand.intend()
    stand.api.script = [(OK, True)]
    (intent,) = await stand.records.unfinished()

    await stand.carry_out.serve(intent)

    assert [key for key, _, _ in stand.api.sent] == [KEY]


async def test_what_lay_for_too_long_is_not_sent(stand: Stand) -> None:
    intent = await stand.intend()
    await stand.clock.sleep(601)

    intent = await stand.carry_out.serve(intent)

    assert intent.ending is Ending.STOPPED
    assert stand.api.sent == []


async def test_the_kill_switch_is_read_again_between_permit_and_send(stand: Stand) -> None:
    intent = await stand.intend()
    stand.stopped = "the kill switch is on"

    intent = await stand.carry_out.serve(intent)

    assert intent.ending is Ending.STOPPED
    assert stand.api.sent == []
    assert (await stand.last_facts())["detail"] == "the kill switch is on"


async def test_somebody_else_s_change_is_left_alone(stand: Stand) -> None:
    intent = await stand.intend()
    stand.api.serving = OTHER

    intent = await stand.carry_out.serve(intent)

    assert intent.ending is Ending.OVERTAKEN
    assert stand.api.sent == []


async def test_while_we_cannot_look_nothing_is_sent(stand: Stand) -> None:
    stand.api.is_reachable = False

    intent = await stand.carry_out.serve(await stand.intend())

    assert intent.ending is Ending.NOT_SERVED
    assert str((await stand.last_facts())["detail"]).startswith("nothing was sent: its versions ")
    assert stand.api.sent == []


@pytest.mark.parametrize(
    "fault", ["[::1]:8883 shows another leaf", "RSA only: another leaf", "without SNI: another"]
)
async def test_a_way_that_still_shows_the_old_leaf_is_no_proof(stand: Stand, fault: str) -> None:
    stand.api.script = [(OK, True)]
    stand.hands.shown = lambda: Looked(
        fingerprint=stand.api.serving, fault=fault if stand.api.serving == OLD else "the new one"
    )

    intent = await stand.carry_out.serve(await stand.intend())

    assert intent.ending is Ending.UNPROVEN
    assert fault in str((await stand.last_facts())["detail"])
    assert len(stand.api.sent) == 1


async def test_a_proof_may_take_its_time_but_not_for_ever(stand: Stand) -> None:
    stand.api.script = [(OK, True)]
    stand.hands.shown = lambda: Looked(
        fingerprint=stand.api.serving,
        fault="" if stand.clock.now() >= NOW + timedelta(seconds=20) else "old workers drain",
    )

    intent = await stand.carry_out.serve(await stand.intend())

    assert intent.stage is Stage.SERVED


async def test_a_gateway_whose_api_was_taken_away_is_not_touched(stand: Stand) -> None:
    stand.hands.has_api = False

    assert (await stand.carry_out.serve(await stand.intend())).ending is Ending.STOPPED


async def test_a_step_that_cannot_be_made_durable_is_not_taken(stand: Stand) -> None:
    intent = await stand.intend()
    await stand.store.close()

    with pytest.raises(StoreError):
        await stand.carry_out.serve(intent)

    assert stand.api.sent == []


# The devices


async def served(stand: Stand, evidence: Evidence = ALL_OUT) -> Intent:
    stand.api.script = [(OK, True)]
    return await stand.carry_out.serve(await stand.intend(evidence))


async def test_it_is_recovered_when_the_devices_are_back(stand: Stand) -> None:
    stand.hands.back = after(90, DEVICES)

    intent = await stand.waiting.until_back(await served(stand))

    assert intent.ending is Ending.RECOVERED
    assert (await stand.last_facts())["detail"] == "18 of 18 devices are back"
    assert await stand.records.unfinished() == []


async def test_what_became_of_each_device_is_measured_beside_the_forecast(stand: Stand) -> None:
    intent = await served(stand, INCIDENT)  # 14 out, 4 connected
    stand.hands.back = lambda _: DEVICES[:17]
    stand.hands.refusing = {"dev-14", "dev-15"}

    await stand.waiting.until_back(intent)

    facts = await stand.last_facts()
    forecast: Any = facts["forecast"]
    told: Any = facts["measured"]
    assert forecast["gain"] == list(DEVICES[:14])
    assert forecast["stay"] == list(DEVICES[14:])
    assert told["gain"] == list(DEVICES[:13])
    assert (told["loss"], told["unknown"]) == (["dev-15"], ["dev-18"])
    assert facts["surprises"] == ["dev-15", "dev-14"]


async def test_a_decision_that_cannot_be_read_any_more_does_not_hold_up_the_end(
    stand: Stand,
) -> None:
    intent = await served(stand)
    stand.hands.back = lambda _: DEVICES

    ended = await stand.waiting.until_back(replace(intent, decision_number=999))

    assert ended.ending is Ending.RECOVERED
    assert "measured" not in await stand.last_facts()


async def test_nine_of_ten_are_enough(stand: Stand) -> None:
    stand.hands.back = after(30, DEVICES[:17])

    intent = await stand.waiting.until_back(await served(stand))

    assert intent.ending is Ending.RECOVERED
    assert (await stand.last_facts())["out"] == ["dev-18"]


async def test_devices_that_come_back_by_ticket_only_are_not_back(stand: Stand) -> None:
    stand.hands.by_ticket = DEVICES
    stand.api.recovery = Recovery(operation_id="r", accepted=(), rejected=DEVICES)

    intent = await stand.waiting.until_back(await served(stand))

    assert intent.ending is Ending.NOT_BACK
    assert (await stand.last_facts())["by_ticket"] == list(DEVICES)


async def test_whoever_stays_out_is_recovered_by_the_other_channel(stand: Stand) -> None:
    stand.api.recovery = Recovery(operation_id="r", accepted=DEVICES, rejected=())
    # Nobody within the ten minutes of the first; all after their stores were updated
    stand.hands.back = after(700, DEVICES)

    intent = await stand.waiting.until_back(await served(stand))

    assert stand.api.asked == [DEVICES]
    assert intent.ending is Ending.RECOVERED


async def test_half_of_them_is_not_recovered_and_the_other_half_is_asked_for(
    stand: Stand,
) -> None:
    stand.hands.back = after(5, DEVICES[:9])
    stand.api.recovery = Recovery(operation_id="r", accepted=DEVICES[9:12], rejected=DEVICES[12:])

    intent = await stand.waiting.until_back(await served(stand))

    assert stand.api.asked == [DEVICES[9:]]
    assert intent.ending is Ending.NOT_BACK
    facts = await stand.last_facts()
    assert "9 of 18 devices are back; still out: dev-10" in str(facts["detail"])
    assert str(facts["detail"]).endswith(
        "fleet-tls-exporter recovery-bundle --csr gw-1.csr --ca OLD_CA.pem --ca-key OLD_CA.key"
        " --output gw-1-recovery --trust-store DEVICES.pem"
    )


async def test_the_command_that_a_person_is_told_names_what_the_devices_trust(
    stand: Stand,
) -> None:
    stand.hands.stores = {"fw-4.2": "/etc/anchors/fw 4.2.pem", "fw-5.0": "/etc/fw-5.0.pem"}
    stand.api.recovery = Recovery(operation_id="r", accepted=(), rejected=DEVICES)

    await stand.waiting.until_back(await served(stand))

    detail = str((await stand.last_facts())["detail"])
    assert detail.endswith(
        " --trust-store 'fw-4.2=/etc/anchors/fw 4.2.pem' --trust-store fw-5.0=/etc/fw-5.0.pem"
    )


@pytest.mark.parametrize("error", [GONE, BROKEN, final(GatewayReason.NOT_FOUND)])
async def test_a_recovery_that_cannot_be_asked_for_ends_at_a_person(
    stand: Stand, error: GatewayError
) -> None:
    stand.api.recovery = error

    intent = await stand.waiting.until_back(await served(stand))

    assert intent.ending is Ending.NOT_BACK


async def test_sleepers_are_waited_for_by_their_class(stand: Stand) -> None:
    stand.hands.reconnect = 7_200.0
    stand.options = Options(first_back_within=7_200.0)
    stand.hands.back = after(7_000, DEVICES)

    assert (await stand.waiting.until_back(await served(stand))).ending is Ending.RECOVERED


async def test_where_nobody_connected_before_nobody_shows_that_it_works(stand: Stand) -> None:
    strangers = replace(
        INCIDENT, devices=tuple(replace(one, connected_before=False) for one in INCIDENT.devices)
    )

    intent = await stand.waiting.until_back(await served(stand, strangers))

    assert intent.ending is Ending.UNPROVEN


async def test_waiting_goes_on_after_a_crash_from_when_it_was_served(stand: Stand) -> None:
    await served(stand)
    await stand.clock.sleep(500)
    stand.hands.back = after(550, DEVICES)
    (again,) = await stand.records.unfinished()

    assert again.stage is Stage.SERVED
    assert (await stand.waiting.until_back(again)).ending is Ending.RECOVERED


def test_patience_is_that_of_the_devices_that_are_needed() -> None:
    times = {"a": 60.0, "b": 60.0, "c": 90_000.0}

    patience = patience_for(["a", "b", "c"], times.get, Options(back_ratio=0.6))

    assert (patience.need_count, patience.all_s, patience.first_s) == (2, 60.0, 60.0)


# What is remembered


async def test_the_same_action_is_intended_once_by_two_at_the_same_time(stand: Stand) -> None:
    async with asyncio.TaskGroup() as tasks:
        tries = [tasks.create_task(taken(stand)) for _ in range(20)]

    assert sorted(one.result() for one in tries) == [False] * 19 + [True]


async def taken(stand: Stand) -> bool:
    try:
        await stand.intend()
    except TakenError:
        return False
    return True


async def test_whoever_was_stopped_for_a_while_takes_no_end_back(stand: Stand) -> None:
    stopped = await served(stand)
    stand.hands.back = after(1, DEVICES)
    ended = await stand.waiting.until_back(stopped)  # by another process, meanwhile
    kinds = await stand.kinds()

    again = await stand.carry_out.serve(replace(stopped, stage=Stage.INTENDED))

    assert again == ended
    assert await stand.kinds() == kinds


async def test_whoever_was_stopped_for_a_while_sends_nothing_behind_the_end(stand: Stand) -> None:
    stopped = await stand.intend()
    stand.stopped = "the kill switch is on"
    ended = await stand.carry_out.serve(stopped)  # by another process, meanwhile
    stand.stopped = ""

    assert ended.ending is Ending.STOPPED
    assert await stand.carry_out.serve(stopped) == ended
    assert stand.api.sent == []


async def test_what_was_done_is_not_done_again(stand: Stand) -> None:
    stand.hands.back = after(1, DEVICES)
    await stand.waiting.until_back(await served(stand))

    with pytest.raises(TakenError, match="was done already"):
        await stand.intend()


async def test_what_left_the_gateway_as_it_was_may_be_intended_again_with_another_key(
    stand: Stand,
) -> None:
    stand.api.script = [(final(GatewayReason.REFUSED), False), (OK, True)]
    await stand.carry_out.serve(await stand.intend())

    await stand.carry_out.serve(await stand.intend())

    assert [key for key, _, _ in stand.api.sent] == [KEY, KEY[:-1] + "2"]
    assert [number for _, _, number in stand.api.sent] == [1, 2]


async def test_an_intent_holds_the_gateway_until_it_is_released(stand: Stand) -> None:
    await stand.intend()
    past = await stand.records.past("gw-1", now=NOW)

    assert past.held_until == NOW + timedelta(days=1)
    assert past.is_in_progress
    assert await stand.records.release("gw-1", at=NOW, by="ops")
    assert not await stand.records.release("gw-1", at=NOW, by="ops")
    assert (await stand.records.past("gw-1", now=NOW)).held_until is None


async def test_the_past_tells_what_a_decision_needs(stand: Stand) -> None:
    stand.hands.back = after(1, DEVICES)
    await stand.waiting.until_back(await served(stand))
    approval = Approval(plan_hash="0" * 64, by="ops", at=NOW)
    await stand.records.approve("gw-1", approval)

    past = await stand.records.past("gw-1", now=NOW + timedelta(minutes=5))
    other = await stand.records.past("gw-2", now=NOW + timedelta(minutes=5))

    assert [one.fingerprint for one in past.rolled_away] == [NEW]
    assert past.automatic_actions == (NOW,)
    assert (past.is_in_progress, past.approval) == (False, approval)
    assert past.own_operation_number == 1
    assert (other.rolled_away, other.automatic_actions) == ((), (NOW,))
    assert (other.is_fleet_busy, other.held_until) == (False, None)


async def test_one_gateway_at_a_time_until_it_is_served(stand: Stand) -> None:
    intent = await stand.intend()
    assert (await stand.records.past("gw-2", now=NOW)).is_fleet_busy

    stand.api.script = [(OK, True)]
    await stand.carry_out.serve(intent)

    assert not (await stand.records.past("gw-2", now=NOW)).is_fleet_busy
    assert (await stand.records.past("gw-1", now=NOW)).is_in_progress


async def test_the_kill_switch_stays_on_over_a_restart(stand: Stand) -> None:
    await stand.records.kill(is_on=True, at=NOW, by="ops", reason="maintenance")
    await stand.store.close()
    await stand.store.open()

    assert await stand.records.is_killed()
    await stand.records.kill(is_on=False, at=NOW, by="ops", reason="over")
    assert not await stand.records.is_killed()


async def test_a_hold_by_hand_is_kept_and_told(stand: Stand) -> None:
    hold = Hold(gateway="gw-1", until=NOW + timedelta(hours=2), reason="works on site")

    await stand.records.hold(hold, at=NOW, by="ops")

    assert await stand.records.holds() == {"gw-1": hold}
    assert await stand.kinds() == [Kind.HOLD]


async def test_a_decision_alone_is_kept_with_its_evidence(stand: Stand) -> None:
    case = decided(INCIDENT, Options(), now=NOW, question=Question())

    entry = await stand.records.note_decision(case)

    assert entry.facts()["outcome"] == "would_rollback"
    assert await stand.records.latest() == {}


async def test_the_latest_action_of_each_gateway_is_told(stand: Stand) -> None:
    await served(stand)

    latest = await stand.records.latest()

    assert latest["gw-1"].stage is Stage.SERVED
    assert latest["gw-1"].fingerprint == OLD


async def test_whoever_was_stopped_before_it_sends_asks_again_whether_it_may(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the step in the store and the request: another one may be at work by then."""
    stand.api.script = [(OK, True)]
    intent, other = await stand.intend(), Records(stand.store)
    sends = stand.records.sends

    async def stopped_behind(intended: Intent, *, at: datetime) -> bool:
        may = await sends(intended, at=at)
        await stand.clock.sleep(LEASE_S)
        assert await other.leases(stand.clock).take(intended, at=at)
        return may

    monkeypatch.setattr(stand.records, "sends", stopped_behind)
    with pytest.raises(TakenUpError):
        await stand.carry_out.serve(intent)

    assert stand.api.sent == []
