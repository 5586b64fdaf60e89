"""What each device trusts, as a store to judge by: what it reported, else what it holds."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from exporter.anchors import TrustStore, trust_store, union
from exporter.certificates import Certificate
from exporter.fleet.model import Basis
from exporter.targets.model import Target

REPORTED_STORE = "reported"
"""The name of every store that a device reported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What a device trusts.

    Attributes:
        store: All of it, as one store.
        is_partial: Of some anchors only the hash is known; ``store`` is without them.
    """

    basis: Basis
    store: TrustStore
    is_partial: bool = False

    @property
    def key(self) -> tuple[str, str, bool]:
        """The same for all that is judged alike."""
        return self.basis.value, self.store.digest, self.is_partial


@dataclass(slots=True, kw_only=True)
class Holdings:
    """Finds out what devices trust; each distinct set of anchors is put together once.

    Attributes:
        stores: Those of the configuration, by name.
        reported: The anchors (SHA-256) that each device reported lately.
        certificates: All that are known, by SHA-256.
        missing: Reported anchors whose certificate is not known.
    """

    stores: Mapping[str, TrustStore]
    reported: Mapping[str, frozenset[str]] = field(default_factory=dict)
    certificates: Mapping[str, Certificate] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    _named: dict[tuple[str, ...], TrustStore | None] = field(default_factory=dict)
    _told: dict[tuple[frozenset[str], tuple[str, ...]], Held] = field(default_factory=dict)

    def of(self, target: Target) -> Held | None:
        """Return what the device trusts; None: nothing can be said."""
        anchors = self.reported.get(target.name)
        if anchors is not None:
            return self._by_report(anchors, target.holds)
        store = self._by_name(target.holds)
        return None if store is None else Held(basis=Basis.INVENTORY, store=store)

    def _by_report(self, anchors: frozenset[str], holds: tuple[str, ...]) -> Held:
        key = (anchors, holds)
        if key not in self._told:
            known = {one: self.certificates[one] for one in anchors if one in self.certificates}
            self.missing |= anchors - known.keys()
            # How strictly it judges is a matter of its firmware, which no report tells
            policy = self._by_name(holds) or trust_store("", ())
            store = trust_store(
                REPORTED_STORE,
                known.values(),
                profile=policy.profile,
                weak_crypto=policy.weak_crypto,
            )
            self._told[key] = Held(
                basis=Basis.REPORTED, store=store, is_partial=len(known) < len(anchors)
            )
        return self._told[key]

    def _by_name(self, names: tuple[str, ...]) -> TrustStore | None:
        if names not in self._named:
            self._named[names] = _union(names, self.stores)
        return self._named[names]


def _union(names: tuple[str, ...], stores: Mapping[str, TrustStore]) -> TrustStore | None:
    """Return the union of the stores; None when one is not known: then nothing can be said.

    A part of what a device trusts may refuse what the whole accepts: judging by the part would
    raise a false alarm.
    """
    if not names or any(name not in stores for name in names):
        return None
    return union("+".join(names), (stores[name] for name in names))
