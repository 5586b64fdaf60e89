"""What was gathered of the service around before facts are made of it; pure values."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from exporter.certificates import Certificate
from exporter.fleet.model import FleetSnapshot
from exporter.gateway.messages import GatewayCertificates
from exporter.handshake_log.recent import Recent
from exporter.trust_store.model import Standing

Heard = Mapping[str, Mapping[str, Recent]]
"""What the logs tell, by gateway and device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayLook:
    """What one gateway showed and told; what failed is absent.

    Attributes:
        chain: What it was seen to serve; empty: nothing was seen.
        observed_at: When; None: it was not.
        certificates: The word of its management API; None: there is none, or it did not answer.
        detail: Why something is absent.
    """

    chain: tuple[Certificate, ...] = ()
    observed_at: datetime | None = None
    certificates: GatewayCertificates | None = None
    has_api: bool = True
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """All that facts are made of.

    Attributes:
        looks: By gateway, for each of the inventory.
        chains: Chains that were seen or told of, by their leaf's SHA-256.
        busy: Gateways that somebody else is in charge of; None: that is not known.
        stale_s: After how many seconds a device's report says nothing any more, by device.
        heard_at_s: When a device was last heard of, seconds since 1970.
        clients: Devices that have shown a certificate of their own.
    """

    at: datetime
    snapshot: FleetSnapshot
    looks: Mapping[str, GatewayLook]
    chains: Mapping[str, tuple[Certificate, ...]] = field(default_factory=dict)
    busy: Collection[str] | None = ()
    standings: Mapping[str, Standing] = field(default_factory=dict)
    stale_s: Mapping[str, float] = field(default_factory=dict)
    heard: Heard = field(default_factory=dict)
    heard_at_s: Mapping[str, float] = field(default_factory=dict)
    clients: Collection[str] = ()
    is_control_good: bool | None = None


NO_LOOK = GatewayLook(detail="it was not looked at yet")
