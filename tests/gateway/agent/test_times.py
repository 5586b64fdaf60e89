"""How long the agent lets wait: to the instant, in a loop's own time."""

import asyncio
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web

from exporter.gateway.agent.answers import RefusedError, Reply
from exporter.gateway.agent.asking import body_of
from exporter.gateway.agent.changing import _within
from exporter.gateway.agent.core import Core
from exporter.gateway.agent.driver import DriverError
from exporter.gateway.agent.drivers.haproxy.control import Control
from exporter.gateway.agent.once import Asked, Once, Ticket
from exporter.gateway.agent.schema import MIGRATIONS
from exporter.gateway.messages import ErrorCode, RollbackRequest
from exporter.store import Store
from tests.jumping_time import LoopClock, client_of, in_no_time, timed


async def never() -> None:
    await asyncio.Event().wait()


def test_a_change_waits_two_seconds_for_the_one_before_it_and_is_refused() -> None:
    async def refused() -> RefusedError:
        # Nothing else of an agent has to do with a turn
        core: Any = SimpleNamespace(changer=SimpleNamespace(lock=asyncio.Lock()))
        async with core.changer.lock:
            with pytest.raises(RefusedError) as refusal:
                async with Core.alone(core):
                    pass
        return refusal.value

    refusal, took_s = in_no_time(timed(refused()))

    assert refusal.code is ErrorCode.IN_PROGRESS
    assert took_s == pytest.approx(2.0)


def test_a_terminator_that_hangs_is_given_up_at_its_limit() -> None:
    async def given_up() -> None:
        with pytest.raises(DriverError, match=r"did not take it on within 7\.5 s"):
            await _within(7.5, never(), "take it on")

    _, took_s = in_no_time(timed(given_up()))

    assert took_s == pytest.approx(7.5)


@pytest.mark.parametrize(
    ("is_there", "sentence", "wanted_s"),
    [
        pytest.param(True, "did not answer within 5 s", 5.0, id="silent"),
        pytest.param(False, "does not answer: No such file", 1.0, id="absent"),
    ],
)
def test_haproxy_has_five_seconds_to_answer_and_one_to_come_back(
    is_there: bool, sentence: str, wanted_s: float, tmp_path: Path
) -> None:
    path = tmp_path / "admin.sock"

    async def failure() -> None:
        with pytest.raises(DriverError, match=sentence):
            await Control(path, "control socket", LoopClock()).show("show info")

    with socket.socket(socket.AF_UNIX) as silent:
        if is_there:
            silent.bind(str(path))
            silent.listen()
        _, took_s = in_no_time(timed(failure()))

    assert took_s == pytest.approx(wanted_s, abs=0.051)  # it looks every twentieth of a second


def test_who_asks_the_same_again_waits_25_seconds_for_the_answer(tmp_path: Path) -> None:
    asked = Asked(key="k", call="rotate", body="b")
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def work(_ticket: Ticket) -> Reply:
        begun.set()
        await may_end.wait()
        return Reply(status=200, body="{}")

    async def refused_s() -> float:
        store = Store(f"sqlite:///{tmp_path / 'state.db'}", migrations=MIGRATIONS)
        await store.open()
        async with asyncio.TaskGroup() as tasks:
            once = Once(store, LoopClock(), tasks)
            tasks.create_task(once.answer(asked, work))
            await begun.wait()
            _, took_s = await timed(refused(once))
            may_end.set()
        await store.close()
        return took_s

    async def refused(once: Once) -> None:
        with pytest.raises(RefusedError, match="still being carried out"):
            await once.answer(asked, work)

    assert in_no_time(refused_s()) == pytest.approx(25.0)


def test_a_body_that_does_not_end_is_refused_after_half_a_minute() -> None:
    told: list[RefusedError] = []

    async def handle(request: web.Request) -> web.Response:
        with pytest.raises(RefusedError) as refusal:
            await body_of(request, RollbackRequest, 1_000)
        told.append(refusal.value)
        return web.Response(text="over")

    async def refused_s() -> float:
        app = web.Application()
        app.router.add_post("/", handle)
        loop = asyncio.get_running_loop()
        async with client_of(app) as client:
            head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
            await loop.sock_sendall(client, head + b"Content-Length: 100\r\n\r\n")
            async with asyncio.TaskGroup() as tasks:
                dripping = tasks.create_task(drip(client))
                _, took_s = await timed(loop.sock_recv(client, 65_536))
                dripping.cancel()
        return took_s

    async def drip(client: socket.socket) -> None:
        while True:
            await asyncio.get_running_loop().sock_sendall(client, b" ")
            await LoopClock().sleep(0.7)

    took_s = in_no_time(refused_s())

    assert [str(one) for one in told] == ["the body did not come in 30 s"]
    assert took_s == pytest.approx(30.0)
