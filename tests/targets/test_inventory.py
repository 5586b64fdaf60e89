import asyncio
import json
import logging
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from exporter.clock import SystemClock
from exporter.targets.entries import Known
from exporter.targets.inventory import InventorySources, LastGood
from exporter.targets.model import Inventory, Role, Target
from exporter.targets.options import HttpSource, Options
from tests.fake_clock import FakeClock

GATEWAY = Target(name="gw-1", role=Role.GATEWAY, host="gw-1", port=8883)


def groups(*names: str, gateway: str = "gw-1") -> str:
    return json.dumps(
        [
            {"targets": [f"{name}:1"], "labels": {"name": name, "gateway": gateway}}
            for name in names
        ]
    )


class Fleet:
    """Inventory sources under a fake clock, with every inventory they told."""

    def __init__(self, options: Options, last_good: LastGood | None = None) -> None:
        self.clock = FakeClock()
        self.told: list[Inventory] = []
        self.sources = InventorySources(
            options,
            static=[GATEWAY],
            known=Known(),
            clock=self.clock,
            on_change=self.told.append,
            last_good=last_good,
        )

    @property
    def names(self) -> list[str]:
        return list(self.sources.inventory.targets)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let fake seconds pass, and real threads work, until ``condition`` holds."""
        async with asyncio.timeout(40):
            while not condition():
                await self.clock.advance(1.0)
                await SystemClock().sleep(0.005)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(self.sources.run())
            await self.until(lambda: bool(self.told))
            yield
            task.cancel()


async def test_the_first_inventory_is_told_even_when_it_is_only_the_static_one() -> None:
    fleet = Fleet(Options())

    async with fleet.running():
        await fleet.until(lambda: fleet.clock.monotonic() > 1_010)

    assert [list(inventory.targets) for inventory in fleet.told] == [["gw-1"]]


async def test_before_it_runs_the_inventory_is_empty() -> None:
    assert Fleet(Options()).sources.inventory == Inventory()


async def at_once(look: Callable[[], object]) -> object:
    return look()


async def test_a_change_of_a_file_is_told_within_five_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The clock does not wait for real threads: how long those take would be what is counted
    monkeypatch.setattr("asyncio.to_thread", at_once)
    path = tmp_path / "a.json"
    path.write_text(groups("dev-1"))
    fleet = Fleet(Options(files=(path,)))

    async with fleet.running():
        path.write_text(groups("dev-1", "dev-2"))
        changed_at = fleet.clock.monotonic()
        await fleet.until(lambda: len(fleet.told) > 1)
        waited_s = fleet.clock.monotonic() - changed_at

    assert fleet.names == ["gw-1", "dev-1", "dev-2"]
    assert waited_s < 5


async def test_only_a_result_that_differs_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(groups("dev-1"))
    fleet = Fleet(Options(files=(path,)))

    async with fleet.running():
        path.write_text(json.dumps(json.loads(groups("dev-1")), indent=4))
        before = fleet.sources.stats.sources[1].last_success_at
        await fleet.until(lambda: fleet.sources.stats.sources[1].last_success_at != before)
        path.write_text(groups("dev-1", "dev-2"))
        await fleet.until(lambda: len(fleet.told) > 1)

    assert [len(inventory.targets) for inventory in fleet.told] == [2, 3]
    assert fleet.sources.stats.change_count == 2


async def test_static_comes_first_then_files_then_urls(tmp_path: Path) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response(json.loads(groups("dev-1", "dev-9")))

    (tmp_path / "a.json").write_text(groups("gw-1", "dev-1"))
    application = web.Application()
    application.router.add_get("/", answer)
    async with TestServer(application, host="127.0.0.1") as server:
        url = str(server.make_url("/"))
        fleet = Fleet(
            Options(files=(tmp_path / "*.json",), http=(HttpSource(url=url, interval=5.0),))
        )
        async with fleet.running():
            await fleet.until(lambda: "dev-9" in fleet.names)

    assert fleet.names == ["gw-1", "dev-1", "dev-9"]
    assert [(one.name, one.source) for one in fleet.sources.inventory.dropped] == [
        ("gw-1", str(tmp_path / "a.json")),
        ("dev-1", url),
    ]
    stats = fleet.sources.stats
    assert [source.name for source in stats.sources] == ["static", str(tmp_path / "a.json"), url]
    assert [source.entry_count for source in stats.sources] == [1, 1, 1]
    assert [source.dropped_count for source in stats.sources] == [0, 1, 1]
    assert (stats.target_count, stats.dropped_count) == (3, 2)


async def test_a_url_that_fails_delays_nobody(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(groups("dev-1"))
    url = "http://127.0.0.1:1/"
    fleet = Fleet(Options(files=(path,), http=(HttpSource(url=url),)))

    async with fleet.running():
        await fleet.until(lambda: "reached" in fleet.sources.stats.sources[2].problem)
        path.write_text(groups("dev-2"))
        await fleet.until(lambda: "dev-2" in fleet.names)

    source = fleet.sources.stats.sources[2]
    assert (source.ok, source.last_success_at) == (False, None)


async def test_what_is_dropped_is_logged_once_by_name(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = [f"dev-{number}" for number in range(30)]
    path = tmp_path / "a.json"
    path.write_text(groups(*names, gateway="gw-2"))
    fleet = Fleet(Options(files=(path,)))
    caplog.set_level(logging.WARNING)

    async with fleet.running():
        path.write_text(groups(*names, "dev-30", gateway="gw-2"))
        await fleet.until(lambda: len(fleet.told) > 1)

    messages = [record.getMessage() for record in caplog.records]
    assert sum("name='dev-0' " in message for message in messages) == 1
    assert sum("name='dev-30' " in message for message in messages) == 1
    assert "10 more targets were dropped" in messages


async def test_sources_that_replace_others_keep_what_was_last_good(tmp_path: Path) -> None:
    async def answer(_: web.Request) -> web.Response:
        if not is_up:
            raise web.HTTPServiceUnavailable
        return web.json_response(json.loads(groups("dev-2")))

    is_up = True
    path = tmp_path / "a.json"
    path.write_text(groups("dev-1"))
    application = web.Application()
    application.router.add_get("/", answer)
    async with TestServer(application, host="127.0.0.1") as server:
        options = Options(files=(path,), http=(HttpSource(url=str(server.make_url("/"))),))
        first = Fleet(options)
        async with first.running():
            await first.until(lambda: "dev-2" in first.names)
        is_up = False
        path.write_text("[")
        second = Fleet(options, first.sources.last_good)
        async with second.running():
            await second.until(lambda: "503" in second.sources.stats.sources[2].problem)

    assert [list(inventory.targets) for inventory in second.told] == [["gw-1", "dev-1", "dev-2"]]
    assert [source.ok for source in second.sources.stats.sources] == [True, False, False]


async def test_ten_thousand_targets_cost_less_than_a_second(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(groups(*[f"dev-{number}" for number in range(10_000)]))
    fleet = Fleet(Options(files=(path,)))
    before_s = time.process_time()

    async with fleet.running():
        cost_s = time.process_time() - before_s

    assert len(fleet.names) == 10_001
    assert cost_s < (1.0 if sys.gettrace() is None else 5.0)  # coverage measures itself as well
