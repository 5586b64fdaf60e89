"""The alert rules over a real scrape of many devices, evaluated by a real Prometheus.

A healthy fleet with chains, predictions, handshakes, trust reports and client certificates is
exposed by the exporter's own parts, scraped a few times, and every rule of ``rules/`` is evaluated
over it. No rule may fail, no alert may be there; printed is what each group costs.

    python -m bench.rules                  # 10,000 devices behind 20 gateways
    python -m bench.rules --devices 1000
"""

import argparse
import asyncio
import gzip
import json
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from bench.fleet import BenchFleet, make_certificates, read_fleet
from bench.processes import Child, cpu_s, free_port, rss_bytes, start, wait_http
from exporter.alerts import Values, rules_text
from exporter.certificates import CertificateCache
from exporter.clock import SystemClock
from exporter.fleet import Fleet
from exporter.handshake_log.counts import Tally
from exporter.handshake_log.lines import HandshakeLines
from exporter.metrics.exposition import Exposition
from exporter.targets.model import Inventory, Role
from exporter.verdicts.cache import Judge

_GATEWAYS = 20
_INTERVAL_S = 10
_WITHIN_S = 800.0
_T = "fleet_tls_trust_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What Prometheus says.

    Attributes:
        seconds: Of the latest evaluation, by group.
        faults: Rules that could not be evaluated, with the reason.
        alerts: Names of alerts that are pending or firing.
    """

    series: int
    rules: int
    seconds: Mapping[str, float]
    faults: tuple[str, ...]
    alerts: tuple[str, ...]
    cpu_s: float
    resident_bytes: int


class Live:
    """The fleet as it goes on: each scrape finds it looked at and shaken hands with once more."""

    def __init__(self, bench: BenchFleet) -> None:
        self._bench = bench
        clock = SystemClock()
        devices = {
            name: replace(
                target,
                gateway=_gateway(number),
                holds=("fw-1",),
                contact_interval_s=3_600.0,
            )
            for number, (name, target) in enumerate(bench.inventory.targets.items())
        }
        first = list(bench.inventory.targets.values())
        gateways = {
            _gateway(n): replace(first[n], name=_gateway(n), role=Role.GATEWAY)
            for n in range(min(_GATEWAYS, len(first)))
        }
        self._devices, self._gateways = list(devices), list(gateways)
        inventory = Inventory(targets={**gateways, **devices})
        self._fleet = Fleet(Judge(), clock)
        self._fleet.use(inventory, bench.stores)
        self._handshakes = HandshakeLines()
        ends = (datetime.now(UTC) + timedelta(days=200)).timestamp()
        self._certificates = dict.fromkeys(devices, ends)
        self._handshakes.use(inventory, gateways, {}, self._certificates)
        self._count = 0
        self.exposition = Exposition(self._fleet, clock, sources=[self], series_budget=10**7)

    def go_on(self) -> None:
        """Look at all targets, and let all devices connect."""
        now = datetime.now(UTC)
        for number in range(len(self._devices)):
            look = self._bench.look(number, now)
            if number < len(self._gateways):
                self._fleet.record(replace(look, target=self._gateways[number]))
            self._fleet.record(look)
        self._count += 2
        tally = Tally(
            success_count=self._count, proven_count=self._count, told_s=now.timestamp(),
            success_s=now.timestamp(), proven_s=now.timestamp(),
        )  # fmt: skip
        tallies = {(_gateway(n), name): tally for n, name in enumerate(self._devices)}
        self._handshakes.update(tallies, self._certificates)

    def lines_of(self, family: str) -> Iterable[bytes]:
        """Return the handshakes' own lines, and trust reports as that part writes them."""
        if family.startswith(_T):
            return self._trust_lines(family)
        return self._handshakes.lines_of(family)

    def _trust_lines(self, family: str) -> Iterator[bytes]:
        values = {
            f"{_T}store_synced": "1",
            f"{_T}store_report_timestamp_seconds": f"{time.time()}",
        }
        if family in values:
            for name in self._devices:
                yield f'{family}{{device="{name}"}} {values[family]}\n'.encode()
        elif family == f"{_T}store_class_devices":
            for state in ("synced", "pending", "failed", "stale", "never_reported"):
                count = len(self._devices) if state == "synced" else 0
                yield f'{family}{{device_class="sensor",state="{state}"}} {count}\n'.encode()


def _gateway(number: int) -> str:
    return f"gw-{number % _GATEWAYS:02}"


async def _scraped(live: Live, request: web.Request) -> web.Response:
    live.go_on()
    chunks = await live.exposition.render_gzip(openmetrics=False)
    headers = {"Content-Type": "text/plain; version=0.0.4", "Content-Encoding": "gzip"}
    own = b"# TYPE fleet_tls_exporter_build_info gauge\nfleet_tls_exporter_build_info 1\n"
    if "gzip" not in request.headers.get("Accept-Encoding", ""):
        text = b"".join(live.exposition.render(openmetrics=False))
        return web.Response(body=own + text, headers={"Content-Type": headers["Content-Type"]})
    return web.Response(body=gzip.compress(own, 1) + b"".join(chunks), headers=headers)


async def measure(devices: int, folder: Path) -> Result:
    """Let Prometheus scrape and evaluate until all has been recorded that rules go by."""
    certificates = folder / "certificates"
    make_certificates(devices, certificates)
    live = Live(read_fleet(certificates, CertificateCache()))
    app = web.Application()

    async def handle(request: web.Request) -> web.Response:
        return await _scraped(live, request)

    app.router.add_get("/metrics", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    with ExitStack() as stack:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        child, url = _prometheus(stack, folder, "{}:{}".format(*runner.addresses[0]))
        try:
            await asyncio.to_thread(wait_http, f"{url}/-/ready", child)
            return await _asked(url, child)
        finally:
            await runner.cleanup()


def _prometheus(stack: ExitStack, folder: Path, exporter: str) -> tuple[Child, str]:
    (folder / "fleet.rules.yml").write_text(rules_text(Values(slow_interval=float(_INTERVAL_S))))
    config = {
        "global": {"scrape_interval": f"{_INTERVAL_S}s", "evaluation_interval": f"{_INTERVAL_S}s"},
        "rule_files": ["fleet.rules.yml"],
        "scrape_configs": [{"job_name": "fleet-tls", "static_configs": [{"targets": [exporter]}]}],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))
    port = free_port()
    command = (
        "prometheus",
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    )
    return start(stack, command, folder / "prometheus.log"), f"http://127.0.0.1:{port}"


async def _asked(url: str, child: Child) -> Result:
    clock = SystemClock()
    async with aiohttp.ClientSession() as session, asyncio.timeout(_WITHIN_S):
        # The last thing to come: handshakes have to have increased between two scrapes
        while not await _query(session, url, "gateway:fleet_tls_handshake_success:ratio == 1"):
            await clock.sleep(0.5)
        since = clock.now()
        while True:
            groups = await _groups(session, url)
            series = await _query(session, url, "scrape_samples_scraped")
            alerts = await _query(session, url, "count by (alertname) (ALERTS)")
            # Asked last: a scrape that failed meanwhile is seen, and all is asked once more
            of_scrapes = max(since, await _scraped_since(session, url))
            if min(_evaluated_at(group) for group in groups) > of_scrapes:
                break
            await clock.sleep(0.5)
    rules = [rule for group in groups for rule in group["rules"]]
    return Result(
        series=int(float(series[0]["value"][1])),
        rules=len(rules),
        seconds={group["name"]: float(group["evaluationTime"]) for group in groups},
        faults=tuple(
            f"{rule['name']}: {rule.get('lastError') or rule['health']}"
            for rule in rules
            if rule["health"] != "ok"
        ),
        alerts=tuple(sorted(one["metric"]["alertname"] for one in alerts)),
        cpu_s=cpu_s(child),
        resident_bytes=rss_bytes(child),
    )


async def _scraped_since(session: aiohttp.ClientSession, url: str) -> datetime:
    """Return since when each scrape has come through; far ahead: the latest has not.

    One that takes longer than it may is no fault of the rules: with it all series end at once.
    """
    (up,) = await _query(session, url, f"up[{_WITHIN_S:.0f}s]")
    since = datetime.max.replace(tzinfo=UTC)
    for at, value in reversed(up["values"]):
        if float(value) == 0:
            break
        since = datetime.fromtimestamp(at, UTC)
    return since


async def _groups(session: aiohttp.ClientSession, url: str) -> list[dict[str, Any]]:
    async with session.get(f"{url}/api/v1/rules") as answer:
        found: list[dict[str, Any]] = (await answer.json())["data"]["groups"]
    return found


def _evaluated_at(group: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(group["lastEvaluation"])


async def _query(session: aiohttp.ClientSession, url: str, expr: str) -> list[dict[str, Any]]:
    async with session.get(f"{url}/api/v1/query", params={"query": expr}) as answer:
        body = await answer.json()
    if body["status"] != "success":
        raise SystemExit(f"{expr}: {body}")
    found: list[dict[str, Any]] = body["data"]["result"]
    return found


def lines(devices: int, result: Result) -> Iterator[str]:
    """Return the figures, a line each."""
    yield f"{'devices, series, rules':45} {devices}, {result.series}, {result.rules}"
    for group, seconds in result.seconds.items():
        yield f"  {group:43} {seconds * 1000:8.0f} ms"
    yield f"{'one evaluation of all':45} {sum(result.seconds.values()) * 1000:8.0f} ms"
    resident_mb = result.resident_bytes >> 20
    yield f"{'Prometheus: CPU, resident':45} {result.cpu_s:8.0f} s, {resident_mb} MB"
    yield f"{'rules that failed':45} {', '.join(result.faults) or 'none'}"
    yield f"{'alerts':45} {', '.join(result.alerts) or 'none'}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=10_000)
    devices = parser.parse_args().devices
    with tempfile.TemporaryDirectory() as folder:
        result = asyncio.run(measure(devices, Path(folder)))
    print("\n".join(lines(devices, result)))
    if result.faults or result.alerts:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
