"""The webhook under load: a large delivery, then many small ones, scraped all the while.

    python -m bench.webhook                 # 10,000 alerts at once, then 200 a second for 30 s
    python -m bench.webhook --rate 50 --seconds 5

The service runs as in production, with 200 gateways that alerts ask to look at. Each figure is
printed beside its limit; what was answered 202 is counted in the store afterwards.
"""

import argparse
import asyncio
import json
import sqlite3
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import yaml

from bench.processes import Child, cpu_s, free_port, start, wait_http

_TOKEN = "of-the-bench"  # noqa: S105 - of this program's own service
_GATEWAYS = 200
_BEGAN = datetime.now(UTC).isoformat()
_SCRAPE_LIMIT_S = 0.1
_DELIVERY_LIMIT_S = 8.0  # Alertmanager gives up after 10 s
_MEMORY_LIMIT_BYTES = 256e6
_SCRAPE_EVERY_S = 0.1
_IDLE_S = 10.0
_REFUSED = {413, 422, 503}


@dataclass
class Meter:
    """What was sent and how it was answered; 0 stands for no answer."""

    statuses: Counter[int] = field(default_factory=Counter)
    durations_s: list[float] = field(default_factory=list)
    scrapes_s: list[float] = field(default_factory=list)


def alert(number: int) -> Mapping[str, object]:
    """One alert as our own rules send it, with some text."""
    gateway = f"gw-{number % _GATEWAYS}"
    return {
        "status": "firing",
        "labels": {
            "alertname": "FleetTLSGatewayNotAccepted", "gateway": gateway, "severity": "critical",
            "remediation": "rollback", "job": "fleet-tls", "instance": f"10.0.0.{number % 250}",
        },
        "annotations": {"summary": f"{number} devices refuse {gateway}", "description": "x" * 300},
        "startsAt": _BEGAN,
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus.example/graph?g0.expr=" + "y" * 100,
        "fingerprint": f"{number:016x}",
    }  # fmt: skip


def body(numbers: Sequence[int]) -> bytes:
    return json.dumps({"version": "4", "alerts": [alert(one) for one in numbers]}).encode()


def write_config(folder: Path, port: int) -> Path:
    (folder / "token").write_text(_TOKEN)
    nobody = free_port()
    gateways = [
        {"name": f"gw-{n}", "address": f"127.0.0.1:{nobody}", "role": "gateway"}
        for n in range(_GATEWAYS)
    ]
    config = {
        "listen": f"127.0.0.1:{port}",
        "store": "sqlite:///state.db",
        "targets": {"static": gateways},
        "webhook": {"token_file": "token"},
    }
    path = folder / "config.yml"
    path.write_text(yaml.safe_dump(config))
    return path


async def send(session: aiohttp.ClientSession, url: str, data: bytes, meter: Meter) -> None:
    started = time.perf_counter()
    headers = {"Authorization": f"Bearer {_TOKEN}"}
    try:
        async with session.post(f"{url}/webhook/alertmanager", data=data, headers=headers) as got:
            await got.read()
            meter.statuses[got.status] += 1
    except (aiohttp.ClientError, TimeoutError):
        meter.statuses[0] += 1
    meter.durations_s.append(time.perf_counter() - started)


async def scrape(session: aiohttp.ClientSession, url: str, meter: Meter) -> None:
    while True:
        started = time.perf_counter()
        async with session.get(f"{url}/metrics") as got:
            await got.read()
        meter.scrapes_s.append(time.perf_counter() - started)
        await asyncio.sleep(_SCRAPE_EVERY_S)


async def measured(url: str, bodies: Sequence[bytes], rate: int, *, least_s: float = 0.0) -> Meter:
    """Send each body at its time, answered or not those before, while the service is scraped."""
    meter = Meter()
    connector = aiohttp.TCPConnector(limit=400)
    timeout = aiohttp.ClientTimeout(total=30)
    async with (
        aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
        aiohttp.ClientSession(timeout=timeout) as scraping,
        asyncio.TaskGroup() as tasks,
    ):
        scraper = tasks.create_task(scrape(scraping, url, meter))
        started = time.perf_counter()
        async with asyncio.TaskGroup() as sending:
            for number, data in enumerate(bodies):
                await asyncio.sleep(max(0.0, started + number / rate - time.perf_counter()))
                sending.create_task(send(session, url, data, meter))
        await asyncio.sleep(least_s)
        scraper.cancel()
    return meter


def share(values: Sequence[float], part: float) -> float:
    """Return the value below which ``part`` of ``values`` lie."""
    return sorted(values)[min(len(values) - 1, int(part * len(values)))]


def tell(what: str, value: float, limit: float, unit: str) -> None:
    print(f"  {what:44} {value:10.3f} {unit:5} limit {limit:8.3f}   ratio {value / limit:.2f}")


def tell_stalls(url: str) -> None:
    """Tell how often the service's event loop was held up, and how often by itself."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    name = "fleet_tls_exporter_event_loop_{}stalls_total "
    every, own = (
        float(text.partition("\n" + name.format(part))[2].partition("\n")[0])
        for part in ("", "busy_")
    )
    print(f"event loop held up for more than 50 ms: {every:.0f} times, {own:.0f} by ourselves")


def report(title: str, meter: Meter) -> None:
    answers = ", ".join(f"{status or 'none'}: {n}" for status, n in sorted(meter.statuses.items()))
    lost = sum(n for status, n in meter.statuses.items() if status not in {202, *_REFUSED})
    print(f"{title}: {answers}; neither kept nor refused: {lost} (limit 0)")
    tell("answered, 99 %", share(meter.durations_s, 0.99), _DELIVERY_LIMIT_S, "s")
    tell_scrapes(meter)


def tell_scrapes(meter: Meter) -> None:
    for name, part in (("median", 0.5), ("99 %", 0.99), ("slowest", 1.0)):
        tell(f"/metrics meanwhile, {name}", share(meter.scrapes_s, part), _SCRAPE_LIMIT_S, "s")


def resident_bytes(child: Child, name: str) -> int:
    text = Path(f"/proc/{child.pid}/status").read_text()
    return int(text.partition(f"{name}:")[2].split()[0]) * 1024


def kept(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "state.db", timeout=30)) as store:
        return int(store.execute("SELECT count(*) FROM webhook_alert").fetchone()[0])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--alerts", type=int, default=10_000)
    parser.add_argument("--rate", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=30.0)
    asked = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-webhook-")))
        port = free_port()
        url, path = f"http://127.0.0.1:{port}", write_config(folder, port)
        command = (sys.executable, "-m", "exporter", "run", "--config", str(path))
        child = start(stack, command, folder / "log")
        wait_http(f"{url}/-/ready", child)
        before = resident_bytes(child, "VmRSS")
        idle = asyncio.run(measured(url, [], asked.rate, least_s=_IDLE_S))
        print(f"nothing delivered for {_IDLE_S:g} s: what the machine does to a scrape by itself")
        tell_scrapes(idle)
        large = asyncio.run(measured(url, [body(range(asked.alerts))], asked.rate))
        report(f"{asked.alerts} alerts in one delivery", large)
        count = int(asked.rate * asked.seconds)
        bodies = [body([asked.alerts + number]) for number in range(count)]
        used_s = cpu_s(child)
        small = asyncio.run(measured(url, bodies, asked.rate))
        report(f"{asked.rate} deliveries a second for {asked.seconds:g} s", small)
        tell("CPU of the service meanwhile", (cpu_s(child) - used_s) / asked.seconds, 1.0, "cores")
        tell_stalls(url)
        expected = asked.alerts * large.statuses[202] + small.statuses[202]
        print(f"alerts answered 202: {expected}; of them in the store: {kept(folder)}")
        print(f"  {'resident before':44} {before / 1e6:10.1f} MB")
        tell(
            "resident at most",
            resident_bytes(child, "VmHWM") / 1e6,
            _MEMORY_LIMIT_BYTES / 1e6,
            "MB",
        )


if __name__ == "__main__":
    main()
