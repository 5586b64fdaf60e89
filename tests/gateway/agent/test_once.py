"""The same Idempotency-Key: done once, the same answer, over restarts and crowds."""

import asyncio
from datetime import timedelta
from pathlib import Path
from unittest.mock import patch

import pytest

from exporter.errors import StoreError
from exporter.gateway.agent.answers import RefusedError, Reply
from exporter.gateway.agent.once import Asked, Once, Ticket
from exporter.gateway.agent.schema import MIGRATIONS
from exporter.gateway.messages import ErrorCode
from exporter.store import Store
from tests.fake_clock import FakeClock
from tests.gateway.agent.stand import running, until

ASKED = Asked(key="k", call="rotate", body="b")
DONE = Reply(status=200, body='{"a": 1}')


async def test_twenty_at_once_are_done_once_and_all_get_the_same_answer(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        chain = await agent.new_chain()
        async with asyncio.TaskGroup() as tasks:
            asked = [
                tasks.create_task(agent.rotate(chain, Idempotency_Key="k")) for _ in range(20)
            ]
        answers = [one.result() for one in asked]
        other = await agent.rotate(chain, "strict", Idempotency_Key="k")
        other_call = await agent.rollback(Idempotency_Key="k")
        shown = await agent.certificates()

    assert {answer.status for answer in answers} == {200}
    assert len({str(answer.body) for answer in answers}) == 1
    assert [one["version"] for one in shown["versions"]] == [1, 2]
    assert shown["activationNumber"] == 2
    assert (other.status, other.code) == (422, "key_reused")
    assert (other_call.status, other_call.code) == (422, "key_reused")


async def test_the_same_holds_for_what_is_asked_of_devices(tmp_path: Path) -> None:
    body = {"deviceIds": ["dev-01"], "method": "FALLBACK_CHANNEL", "action": "UPDATE_TRUSTSTORE"}

    async with running(tmp_path, ["dev-01"]) as agent, asyncio.TaskGroup() as tasks:
        asked = [
            tasks.create_task(agent.post("/devices/recovery/initiate", body, Idempotency_Key="k"))
            for _ in range(20)
        ]

    assert len({one.result().body["operationId"] for one in asked}) == 1


async def test_a_refusal_is_judged_anew_because_nothing_was_done(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        first = await agent.rollback(Idempotency_Key="k")
        await until(lambda: is_proven(agent), "version 1 to be proven")
        await agent.rotate(await agent.new_chain())
        second = await agent.rollback(Idempotency_Key="k")

    assert (first.status, second.status) == (404, 200)


async def is_proven(agent: object) -> bool:
    shown = await agent.certificates()  # type: ignore[attr-defined]  # a running agent
    return bool(shown["versions"][0]["proven"])


async def opened(folder: Path) -> Store:
    store = Store(f"sqlite:///{folder / 'state.db'}", migrations=MIGRATIONS)
    await store.open()
    return store


async def test_who_comes_while_it_is_done_waits_for_the_answer_or_is_told_to_come_again(
    tmp_path: Path,
) -> None:
    store, release = await opened(tmp_path), asyncio.Event()

    async def work(ticket: Ticket) -> Reply:
        async with store.writing() as connection:
            await ticket.begin(connection)
        await release.wait()
        async with store.writing() as connection:
            await ticket.keep(connection, DONE)
        return DONE

    async with asyncio.TaskGroup() as tasks:
        once = Once(store, FakeClock(), tasks)
        first = tasks.create_task(once.answer(ASKED, work))
        await asyncio.wait([first], timeout=0.05)
        with (
            patch("exporter.gateway.agent.once._JOIN_S", 0.01),
            pytest.raises(RefusedError, match="still being carried out") as refusal,
        ):
            await once.answer(ASKED, work)
        with pytest.raises(RefusedError, match="came before, with another call or body"):
            await once.answer(Asked(key="k", call="rotate", body="c"), work)
        second = tasks.create_task(once.answer(ASKED, work))
        release.set()

    assert refusal.value.code is ErrorCode.IN_PROGRESS
    assert first.result() == second.result() == DONE
    await store.close()


async def test_who_asks_may_leave_and_come_back_for_the_answer(tmp_path: Path) -> None:
    store, release = await opened(tmp_path), asyncio.Event()
    count = 0

    async def work(ticket: Ticket) -> Reply:
        nonlocal count
        count += 1
        await release.wait()
        async with store.writing() as connection:
            await ticket.begin(connection)
            await ticket.keep(connection, DONE)
        return DONE

    async with asyncio.TaskGroup() as tasks:
        once = Once(store, FakeClock(), tasks)
        gone = tasks.create_task(once.answer(ASKED, work))
        await asyncio.wait([gone], timeout=0.05)
        gone.cancel()
        await asyncio.wait([gone])
        release.set()
        answer = await once.answer(ASKED, work)

    assert (answer, count) == (DONE, 1)
    await store.close()


async def test_an_answer_is_remembered_for_thirty_days(tmp_path: Path) -> None:
    store, clock = await opened(tmp_path), FakeClock()
    count = 0

    async def work(ticket: Ticket) -> Reply:
        nonlocal count
        count += 1
        async with store.writing() as connection:
            await ticket.begin(connection)
            await ticket.keep(connection, DONE)
        return DONE

    async with asyncio.TaskGroup() as tasks:
        once = Once(store, clock, tasks)
        for days in (0, 29, 2):
            clock.jump_wall(timedelta(days=days))
            await once.forget()
            await once.answer(ASKED, work)

    assert count == 2
    await store.close()


async def test_a_key_whose_work_was_interrupted_waits_to_be_settled(tmp_path: Path) -> None:
    store = await opened(tmp_path)

    async def interrupted(ticket: Ticket) -> Reply:
        async with store.writing() as connection:
            await ticket.begin(connection, "op-1" if ticket.asked.key == "k" else None)
        raise StoreError("the disk is full", retryable=True)

    async def work(_ticket: Ticket) -> Reply:
        return DONE

    simple = Asked(key="simple", call="csr", body="b")
    async with asyncio.TaskGroup() as tasks:
        once = Once(store, FakeClock(), tasks)
        for asked in (ASKED, simple):
            with pytest.raises(StoreError):
                await once.answer(asked, interrupted)
        await once.forget_interrupted()
        with pytest.raises(RefusedError, match="still being carried out"):
            await once.answer(ASKED, work)
        again = await once.answer(simple, work)

    assert again == DONE
    await store.close()
