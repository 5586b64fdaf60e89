"""What a prober is given and what it promises."""

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Protocol

from exporter.certificates import CertificateCache
from exporter.clock import Clock
from exporter.observations import Observation
from exporter.targets.model import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where to look.

    Attributes:
        target: The inventory's name, or the address for a look outside it.
        host: Name or IP, no brackets.
        server_name: Sent as SNI; None: nothing is sent (an IP, or the name was set to ``""``).
        protocol: A key of ``PROBERS``.
    """

    target: str
    host: str
    port: int
    server_name: str | None = None
    protocol: str = "tls"

    @property
    def address(self) -> str:
        """``HOST:PORT``, an IPv6 host in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one look may cost.

    Attributes:
        phase_s: Seconds for each of name resolution, connection and handshake.
        max_bytes: Read from the endpoint.
        max_chain: Certificates kept.
    """

    phase_s: float = 5.0
    max_bytes: int = 262_144
    max_chain: int = 20


class Prober(Protocol):
    """Looks at one endpoint; bound to its tools (clock, certificate cache, credentials)."""

    async def __call__(self, endpoint: Endpoint, limits: Limits) -> Observation:
        """Return what was seen. Never raises for what the other side does; may be cancelled."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What all probers share."""

    clock: Clock
    certificates: CertificateCache


def endpoint_of(target: Target) -> Endpoint:
    """Return where to look for ``target``.

    Raises:
        ValueError: when the target has no address of its own.
    """
    if target.host is None or target.port is None:
        raise ValueError(f"{target.name} has no address of its own: there is nowhere to look")
    return Endpoint(
        target=target.name,
        host=target.host,
        port=target.port,
        server_name=_sent_name(target.checked_name),
        protocol=target.protocol,
    )


def _sent_name(checked_name: str | None) -> str | None:
    if checked_name is None or is_ip(checked_name):
        return None  # RFC 6066, 3: literal addresses are not permitted in "HostName"
    return checked_name


def is_ip(host: str) -> bool:
    """Whether ``host`` is an IPv4 or IPv6 address, also with a zone (``fe80::1%eth0``)."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
