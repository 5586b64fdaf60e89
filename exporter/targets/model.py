"""Targets and the inventory they make up; pure values."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Role(StrEnum):
    """What a target is."""

    GATEWAY = "gateway"
    DEVICE = "device"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Something with a name in the inventory.

    Attributes:
        host: Name or IP (no brackets); None for a device without an address of its own.
        port: None exactly when ``host`` is.
        server_name: SNI and the name the certificate must be for. None: ``host`` (an IP: no SNI,
            IP SAN checked); ``""``: no name is sent or checked.
        trust_stores: What this target's own endpoint is judged by.
        holds: Trust stores this device trusts itself (its class's where it has none of its own).
        peers: Addresses or networks this device connects from, as text.
        contact_interval_s: How often a device is expected to be heard of; None: not known.
        expiry_warning_s: How long before the end of a certificate of it a warning is due; None:
            as the alert rules say.
        source: Where it was written, for messages: ``config.yml:12`` or a file or URL. No part
            of what the target is: two that differ only in it are equal.
    """

    name: str
    role: Role
    host: str | None = None
    port: int | None = None
    protocol: str = "tls"
    server_name: str | None = None
    trust_stores: tuple[str, ...] = ()
    holds: tuple[str, ...] = ()
    device_class: str = ""
    rollout_group: str = ""
    gateway: str | None = None
    peers: tuple[str, ...] = ()
    management_api: str | None = None
    contact_interval_s: float | None = None
    expiry_warning_s: float | None = None
    source: str = field(default="", compare=False)

    @property
    def address(self) -> str | None:
        """``HOST:PORT``, an IPv6 host in brackets; None when it has none."""
        if self.host is None:
            return None
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def checked_name(self) -> str | None:
        """The DNS name or IP the certificate must be for; None: no name is checked."""
        return (self.host if self.server_name is None else self.server_name) or None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """A discovered entry that could not be used, and why."""

    source: str
    name: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """All targets by name, in a stable order."""

    targets: Mapping[str, Target] = field(default_factory=dict)
    dropped: tuple[Dropped, ...] = ()


def phase_of(name: str, interval_s: float) -> float:
    """Return the target's own steady offset in ``[0, interval_s)``, the same after a restart."""
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64 * interval_s


def shard_of(name: str, shard_count: int) -> int:
    """Return which of ``shard_count`` shards (1-based) the target belongs to."""
    digest = hashlib.blake2b(
        name.encode("utf-8", "surrogatepass"), digest_size=8, person=b"shard"
    ).digest()
    return int.from_bytes(digest) % shard_count + 1
