"""What a crash left is found out by looking: each step at which it can have come."""

import sqlite3
from pathlib import Path
from unittest.mock import patch

import pytest

from exporter.errors import StoreError
from exporter.gateway.agent.history import Activation, Way, previous_of
from exporter.gateway.agent.versions import Versions
from tests.gateway.agent.shifted_clock import ShiftedClock
from tests.gateway.agent.stand import Agent, Answer, embedded, running, until
from tests.gateway.agent.willful import WillfulDriver, refuse
from tests.pki import utc


async def rotated(folder: Path) -> str:
    """An agent that served version 2 and is gone; the chain of that version."""
    async with running(folder) as agent:
        await until(lambda: is_proven(agent), "version 1 to be proven")
        chain = await agent.new_chain()
        assert (await agent.rotate(chain, Idempotency_Key="k")).status == 200
    return chain


async def is_proven(agent: Agent) -> bool:
    return any(one["proven"] for one in (await agent.certificates())["versions"])


def crash(folder: Path, step: str, *, first: bool = False) -> None:
    """Make the store say that the rotation was interrupted at ``step``."""
    with sqlite3.connect(folder / "agent/state.db") as store:
        store.execute("UPDATE change SET step = ?, status = NULL, ended_at = NULL", (step,))
        store.execute("UPDATE request SET status = NULL, answer = NULL WHERE key = 'k'")
        store.execute("DELETE FROM activation WHERE version = 2")
        store.execute("DELETE FROM proof WHERE version = 2")
        if first:
            store.execute("UPDATE change SET from_version = NULL")
    store.close()


async def settled(agent: Agent, chain: str) -> Answer:
    answers = []

    async def is_settled() -> bool:
        answers.append(await agent.rotate(chain, Idempotency_Key="k"))
        return answers[-1].status != 409

    await until(is_settled, "the interrupted change to be settled")
    return answers[-1]


@pytest.mark.parametrize(
    ("step", "points_to", "status", "serving", "detail"),
    [
        ("intended", 1, "FAILED", 1, "it was interrupted before anything was changed"),
        ("switching", 2, "SUCCESS", 2, "it was interrupted, and found to be served"),
        ("switching", 1, "ROLLED_BACK", 1, "it was interrupted in the middle of the switch"),
        ("returning", 2, "ROLLED_BACK", 1, "it was interrupted in the middle of the switch"),
        ("returning", 1, "ROLLED_BACK", 1, "it was interrupted in the middle of the switch"),
    ],
)
async def test_each_step_of_a_crash_ends_with_one_version_and_an_answer(
    tmp_path: Path, step: str, points_to: int, status: str, serving: int, detail: str
) -> None:
    chain = await rotated(tmp_path)
    crash(tmp_path, step)
    Versions(tmp_path / "agent").point_to(points_to)

    async with running(tmp_path) as agent:
        answer = await settled(agent, chain)
        shown = await agent.certificates()

    assert answer.body["status"] == status
    assert answer.body["detail"].startswith(detail)
    assert (answer.status == 200) is (status == "SUCCESS")
    assert shown["serving"]["version"] == serving
    assert shown["versions"][-1]["version"] == (1 if step == "intended" else 2)


async def test_a_first_rotation_that_was_interrupted_has_nothing_to_go_back_to(
    tmp_path: Path,
) -> None:
    chain = await rotated(tmp_path)
    crash(tmp_path, "returning", first=True)

    async with running(tmp_path) as agent:
        answer = await settled(agent, chain)
        shown = await agent.certificates()

    assert "there is no earlier version to go back to" in answer.message
    assert shown["serving"]["version"] == 2


async def test_what_somebody_does_by_hand_is_noticed_and_can_be_undone(tmp_path: Path) -> None:
    driver = WillfulDriver(embedded(tmp_path / "agent"))

    with patch("exporter.gateway.agent.keeping._LOOK_EVERY_S", 0.0):
        async with running(tmp_path, driver=driver) as agent:
            await agent.rotate(await agent.new_chain())
            folder = Versions(agent.directory).point_to(1)
            await driver.real.apply(folder, same_key_kind=True)

            async def noticed() -> bool:
                return bool((await agent.certificates())["activationNumber"] == 3)

            await until(noticed, "the change by hand to be noticed")
            between = await agent.certificates()
            back = await agent.rollback()
            after = await agent.certificates()

    assert between["serving"]["version"] == 1
    assert back.status == 200
    assert after["serving"]["version"] == 2


async def test_a_version_that_is_not_served_is_not_called_proven(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock, turn_s = ShiftedClock(), 0.07

    with (
        patch("exporter.gateway.agent.keeping._LOOK_EVERY_S", 0.0),
        patch("exporter.gateway.agent.keeping._SETTLE_EVERY_S", turn_s),
    ):
        async with running(tmp_path, clock=clock) as agent:
            await agent.rotate(await agent.new_chain())
            Versions(agent.directory).point_to(1)
            looks = clock.slept[turn_s]

            async def looked() -> bool:
                return clock.slept[turn_s] > looks + 1

            await until(looked, "a look")
            shown = await agent.certificates()

    assert shown["serving"]["version"] == 2
    assert shown["versions"][0]["state"] == "current"
    assert shown["activationNumber"] == 2
    assert "version 1 is current, but not proved" in caplog.text


async def test_what_somebody_lets_current_lead_to_is_noticed_without_waiting_for_the_next_look(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        patch("exporter.gateway.agent.keeping._LOOK_EVERY_S", 3_600),
        patch("exporter.gateway.agent.keeping._SETTLE_EVERY_S", 0.05),
    ):
        async with running(tmp_path) as agent:
            await agent.rotate(await agent.new_chain())
            Versions(agent.directory).point_to(1)

            async def noticed() -> bool:
                return "version 1 is current, but not proved" in caplog.text

            await until(noticed, "a look")


async def test_a_store_that_fails_is_told_and_nothing_is_begun(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        chain = await agent.new_chain()
        failing = StoreError("the store is full", retryable=True)
        with patch("exporter.gateway.agent.switching.journal.intend", side_effect=failing):
            answer = await agent.rotate(chain, Idempotency_Key="k")
        again = await agent.rotate(chain, Idempotency_Key="k")

    assert (answer.status, answer.code) == (503, "unavailable")
    assert answer.headers["Retry-After"] == "5"
    assert again.status == 200


async def test_an_outcome_that_cannot_be_written_is_found_out_later(tmp_path: Path) -> None:
    failing = StoreError("the store is full", retryable=True)

    async with running(tmp_path) as agent:
        chain = await agent.new_chain()
        with patch("exporter.gateway.agent.changing.finish", side_effect=failing):
            unknown = await agent.rotate(chain, Idempotency_Key="k")
        # Any other call looks first
        await agent.post("/gateway/certificates/csr", {})
        answer = await agent.rotate(chain, Idempotency_Key="k")

    assert unknown.status == 503
    assert answer.body["status"] == "SUCCESS"
    assert answer.body["detail"] == "it was interrupted, and found to be served"


async def test_the_way_back_does_not_wait_for_a_disk(tmp_path: Path) -> None:
    driver = WillfulDriver(embedded(tmp_path / "agent"))
    failing = StoreError("the store is full", retryable=True)

    async with running(tmp_path, driver=driver, proof={"rounds": 1, "within": "1s"}) as agent:
        chain = await agent.new_chain()
        driver.applies = [refuse]
        steps = "exporter.gateway.agent.journal.Journal.at_step"
        with patch(steps, side_effect=_only_the_way_back(failing)):
            answer = await agent.rotate(chain)
        shown = await agent.certificates()

    assert answer.body["status"] == "ROLLED_BACK"
    assert shown["serving"]["version"] == 1


def _only_the_way_back(error: StoreError) -> object:
    async def at_step(change: object, step: str) -> object:
        if step == "returning":
            raise error
        return change

    return at_step


async def test_a_fault_of_our_own_is_an_answer_too(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        with patch("exporter.gateway.agent.serving.certificates", side_effect=KeyError("x")):
            answer = await agent.get("/gateway/certificates")

    assert (answer.status, answer.code) == (500, "internal")
    assert "a fault of the agent, see its log" in answer.message


NOON = utc("2026-11-24T12:00:00")


@pytest.mark.parametrize(
    ("ways", "proven", "previous"),
    [
        ([], set(), None),
        ([(1, Way.FORWARD)], {1}, None),
        ([(1, Way.FORWARD), (2, Way.FORWARD)], {1, 2}, 1),
        ([(1, Way.FORWARD), (2, Way.FORWARD)], {2}, None),
        ([(1, Way.FORWARD), (2, Way.FORWARD), (3, Way.FORWARD)], {1, 3}, 1),
        ([(1, Way.FORWARD), (2, Way.FORWARD), (1, Way.BACK)], {1, 2}, None),
        ([(1, Way.FORWARD), (2, Way.FORWARD), (1, Way.BACK), (3, Way.FORWARD)], {1, 2, 3}, 1),
        ([(1, Way.FORWARD), (2, Way.FORWARD), (3, Way.FORWARD), (2, Way.BACK)], {1, 2, 3}, 1),
        ([(2, Way.FORWARD), (9, Way.BACK)], {2, 9}, 2),
        ([(1, Way.FORWARD), (1, Way.FORWARD)], {1}, None),
    ],
)
def test_previous_is_the_last_proven_that_was_not_gone_back_from(
    ways: list[tuple[int, Way]], proven: set[int], previous: int | None
) -> None:
    activations = [
        Activation(number=number, version=version, way=way, at=NOON)
        for number, (version, way) in enumerate(ways, 1)
    ]

    assert previous_of(activations, proven) == previous
