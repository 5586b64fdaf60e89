"""What the pages need of the service behind them, asked anew at each request."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from aiohttp import web

from exporter.certificates import Certificate
from exporter.fleet import FleetSnapshot
from exporter.fleet_page.history import History
from exporter.fleet_page.remedies import Remedies
from exporter.fleet_page.rotations import Rotations
from exporter.handshake_log.sources import HandshakeLogs
from exporter.observations import Observation
from exporter.probe.model import Endpoint, Limits
from exporter.trust_map.model import TrustMap
from exporter.trust_store.sync import TrustSync
from exporter.verdicts.model import Verdict
from exporter.web.reach import Reach


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """Whether what is shown is complete.

    Attributes:
        is_ready: Every target had its first look, or the first interval is over.
        sentence: For the one who asks.
    """

    is_ready: bool
    sentence: str


class Service(Protocol):
    """The running service."""

    @property
    def started_at(self) -> datetime:
        """When it started."""
        ...

    @property
    def reach(self) -> Reach:
        """What ``/probe`` may reach besides the inventory."""
        ...

    @property
    def limits(self) -> Limits:
        """What one look may cost."""
        ...

    @property
    def readiness(self) -> Readiness:
        """Whether what is shown is complete."""
        ...

    @property
    def logs(self) -> HandshakeLogs:
        """What the handshake logs tell."""
        ...

    @property
    def history(self) -> History:
        """What was seen before now."""
        ...

    @property
    def trust(self) -> TrustSync:
        """What the devices reported that they trust."""
        ...

    def snapshot(self) -> FleetSnapshot:
        """Return all that is known now."""
        ...

    async def remedies(self) -> Remedies:
        """Return what remediation did, would do and why; a fault of its store is told in it."""
        ...

    def rotations(self) -> Rotations:
        """Return each rotation as it was last looked at."""
        ...

    async def trust_map(self) -> TrustMap:
        """Return who trusts whom, and what hangs on it."""
        ...

    async def scrape(
        self, *, openmetrics: bool, gzip: bool, shard: tuple[int, int] | None
    ) -> Sequence[bytes]:
        """Return the exposition in chunks."""
        ...

    async def look(self, endpoint: Endpoint, limits: Limits) -> Observation:
        """Look now, at the caller's expense."""
        ...

    def judge(
        self,
        chain: Sequence[Certificate],
        stores: Sequence[str],
        *,
        name: str | None,
        at: datetime,
    ) -> tuple[Verdict, ...]:
        """Return what each named store says; one that is not known says nothing."""
        ...

    async def reload(self) -> None:
        """Read the configuration again.

        Raises:
            ConfigError: it cannot be used; the last good one stays.
        """
        ...


SERVICE: web.AppKey[Service] = web.AppKey("service", Service)
