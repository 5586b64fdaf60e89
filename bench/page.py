"""The fleet page of a large fleet: what it costs to make, and how long the service is held up.

Devices with an endpoint and a certificate of their own behind twenty gateways, each device with a
handshake in the gateway's log; at once healthy and in an outage of every third gateway.

    python -m bench.page                  # 10,000 devices
    python -m bench.page --devices 1000
"""

import argparse
import asyncio
import gzip
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from markupsafe import Markup

from bench.fleet import BenchFleet, make_certificates, name_of, read_fleet
from exporter.certificates import CertificateCache
from exporter.clock import SystemClock
from exporter.fleet import Fleet
from exporter.fleet_page.board import Cells
from exporter.fleet_page.history import History
from exporter.fleet_page.query import asked_in
from exporter.handshake_log.counts import Key, Tally
from exporter.observations import Reason, RejectedBy
from exporter.targets.model import Inventory, Role, Target
from exporter.verdicts.cache import Judge
from exporter.web.boards import Facts, Shown, shown
from exporter.web.fleet_page import Beside, beside_of, fleet_html

_GATEWAYS = 20
_ROUNDS = 7
_WHY = (Reason.UNKNOWN_CA, RejectedBy.DEVICE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """All that a page is made of."""

    fleet: Fleet
    history: History
    tallies: dict[Key, Tally]
    cells: Cells = field(default_factory=Cells)

    def anew(self) -> Shown:
        """Make the board, everything judged."""
        return replace(self, cells=Cells()).shown()

    def shown(self) -> Shown:
        """Make the board."""
        facts = Facts(
            at=datetime.now(UTC),
            snapshot=self.fleet.snapshot(),
            tallies=self.tallies,
            history=self.history,
        )
        return shown(facts, self.cells)

    def html(self, board: Shown, beside: Beside, **query: str) -> str:
        """Make a page."""
        return fleet_html(board, asked_in(query), beside, self.history, Markup())


def gateway_of(number: int) -> str:
    return f"gw-{number % _GATEWAYS:02}"


def scene_of(bench: BenchFleet) -> Scene:
    """Return the fleet, looked at, all devices heard of."""
    targets: dict[str, Target] = {}
    for number in range(_GATEWAYS):
        like = bench.inventory.targets[name_of(number)]
        port = 9000 + number
        gateway = replace(like, name=gateway_of(number), role=Role.GATEWAY, port=port)
        targets[gateway.name] = gateway
    for number, target in enumerate(bench.inventory.targets.values()):
        targets[target.name] = replace(target, gateway=gateway_of(number), holds=("fw-1",))
    fleet, history = Fleet(Judge(), SystemClock()), History()
    fleet.watch(history)
    fleet.use(Inventory(targets=targets), bench.stores)
    now = datetime.now(UTC)
    for number in range(len(bench.chains)):
        look = bench.look(number, now)
        fleet.record(look)
        if number < _GATEWAYS:
            gateway = targets[gateway_of(number)]
            fleet.record(replace(look, target=gateway.name, address=gateway.address or ""))
    good = Tally(
        success_count=9, proven_count=9, told_s=now.timestamp(), success_s=now.timestamp()
    )
    tallies = {(gateway_of(number), name_of(number)): good for number in range(len(bench.chains))}
    for _ in range(60):
        history.sample(tallies, now)
    return Scene(fleet=fleet, history=history, tallies=tallies)


def broken(scene: Scene) -> Scene:
    """Return the same fleet while the devices of every third gateway refuse it."""
    now_s = time.time()
    failing = Tally(
        success_count=9,
        failing=_WHY,
        failing_since_s=now_s,
        told_s=now_s,
        failure_counts={_WHY: 5},
    )
    tallies = {
        key: failing if int(key[0].removeprefix("gw-")) % 3 == 0 else tally
        for key, tally in scene.tallies.items()
    }
    return replace(scene, tallies=tallies)


def median_ms(work: Callable[[], object]) -> float:
    taken = []
    for _ in range(_ROUNDS):
        begun_s = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begun_s)
    return statistics.median(taken) * 1000


async def longest_stall_ms(work: Callable[[], object]) -> float:
    """Return for how long the event loop was held up while ``work`` ran beside it, at most."""
    longest_s, is_done = 0.0, False

    async def beat() -> None:
        nonlocal longest_s
        while not is_done:
            begun_s = time.perf_counter()
            await asyncio.sleep(0.001)
            longest_s = max(longest_s, time.perf_counter() - begun_s - 0.001)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(beat())
        for _ in range(_ROUNDS):
            await asyncio.to_thread(work)
        is_done = True
    return longest_s * 1000


def measure(name: str, scene: Scene) -> None:
    board = scene.shown()
    print(f"\n{name}: {board.sentence.text}")
    beside = beside_of(board, {})
    print(f"{'board, all devices judged anew':40} {median_ms(scene.anew):7.1f} ms")
    print(f"{'board, as each second while one looks':40} {median_ms(scene.shown):7.1f} ms")
    drawn_ms = median_ms(lambda: beside_of(board, {}))
    print(f"{'timeline, every ten seconds':40} {drawn_ms:7.1f} ms")
    pages: tuple[tuple[str, dict[str, str]], ...] = (
        ("matrix, 500 devices", {}),
        ("matrix, 2,000 devices", {"limit": "2000"}),
        ("list, 500 devices", {"view": "list"}),
        ("search for one device", {"q": name_of(4711 % len(scene.tallies))}),
        ("all that is not good", {"state": "problem"}),
    )
    for title, query in pages:
        text = scene.html(board, beside, **query).encode()
        taken_ms = median_ms(lambda query=query: scene.html(board, beside, **query))  # type: ignore[misc]  # bound now
        small = len(gzip.compress(text, 6))
        print(f"{title:40} {taken_ms:7.1f} ms {len(text):9,} bytes {small:7,} with gzip")
    idle_ms = asyncio.run(longest_stall_ms(lambda: time.sleep(0.05)))
    stall_ms = asyncio.run(longest_stall_ms(lambda: scene.html(scene.shown(), beside)))
    print(f"{'event loop held up at most, nobody asks':40} {idle_ms:7.1f} ms")
    print(f"{'event loop held up at most meanwhile':40} {stall_ms:7.1f} ms   limit 50")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=10_000)
    count = parser.parse_args().devices
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "certificates"
        make_certificates(count, path)
        scene = scene_of(read_fleet(path, CertificateCache()))
    measure("healthy", scene)
    measure("outage", broken(scene))


if __name__ == "__main__":
    main()
