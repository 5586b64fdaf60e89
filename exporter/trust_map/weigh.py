"""What would go dark if a CA were gone; pure.

Only devices that accept their gateway now can go dark, and those whose own certificate a gateway
would refuse. Two ways of being gone are told apart:
*removed* from every trust store (a chain may still lead through it to another anchor), and
*expired* (it is on no path at all). An expired certificate is weighed as one that is not there:
OpenSSL too passes it over for one of the same key that is valid, where there is one.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from exporter.anchors import TrustStore, trust_store
from exporter.trust_map.facts import Client, Facts, Group, Judging
from exporter.trust_map.kinship import without
from exporter.trust_map.model import Effect, Loss, names


@dataclass(slots=True)
class _Tally:
    """Devices that would go dark or may, by class."""

    dark: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    unknown: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    gateways: set[str] = field(default_factory=set)

    def effect(self) -> Effect:
        losses = []
        for device_class in sorted(self.dark.keys() | self.unknown.keys()):
            dark = self.dark.get(device_class, set())
            unknown = self.unknown.get(device_class, set()) - dark
            losses.append(
                Loss(device_class=device_class, dark=names(dark), unknown=names(unknown))
            )
        return Effect(
            dark_count=sum(loss.dark.count for loss in losses),
            unknown_count=sum(loss.unknown.count for loss in losses),
            losses=tuple(losses),
            gateways=names(self.gateways),
        )


class Scales:
    """Weighs one CA after the other on the same groups."""

    def __init__(self, facts: Facts, groups: Sequence[Group], judge: Judging) -> None:
        self._at: datetime = facts.at
        self._judge = judge
        self._smaller: dict[tuple[str, str], TrustStore] = {}
        self._by_authority: dict[str, list[Group]] = defaultdict(list)
        for group in groups:
            if group.verdict.verified:
                for fingerprint in set(group.verdict.path):
                    self._by_authority[fingerprint].append(group)

    def if_removed(self, fingerprint: str, clients: Iterable[Client]) -> Effect:
        """Return what would be if the CA were taken from all trust stores.

        ``clients`` are the devices whose own certificates it signs.
        """
        on_end = [
            group
            for group in self._by_authority.get(fingerprint, ())
            if group.verdict.path[-1] == fingerprint
        ]
        return self._weighed(on_end, fingerprint, clients, self._accepts_removed)

    def if_expired(self, fingerprint: str, clients: Iterable[Client]) -> Effect:
        """Return what would be if the CA's certificate had ended."""
        groups = self._by_authority.get(fingerprint, ())
        return self._weighed(groups, fingerprint, clients, self._accepts_expired)

    def _weighed(
        self,
        groups: Iterable[Group],
        fingerprint: str,
        clients: Iterable[Client],
        accepts: Callable[[Group, str], bool],
    ) -> Effect:
        tally = _Tally()
        for group in groups:
            if not accepts(group, fingerprint):
                losers = tally.unknown if group.held.is_partial else tally.dark
                for device_class, members in group.by_class.items():
                    losers[device_class] |= members
                tally.gateways.add(group.gateway.target.name)
        for client in clients:
            if client.is_asked is False:
                continue
            losers = tally.dark if client.is_asked and client.is_only_signer else tally.unknown
            losers[client.holder.device_class].add(client.holder.state.target.name)
            tally.gateways.add(client.holder.state.target.gateway or "")
        return tally.effect()

    def _accepts_removed(self, group: Group, fingerprint: str) -> bool:
        store = self._without(group.held.store, fingerprint)
        gateway = group.gateway
        verdict = self._judge.judge(
            gateway.chain, store, name=gateway.target.checked_name, at=self._at
        )
        return verdict.verified

    def _accepts_expired(self, group: Group, fingerprint: str) -> bool:
        gateway = group.gateway
        if gateway.chain[0].fingerprint_sha256 == fingerprint:
            return False
        verdict = self._judge.judge(
            without(gateway.chain, fingerprint),
            self._without(group.held.store, fingerprint),
            name=gateway.target.checked_name,
            at=self._at,
        )
        return verdict.verified

    def _without(self, store: TrustStore, fingerprint: str) -> TrustStore:
        key = (store.digest, fingerprint)
        if key not in self._smaller:
            self._smaller[key] = trust_store(
                store.name,
                without(store.anchors, fingerprint),
                profile=store.profile,
                weak_crypto=store.weak_crypto,
            )
        return self._smaller[key]
