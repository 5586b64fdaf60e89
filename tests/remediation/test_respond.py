"""From alerts to actions: a real inbox, real records, a gateway that does as a script says."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from exporter.gateway.messages import OperationStatus
from exporter.journal import Kind, entries
from exporter.modes import Mode
from exporter.remediation import respond
from exporter.remediation.codec import Case, decided
from exporter.remediation.decide import Question
from exporter.remediation.intents import Ending, Intent, Stage
from exporter.remediation.model import AlertState, Asker, Outcome, Refusal
from exporter.remediation.options import Options
from exporter.remediation.records import Records
from exporter.remediation.respond import BusyError, Decided, Responder
from exporter.store import Store
from exporter.webhook.inbox import Inbox
from exporter.webhook.payload import read_delivery
from tests.remediation.cases import ACT, ALL_OUT, NOW, OLD, connecting
from tests.remediation.scripted import HastyClock, ScriptedApi, ScriptedHands
from tests.webhook.bodies import alert, body

OK = OperationStatus.SUCCESS
DEVICES = tuple(f"dev-{n:02}" for n in range(1, 19))
RECOVERED = replace(ALL_OUT, devices=tuple(connecting(n) for n in range(1, 19)))
BY_HAND = Question(asker=Asker.PERSON, is_permitted_to_act=True)


class Stand:
    """A responder on a store in a file; ``run`` is started by the test."""

    def __init__(self, path: Path) -> None:
        self.store = Store(f"sqlite:///{path}")
        self.clock = HastyClock(NOW)
        self.api = ScriptedApi(script=[(OK, True)])
        self.hands = ScriptedHands(self.api, self.clock, evidence=ALL_OUT)
        self.hands.back = lambda _: DEVICES if self.api.serving == OLD else ()
        self.options = ACT
        self.inbox = Inbox(self.store, self.clock)
        self.records = Records(self.store)
        self.responder = Responder(
            self.inbox, self.records, self.hands, self.clock, options=lambda: self.options
        )

    async def deliver(self, *alerts: dict[str, object]) -> None:
        await self.inbox.accept(read_delivery(body(*alerts), {"gw-1", "gw-2"}))

    async def kinds(self) -> list[Kind]:
        async with self.store.reading() as connection:
            return [entry.kind for entry in await entries(connection)]

    def counted(self, family: str) -> set[str]:
        lines = self.responder.stats.lines_of(f"fleet_tls_remediation_{family}")
        return {line.decode().strip() for line in lines}


@pytest.fixture(autouse=True)
def _only_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(respond, "_TICK_S", math.inf)
    monkeypatch.setattr(respond, "_RENEW_S", math.inf)


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Stand]:
    made = Stand(tmp_path / "state.db")
    await made.store.open()
    async with asyncio.TaskGroup() as tasks:
        writing = tasks.create_task(made.inbox.run())
        running = tasks.create_task(made.responder.run())
        yield made
        running.cancel()
        writing.cancel()
    await made.store.close()


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not is_so():  # noqa: ASYNC110 - what it waits for has no event
            await asyncio.sleep(0.005)  # noqa: TID251 - the store answers in real time


def has_ended(stand: Stand, ending: Ending) -> Callable[[], bool]:
    return lambda: (
        f'fleet_tls_remediation_actions_total{{outcome="{ending}"}} 1'
        in (stand.counted("actions_total"))
    )


async def until_nothing_waits(stand: Stand) -> None:
    async with asyncio.timeout(20):
        while await stand.inbox.pending():  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.005)  # noqa: TID251 - the store answers in real time


async def looked(stand: Stand) -> Decided:
    """What an alert's look decides, once nobody else is deciding."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await stand.responder.ask("gw-1", AlertState.FIRING, Question())
            except BusyError:
                await asyncio.sleep(0.005)  # noqa: TID251 - the store answers in real time


async def test_an_alert_ends_the_outage(stand: Stand) -> None:
    await stand.deliver(alert(1))
    await until(has_ended(stand, Ending.RECOVERED))

    assert stand.api.serving == OLD
    assert len(stand.api.sent) == 1
    await until_nothing_waits(stand)
    assert 'fleet_tls_remediation_decisions_total{outcome="rollback"} 1' in (
        stand.counted("decisions_total")
    )
    assert stand.counted("budget_remaining") == {"fleet_tls_remediation_budget_remaining 2"}


async def test_nobody_is_called_for_a_refusal_once_the_rollback_was_good(stand: Stand) -> None:
    await stand.deliver(alert(1))
    await until(has_ended(stand, Ending.RECOVERED))
    stand.hands.evidence = RECOVERED

    after = (await looked(stand)).decision

    assert after.outcome is Outcome.REFUSED
    assert Refusal.ALREADY_RECOVERED in after.refusals
    assert stand.counted("refused") == {'fleet_tls_remediation_refused{gateway="gw-1"} 0'}
    ended = {line for line in stand.counted("last_action_outcome") if not line.endswith(" 0")}
    assert ended == {
        'fleet_tls_remediation_last_action_outcome{gateway="gw-1",outcome="recovered"} 1'
    }


async def test_a_refusal_calls_somebody_as_long_as_an_alert_asks(stand: Stand) -> None:
    stand.hands.evidence = replace(ALL_OUT, is_rotation_in_charge=True)
    refused = 'fleet_tls_remediation_refused{gateway="gw-1"}'
    assert stand.counted("refused") == set()

    await stand.deliver(alert(1))
    await until(lambda: stand.counted("refused") == {f"{refused} 1"})
    await stand.deliver(alert(1, status="resolved"))
    await until(lambda: stand.counted("refused") == {f"{refused} 0"})


async def test_a_person_s_question_calls_nobody(stand: Stand) -> None:
    stand.hands.evidence = replace(ALL_OUT, is_rotation_in_charge=True)

    await stand.responder.ask("gw-1", AlertState.NONE, BY_HAND)

    assert stand.counted("refused") == set()


async def test_two_hundred_deliveries_make_one_action(stand: Stand) -> None:
    await asyncio.gather(*(stand.deliver(alert(n % 7)) for n in range(200)))
    await until(has_ended(stand, Ending.RECOVERED))

    assert len(stand.api.sent) == 1


async def test_by_default_it_decides_and_touches_nothing(stand: Stand) -> None:
    stand.options = Options()

    await stand.deliver(alert(1))
    await until(lambda: "gw-1" in stand.responder.last)

    assert stand.responder.last["gw-1"].decision.outcome is Outcome.WOULD_ROLLBACK
    assert stand.api.sent == []
    assert await stand.records.unfinished() == []


async def test_the_same_decision_is_kept_once_however_often_it_is_looked_at(
    stand: Stand,
) -> None:
    stand.options = Options()
    await stand.deliver(alert(1))
    await until(lambda: "gw-1" in stand.responder.last)

    for _ in range(5):
        await looked(stand)

    assert (await stand.kinds()).count(Kind.DECISION) == 1


async def test_a_refused_gateway_is_looked_at_again_until_the_reason_is_gone(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(respond, "_TICK_S", 5.0)
    stand.hands.evidence = replace(ALL_OUT, devices=ALL_OUT.devices[:1])
    await stand.deliver(alert(1))
    await until(lambda: "gw-1" in stand.responder.last)
    assert Refusal.TOO_FEW_WITNESSES in stand.responder.last["gw-1"].decision.refusals

    # Else hours pass on this clock while the store works, and the evidence is too old to send
    intend = stand.records.intend

    async def intended(case: Case, *, hold: timedelta, by: str) -> Intent:
        monkeypatch.setattr(respond, "_TICK_S", math.inf)
        return await intend(case, hold=hold, by=by)

    monkeypatch.setattr(stand.records, "intend", intended)
    stand.hands.evidence = ALL_OUT
    await until(has_ended(stand, Ending.RECOVERED))

    assert len(stand.api.sent) == 1


async def test_after_an_action_the_gateway_is_held(stand: Stand) -> None:
    await stand.deliver(alert(1))
    await until(has_ended(stand, Ending.RECOVERED))

    decided_now = await looked(stand)

    assert Refusal.GATEWAY_HELD in decided_now.decision.refusals
    assert len(stand.counted("hold_until_timestamp_seconds")) == 1


async def test_resolved_before_the_look_touches_nothing(stand: Stand) -> None:
    await stand.deliver(alert(1), alert(1, status="resolved"))

    await stand.responder.look_at_asked()

    assert await stand.inbox.pending() == []
    assert stand.responder.last == {}
    assert stand.api.sent == []


async def test_a_person_acts_in_dry_run_and_the_journal_says_who(stand: Stand) -> None:
    stand.options = Options()

    await stand.responder.ask("gw-1", AlertState.NONE, BY_HAND, by="ops")
    await until(has_ended(stand, Ending.RECOVERED))

    latest = await stand.records.latest()
    assert (latest["gw-1"].by, latest["gw-1"].asker) == ("ops", Asker.PERSON)
    assert stand.counted("budget_remaining") == {"fleet_tls_remediation_budget_remaining 3"}


async def test_two_who_ask_at_once_are_told_apart(stand: Stand) -> None:
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(stand.responder.ask("gw-1", AlertState.NONE, BY_HAND))
        await asyncio.sleep(0)  # noqa: TID251 - lets it begin
        with pytest.raises(BusyError, match="try again"):
            await stand.responder.ask("gw-1", AlertState.NONE, BY_HAND)

    assert first.result().decision.outcome is Outcome.ROLLBACK


async def test_the_kill_switch_file_stops_everybody(stand: Stand, tmp_path: Path) -> None:
    switch = tmp_path / "stop"
    switch.touch()
    stand.options = Options(mode=Mode.ACT, kill_switch_file=switch)

    decided_now = await stand.responder.ask("gw-1", AlertState.NONE, BY_HAND)

    assert Refusal.KILL_SWITCH in decided_now.decision.refusals
    assert stand.api.sent == []


async def test_a_kill_switch_that_cannot_be_read_counts_as_on(
    stand: Stand, tmp_path: Path
) -> None:
    not_a_folder = tmp_path / "file"
    not_a_folder.touch()
    stand.options = Options(mode=Mode.ACT, kill_switch_file=not_a_folder / "stop")

    decided_now = await stand.responder.ask("gw-1", AlertState.NONE, BY_HAND)

    assert Refusal.KILL_SWITCH in decided_now.decision.refusals


async def test_one_gateway_after_the_other_and_no_more_than_the_budget(stand: Stand) -> None:
    stand.options = Options(mode=Mode.ACT, max_actions_per_hour=1)
    await stand.deliver(alert(1))
    await until(has_ended(stand, Ending.RECOVERED))
    await stand.deliver(alert(2, gateway="gw-2"))
    await until(lambda: "gw-2" in stand.responder.last)

    refused = stand.responder.last["gw-2"].decision

    assert Refusal.BUDGET_SPENT in refused.refusals
    assert 'fleet_tls_remediation_mode{mode="dry_run"} 1' in stand.counted("mode")
    assert len(stand.api.sent) == 1


async def test_what_a_crash_left_is_taken_up_by_looking(tmp_path: Path) -> None:
    before = Stand(tmp_path / "state.db")
    await before.store.open()
    case = await _intended_and_died(before)
    await before.store.close()

    after = Stand(tmp_path / "state.db")
    after.api.serving = OLD  # it had been carried out
    await after.store.open()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(after.responder.run())
        await until(has_ended(after, Ending.RECOVERED))
        running.cancel()
    unfinished = await after.records.unfinished()
    await after.store.close()

    assert case == Stage.INTENDED
    assert after.api.sent == []
    assert unfinished == []


async def _intended_and_died(stand: Stand) -> Stage:
    case = decided(ALL_OUT, ACT, now=NOW, question=Question())
    return (await stand.records.intend(case, hold=timedelta(days=1))).stage


async def test_a_store_that_is_away_for_a_minute_loses_no_action(stand: Stand) -> None:
    await stand.deliver(alert(1))
    await until(lambda: bool(stand.api.sent))
    await stand.store.close()
    for _ in range(50):
        await asyncio.sleep(0)  # noqa: TID251 - lets it meet the closed store

    await stand.store.open()

    await until(has_ended(stand, Ending.RECOVERED))
    assert len(stand.api.sent) == 1
