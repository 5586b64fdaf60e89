"""Trust sync of many devices: polled over real HTTP, compared, predicted by, and exposed.

The platform is a process of its own that serves ``truststore/status`` in pages, with an entity
tag. Counted is the CPU of the exporter's side alone: client, validation, book, store on disk,
comparison, predictions, and the scrape with gzip.

    python -m bench.trust                  # 10,000 devices behind 10 gateways
    python -m bench.trust --devices 1000
"""

import argparse
import asyncio
import gc
import hashlib
import importlib
import json
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path

from aiohttp import web

from bench.memory import resident_bytes
from exporter.anchors import TrustStore, trust_store
from exporter.certificates import Certificate, describe
from exporter.clock import SystemClock
from exporter.demo.pki import Wishes, issue
from exporter.fleet import Fleet
from exporter.gateway.clients import Clients
from exporter.gateway.options import Options as ApiOptions
from exporter.metrics.exposition import Exposition
from exporter.observations import Observation
from exporter.store import Store
from exporter.targets.model import Inventory, Role, Target
from exporter.trust_store.options import Options
from exporter.trust_store.poll import Polled
from exporter.trust_store.sync import TrustSync
from exporter.verdicts.cache import Judge

_GATEWAYS = 10
_CLASSES = ("sensor", "meter", "camera")
_PAGE = 1_000
_LIMIT_S = 2.0
_AGAIN_LIMIT_MS = 50.0
_ROUNDS = 7


def names(count: int) -> list[str]:
    return [f"dev-{number:05}" for number in range(count)]


def serve(pipe: Connection, count: int, anchors: dict[str, list[str]]) -> None:
    """Serve the API until told to end; each word from ``pipe`` but ``end`` moves all receipts."""
    at = (datetime.now(UTC) - timedelta(seconds=60)).isoformat()

    def document(moved_s: int) -> list[dict[str, object]]:
        received_at = (datetime.fromisoformat(at) + timedelta(seconds=moved_s)).isoformat()
        return [
            {
                "deviceId": name,
                "status": "COMPLETE",
                "anchors": anchors[_CLASSES[number % len(_CLASSES)]],
                "reportedAt": received_at,
                "receivedAt": received_at,
            }
            for number, name in enumerate(names(count))
        ]

    state = {"devices": document(0)}
    asyncio.run(_answer(pipe, state, document))


async def _answer(
    pipe: Connection,
    state: dict[str, list[dict[str, object]]],
    document: Callable[[int], list[dict[str, object]]],
) -> None:
    async def status(request: web.Request) -> web.Response:
        devices = state["devices"]
        tag = f'"{hashlib.sha256(repr(devices[0]).encode()).hexdigest()}"'
        if request.headers.get("If-None-Match") == tag:
            return web.Response(status=304, headers={"ETag": tag})
        start = int(request.query.get("cursor", "0"))
        page: dict[str, object] = {
            "total": len(devices),
            "complete": len(devices),
            "devices": devices[start : start + _PAGE],
        }
        if start + _PAGE < len(devices):
            page["nextCursor"] = str(start + _PAGE)
        return web.json_response(page, headers={"ETag": tag}, dumps=json.dumps)

    app = web.Application()
    app.router.add_get("/devices/truststore/status", status)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    pipe.send(runner.addresses[0][1])
    while (word := await asyncio.to_thread(pipe.recv)) != "end":
        state["devices"] = document(int(word))
        pipe.send("moved")
    await runner.cleanup()


def make_stores() -> dict[str, TrustStore]:
    """Return a store of three anchors for each class; one anchor is in all of them."""
    common = describe(issue(Wishes(common_name="common CA", is_ca=True)).der)
    made = {}
    for name in _CLASSES:
        own = [
            describe(issue(Wishes(common_name=f"{name} CA {n}", is_ca=True)).der) for n in (1, 2)
        ]
        made[name] = trust_store(name, [common, *own])
    return made


def make_inventory(count: int) -> Inventory:
    gateways = [
        Target(
            name=f"gw-{number}",
            role=Role.GATEWAY,
            host="127.0.0.1",
            port=8883 + number,
            server_name="gw.example",
            management_api="bench",
        )
        for number in range(_GATEWAYS)
    ]
    devices = [
        Target(
            name=name,
            role=Role.DEVICE,
            gateway=f"gw-{number % _GATEWAYS}",
            device_class=_CLASSES[number % len(_CLASSES)],
            holds=(_CLASSES[number % len(_CLASSES)],),
            contact_interval_s=3_600.0,
        )
        for number, name in enumerate(names(count))
    ]
    return Inventory(targets={target.name: target for target in [*gateways, *devices]})


class Bench:
    """The parts of the service that trust sync touches, wired as the service wires them."""

    def __init__(self, folder: Path, port: int, count: int, stores: dict[str, TrustStore]) -> None:
        clock = SystemClock()
        self.inventory, self.stores = make_inventory(count), stores
        self.fleet = Fleet(Judge(), clock)
        self.exposition = Exposition(self.fleet, clock)
        clients = Clients([ApiOptions(name="bench", url=f"http://127.0.0.1:{port}")], clock)
        self.all_reported = asyncio.Event()
        self._count = count
        self.trust = TrustSync(
            Options(), Store(f"sqlite:///{folder}/state.db"), clock, self._use_reports
        )
        self.exposition.expose(_Nothing(), [self.trust])
        # Asked by hand: the first time when it starts
        polled = {"bench": Polled(api=clients.apis["bench"], interval_s=86_400)}
        self.trust.read(Options(), polled)

    def _use_reports(
        self, reported: Mapping[str, frozenset[str]], certificates: Mapping[str, Certificate]
    ) -> None:
        self.fleet.use_reports(reported, certificates)
        if len(reported) == self._count:
            self.all_reported.set()

    def look_at_gateways(self, chain: tuple[Certificate, ...]) -> None:
        """Let every gateway be seen with ``chain``."""
        for target in self.inventory.targets.values():
            if target.role is Role.GATEWAY:
                self.fleet.record(
                    Observation(
                        target=target.name,
                        address=target.address or "",
                        observed_at=datetime.now(UTC),
                        connected=True,
                        handshake=True,
                        chain=chain,
                    )
                )

    async def again(self) -> None:
        """Ask, compare, tell, and answer a scrape."""
        if not await self.trust.ask("bench"):
            raise RuntimeError(self.trust.stats["bench"].fault)
        await self.exposition.render_gzip(openmetrics=False)

    async def compare(self) -> None:
        """Compare, when nothing has changed."""
        self.trust.compare()


class _Nothing:
    def render(self, *, openmetrics: bool) -> bytes:  # noqa: ARG002 - the protocol's
        return b""


async def measure(
    folder: Path, pipe: Connection, count: int, stores: dict[str, TrustStore], leaf: Certificate
) -> None:
    """Print CPU and memory beside their limits."""
    bench = Bench(folder, pipe.recv(), count, stores)
    bench.fleet.use(bench.inventory, stores)
    bench.look_at_gateways((leaf,))
    await bench.exposition.render_gzip(openmetrics=False)
    before = resident_bytes()
    async with asyncio.TaskGroup() as tasks:
        began_s = time.process_time()
        bench.trust.use(bench.inventory, stores)
        running = tasks.create_task(bench.trust.run())
        await bench.all_reported.wait()
        await bench.exposition.render_gzip(openmetrics=False)
        first_s = time.process_time() - began_s
        again = [await cpu_of(bench.again) for _ in range(_ROUNDS)]
        compared = [await cpu_of(bench.compare) for _ in range(_ROUNDS)]
        moved = []
        for round_number in range(1, _ROUNDS + 1):
            pipe.send(str(round_number))
            await asyncio.to_thread(pipe.recv)
            moved.append(await cpu_of(bench.again))
        after = resident_bytes()
        accepted = bench.fleet.snapshot().acceptances.values()
        if sum(one.accepts is not None for one in accepted) != count:
            raise RuntimeError("some device is not predicted")
        running.cancel()
    rows = (
        ("devices", f"{count}", ""),
        ("polled, compared, predicted, exposed", f"{first_s:.2f} s", f"limit {_LIMIT_S:.0f} s"),
        ("  of the limit", f"{first_s / _LIMIT_S:.2f}", ""),
        (
            "asked again, unchanged (304), with scrape",
            ms(again),
            f"limit {_AGAIN_LIMIT_MS:.0f} ms",
        ),
        ("compared again, nothing changed", ms(compared), f"limit {_AGAIN_LIMIT_MS:.0f} ms"),
        ("asked again, every receipt moved", ms(moved), ""),
        ("memory for it", f"{(after - before) / 1e6:.0f} MB", ""),
        ("per device", f"{(after - before) / count / 1000:.1f} KB", ""),
    )
    for name, value, limit in rows:
        print(f"{name:45} {value:>12}   {limit}")


def ms(seconds: list[float]) -> str:
    return f"{statistics.median(seconds) * 1000:.1f} ms"


async def cpu_of(work: Callable[[], Awaitable[None]]) -> float:
    gc.collect()
    began_s = time.process_time()
    await work()
    return time.process_time() - began_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--devices", type=int, default=10_000)
    count = parser.parse_args().devices
    importlib.import_module("exporter.app")
    stores = make_stores()
    anchors = {
        name: [anchor.fingerprint_sha256 for anchor in store.anchors]
        for name, store in stores.items()
    }
    ca = issue(Wishes(common_name="other CA", is_ca=True))
    leaf = describe(issue(Wishes(common_name="gw.example", names=("gw.example",)), issuer=ca).der)
    ours, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("forkserver")
    platform = context.Process(target=serve, args=(theirs, count, anchors))
    platform.start()
    try:
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(measure(Path(folder), ours, count, stores, leaf))
        ours.send("end")
    finally:
        platform.join(10)
        platform.kill()


if __name__ == "__main__":
    main()
