"""What the map is made of: what is known of the fleet, grouped by what is judged alike; pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from exporter.anchors import TrustStore
from exporter.certificates import Certificate
from exporter.fleet import TargetState
from exporter.fleet.held import Held, Holdings
from exporter.fleet.model import Basis
from exporter.targets.model import Role
from exporter.verdicts.model import Verdict

Pair = tuple[str, str]
"""A device class and a CA's SHA-256."""


class Judging(Protocol):
    """Who says whether a chain is accepted."""

    def judge(
        self, chain: Sequence[Certificate], store: TrustStore, *, name: str | None, at: datetime
    ) -> Verdict:
        """Return the verdict."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known at one moment.

    Attributes:
        targets: By name.
        stores: Trust stores of the configuration.
        reported: What each device with a fresh report trusts (SHA-256).
        certificates: CA certificates from elsewhere, by SHA-256.
        since: Since when a class is known to trust a CA.
        signed_by: By device class: the stores with the CAs that sign its devices' certificates.
    """

    at: datetime
    targets: Mapping[str, TargetState]
    stores: Mapping[str, TrustStore]
    reported: Mapping[str, frozenset[str]] = field(default_factory=dict)
    certificates: Mapping[str, Certificate] = field(default_factory=dict)
    since: Mapping[Pair, datetime] = field(default_factory=dict)
    signed_by: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """One device and what it trusts.

    Attributes:
        anchors: All of it (SHA-256), also where only the hash is known.
        held: None: nobody can say; then ``anchors`` is empty.
    """

    state: TargetState
    held: Held | None
    anchors: frozenset[str]

    @property
    def device_class(self) -> str:
        """Empty: none."""
        return self.state.target.device_class

    @property
    def is_reported(self) -> bool:
        """Known from the device itself."""
        return self.held is not None and self.held.basis is Basis.REPORTED


@dataclass(slots=True, kw_only=True)
class Group:
    """Devices behind one gateway that trust the same, and what they say to it.

    Attributes:
        by_class: Their names, by device class.
    """

    gateway: TargetState
    held: Held
    verdict: Verdict
    by_class: dict[str, set[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A device whose own certificates a CA signs, as the configuration says.

    Attributes:
        is_only_signer: No other CA may have signed them instead.
        is_asked: Its gateway asks for client certificates; None: not known.
    """

    holder: Holder
    is_only_signer: bool
    is_asked: bool | None


def known_certificates(facts: Facts) -> dict[str, Certificate]:
    """Return every certificate that could be a CA of the map, by SHA-256."""
    served = (
        one
        for state in facts.targets.values()
        for position, one in enumerate(state.chain)
        if position or one.subject == one.issuer
    )
    anchors = (one for store in facts.stores.values() for one in store.anchors)
    return {
        **{one.fingerprint_sha256: one for one in served},
        **facts.certificates,
        **{one.fingerprint_sha256: one for one in anchors},
    }


def holders_of(facts: Facts, certificates: Mapping[str, Certificate]) -> list[Holder]:
    """Return each device with what it trusts."""
    holdings = Holdings(stores=facts.stores, reported=facts.reported, certificates=certificates)
    holders = []
    anchors_of: dict[int, frozenset[str]] = {}
    for name, state in facts.targets.items():
        if state.target.role is not Role.DEVICE:
            continue
        held = holdings.of(state.target)
        anchors: frozenset[str] = facts.reported.get(name, frozenset())
        if held is not None and name not in facts.reported:
            anchors = anchors_of.setdefault(id(held.store), _anchors(held.store))
        holders.append(Holder(state=state, held=held, anchors=anchors))
    return holders


def groups_of(facts: Facts, holders: Sequence[Holder], judge: Judging) -> list[Group]:
    """Return the groups of devices whose gateway serves a chain that is known now."""
    groups: dict[tuple[object, ...], Group] = {}
    for holder in holders:
        gateway = facts.targets.get(holder.state.target.gateway or "")
        held = holder.held
        if held is None or gateway is None or not gateway.is_chain_current:
            continue
        key = (gateway.target.name, *held.key)
        if key not in groups:
            groups[key] = Group(
                gateway=gateway,
                held=held,
                verdict=judge.judge(
                    gateway.chain, held.store, name=gateway.target.checked_name, at=facts.at
                ),
            )
        members = groups[key].by_class.setdefault(holder.device_class, set())
        members.add(holder.state.target.name)
    return list(groups.values())


def _anchors(store: TrustStore) -> frozenset[str]:
    return frozenset(one.fingerprint_sha256 for one in store.anchors)


def clients_of(facts: Facts, holders: Sequence[Holder]) -> dict[str, list[Client]]:
    """Return the devices whose own certificates each CA (SHA-256) signs."""
    signers: dict[str, frozenset[str]] = {
        device_class: frozenset(
            anchor
            for name in stores
            if name in facts.stores
            for anchor in _anchors(facts.stores[name])
        )
        for device_class, stores in facts.signed_by.items()
    }
    found: dict[str, list[Client]] = {}
    for holder in holders:
        gateway = facts.targets.get(holder.state.target.gateway or "")
        look = gateway.observation if gateway is not None else None
        of = signers.get(holder.device_class, frozenset())
        for signer in of:
            client = Client(
                holder=holder,
                is_only_signer=len(of) == 1,
                is_asked=look.client_certificate_requested if look is not None else None,
            )
            found.setdefault(signer, []).append(client)
    return found
