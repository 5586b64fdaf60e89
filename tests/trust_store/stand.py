"""Trust sync with APIs that say what a test wants, and a store on disk."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from exporter.anchors import TrustStore
from exporter.certificates import Certificate
from exporter.gateway.api import GatewayError, GatewayReason, TrustStatus
from exporter.gateway.messages import DeviceTrustStore
from exporter.store import Store
from exporter.targets.model import Target
from exporter.trust_store.model import SyncState
from exporter.trust_store.options import Options
from exporter.trust_store.poll import Polled
from exporter.trust_store.sync import TrustSync
from tests.fake_clock import FakeClock
from tests.fleet.stand import OLD, STORES, device, gateway, inventory
from tests.trust_store.saying import entry

OLD_CA = OLD.anchors[0].fingerprint_sha256
GW = gateway(management_api="site-a")
INTERVAL_S = 60.0


def status(*devices: DeviceTrustStore, is_unchanged: bool = False) -> TrustStatus:
    complete = sum(one.status == "COMPLETE" for one in devices)
    return TrustStatus(
        devices=devices, total=len(devices), complete=complete, is_unchanged=is_unchanged
    )


def refusal(reason: str = "nonsense", *, retry_after_s: float | None = None) -> GatewayError:
    return GatewayError(
        GatewayReason(reason), "as the test says", retryable=False, retry_after_s=retry_after_s
    )


@dataclass(slots=True, kw_only=True)
class FakeApi:
    """Answers what it is told to; the last answer again and again."""

    name: str = "site-a"
    clock_offset_s: float | None = 0.0
    answer: TrustStatus | Exception = field(default_factory=status)
    asked_count: int = 0
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    async def trust_status(self) -> TrustStatus:
        self.asked_count += 1
        self.asked.set()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def devices(count: int) -> list[Target]:
    return [device(f"dev-{number:02}") for number in range(1, count + 1)]


def entries(of: Iterable[Target], *anchors: str, **fields: object) -> list[DeviceTrustStore]:
    return [entry(one.name, anchors or (OLD_CA,), **fields) for one in of]  # type: ignore[arg-type]  # passed on by name


Reported = Mapping[str, frozenset[str]]


class Stand:
    """Trust sync of a small fleet; ``told`` is what it handed on."""

    def __init__(
        self, *targets: Target, folder: Path | None = None, options: Options | None = None
    ) -> None:
        """``folder`` is where the store is; None: in memory."""
        self.clock = FakeClock()
        self.store_path = ":memory:" if folder is None else str(folder / "state.db")
        self.options = options or Options()
        self.told: list[tuple[Reported, Mapping[str, Certificate]]] = []
        self.store = Store(f"sqlite:///{self.store_path}")
        self.trust = TrustSync(
            self.options,
            self.store,
            self.clock,
            lambda reported, certificates: self.told.append((reported, dict(certificates))),
        )
        self.inventory = inventory(*targets)

    def ask(self, *apis: FakeApi) -> None:
        """Configure these APIs."""
        polled = {one.name: Polled(api=one, interval_s=INTERVAL_S) for one in apis}
        self.trust.read(self.options, polled)

    def use(self, *targets: Target, stores: Mapping[str, TrustStore] = STORES) -> None:
        self.inventory = inventory(*targets) if targets else self.inventory
        self.trust.use(self.inventory, stores)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run it, from the moment on at which it has something to show."""
        self.use()
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(self.trust.run())
            await self.until(lambda: self.lines("fleet_tls_trust_store_devices") != [])
            await self.clock.advance(0)  # lets each API be asked that is asked at once
            yield
            task.cancel()

    async def until(self, holds: Callable[[], object]) -> None:
        """Return when ``holds`` does; the clock stands still meanwhile."""
        async with asyncio.timeout(40):
            while not holds():
                await asyncio.get_running_loop().run_in_executor(None, lambda: None)
                await asyncio.sleep(0)  # noqa: TID251 - lets the loop run; the store is a thread

    async def pass_until(self, holds: Callable[[], object]) -> None:
        """Let time pass, second by second, until ``holds`` does."""
        async with asyncio.timeout(40):
            while not holds():
                await self.clock.advance(1.0)
                await asyncio.get_running_loop().run_in_executor(None, lambda: None)

    def lines(self, family: str) -> list[str]:
        return [line.decode().rstrip("\n") for line in self.trust.lines_of(family)]

    def state(self, name: str = "dev-01") -> SyncState | None:
        return self.trust.standings[name].state

    def counts(self) -> Mapping[str, int]:
        """Devices by state, those that are not zero."""
        found = {}
        for line in self.lines("fleet_tls_trust_store_devices"):
            series, _, value = line.rpartition(" ")
            if value != "0":
                found[series.partition('"')[2].rstrip('"}')] = int(value)
        return found

    async def polled(self, api: FakeApi) -> None:
        """Let the next question come, and what follows from it."""
        before = api.asked_count
        for _ in range(100):
            await self.clock.advance(1.0)
            if api.asked_count > before:
                break
        await self.clock.advance(1.0)
        assert api.asked_count == before + 1
