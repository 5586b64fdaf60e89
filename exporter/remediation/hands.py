"""What remediation needs of the rest of the service; by protocols, since it stands beside it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from exporter.gateway.api import ManagementApi
from exporter.remediation.model import AlertState, Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What looks from outside by every way said about the chain that is served.

    Attributes:
        fingerprint: The leaf that a plain look was shown; None: none was.
        fault: Why it is not the expected chain by every way; empty: it is.
    """

    fingerprint: str | None
    fault: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """Which devices shook hands in full since some moment, as trusted sources tell.

    Attributes:
        by_ticket: Devices that came back by a ticket only: it proves nothing.
        refusing: Devices whose latest full handshake since then failed, because they refuse the
            gateway's certificate.
    """

    back: Collection[str]
    by_ticket: Collection[str]
    refusing: Collection[str] = ()


class Hands(Protocol):
    """The service around: it looks, asks and knows."""

    def api(self, gateway: str) -> ManagementApi | None:
        """Return the gateway's management API; None: it has none."""
        ...

    async def gather(self, gateway: str, alert: AlertState) -> Evidence:
        """Return all evidence about ``gateway``, looked at now."""
        ...

    async def look(self, gateway: str, chain: Sequence[str], leaf: str) -> Looked:
        """Look by every way: fresh connections, no session, each address, name and algorithm.

        ``chain``: the fingerprints to be shown, leaf first; empty where only ``leaf`` is known.
        """
        ...

    async def meet(self, gateway: str, address: str, chain: Sequence[str], leaf: str) -> Looked:
        """Look likewise at the second port of ``gateway``, which its API said is ``address``."""
        ...

    def returned(self, gateway: str, since: datetime) -> Returned:
        """Return who came back to ``gateway`` since then."""
        ...

    def store_files(self, gateway: str) -> Mapping[str, str]:
        """Return the file of each trust store that devices behind ``gateway`` hold, by name.

        By the inventory; for a command that a person is told.
        """
        ...

    def refused(self) -> Sequence[str]:
        """Return the gateways at which some device fails lately, by what the logs tell."""
        ...

    def reconnect_s(self, device: str) -> float | None:
        """Return within which time the device's class reconnects; None: nobody says."""
        ...
