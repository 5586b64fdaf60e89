"""Leases: who works keeps its action, whoever hangs loses it, and does nothing more."""

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from exporter.gateway.messages import OperationStatus
from exporter.journal import Kind, faults_in
from exporter.remediation.codec import decided
from exporter.remediation.decide import Question
from exporter.remediation.hands import Looked
from exporter.remediation.intents import Ending, Intent, Stage, TakenUpError
from exporter.remediation.leases import LEASE_S, Leases
from exporter.remediation.model import AlertState
from exporter.remediation.records import Records
from exporter.remediation.respond import Responder
from exporter.store import Store
from exporter.webhook.inbox import Inbox
from tests.fake_clock import FakeClock
from tests.remediation.cases import ACT, ALL_OUT, NOW
from tests.remediation.scripted import HastyClock, ScriptedApi, ScriptedHands

OK = OperationStatus.SUCCESS
DEVICES = tuple(one.device for one in ALL_OUT.devices)
_RENEW_S = LEASE_S / 5


@dataclass
class Process:
    """What one process on the store has; its clocks are its own."""

    records: Records
    clock: FakeClock
    leases: Leases

    async def intend(self) -> Intent:
        case = decided(ALL_OUT, ACT, now=NOW, question=Question())
        return await self.records.intend(case, hold=timedelta(days=1))

    async def take(self, intent: Intent) -> Intent | None:
        return await self.leases.take(intent, at=self.clock.now())


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    made = Store(f"sqlite:///{tmp_path / 'state.db'}")
    await made.open()
    yield made
    await made.close()


def process(store: Store) -> Process:
    records, clock = Records(store), FakeClock(NOW)
    return Process(records=records, clock=clock, leases=records.leases(clock))


async def watched(
    process: Process, seconds: float, *, also: Process | None = None
) -> list[Intent]:
    """What has run out once ``process`` has looked for so long; ``also`` looks beside it."""
    found: list[Intent] = []
    for _ in range(math.ceil(seconds / _RENEW_S)):
        await process.clock.advance(_RENEW_S)
        if also is not None:
            await also.clock.advance(_RENEW_S)
            await also.leases.run_out()
        found = list(await process.leases.run_out())
    return found


async def test_whoever_works_keeps_its_lease(store: Store) -> None:
    working, other = process(store), process(store)
    intent = await working.intend()
    await other.leases.run_out()

    assert await watched(other, 10 * LEASE_S, also=working) == []
    assert other.leases.others == {(intent.identity.key, 1)}
    assert working.leases.others == frozenset()


async def test_the_lease_of_whoever_hangs_runs_out_and_the_next_has_a_higher_number(
    store: Store,
) -> None:
    hanging, other = process(store), process(store)
    intent = await hanging.intend()
    await other.leases.run_out()

    assert await watched(other, LEASE_S - _RENEW_S) == []
    (left,) = await watched(other, _RENEW_S)
    taken = await other.take(left)

    assert taken == replace(intent, operation_number=intent.operation_number + 1)
    facts = (await other.records.journal())[-1].facts()
    assert (facts["taken_up_by"], facts["from"]) == (other.records.owner, hanging.records.owner)
    assert facts["operation_number"] == taken.operation_number
    assert await watched(hanging, LEASE_S, also=other) == []  # now it is the other's


@pytest.mark.parametrize("jump", [timedelta(days=1), timedelta(days=-1)])
async def test_a_wall_clock_that_jumps_ends_no_lease_and_keeps_none(
    jump: timedelta, store: Store
) -> None:
    hanging, other = process(store), process(store)
    await hanging.intend()
    await other.leases.run_out()
    other.clock.jump_wall(jump)

    assert await watched(other, LEASE_S - _RENEW_S) == []
    assert len(await watched(other, _RENEW_S)) == 1


async def test_time_in_which_nobody_could_watch_is_not_counted(store: Store) -> None:
    working, other = process(store), process(store)
    await working.intend()
    await watched(other, LEASE_S - _RENEW_S)

    await other.clock.advance(LEASE_S)  # stopped, or without a store, as the other may have been
    assert await other.leases.run_out() == []
    assert await watched(other, LEASE_S - _RENEW_S) == []
    assert len(await watched(other, _RENEW_S)) == 1


async def test_what_is_renewed_taken_or_ended_meanwhile_is_not_taken(store: Store) -> None:
    hanging, other, third = process(store), process(store), process(store)
    intent = await hanging.intend()
    await other.leases.run_out()
    (left,) = await watched(other, LEASE_S)

    await hanging.leases.run_out()  # it goes on, and renews
    assert await other.take(left) is None
    (left,) = await watched(other, LEASE_S + _RENEW_S)
    taken = await third.take(intent)
    assert taken is not None
    assert await other.take(left) is None
    assert await third.take(taken) is None  # it is its own
    await third.records.advance(taken, Stage.ENDED, at=NOW, ending=Ending.STOPPED)
    assert await other.take(taken) is None
    assert await watched(other, 2 * LEASE_S) == []


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(lambda one, it: one.sends(it, at=NOW), id="send"),
        pytest.param(lambda one, it: one.attempt(it, at=NOW, facts={}), id="note"),
        pytest.param(lambda one, it: one.advance(it, Stage.SERVED, at=NOW), id="served"),
        pytest.param(
            lambda one, it: one.advance(it, Stage.ENDED, at=NOW, ending=Ending.STOPPED), id="end"
        ),
    ],
)
async def test_whoever_lost_its_lease_takes_no_step_more(
    step: Callable[[Records, Intent], Awaitable[object]], store: Store
) -> None:
    stopped, other = process(store), process(store)
    intent = await stopped.intend()
    taken = await other.take(intent)
    before = await other.records.journal()

    with pytest.raises(TakenUpError, match="another process has taken it up as operation 2"):
        await step(stopped.records, intent)

    assert await other.records.journal() == before
    assert await other.records.unfinished() == [taken]


# Two whole processes


class HangingHands(ScriptedHands):
    """Its looks hang until it goes on, as those of a process that was stopped."""

    goes_on: asyncio.Event

    async def look(self, gateway: str, chain: Sequence[str], leaf: str) -> Looked:
        await self.goes_on.wait()
        return await super().look(gateway, chain, leaf)


def responder(store: Store, api: ScriptedApi) -> tuple[Responder, asyncio.Event, HastyClock]:
    clock = HastyClock(NOW)
    hands = HangingHands(api, clock, evidence=ALL_OUT)
    hands.back = lambda _: DEVICES
    hands.goes_on = asyncio.Event()
    made = Responder(Inbox(store, clock), Records(store), hands, clock, options=lambda: ACT)
    return made, hands.goes_on, clock


def lines(responder: Responder, family: str) -> set[str]:
    found = responder.stats.lines_of(f"fleet_tls_remediation_{family}")
    return {line.decode().removeprefix("fleet_tls_remediation_").strip() for line in found}


async def test_a_second_process_ends_what_the_first_hangs_in_and_the_first_does_nothing_more(
    store: Store,
) -> None:
    api = ScriptedApi(script=[(OK, True)])
    first, first_goes_on, _ = responder(store, api)
    second, second_goes_on, clock = responder(store, api)
    second_goes_on.set()
    async with first._tasks:
        async with second._tasks:
            await first.ask("gw-1", AlertState.FIRING, Question())
            for _ in range(1 + math.ceil(LEASE_S / _RENEW_S)):
                await second._look_at_leases()
                await clock.sleep(_RENEW_S)
        sent = list(api.sent)
        first_goes_on.set()
    await first._look_at_leases()
    journal = await Records(store).journal()

    assert [number for _, _, number in sent] == [2]
    assert api.sent == sent
    assert list(faults_in(journal)) == []
    kinds = Counter(entry.kind for entry in journal)
    assert (kinds[Kind.INTENT], kinds[Kind.OUTCOME]) == (1, 1)
    ended = 'last_action_outcome{gateway="gw-1",outcome="recovered"} 1'
    for one, count in ((first, 0), (second, 1)):
        assert f'actions_total{{outcome="recovered"}} {count}' in lines(one, "actions_total")
        assert ended in lines(one, "last_action_outcome")
