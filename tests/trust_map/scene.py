"""A fleet for the map: two CAs, what is served, and what devices trust."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from exporter.anchors import TrustStore, trust_store
from exporter.certificates import Certificate
from exporter.fleet import TargetState
from exporter.fleet.held import Holdings
from exporter.fleet.model import Acceptance
from exporter.observations import Durations, Observation
from exporter.targets.model import Role, Target
from exporter.trust_map.build import trust_map
from exporter.trust_map.facts import Facts, Pair
from exporter.trust_map.model import Authority, TrustMap
from exporter.verdicts.cache import Judge
from tests.pki import Issued, certificate_of, make_ca, make_leaf, new_key, utc

NOW = utc("2026-11-24T12:00:00")
DATES: Mapping[str, Any] = {"not_before": utc("2026-01-01"), "not_after": utc("2027-12-31")}

OLD = make_ca("old CA", **DATES)
NEW_KEY = new_key()
NEW = make_ca("new CA", key=NEW_KEY, **DATES)
BRIDGE = make_ca("new CA", issuer=OLD, key=NEW_KEY, **DATES)
SUB = make_ca("old sub CA", issuer=OLD, **DATES)
CLIENTS = make_ca("client CA", **DATES)
OTHER = make_ca("other CA", **DATES)

BY_OLD = make_leaf(OLD, "gw.test", **DATES)
BY_SUB = make_leaf(SUB, "gw.test", **DATES)
BY_NEW = make_leaf(NEW, "gw.test", **DATES)


def sha(issued: Issued) -> str:
    return certificate_of(issued).fingerprint_sha256


def store(name: str, *anchors: Issued) -> TrustStore:
    return trust_store(name, map(certificate_of, anchors))


def gateway(
    *chain: Issued, name: str = "gw-1", asks: bool | None = False, missed: int = 0
) -> TargetState:
    target = Target(name=name, role=Role.GATEWAY, host="gw.test", port=8883)
    return TargetState(
        target=target,
        chain=tuple(map(certificate_of, chain)),
        missed_looks=missed,
        observation=Observation(
            target=name,
            address="gw.test:8883",
            observed_at=NOW,
            handshake=True,
            durations_s=Durations(),
            client_certificate_requested=asks,
        ),
    )


def device(
    name: str, *holds: str, device_class: str = "sensor", behind: str | None = "gw-1"
) -> TargetState:
    return TargetState(
        target=Target(
            name=name, role=Role.DEVICE, holds=holds, device_class=device_class, gateway=behind
        )
    )


@dataclass(slots=True, kw_only=True)
class Scene:
    """What is known; the map is made of it."""

    targets: Sequence[TargetState]
    stores: Sequence[TrustStore] = ()
    reported: Mapping[str, frozenset[str]] = field(default_factory=dict)
    certificates: Sequence[Issued] = ()
    since: Mapping[Pair, datetime] = field(default_factory=dict)
    signed_by: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    at: datetime = NOW

    def map(self) -> TrustMap:
        return trust_map(self.facts(), Judge())

    def facts(self) -> Facts:
        stores = {one.name: one for one in self.stores}
        known: dict[str, Certificate] = {
            sha(one): certificate_of(one) for one in self.certificates
        }
        return Facts(
            at=self.at,
            targets={one.target.name: self._predicted(one, stores, known) for one in self.targets},
            stores=stores,
            reported=self.reported,
            certificates=known,
            since=self.since,
            signed_by=self.signed_by,
        )

    def _predicted(
        self,
        state: TargetState,
        stores: Mapping[str, TrustStore],
        known: Mapping[str, Certificate],
    ) -> TargetState:
        """As the fleet would say it."""
        by_name = {one.target.name: one for one in self.targets}
        behind = by_name.get(state.target.gateway or "")
        anchors = {a.fingerprint_sha256: a for one in stores.values() for a in one.anchors}
        holdings = Holdings(
            stores=stores, reported=self.reported, certificates={**anchors, **known}
        )
        held = holdings.of(state.target)
        if behind is None or held is None or not behind.is_chain_current:
            return state
        acceptance = Acceptance(
            gateway=behind.target.name,
            basis=held.basis,
            verdict=Judge().judge(behind.chain, held.store, name="gw.test", at=self.at),
            is_partial=held.is_partial,
        )
        return TargetState(target=state.target, acceptance=acceptance)


def authority(told: TrustMap, issued: Issued) -> Authority:
    (found,) = [one for one in told.authorities if one.fingerprint == sha(issued)]
    return found


def fleet(count: int, *holds: str, device_class: str = "sensor") -> list[TargetState]:
    return [
        device(f"{device_class}-{number:02}", *holds, device_class=device_class)
        for number in range(1, count + 1)
    ]


def typical() -> Scene:
    """18 devices in two classes in the middle of a rotation, and three odd ones."""
    sensors = fleet(12, "fw-4.2")
    meters = fleet(6, "fw-4.1", device_class="meter")
    silent = device("lost-01", device_class="camera")
    both = frozenset({sha(OLD), sha(NEW)})
    return Scene(
        targets=[
            gateway(BY_SUB, SUB, asks=True),
            gateway(BY_NEW, BRIDGE, name="gw-2"),
            gateway(name="gw-3", missed=3),
            *sensors,
            *meters,
            silent,
        ],
        stores=[store("fw-4.1", OLD), store("fw-4.2", OLD, NEW), store("clients", CLIENTS)],
        reported={one.target.name: both for one in sensors[:9]},
        since={("sensor", sha(OLD)): NOW - timedelta(days=300)},
        signed_by={"sensor": ("clients",)},
    )
