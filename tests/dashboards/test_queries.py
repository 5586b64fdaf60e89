"""Every query of every dashboard, asked of a real Prometheus that has scraped real demos.

Job ``healthy`` is the demo, ``broken`` the demo in the outage, and ``full`` two made-up exporters
side by side that show every metric there is: what no demo has, a rotation for one, is seen there.
"""

import asyncio
import json
import re
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack
from datetime import datetime
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web

from exporter.alerts import Values, rules_text
from exporter.clock import SystemClock
from tests.daemons import Daemon, free_port, need
from tests.dashboards.every_metric import exposition
from tests.dashboards.reading import DASHBOARDS, Asked, asked_by, filled, name_of, panels_of
from tools.dashboards.model import GATHERED

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240), pytest.mark.asyncio(loop_scope="module")]

_WITHIN_S = 100.0
_SETTLED = (
    # All were scraped for a while, and lately one after the other: with a scrape that fails all
    # series end at once, and a rate needs two
    "count(sum_over_time(up[1m]) >= 14) == 4",
    "count(sum_over_time(up[5s]) >= 3) == 4",
    "count(min_over_time(up[5s]) == 1) == 4",
    # Each look was good: one that the machine held up for longer than it may take is not
    'count(fleet_tls_probe_handshake_success{job=~"healthy|broken"} == 1) == 14',
    'count(fleet_tls_device_accepts_gateway{job="healthy"} == 1) == 18',
    'gateway:fleet_tls_devices_refusing:predicted{job="broken"} == 18',
    'gateway:fleet_tls_devices_refusing:logged{job="broken"} == 18',
    'increase(fleet_tls_handshake_failures_total{job="broken", device="dev-01"}[5s]) > 0',
    'ALERTS{job="broken", alertstate="firing"}',
)
_CHOSEN = {
    "gateway": "gw-1",
    "device": "dev-01",
    "instance": ".*",
    "rotation": ".*",
    "__rate_interval": "5s",
}
# What the outage has to show, beside all that a healthy fleet shows
_IN_THE_OUTAGE = {
    ("fleet-tls", "Chain problems by reason"),
    ("fleet-tls", "Failed handshakes by reason and by who refused"),
    ("fleet-tls", "Alerts that fire"),
    ("fleet-tls-gateway", "Why it is not verified"),
    ("fleet-tls-gateway", "Devices that would refuse"),
    ("fleet-tls-gateway", "Devices whose latest handshake failed"),
    ("fleet-tls-gateway", "Failed handshakes by reason and by who refused"),
    ("fleet-tls-device", "Failed handshakes by reason and by who refused"),
}
_NUMBERS = {  # healthy, broken
    "Devices that would refuse their gateway": (0, 18),
    "Devices that refused their gateway": (0, 18),
    "Chains not verified": (0, 1),
    "No handshake": (0, 0),
    "Targets watched": (19, 19),
    "Gateways watched": (1, 1),
    "Alert rules": (1, 1),
}


class Prometheus:
    """What Grafana asks it, always of one moment: what this machine does later changes nothing.

    Attributes:
        at_s: The moment, in seconds since 1970.
    """

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self.at_s = 0.0

    async def ask(self, path: str, **params: str) -> Any:
        async with self._session.get(f"/api/v1/{path}", params=params) as answer:
            body = await answer.json()
        assert body["status"] == "success", (params, body)
        return body["data"]

    async def is_ready(self) -> bool:
        async with self._session.get("/-/ready") as answer:
            return answer.status == 200

    async def knows_all(self) -> bool:
        """Whether each target was scraped and each group evaluated after the moment."""
        later = f"count(timestamp(up) > {self.at_s})"
        scraped = (await self.ask("query", query=later))["result"]
        groups = (await self.ask("rules"))["groups"]
        began = [datetime.fromisoformat(one["lastEvaluation"]).timestamp() for one in groups]
        return [one["value"][1] for one in scraped] == ["4"] and min(began) > self.at_s

    async def instant(self, expr: str) -> list[dict[str, Any]]:
        answer = await self.ask("query", query=expr, time=f"{self.at_s}")
        found: list[dict[str, Any]] = answer["result"]
        return found

    async def panel(self, asked: Asked) -> list[dict[str, Any]]:
        if asked.is_instant:
            return await self.instant(asked.expr)
        end = self.at_s
        found: list[dict[str, Any]] = (
            await self.ask(
                "query_range", query=asked.expr, start=f"{end - 10}", end=f"{end}", step="1"
            )
        )["result"]
        return found


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """HOST:PORT of each demo's exporter, by job."""
    command = (sys.executable, "-m", "exporter", "demo", "--port", "0", "--json")
    started = {}
    with ExitStack() as stack:
        for job, more in {"healthy": (), "broken": ("--break", "unknown-ca")}.items():
            home = tmp_path_factory.mktemp(job)
            started[job] = stack.enter_context(Daemon((*command, *more), directory=home))
        for running in started.values():
            running.wait_for_line("}", within_s=90)
        yield {
            job: json.loads(running.lines()[-1])["exporter"].removeprefix("http://")
            for job, running in started.items()
        }


async def made_up(stack: AsyncExitStack) -> str:
    """HOST:PORT of an exporter that shows every metric of the catalogue."""
    scrapes = Counter[str]()

    async def metrics(_: web.Request) -> web.Response:
        scrapes["all"] += 1
        return web.Response(text=exposition(SystemClock().now(), scrapes["all"]))

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    runner = web.AppRunner(app)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0]
    return f"{host}:{port}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def prometheus(
    demos: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Prometheus]:
    home, port = tmp_path_factory.mktemp("prometheus"), free_port()
    async with AsyncExitStack() as stack:
        jobs = {job: [where] for job, where in demos.items()}
        jobs["full"] = [await made_up(stack), await made_up(stack)]
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": ["fleet-tls.rules.yml"],
            "scrape_configs": [
                {"job_name": job, "static_configs": [{"targets": where}]}
                for job, where in jobs.items()
            ],
        }
        (home / "fleet-tls.rules.yml").write_text(rules_text(Values(slow_interval=1.0)))
        (home / "prometheus.yml").write_text(json.dumps(config))
        command = (
            need("prometheus"),
            f"--config.file={home}/prometheus.yml",
            f"--storage.tsdb.path={home}/data",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=warn",
        )
        daemon = stack.enter_context(Daemon(command, directory=home, ports=[port]))
        session = aiohttp.ClientSession(f"http://127.0.0.1:{port}")
        asked = Prometheus(await stack.enter_async_context(session))
        await _until_settled(asked)
        yield asked
        # A busy machine may evaluate a rule twice for one moment, which is told as well
        assert [line for line in daemon.lines() if "Evaluating rule failed" in line] == []


async def _until_settled(prometheus: Prometheus) -> None:
    """Find a moment at which all had been seen for a while that the panels are to show."""
    clock = SystemClock()
    async with asyncio.timeout(_WITHIN_S):
        while not await prometheus.is_ready():
            await clock.sleep(0.5)
        is_settled = False
        while not is_settled:
            prometheus.at_s = clock.now().timestamp()
            while not await prometheus.knows_all():
                await clock.sleep(0.2)
            is_settled = all([await prometheus.instant(expr) for expr in _SETTLED])


def _asked(job: str) -> Iterator[Asked]:
    for name, board in DASHBOARDS.items():
        for panel in panels_of(board):
            yield from asked_by(name, panel, {**_CHOSEN, "job": job})


async def test_a_healthy_fleet_leaves_no_panel_empty_without_a_word(
    prometheus: Prometheus,
) -> None:
    for job in ("healthy", "broken", "full"):
        empty = [
            (asked.where, asked.expr)
            for asked in _asked(job)
            if asked.panel["fieldConfig"]["defaults"]["noValue"] == GATHERED
            and not await prometheus.panel(asked)
        ]
        assert empty == [], job


async def test_every_panel_has_something_to_show_once_there_is_everything(
    prometheus: Prometheus,
) -> None:
    empty = [
        (asked.where, asked.expr) for asked in _asked("full") if not await prometheus.panel(asked)
    ]

    assert empty == []


async def test_the_outage_shows_where_one_looks_for_it(prometheus: Prometheus) -> None:
    shown = {
        (asked.board, asked.panel["title"])
        for asked in _asked("broken")
        if await prometheus.panel(asked)
    }
    numbers = {
        job: {
            asked.panel["title"]: float((await prometheus.panel(asked))[0]["value"][1])
            for asked in _asked(job)
            if asked.board == "fleet-tls" and asked.panel["title"] in _NUMBERS
        }
        for job in ("healthy", "broken")
    }

    assert shown >= _IN_THE_OUTAGE
    assert numbers == {
        "healthy": {title: number for title, (number, _) in _NUMBERS.items()},
        "broken": {title: number for title, (_, number) in _NUMBERS.items()},
    }


@pytest.mark.parametrize("job", ["healthy", "broken", "full"])
async def test_no_two_series_of_a_panel_have_one_name(prometheus: Prometheus, job: str) -> None:
    names: dict[tuple[str, int], list[str]] = {}
    for asked in _asked(job):
        of_panel = names.setdefault((asked.board, asked.panel["id"]), [])
        of_panel += [
            name_of(asked.legend, one["metric"]) + ("" if asked.legend != "__auto" else asked.expr)
            for one in await prometheus.panel(asked)
        ]
        if asked.panel["type"] == "stat":
            assert len(of_panel) <= 1, asked.where

    assert {
        where: Counter(of_panel).most_common(1)
        for where, of_panel in names.items()
        if len(set(of_panel)) < len(of_panel)
    } == {}


async def test_each_column_of_a_table_is_there(prometheus: Prometheus) -> None:
    for name, board in DASHBOARDS.items():
        for panel in panels_of(board):
            if panel["type"] != "table":
                continue
            several = len(panel["targets"]) > 1
            there: set[str] = set()
            for asked, letter in zip(
                asked_by(name, panel, {**_CHOSEN, "job": "full"}), "ABCDEF", strict=False
            ):
                for one in await prometheus.panel(asked):
                    there |= {*one["metric"], f"Value #{letter}" if several else "Value"}
            wanted = set(panel["transformations"][1]["options"]["include"]["names"])
            if panel["title"] != "Alerts that fire":  # each alert has other labels
                assert wanted <= there, panel["title"]


async def test_a_rollback_that_has_not_ended_is_shown_as_under_way(
    prometheus: Prometheus,
) -> None:
    name = "fleet_tls_remediation_last_action_outcome"
    [expr] = [
        asked.expr
        for asked in _asked("full")
        if asked.panel["title"] == "Rollback of each gateway" and name in asked.expr
    ]

    ended = await prometheus.instant(expr)
    going_on = await prometheus.instant(re.sub(rf"{name}{{.*?}}", r"0 * \g<0>", expr))

    assert {one["metric"]["outcome"] for one in ended} == {"outcome-0", "outcome-1"}
    assert [one["metric"] for one in going_on] == [{"gateway": "gw-1", "outcome": "under way"}]


async def test_variables_have_values(prometheus: Prometheus) -> None:
    for name, board in DASHBOARDS.items():
        for variable in board["templating"]["list"]:
            if variable["type"] != "query":
                continue
            query = filled(variable["query"]["query"], {**_CHOSEN, "job": "full"})
            selector, _, label = query.removeprefix("label_values(")[:-1].rpartition(", ")
            values = await prometheus.ask(f"label/{label}/values", **{"match[]": selector})
            assert values, (name, variable["name"])


async def test_annotations_mark_what_happened(prometheus: Prometheus) -> None:
    for name, board in DASHBOARDS.items():
        for annotation in board["annotations"]["list"]:
            expr = filled(annotation["expr"], {**_CHOSEN, "job": "full"})
            found = await prometheus.instant(expr)
            assert found, (name, annotation["name"])
