"""The dead-man: what nobody confirms in time is gone back from, whatever happened meanwhile."""

from datetime import timedelta
from pathlib import Path

from exporter.clock import SystemClock
from exporter.gateway.agent.keeping import _WAITING_S
from tests.gateway.agent.shifted_clock import ShiftedClock
from tests.gateway.agent.stand import DATES, NAME, OLD_CA, Agent, embedded, running, until
from tests.gateway.agent.willful import WillfulDriver, refuse
from tests.pki import make_leaf

CONFIRM = "/gateway/certificates/confirm"


async def activations(agent: Agent, count: int) -> bool:
    return bool((await agent.certificates())["activationNumber"] == count)


async def has_looked(clock: ShiftedClock) -> None:
    """Return when whoever waits for confirmations has looked at the clock anew."""
    before = clock.slept[_WAITING_S]

    async def looked() -> bool:
        return clock.slept[_WAITING_S] >= before + 2

    await until(looked, "a look at what waits")


async def test_what_is_not_confirmed_is_gone_back_from(tmp_path: Path) -> None:
    clock = ShiftedClock()

    async with running(tmp_path, clock=clock) as agent:
        rotated = await agent.rotate(await agent.new_chain(), confirmWithin=600)
        clock.shift(590)
        await has_looked(clock)
        between = await agent.certificates()
        clock.shift(10)
        await until(lambda: activations(agent, 3), "the way back")
        late = await agent.post(CONFIRM, {"operationId": rotated.body["operationId"]})
        after = await agent.certificates()

    assert rotated.body["confirmBy"]
    assert between["pendingConfirmation"] == rotated.body["operationId"]
    assert between["serving"]["version"] == 2
    assert (late.status, late.code) == (422, "refused")
    assert "pendingConfirmation" not in after
    assert after["serving"]["version"] == 1
    assert [one["state"] for one in after["versions"]] == ["current", "old"]


async def test_what_is_confirmed_stays(tmp_path: Path) -> None:
    clock = ShiftedClock()

    async with running(tmp_path, clock=clock) as agent:
        rotated = await agent.rotate(await agent.new_chain(), confirmWithin=600)
        body = {"operationId": rotated.body["operationId"]}
        confirmed = await agent.post(CONFIRM, body)
        again = await agent.post(CONFIRM, body)
        clock.shift(601)
        await has_looked(clock)
        shown = await agent.certificates()

    assert confirmed.status == again.status == 200
    assert confirmed.body == rotated.body
    assert shown["serving"]["version"] == 2
    assert "pendingConfirmation" not in shown


async def test_the_wait_goes_on_over_a_restart(tmp_path: Path) -> None:
    clock = ShiftedClock()
    async with running(tmp_path, clock=clock) as agent:
        rotated = await agent.rotate(await agent.new_chain(), confirmWithin=600)
    clock.shift(601)

    async with running(tmp_path, clock=clock) as agent:
        await until(lambda: activations(agent, 3), "the way back after a restart")
        shown = await agent.certificates()

    assert rotated.status == 200
    assert shown["serving"]["version"] == 1


async def test_nothing_else_is_rotated_meanwhile_but_a_rollback_ends_the_wait(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as agent:
        await until(lambda: is_proven(agent), "version 1 to be proven")
        await agent.rotate(await agent.new_chain(), confirmWithin=600)
        other = await agent.rotate(await agent.new_chain())
        back = await agent.rollback()
        shown = await agent.certificates()

    assert (other.status, other.code) == (409, "in_progress")
    assert "waits for its confirmation" in other.message
    assert back.status == 200
    assert "pendingConfirmation" not in shown


async def is_proven(agent: Agent) -> bool:
    return bool((await agent.certificates())["versions"][0]["proven"])


async def test_only_what_waits_can_be_confirmed(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        rotated = await agent.rotate(await agent.new_chain())
        answer = await agent.post(CONFIRM, {"operationId": rotated.body["operationId"]})

    assert (answer.status, answer.code) == (422, "refused")
    assert "nothing waits for" in answer.message


async def test_a_way_back_that_fails_is_told_and_not_tried_for_ever(tmp_path: Path) -> None:
    clock, driver = ShiftedClock(), WillfulDriver(embedded(tmp_path / "agent"))
    proof = {"rounds": 1, "within": "1s"}

    async with running(tmp_path, driver=driver, clock=clock, proof=proof) as agent:
        await agent.rotate(await agent.new_chain(), confirmWithin=600)
        driver.applies = [refuse]
        clock.shift(601)

        async def over() -> bool:
            return len(driver.applied) == 3

        await until(over, "the way back, and the way back from that")
        await has_looked(clock)
        shown = await agent.certificates()

    assert [folder for folder, _ in driver.applied] == ["2", "1", "2"]
    assert shown["serving"]["version"] == 2
    assert "pendingConfirmation" not in shown


async def test_what_has_ended_meanwhile_is_not_put_back(tmp_path: Path) -> None:
    clock, end = ShiftedClock(), SystemClock().now() + timedelta(minutes=9)
    short = make_leaf(OLD_CA, NAME, "127.0.0.1", not_before=DATES["not_before"], not_after=end)
    (tmp_path / "short.pem").write_bytes(short.pem)
    (tmp_path / "short.key").write_bytes(short.key_pem)
    initial = {"chain_file": str(tmp_path / "short.pem"), "key_file": str(tmp_path / "short.key")}

    async with running(tmp_path, initial=initial, clock=clock) as agent:
        rotated = await agent.rotate(await agent.new_chain(), confirmWithin=600)
        clock.shift(601)

        async def lapsed() -> bool:
            return "pendingConfirmation" not in await agent.certificates()

        await until(lapsed, "the wait to end")
        shown = await agent.certificates()

    assert rotated.status == 200
    assert shown["serving"]["version"] == 2
