"""A fleet of distinct real certificates for the measurements: made once, looked at on paper."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from exporter.anchors import TrustStore, trust_store
from exporter.certificates import Certificate, CertificateCache, describe
from exporter.demo.pki import Wishes, issue, new_key
from exporter.observations import Durations, Observation
from exporter.targets.model import Inventory, Role, Target

_LENGTH = 2  # bytes of the length before each certificate


def name_of(number: int) -> str:
    return f"dev-{number:05}"


def make_certificates(count: int, path: Path) -> None:
    """Write an anchor, an intermediate and ``count`` leaves, all different, to ``path``."""
    root = issue(Wishes(common_name="bench root CA", is_ca=True, lifetime=timedelta(days=3650)))
    middle = issue(
        Wishes(common_name="bench issuing CA", is_ca=True, lifetime=timedelta(days=3650)),
        issuer=root,
    )
    key = new_key()
    with path.open("wb") as file:
        for der in (root.der, middle.der):
            file.write(len(der).to_bytes(_LENGTH) + der)
        for number in range(count):
            host = f"{name_of(number)}.fleet.example"
            der = issue(Wishes(common_name=host, names=(host,)), issuer=middle, key=key).der
            file.write(len(der).to_bytes(_LENGTH) + der)


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while head := file.read(_LENGTH):
            yield file.read(int.from_bytes(head))


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchFleet:
    """Targets with two trust stores each, of which both accept, and what they serve."""

    inventory: Inventory
    stores: dict[str, TrustStore]
    chains: Sequence[Sequence[Certificate]]

    def look(self, number: int, at: datetime) -> Observation:
        """What a look at one target would have seen; durations differ each time."""
        target = self.inventory.targets[name_of(number)]
        return Observation(
            target=target.name,
            address=target.address or "",
            observed_at=at,
            connected=True,
            handshake=True,
            tls_version="TLSv1.3",
            cipher="TLS_AES_256_GCM_SHA384",
            chain=(*self.chains[number],),  # a tuple of its own, as a look makes it
            chain_sent_count=2,
            client_certificate_requested=False,
            durations_s=Durations(
                resolve=random.uniform(0.0001, 0.0005),  # noqa: S311 - no secret
                connect=random.uniform(0.0002, 0.002),  # noqa: S311 - no secret
                handshake=random.uniform(0.001, 0.009),  # noqa: S311 - no secret
            ),
        )


def read_fleet(path: Path, cache: CertificateCache) -> BenchFleet:
    """Return the fleet of the certificates in ``path``."""
    ders = _read(path)
    root = describe(next(ders))
    middle_der = next(ders)
    chains = [[cache.get(der), cache.get(middle_der)] for der in ders]
    targets = {}
    for number in range(len(chains)):
        name = name_of(number)
        targets[name] = Target(
            name=name,
            role=Role.DEVICE,
            host=f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}",
            port=8883,
            server_name=f"{name}.fleet.example",
            trust_stores=("fw-1", "fw-2"),
            device_class="sensor",
            rollout_group="production",
        )
    other = issue(Wishes(common_name="bench other CA", is_ca=True))
    return BenchFleet(
        inventory=Inventory(targets=targets),
        stores={
            "fw-1": trust_store("fw-1", [root]),
            "fw-2": trust_store("fw-2", [root, describe(other.der)]),
        },
        chains=chains,
    )
