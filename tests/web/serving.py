"""A server with a service behind it that says what a test wants."""

import asyncio
import socket
import zlib
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from exporter.anchors import TrustStore, trust_store
from exporter.certificates import Certificate, CertificateCache
from exporter.clock import SystemClock
from exporter.fleet import Fleet, FleetSnapshot
from exporter.fleet_page.history import History
from exporter.fleet_page.remedies import Remedies
from exporter.fleet_page.rotations import Rotations
from exporter.handshake_log.sources import HandshakeLogs
from exporter.observations import Observation
from exporter.probe.model import Endpoint, Limits, Tools
from exporter.probe.tls import TlsProber
from exporter.store import Store
from exporter.targets.model import Inventory, Role, Target
from exporter.trust_map.build import trust_map
from exporter.trust_map.facts import Facts
from exporter.trust_map.model import TrustMap
from exporter.trust_store.options import Options as TrustOptions
from exporter.trust_store.sync import TrustSync
from exporter.verdicts.cache import Judge
from exporter.verdicts.model import Verdict
from exporter.web.options import Options, parse_listen
from exporter.web.reach import Reach
from exporter.web.server import Opened, Server
from exporter.web.service import Readiness
from tests.jumping_time import joined

FIRST_FREE = parse_listen("127.0.0.1:0")
READY = Readiness(is_ready=True, sentence="Ready.")
LIMITS = Limits(phase_s=30.0)
STARTED_AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def gateway(name: str, address: str, *stores: str, server_name: str | None = None) -> Target:
    host, _, port = address.rpartition(":")
    return Target(
        name=name,
        role=Role.GATEWAY,
        host=host,
        port=int(port),
        trust_stores=stores,
        server_name=server_name,
    )


def device(name: str, behind: str, *holds: str) -> Target:
    return Target(name=name, role=Role.DEVICE, gateway=behind, holds=holds)


def no_logs() -> HandshakeLogs:
    return HandshakeLogs((), Store("sqlite:///:memory:"), SystemClock())


def no_reports() -> TrustSync:
    nobody = TrustOptions()
    return TrustSync(nobody, Store("sqlite:///:memory:"), SystemClock(), lambda *_: None)


@dataclass(slots=True, kw_only=True)
class FakeService:
    """Real prober, judge and fleet; what is scraped, readiness and reload are told by the test."""

    targets: Sequence[Target] = ()
    stores: Sequence[TrustStore] = ()
    allow: Sequence[str] = ()
    chunks: Sequence[bytes] = (b"a 1\n",)
    fault: Exception | None = None
    readiness: Readiness = READY
    limits: Limits = LIMITS
    started_at: datetime = STARTED_AT
    reload_count: int = 0
    scrapes: list[tuple[bool, bool, tuple[int, int] | None]] = field(default_factory=list)
    looked: list[Endpoint] = field(default_factory=list)
    logs: HandshakeLogs = field(default_factory=no_logs)
    trust: TrustSync = field(default_factory=no_reports)
    is_looking: asyncio.Event = field(default_factory=asyncio.Event)
    history: History = field(default_factory=History)
    told_remedies: Remedies = field(default_factory=Remedies)
    told_rotations: Rotations = field(default_factory=Rotations)
    fleet: Fleet = field(init=False)
    _judge: Judge = field(default_factory=Judge)

    def __post_init__(self) -> None:
        clock = SystemClock()
        self.fleet = Fleet(self._judge, clock)
        self.fleet.watch(self.history)
        by_name = {target.name: target for target in self.targets}
        self.fleet.use(Inventory(targets=by_name), {store.name: store for store in self.stores})
        self._prober = TlsProber(Tools(clock=clock, certificates=CertificateCache()))

    _prober: TlsProber = field(init=False)

    @property
    def reach(self) -> Reach:
        return Reach(self.allow)

    async def remedies(self) -> Remedies:
        return self.told_remedies

    def rotations(self) -> Rotations:
        return self.told_rotations

    async def trust_map(self) -> TrustMap:
        return trust_map(
            Facts(
                at=datetime.now(UTC),  # noqa: TID251 - a fake service has no clock
                targets=self.snapshot().targets,
                stores=self.snapshot().stores,
            ),
            self._judge,
        )

    def snapshot(self) -> FleetSnapshot:
        return self.fleet.snapshot()

    async def scrape(
        self, *, openmetrics: bool, gzip: bool, shard: tuple[int, int] | None
    ) -> Sequence[bytes]:
        self.scrapes.append((openmetrics, gzip, shard))
        return [zlib.compress(b"".join(self.chunks), wbits=31)] if gzip else self.chunks

    async def look(self, endpoint: Endpoint, limits: Limits) -> Observation:
        self.looked.append(endpoint)
        self.is_looking.set()
        return await self._prober(endpoint, limits)

    def judge(
        self,
        chain: Sequence[Certificate],
        stores: Sequence[str],
        *,
        name: str | None,
        at: datetime,
    ) -> tuple[Verdict, ...]:
        known = {store.name: store for store in self.stores}
        return tuple(
            self._judge.judge(chain, known[store], name=name, at=at)
            for store in stores
            if chain and store in known
        )

    async def reload(self) -> None:
        self.reload_count += 1
        if self.fault is not None:
            raise self.fault


def store_of(name: str, *anchors: Certificate) -> TrustStore:
    return trust_store(name, anchors)


@asynccontextmanager
async def serving(
    service: FakeService,
    options: Options | None = None,
    *,
    further: Iterable[object] = (),
    opened: Iterable[Opened] = (),
) -> AsyncIterator[tuple[str, Server]]:
    """The base URL of a server on a free port."""
    server = Server(service, SystemClock(), further=further, opened=opened)  # type: ignore[arg-type]  # routes, as the caller knows
    async with server.listening(FIRST_FREE, options or Options()) as url:
        yield url, server


@asynccontextmanager
async def joined_to(server: Server) -> AsyncIterator[socket.socket]:
    """A client's end of a connection to a server that listens, past TCP: see ``jumping_time``."""
    assert server._runner.server is not None
    async with joined(server._guard.protocols_of(server._runner.server)) as client:
        yield client


class Endless(FakeService):
    """Its looks never end by themselves."""

    async def look(self, endpoint: Endpoint, limits: Limits) -> Observation:
        self.is_looking.set()
        await asyncio.Event().wait()
        raise AssertionError


def write(path: Path, *parts: bytes) -> Path:
    path.write_bytes(b"".join(parts))
    return path
