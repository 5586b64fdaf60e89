"""What is known of each target; frozen values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from exporter.anchors import TrustStore
from exporter.certificates import Certificate
from exporter.observations import Observation, Reason
from exporter.targets.model import Target
from exporter.verdicts.model import Verdict

MISSED_LOOKS = 3
"""So many looks without a chain in a row, or so many intervals without a look, and the verdicts
are gone."""

NO_VERDICTS: Mapping[str, Verdict] = MappingProxyType({})
_NO_FAILURES: Mapping[Reason, int] = MappingProxyType({})


class Basis(StrEnum):
    """What a prediction about a device rests on."""

    REPORTED = "reported"
    INVENTORY = "inventory"


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """What a device is predicted to say to a chain of its gateway; by itself, what it serves now.

    Attributes:
        verdict: The chain and the gateway's name, judged by all that the device trusts together.
            Shared by all devices that trust the same.
        is_partial: Of some anchors that the device reported only the hash is known: what the
            others refuse, these may accept. See ``accepts``.
    """

    gateway: str
    basis: Basis
    verdict: Verdict
    is_partial: bool = False

    @property
    def accepts(self) -> bool | None:
        """Whether the device accepts the chain; None: not known."""
        return None if self.is_partial and not self.verdict.verified else self.verdict.verified


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetState:
    """What is known of one target. A change makes a new one; parts that stay are the same object.

    Attributes:
        observation: The last look; None: not looked at since the start or since its address
            changed.
        chain: The last one received, kept while the target is in the inventory whatever later
            looks bring; empty: never one. See ``is_chain_current``.
        chain_observed_at: When ``chain`` was last received.
        last_handshake_at: When a handshake was last finished.
        failure_counts: Looks without a handshake, by reason; a bad verdict is none.
        failing_since: Moment of the first look of the present row without a handshake; None: the
            last look had one, or there was no look.
        missed_looks: Looks without a chain in a row.
        looked_at_s: Monotonic moment of the last look.
        is_overdue: No look for more than three intervals.
        verdicts: By the name of each of the target's trust stores; a store that has not judged
            is missing. Empty once the chain is not current.
        acceptance: For a device; None: it is not known what it trusts or what is served.
    """

    target: Target
    observation: Observation | None = None
    chain: tuple[Certificate, ...] = ()
    chain_observed_at: datetime | None = None
    last_handshake_at: datetime | None = None
    attempt_count: int = 0
    failure_counts: Mapping[Reason, int] = field(default_factory=lambda: _NO_FAILURES)
    failing_since: datetime | None = None
    missed_looks: int = 0
    looked_at_s: float = 0.0
    is_overdue: bool = False
    verdicts: Mapping[str, Verdict] = field(default_factory=lambda: NO_VERDICTS)
    acceptance: Acceptance | None = None

    @property
    def is_chain_current(self) -> bool:
        """``chain`` is what the target serves, as far as three looks can tell."""
        return bool(self.chain) and self.missed_looks < MISSED_LOOKS and not self.is_overdue

    @property
    def is_judged(self) -> bool:
        """Each trust store of the target has said something."""
        return all(map(self.verdicts.__contains__, self.target.trust_stores))

    @property
    def is_handshake_done(self) -> bool | None:
        """The last look finished its handshake; None: no look, or none for three intervals."""
        if self.observation is None or self.is_overdue:
            return None
        return self.observation.handshake

    @property
    def is_verified(self) -> bool | None:
        """The chain is accepted by all trust stores of the target; None: not all have judged."""
        stores = self.target.trust_stores
        if not stores or not self.is_judged:
            return None
        return all(self.verdicts[name].verified for name in stores)

    @property
    def is_success(self) -> bool | None:
        """The last look shook hands, and the chain it was sent is verified by all trust stores.

        None: there was no look for three intervals, or it shook hands and nothing has judged
        the chain (no trust store, or one that is being loaded). Never True for what was not
        looked at.
        """
        if not self.is_handshake_done:
            return self.is_handshake_done
        return False if self.missed_looks else self.is_verified


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetSnapshot:
    """All that is known at one moment; nothing in it changes.

    Attributes:
        targets: By name, in the inventory's order.
        stores: The trust stores by name.
        reported: What each device with a fresh report trusts (SHA-256).
        certificates: Those of reported anchors that came as a whole or were served by somebody;
            by SHA-256.
    """

    at: datetime
    targets: Mapping[str, TargetState]
    stores: Mapping[str, TrustStore]
    reported: Mapping[str, frozenset[str]] = field(default_factory=dict)
    certificates: Mapping[str, Certificate] = field(default_factory=dict)

    @property
    def acceptances(self) -> Mapping[str, Acceptance]:
        """The predictions by device; a device of which nothing can be said is missing."""
        return {
            name: state.acceptance
            for name, state in self.targets.items()
            if state.acceptance is not None
        }
