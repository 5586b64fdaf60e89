"""Who goes dark at a later date, or without a CA, as things are served now; pure."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from exporter.anchors import TrustStore, trust_store
from exporter.certificates import Certificate
from exporter.fleet.held import Held, Holdings
from exporter.fleet.model import FleetSnapshot, TargetState
from exporter.rotation.device_facts import holdings_of
from exporter.rotation.kin import Judging
from exporter.rotation.planning import PlanError, authorities_in
from exporter.targets.model import Role, Target
from exporter.wording import listed, shown

_LEAST_CHARS = 8


class Fate(StrEnum):
    """What becomes of a device."""

    DARK = "dark"
    """It accepts its gateway now, and would not then."""
    ALREADY = "already"
    """It refuses its gateway now, and would then."""
    UNKNOWN = "unknown"
    """It cannot be said, which is not good."""
    STAYS = "stays"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fated:
    """One device, what becomes of it, and why; ``why`` is empty where it stays."""

    device: str
    gateway: str
    device_class: str
    fate: Fate
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is supposed.

    Attributes:
        at: The moment that is asked about.
        removed: A CA that is in no trust store any more; None: all stay.
        clients: Devices that show certificates of their own, and nobody tells by which CA.
    """

    at: datetime
    removed: Certificate | None = None
    clients: Collection[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """A question with its answer."""

    question: Question
    fates: tuple[Fated, ...]


def authority_named(text: str, snapshot: FleetSnapshot) -> Certificate:
    """Return the CA with this SHA-256 (or its beginning), subject or common name.

    Raises:
        PlanError: there is none that anybody trusts, or there are several.
    """
    known = authorities_in(snapshot)
    word = text.strip().lower().replace(":", "")
    found = [one for one in known if text in (one.subject, one.subject_cn)]
    if not found and len(word) >= _LEAST_CHARS:
        found = [one for one in known if one.fingerprint_sha256.startswith(word)]
    if len(found) == 1:
        return found[0]
    names = listed(sorted(f"{one.subject} ({one.fingerprint_sha256[:16]})" for one in known))
    many = "is not one CA" if found else "is no CA that anybody is known to trust"
    raise PlanError(f"{shown(text)} {many}; there are: {names or 'none'}")


def fates(
    question: Question, snapshot: FleetSnapshot, judge: Judging, *, now: datetime
) -> tuple[Fated, ...]:
    """Return what becomes of each device behind a gateway, in the inventory's order."""
    further = (question.removed,) if question.removed is not None else ()
    weighing = _Weighing(question, snapshot, judge, now, holdings_of(snapshot, further))
    return tuple(weighing.all())


@dataclass(slots=True)
class _Weighing:
    question: Question
    snapshot: FleetSnapshot
    judge: Judging
    now: datetime
    holdings: Holdings
    _said: dict[tuple[str, tuple[str, str, bool]], tuple[Fate, str]] = field(default_factory=dict)

    def all(self) -> Iterator[Fated]:
        for name, state in self.snapshot.targets.items():
            target = state.target
            if target.role is Role.DEVICE and target.gateway is not None:
                fate, why = self._fate(name, target)
                yield Fated(
                    device=name,
                    gateway=target.gateway,
                    device_class=target.device_class,
                    fate=fate,
                    why=why,
                )

    def _fate(self, name: str, target: Target) -> tuple[Fate, str]:
        gateway = self.snapshot.targets.get(target.gateway or "")
        if gateway is None or not gateway.is_chain_current:
            return Fate.UNKNOWN, "it is not seen what its gateway serves"
        held = self.holdings.of(target)
        if held is None:
            return Fate.UNKNOWN, "nobody says what it trusts"
        key = (target.gateway or "", held.key)
        if key not in self._said:
            self._said[key] = self._weighed(gateway, held)
        fate, why = self._said[key]
        if fate is Fate.STAYS and self.question.removed and name in self.question.clients:
            return Fate.UNKNOWN, (
                "it shows a certificate of its own, which may be by this CA, and its gateway may"
                " refuse it then"
            )
        return fate, why

    def _weighed(self, gateway: TargetState, held: Held) -> tuple[Fate, str]:
        name = gateway.target.checked_name
        today = self.judge.judge(gateway.chain, held.store, name=name, at=self.now)
        then = self.judge.judge(
            gateway.chain, self._without(held.store), name=name, at=self.question.at
        )
        if then.verified:
            return Fate.STAYS, ""
        if held.is_partial:
            return Fate.UNKNOWN, "of some CAs that it trusts only the hash is known"
        return Fate.DARK if today.verified else Fate.ALREADY, then.detail or listed(then.reasons)

    def _without(self, store: TrustStore) -> TrustStore:
        gone = self.question.removed
        if gone is None:
            return store
        kept = [one for one in store.anchors if one.fingerprint_sha256 != gone.fingerprint_sha256]
        return trust_store(store.name, kept, profile=store.profile, weak_crypto=store.weak_crypto)
