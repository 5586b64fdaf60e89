"""What a decision about a gateway is made of: evidence, refusals, forecast; pure values.

All of it can be written as JSON and read back (``codec``), so that a decision can be replayed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from exporter.observations import Reason, RejectedBy


class Refusal(StrEnum):
    """Why a gateway is not rolled back; the order is that of SAFETY 1."""

    MODE_DISABLED = "mode_disabled"
    KILL_SWITCH = "kill_switch"
    GATEWAY_HELD = "gateway_held"
    UNKNOWN_GATEWAY = "unknown_gateway"
    ALERT_RESOLVED = "alert_resolved"
    ALREADY_RECOVERED = "already_recovered"
    CANNOT_LOOK = "cannot_look"
    EVIDENCE_UNKNOWN = "evidence_unknown"
    IN_PROGRESS = "in_progress"
    ROTATION_IN_CHARGE = "rotation_in_charge"
    BUDGET_SPENT = "budget_spent"
    FLIP_FLOP = "flip_flop"
    NO_CHANGE_TO_UNDO = "no_change_to_undo"
    NOT_CAUSED_BY_CERTIFICATE = "not_caused_by_certificate"
    TOO_FEW_WITNESSES = "too_few_witnesses"
    NO_PREVIOUS = "no_previous"
    PREVIOUS_EXPIRED = "previous_expired"
    PREVIOUS_REVOKED = "previous_revoked"
    PREVIOUS_BROKEN = "previous_broken"
    NO_GAIN = "no_gain"
    REMOVES_IN_FLIGHT = "removes_in_flight"


NEVER_OVERRIDDEN = frozenset(
    {
        Refusal.CANNOT_LOOK,
        Refusal.NO_PREVIOUS,
        Refusal.PREVIOUS_EXPIRED,
        Refusal.PREVIOUS_REVOKED,
        Refusal.PREVIOUS_BROKEN,
        Refusal.IN_PROGRESS,
        # Whoever means it switches it on; an override would be a second, hidden switch
        Refusal.MODE_DISABLED,
        Refusal.KILL_SWITCH,
    }
)
"""What no ``--override`` passes."""


class Asker(StrEnum):
    """On whose behalf a decision is made."""

    AUTOMATION = "automation"
    PERSON = "person"


class AlertState(StrEnum):
    """What is known of the alert that asked."""

    FIRING = "firing"
    RESOLVED = "resolved"
    NONE = "none"
    """No alert: a person asks."""


class Answer(StrEnum):
    """Whether a device accepts a chain."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class AcceptanceBasis(StrEnum):
    """What such an answer rests on."""

    REPORTED = "reported"
    INVENTORY = "inventory"
    HANDSHAKE = "handshake"
    """A full handshake on that chain, within the device's contact interval before the change."""
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepts:
    """Whether one device accepts one chain, and how we know."""

    answer: Answer = Answer.UNKNOWN
    basis: AcceptanceBasis = AcceptanceBasis.NOTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceEvidence:
    """What is known of one device behind the gateway.

    Attributes:
        connected_before: It finished a full handshake within the look-back before the change.
        connected_since_at: Its latest full handshake since the change; None: none is known.
        failing: Why its latest full handshake since the change failed; None: it did not, or none
            is known.
        rejected_by: Who refused in it.
        failed_at: When; None exactly when ``failing`` is.
        failing_since_at: When it began to fail so; None: not known.
        is_trusted_source: That was told by a file we read or an authenticated source.
        connected_resumed: It came by a ticket since the change, which proves nothing.
    """

    device: str
    connected_before: bool = False
    connected_since_at: datetime | None = None
    failing: Reason | None = None
    rejected_by: RejectedBy | None = None
    failed_at: datetime | None = None
    failing_since_at: datetime | None = None
    is_trusted_source: bool = False
    connected_resumed: bool = False
    accepts_current: Accepts = Accepts()
    accepts_previous: Accepts = Accepts()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedFact:
    """What the gateway serves, by our own look without resumption.

    Attributes:
        fingerprint: Of the leaf.
        not_before: The latest begin on the chain; ``not_after`` the earliest end.
    """

    fingerprint: str
    not_before: datetime
    not_after: datetime
    observed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviousVersion:
    """The version that a rollback would serve.

    Attributes:
        is_key_usable: The key is there and matches; None: nobody says.
        is_chain_good: It leads to a root or to some store we know; None: it could not be judged.
        is_revoked: It is marked as compromised.
    """

    number: int
    fingerprint: str
    not_after: datetime
    is_key_usable: bool | None
    is_chain_good: bool | None
    is_revoked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionsFact:
    """What the management API says of the versions.

    Attributes:
        current: Number of the version that is served; None: what is served is none of them.
        current_fingerprint: As the API sees it served.
        previous: The last other version that was served and proven; None: there is none.
        activation_number: Rises with each change of what is served.
        last_operation_number: The highest that the API was ever sent.
    """

    current: int | None
    current_fingerprint: str
    previous: PreviousVersion | None
    activation_number: int
    last_operation_number: int = 0
    observed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeFact:
    """The last change of the served leaf.

    Attributes:
        changed_at: None: it is known that there was none within the look-back.
        source: ``observed`` by our own looks, or the management API's ``activatedAt``.
    """

    changed_at: datetime | None
    source: str
    observed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RolledAway:
    """A certificate that some earlier rollback took out of service."""

    fingerprint: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """A person's yes to one plan.

    Attributes:
        plan_hash: Of the plan that was shown (``Decision.plan_hash``).
    """

    plan_hash: str
    by: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All facts of one decision, gathered at ``gathered_at``; None: it could not be learned.

    Attributes:
        is_control_good: A control target on the same network path answered; None: there is none.
        clock_offset_s: Our clock minus the management API's; None: it did not tell its own.
        alerts_offset_at_most_s: Our clock minus the alerts' is at most this; None: not known.
            Anybody who may send one says so: it counts where the management API does not tell.
        served_detail: Why ``served`` is None; likewise ``versions_detail``.
        is_in_progress: An action on this gateway has no outcome yet.
        is_fleet_busy: An automatic action on another gateway has no outcome yet.
        is_rotation_in_charge: A rotation is working on this gateway.
        is_removing: The CA that the previous chain needs is being, or was, removed from devices.
        is_killed: The kill switch is on.
        automatic_actions: Moments of the automatic actions in the fleet, of the last hour.
        own_operation_number: The highest that our journal knows of for this gateway.
        stores: What devices behind it trust by the inventory, as ``NAME=FILE``: for a command.
    """

    gateway: str
    gathered_at: datetime
    is_in_inventory: bool
    alert: AlertState
    is_control_good: bool | None = None
    clock_offset_s: float | None = None
    alerts_offset_at_most_s: float | None = None
    served: ServedFact | None = None
    served_detail: str = ""
    versions: VersionsFact | None = None
    versions_detail: str = ""
    change: ChangeFact | None = None
    devices: tuple[DeviceEvidence, ...] = ()
    is_in_progress: bool | None = None
    is_fleet_busy: bool | None = None
    is_rotation_in_charge: bool | None = None
    is_removing: bool | None = None
    is_killed: bool | None = None
    held_until: datetime | None = None
    rolled_away: tuple[RolledAway, ...] = ()
    automatic_actions: tuple[datetime, ...] = ()
    own_operation_number: int = 0
    approval: Approval | None = None
    stores: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """Who gains, loses, stays or is unknown if the previous version is served; by name."""

    gain: tuple[str, ...] = ()
    loss: tuple[str, ...] = ()
    stay: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What makes an action the same action; unique in the store."""

    gateway: str
    fingerprint: str
    activation_number: int
    target_version: int

    @property
    def key(self) -> str:
        """As one text, for the store and the ``Idempotency-Key``."""
        return (
            f"rollback:{self.gateway}:{self.fingerprint}:{self.activation_number}"
            f":{self.target_version}"
        )


class Outcome(StrEnum):
    """What was decided."""

    REFUSED = "refused"
    WOULD_ROLLBACK = "would_rollback"
    AWAITING_APPROVAL = "awaiting_approval"
    ROLLBACK = "rollback"


_UNDER_WAY_OR_OVER = frozenset({Refusal.IN_PROGRESS, Refusal.ALERT_RESOLVED})
_RECOVERED = frozenset({Refusal.ALREADY_RECOVERED, Refusal.TOO_FEW_WITNESSES})


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A decision about one gateway, with all its reasons.

    Attributes:
        refusals: All that hold and were not passed, in the enum's order, each with its sentence.
        passed: Those that a person passed by ``--override``, likewise.
        identity: None where it cannot be told what would be done.
        plan_hash: Of what would be done and who it would reach; what an approval is bound to.
        sentence: For the one who is woken.
    """

    outcome: Outcome
    gateway: str
    decided_at: datetime
    refusals: Mapping[Refusal, str]
    passed: Mapping[Refusal, str]
    forecast: Forecast
    witnesses: tuple[str, ...]
    identity: Identity | None
    plan_hash: str
    sentence: str

    @property
    def is_left_to_a_person(self) -> bool:
        """Whether the fault lasts, and nothing is done about it by itself."""
        if self.outcome is not Outcome.REFUSED or not _UNDER_WAY_OR_OVER.isdisjoint(self.refusals):
            return False
        # Served already, and refused by many all the same: that is not over
        return not self.refusals.keys() >= _RECOVERED

    @property
    def gist(self) -> object:
        """What is decided and why, without the words."""
        return (
            self.outcome, frozenset(self.refusals), frozenset(self.passed), self.identity,
            self.plan_hash, self.forecast, self.witnesses,
        )  # fmt: skip
