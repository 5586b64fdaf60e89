"""Memory of targets that are looked at and report what they trust, all in one process.

As ``bench.memory``, and the devices' trust stores come as in ``bench.trust``: each target is a
device with a certificate of its own, which a platform's API reports for.

    python -m bench.both                  # 10,000 targets
    python -m bench.both --targets 1000
"""

import asyncio
import importlib
import multiprocessing
import resource
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path

from bench import trust
from bench.fleet import BenchFleet, read_fleet
from bench.memory import measure_apart, never, resident_bytes
from exporter.anchors import TrustStore
from exporter.certificates import CertificateCache
from exporter.clock import SystemClock
from exporter.fleet_page.history import History
from exporter.probe.options import Options
from exporter.probe.schedule import Scheduler
from exporter.targets.model import Inventory

_ROUNDS = 3
_LIMIT_MB = 200.0


def merged(looked_at: BenchFleet, reporting: Inventory) -> Inventory:
    """Return the targets that are looked at, as the devices and classes that report."""
    targets = dict(reporting.targets)
    for name, target in looked_at.inventory.targets.items():
        told = targets[name]
        targets[name] = replace(
            target, gateway=told.gateway, device_class=told.device_class, holds=told.holds
        )
    return Inventory(targets=targets)


async def live(path: Path, pipe: Connection, wanted: Mapping[str, TrustStore]) -> int:
    """Look at all targets and hear of all devices; return the resident bytes."""
    fleet = read_fleet(path, CertificateCache())
    stores = {**fleet.stores, **wanted}
    bench = trust.Bench(path.parent, pipe.recv(), len(fleet.chains), stores)
    inventory = merged(fleet, bench.inventory)
    scheduler = Scheduler(Options(), SystemClock(), never)
    scheduler.use(inventory)
    bench.fleet.watch(History())
    bench.fleet.use(inventory, stores)
    bench.look_at_gateways(tuple(fleet.chains[0]))
    async with asyncio.TaskGroup() as tasks:
        bench.trust.use(inventory, stores)
        running = tasks.create_task(bench.trust.run())
        await bench.all_reported.wait()
        for _ in range(_ROUNDS):
            for number in range(len(fleet.chains)):
                bench.fleet.record(fleet.look(number, datetime.now(UTC)))
            await bench.again()
        bench.exposition.render(openmetrics=True)
        after = resident_bytes()
        running.cancel()
    return after


def measure(path: Path, count: int) -> None:
    """Print the memory beside its limit; the platform is a process of its own."""
    importlib.import_module("exporter.cli")
    importlib.import_module("exporter.app")
    stores = trust.make_stores()
    anchors = {
        name: [anchor.fingerprint_sha256 for anchor in store.anchors]
        for name, store in stores.items()
    }
    before = resident_bytes()
    ours, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("forkserver")
    platform = context.Process(target=trust.serve, args=(theirs, count, anchors))
    platform.start()
    try:
        after = asyncio.run(live(path, ours, stores))
        ours.send("end")
    finally:
        platform.join(10)
        platform.kill()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(f"{'targets, each of which reports':35} {count:>12}")
    print(f"{'the service without a target':35} {before / 1e6:>9.0f} MB")
    print(f"{'with all of it':35} {after / 1e6:>9.0f} MB   limit {_LIMIT_MB:.0f}")
    print(f"{'per target':35} {(after - before) / count / 1000:>9.1f} KB")
    print(f"{'peak':35} {peak / 1e6:>9.0f} MB")


if __name__ == "__main__":
    measure_apart(measure, __doc__)
