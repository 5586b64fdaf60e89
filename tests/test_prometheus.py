"""A real Prometheus scrapes the demo; in the campaign for five minutes."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain_text

from exporter.clock import SystemClock
from tests.daemons import Daemon, free_port, need

CAMPAIGN = "FLEET_TLS_CAMPAIGN" in os.environ
WATCHED_S = 300 if CAMPAIGN else 15
INTERVAL_S = 3
OPENMETRICS = "application/openmetrics-text;version=1.0.0"
PLAIN = "text/plain;version=0.0.4"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(WATCHED_S + 120)]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of a demo's exporter."""
    home = tmp_path_factory.mktemp("demo")
    command = (sys.executable, "-m", "exporter", "demo", "--port", "0", "--json")
    with Daemon(command, directory=home) as running:
        running.wait_for_line("}", within_s=90)
        yield json.loads(running.lines()[-1])["exporter"]


@pytest.fixture
async def rewriting(demo: str) -> AsyncIterator[dict[str, str]]:
    """Proxies that ask for one format whatever they are asked; their addresses by format."""
    addresses = {}
    runners = []
    async with aiohttp.ClientSession() as session:
        for accept in (OPENMETRICS, PLAIN):

            async def handle(_: web.Request, accept: str = accept) -> web.Response:
                async with session.get(f"{demo}/metrics", headers={"Accept": accept}) as answer:
                    kind = answer.headers["Content-Type"]
                    assert kind.startswith(accept.partition(";")[0])
                    return web.Response(
                        body=await answer.read(),
                        status=answer.status,
                        headers={"Content-Type": kind},
                    )

            app = web.Application()
            app.router.add_get("/metrics", handle)
            runner = web.AppRunner(app)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            runners.append(runner)
            addresses[accept] = "{}:{}".format(*runner.addresses[0])
        yield addresses
        for runner in runners:
            await runner.cleanup()


async def test_prometheus_scrapes_both_formats_without_an_error(
    demo: str, rewriting: dict[str, str], tmp_path: Path
) -> None:
    clock, port = SystemClock(), free_port()
    jobs = {
        "direct": demo.removeprefix("http://"),
        "om": rewriting[OPENMETRICS],
        "text": rewriting[PLAIN],
    }
    scrapes = [
        {"job_name": name, "static_configs": [{"targets": [where]}]}
        for name, where in jobs.items()
    ]
    config = {
        "global": {"scrape_interval": f"{INTERVAL_S}s", "scrape_timeout": f"{INTERVAL_S}s"},
        "scrape_configs": scrapes,
    }
    (tmp_path / "prometheus.yml").write_text(json.dumps(config))
    command = (
        need("prometheus"),
        f"--config.file={tmp_path}/prometheus.yml",
        f"--storage.tsdb.path={tmp_path}/data",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    )

    with Daemon(command, directory=tmp_path, ports=[port]) as prometheus:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            await clock.sleep(WATCHED_S)
            # A machine that is busy with other tests may let a first scrape run out of time
            always_up = f"min_over_time(up[{WATCHED_S - 4}s])"
            how_often = f"count_over_time(up[{WATCHED_S}s])"
            enough = WATCHED_S / INTERVAL_S - 2
            ups = await ask(session, always_up)
            scraped = await ask(session, how_often)
            for _ in range(0 if CAMPAIGN else 10):
                if values(ups) == [1.0] * 3 and min(values(scraped)) >= enough:
                    break
                await clock.sleep(INTERVAL_S)
                ups = await ask(session, always_up)
                scraped = await ask(session, how_often)
            samples = await ask(session, "scrape_samples_scraped")
            accepting = await ask(session, "fleet_tls_device_accepts_gateway")
            complaints = await ask(
                session,
                '{__name__=~"prometheus_target_scrapes?_(sample_duplicate_timestamp|sample_out_of_'
                'bounds|sample_out_of_order|exceeded_.*)_total"} > 0',
            )

        assert values(ups) == [1.0, 1.0, 1.0]
        assert min(values(scraped)) >= enough
        assert min(values(samples)) > 200
        assert len(accepting) == 18 * len(jobs)
        assert {row["value"][1] for row in accepting} == {"1"}
        assert complaints == []
        assert prometheus.text() == ""  # warnings and errors would stand here


async def test_promtool_finds_nothing_to_say_about_the_metrics(demo: str) -> None:
    async with aiohttp.ClientSession() as session, session.get(f"{demo}/metrics") as answer:
        text = await answer.read()

    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *(need("promtool"), "check", "metrics"), stdin=pipe, stdout=pipe, stderr=pipe
    )
    answer_and_complaints = await process.communicate(text)
    said = b"".join(answer_and_complaints).decode()

    assert (process.returncode, said) == (0, "")


@pytest.mark.parametrize(("accept", "parse"), [(OPENMETRICS, openmetrics), (PLAIN, plain_text)])
async def test_the_official_parser_reads_every_family_once(
    demo: str, accept: str, parse: Any
) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{demo}/metrics", headers={"Accept": accept}) as answer,
    ):
        families = list(parse(await answer.text()))

    names = [family.name for family in families]
    assert len(names) == len(set(names))
    targets = {
        sample.labels["target"]
        for family in families
        if family.name in {"fleet_tls_target_info", "fleet_tls_target"}
        for sample in family.samples
    }
    assert targets == {"gw-1", *(f"dev-{n:02}" for n in range(1, 19))}


def values(rows: list[dict[str, Any]]) -> list[float]:
    return [float(row["value"][1]) for row in rows]


async def ask(session: aiohttp.ClientSession, query: str) -> list[dict[str, Any]]:
    async with session.get("/api/v1/query", params={"query": query}) as answer:
        body = await answer.json()
    assert body["status"] == "success", body
    found: list[dict[str, Any]] = body["data"]["result"]
    return found
