"""Memory of the running parts at many targets, each with a certificate of its own.

A process that has loaded the whole service is measured before it knows a target, and again after
every target was looked at, judged, scheduled and scraped several times. The certificates are made
by another process, so that making them does not count.

    python -m bench.memory                # 10,000 targets
    python -m bench.memory --targets 1000
"""

import argparse
import asyncio
import gc
import importlib
import multiprocessing
import resource
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from bench.fleet import make_certificates, read_fleet
from exporter.certificates import CertificateCache
from exporter.clock import SystemClock
from exporter.fleet import Fleet
from exporter.fleet_page.history import History
from exporter.metrics.exposition import Exposition
from exporter.probe.options import Options
from exporter.probe.schedule import Scheduler
from exporter.targets.model import Target
from exporter.verdicts.cache import Judge

_ROUNDS = 3
_PAGE = resource.getpagesize()
_LIMIT_KB = 10.0
_LIMIT_MB = 200.0


def resident_bytes() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE


async def never(_: Target) -> None:
    """Stand for the look; what it saw is recorded by hand."""


async def live(path: Path) -> int:
    """Look at all targets some rounds, scrape after each, and return the resident bytes."""
    clock = SystemClock()
    bench = read_fleet(path, CertificateCache())
    fleet = Fleet(Judge(), clock)
    fleet.watch(History())
    exposition = Exposition(fleet, clock)
    scheduler = Scheduler(Options(), clock, never)
    scheduler.use(bench.inventory)
    fleet.use(bench.inventory, bench.stores)
    for _ in range(_ROUNDS):
        for number in range(len(bench.chains)):
            fleet.record(bench.look(number, datetime.now(UTC)))
        await exposition.render_gzip(openmetrics=False)
    exposition.render(openmetrics=True)
    return resident_bytes()


def measure(path: Path, count: int) -> None:
    importlib.import_module("exporter.cli")
    importlib.import_module("exporter.app")
    before = resident_bytes()
    after = asyncio.run(live(path))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    rows = (
        ("targets", f"{count}", ""),
        ("the service without a target", f"{before / 1e6:.0f} MB", ""),
        ("with all targets", f"{after / 1e6:.0f} MB", f"limit {_LIMIT_MB:.0f}, aim 120"),
        ("  of the limit", f"{after / 1e6 / _LIMIT_MB:.2f}", ""),
        ("per target", f"{(after - before) / count / 1000:.1f} KB", f"limit {_LIMIT_KB:.0f}"),
        ("  of the limit", f"{(after - before) / count / 1000 / _LIMIT_KB:.2f}", ""),
        ("peak", f"{peak / 1e6:.0f} MB", ""),
    )
    for name, value, limit in rows:
        print(f"{name:35} {value:>12}   {limit}")


def measure_apart(measure: Callable[[Path, int], None], description: str | None) -> None:
    """Ask ``measure`` to measure with certificates that another process has made."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--targets", type=int, default=10_000)
    count = parser.parse_args().targets
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "certificates"
        maker = multiprocessing.get_context("spawn").Process(
            target=make_certificates, args=(count, path)
        )
        maker.start()
        maker.join()
        measure(path, count)


if __name__ == "__main__":
    measure_apart(measure, __doc__)
