"""Makes the trust map of what is known; pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from exporter.certificates import Certificate
from exporter.fleet import TargetState
from exporter.targets.model import Role
from exporter.trust_map.facts import (
    Client,
    Facts,
    Holder,
    Judging,
    clients_of,
    groups_of,
    holders_of,
    known_certificates,
)
from exporter.trust_map.kinship import Kinship
from exporter.trust_map.model import (
    MOST_AUTHORITIES,
    Authority,
    Carried,
    DeviceClass,
    Gateway,
    Kind,
    Trust,
    TrustMap,
    names,
)
from exporter.trust_map.weigh import Scales

_MOST_WEIGHED = 2_000


def trust_map(facts: Facts, judge: Judging) -> TrustMap:
    """Return the map of ``facts``; takes milliseconds for each gateway and distinct store."""
    certificates = known_certificates(facts)
    holders = holders_of(facts, certificates)
    roads = _Roads(facts, certificates)
    makers = _Makers(facts, certificates, holders, roads, judge)
    known = makers.fingerprints()
    authorities = sorted(map(makers.authority, known[:_MOST_WEIGHED]), key=_weight)
    return TrustMap(
        at=facts.at,
        classes=_classes(holders),
        gateways=_gateways(facts, holders, roads),
        authorities=tuple(authorities[:MOST_AUTHORITIES]),
        left_out_count=max(0, len(known) - MOST_AUTHORITIES),
    )


class _Roads:
    """Where the chains lead that are served now."""

    def __init__(self, facts: Facts, certificates: Mapping[str, Certificate]) -> None:
        self.kinship = Kinship(certificates)
        self._above: dict[str, frozenset[str]] = {}
        self._below: dict[tuple[str, Role], set[str]] = {}
        for name, state in facts.targets.items():
            if state.is_chain_current:
                self._above[name] = self._leads_to(state)
                for fingerprint in self._above[name]:
                    self._below.setdefault((fingerprint, state.target.role), set()).add(name)

    def of(self, target: str) -> frozenset[str]:
        """Return the CAs that the target's chain leads to or through."""
        return self._above.get(target, frozenset())

    def all(self) -> frozenset[str]:
        """Return all CAs that any chain leads to."""
        return frozenset(fingerprint for fingerprint, _ in self._below)

    def to(self, fingerprint: str, role: Role) -> set[str]:
        """Return the targets of ``role`` whose chain leads to a CA."""
        return self._below.get((fingerprint, role), set())

    def _leads_to(self, state: TargetState) -> frozenset[str]:
        own = state.chain[0]
        above = self.kinship.above(own)
        # One that signed itself hangs on nothing but itself
        return above | {own.fingerprint_sha256} if own.subject == own.issuer else above


class _Makers:
    """Makes what is said of one CA."""

    def __init__(
        self,
        facts: Facts,
        certificates: Mapping[str, Certificate],
        holders: Sequence[Holder],
        roads: _Roads,
        judge: Judging,
    ) -> None:
        self._facts = facts
        self._certificates = certificates
        self._roads = roads
        self._clients = clients_of(facts, holders)
        self._scales = Scales(facts, groups_of(facts, holders, judge), judge)
        self._trusted = _trusted(holders)
        self._stores: dict[str, list[str]] = {}
        for name, store in facts.stores.items():
            for anchor in store.anchors:
                self._stores.setdefault(anchor.fingerprint_sha256, []).append(name)
        self._class_sizes = Counter(holder.device_class for holder in holders)

    def fingerprints(self) -> list[str]:
        """Return the CAs of the map, those first on which something may hang.

        The others are trusted by somebody, and nothing more: a bundle of public CAs, or what a
        device made up.
        """
        carrying = self._roads.all() | self._clients.keys()
        idle = self._trusted.keys() - carrying
        return [*sorted(carrying), *sorted(idle, key=self._trust_weight)]

    def _trust_weight(self, fingerprint: str) -> tuple[int, str]:
        by_class = self._trusted[fingerprint].values()
        return -sum(counts.total() for counts in by_class), fingerprint

    def authority(self, fingerprint: str) -> Authority:
        """Return what is said of one of them."""
        clients = self._clients.get(fingerprint, [])
        certificate = self._certificates.get(fingerprint)
        told = {
            "fingerprint": fingerprint,
            "kind": Kind.HASH_ONLY,
            "stores": tuple(self._stores.get(fingerprint, ())),
            "trusted_by": self._trusts(fingerprint, certificate),
            "carries": self._carried(fingerprint, clients),
            "if_removed": self._scales.if_removed(fingerprint, clients),
            "if_expired": self._scales.if_expired(fingerprint, clients),
        }
        return Authority.model_validate({**told, **self._described(certificate)})

    def _described(self, certificate: Certificate | None) -> Mapping[str, object]:
        if certificate is None:
            return {}
        kinship = self._roads.kinship
        return {
            "kind": kinship.kind_of(certificate),
            "subject": certificate.subject,
            "issuer": certificate.issuer,
            "not_before": certificate.not_before,
            "not_after": certificate.not_after,
            "issuers": kinship.issuers_of(certificate),
            "same_key": kinship.same_key(certificate),
        }

    def _carried(self, fingerprint: str, clients: Sequence[Client]) -> Carried:
        return Carried(
            gateways=names(self._roads.to(fingerprint, Role.GATEWAY)),
            devices=names(self._roads.to(fingerprint, Role.DEVICE)),
            client_certificates=names({one.holder.state.target.name for one in clients}),
        )

    def _trusts(self, fingerprint: str, certificate: Certificate | None) -> tuple[Trust, ...]:
        return tuple(
            Trust(
                device_class=device_class,
                reported_count=counts[True],
                inventory_count=counts[False],
                device_count=self._class_sizes[device_class],
                since=self._facts.since.get((device_class, fingerprint)),
                until=None if certificate is None else certificate.not_after,
            )
            for device_class, counts in sorted(self._trusted.get(fingerprint, {}).items())
        )


def _trusted(holders: Iterable[Holder]) -> dict[str, dict[str, Counter[bool]]]:
    """Return by CA and class how many devices trust it: True by report, False by inventory."""
    alike = Counter(
        (holder.anchors, holder.device_class, holder.is_reported) for holder in holders
    )
    found: dict[str, dict[str, Counter[bool]]] = {}
    for (anchors, device_class, is_reported), count in alike.items():
        for anchor in anchors:
            by_class = found.setdefault(anchor, {})
            by_class.setdefault(device_class, Counter())[is_reported] += count
    return found


def _classes(holders: Iterable[Holder]) -> tuple[DeviceClass, ...]:
    members: dict[str, list[Holder]] = {}
    for holder in holders:
        members.setdefault(holder.device_class, []).append(holder)
    return tuple(
        DeviceClass(
            name=name,
            device_count=len(of),
            reported_count=sum(holder.is_reported for holder in of),
            inventory_count=sum(h.held is not None and not h.is_reported for h in of),
            unknown=names({h.state.target.name for h in of if h.held is None}),
        )
        for name, of in sorted(members.items())
    )


def _gateways(facts: Facts, holders: Iterable[Holder], roads: _Roads) -> tuple[Gateway, ...]:
    said: dict[str, Counter[bool | None]] = {}
    for holder in holders:
        acceptance = holder.state.acceptance
        behind = said.setdefault(holder.state.target.gateway or "", Counter())
        behind[None if acceptance is None else acceptance.accepts] += 1
    return tuple(
        _gateway(state, roads, said.get(name, Counter()))
        for name, state in facts.targets.items()
        if state.target.role is Role.GATEWAY
    )


def _gateway(state: TargetState, roads: _Roads, said: Counter[bool | None]) -> Gateway:
    leaf = state.chain[0] if state.is_chain_current else None
    return Gateway(
        name=state.target.name,
        subject="" if leaf is None else leaf.subject,
        issuer="" if leaf is None else leaf.issuer,
        not_after=None if leaf is None else leaf.not_after,
        leads_to=tuple(sorted(roads.of(state.target.name))),
        accepted_count=said[True],
        refused_count=said[False],
        unknown_count=said[None],
    )


def _weight(authority: Authority) -> tuple[object, ...]:
    """Put those first whose end would do most harm, then those on which anything hangs."""
    worst = max(authority.if_expired.dark_count, authority.if_removed.dark_count)
    trusting = sum(one.reported_count + one.inventory_count for one in authority.trusted_by)
    return (
        -worst,
        -authority.carries.gateways.count,
        authority.carries.is_nothing,
        -trusting,
        authority.subject,
        authority.fingerprint,
    )
