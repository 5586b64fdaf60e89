"""What a rotation is made of: phases, its plan, what is known, what was done; pure values."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from exporter.gateway.messages import DeviceUpdateStatus
from exporter.observations import Reason


class Phase(StrEnum):
    """Where a rotation is; the order is that of SAFETY 3."""

    PLANNED = "planned"
    ADDING = "adding"
    VALIDATING = "validating"
    CANARY = "canary"
    ROTATING = "rotating"
    OVERLAP = "overlap"
    REMOVING = "removing"
    DONE = "done"
    ROLLED_BACK = "rolled_back"
    ABORTED = "aborted"


ENDED = frozenset({Phase.DONE, Phase.ROLLED_BACK, Phase.ABORTED})
"""Phases from which nothing leads on."""


class Step(StrEnum):
    """What is done, one at a time."""

    ORDER = "order"
    """Have a key made on the gateway, and its chain signed."""
    ADD = "add"
    """Have the new CA added to devices, as secondary."""
    VALIDATE = "validate"
    """Ask for each device whether it would accept its gateway's new chain."""
    REHEARSE = "rehearse"
    """Serve the candidate on the second port, and shake hands with it there."""
    ROTATE = "rotate"
    """Serve the candidate, until it is confirmed or taken back."""
    CONFIRM = "confirm"
    """End the dead-man's wait: the candidate stays."""
    ROLL_BACK = "roll_back"
    """Serve again what was served before."""
    REMOVE = "remove"
    """Have the old CA removed from devices; the only step without a way back."""
    RE_ADD = "re_add"
    """Have the old CA added again."""
    FINISH = "finish"
    """Note how it ended."""


class Consent(StrEnum):
    """What a person approves; the one does not mean the other."""

    BEGIN = "begin"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedGateway:
    """One gateway of a plan.

    Attributes:
        before: Fingerprint of the leaf that it served when the plan was made.
    """

    name: str
    before: str
    is_canary: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be changed; another plan has another hash and needs another approval.

    Attributes:
        old_ca: SHA-256 of the CA that goes; ``new_ca`` of the one that comes. The same CA in
            both: a renewal, the short path without ADD and REMOVE.
        gateways: In the order in which they are rotated, canaries first.
        overlap_s: The least time in which both CAs stay trusted.
        is_same_subject_meant: A person said that the new CA bears the old one's subject.
        has_other_client_ca: A person said that the devices' own certificates are by another CA.
    """

    id: str
    old_ca: str
    new_ca: str
    gateways: tuple[PlannedGateway, ...]
    overlap_s: float
    is_same_subject_meant: bool = False
    has_other_client_ca: bool = False

    def __post_init__(self) -> None:
        """Raise ValueError for a plan without a canary: nothing would go first."""
        if not any(one.is_canary for one in self.gateways):
            raise ValueError("a rotation needs at least one gateway that goes first (canary)")

    @property
    def is_renewal(self) -> bool:
        """Nobody's trust store has to change."""
        return self.old_ca == self.new_ca

    @property
    def hash(self) -> str:
        """One name for exactly this plan."""
        parts = [
            self.id, self.old_ca, self.new_ca, self.overlap_s, self.is_same_subject_meant,
            self.has_other_client_ca,
            [[one.name, one.before, one.is_canary] for one in self.gateways],
        ]  # fmt: skip
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def consent_hash(self, consent: Consent, excluded: Mapping[str, str]) -> str:
        """Return what an approval is bound to: the plan, what for, and who is left out."""
        parts = [self.hash, consent, sorted(excluded)]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


# What is known


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFacts:
    """What is known of one device now; None: it is not known.

    Attributes:
        contact_interval_s: How often it is heard of.
        last_seen_at: When anything was last heard of it.
        reported_at: When its latest report was received; ``fresh_until``: until when that counts.
        trusts_new: Its latest report lists the new CA; ``trusts_old`` likewise.
        word: The platform's, which is no fact; ``error`` in its own words.
        accepts_candidate: By our own judgement of its store, for now and for the end of the
            overlap, it would accept its gateway's candidate.
        full_at: Its latest full handshake since its gateway serves the candidate.
        is_by_ticket: Since then it came by a ticket, or nobody can tell.
        failing: Why its latest full handshake since then failed for trust, by a trusted source.
        is_client: It has shown a certificate of its own.
    """

    name: str
    gateway: str
    device_class: str = ""
    group: str = ""
    contact_interval_s: float | None = None
    last_seen_at: datetime | None = None
    reported_at: datetime | None = None
    fresh_until: datetime | None = None
    trusts_new: bool | None = None
    trusts_old: bool | None = None
    word: DeviceUpdateStatus | None = None
    error: str = ""
    accepts_candidate: bool | None = None
    full_at: datetime | None = None
    is_by_ticket: bool = False
    failing: Reason | None = None
    failing_at: datetime | None = None
    is_client: bool = False

    def is_fresh(self, now: datetime) -> bool:
        """Return whether its report still counts."""
        return self.fresh_until is not None and now < self.fresh_until


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayFacts:
    """What is known of one gateway now; None: it is not known.

    Attributes:
        served: Leaf that our own look was shown; ``observed_at`` when.
        needs_old: What it serves is accepted only by who trusts the old CA.
        activated_at: Since when that is served.
        has_api: It has a management API.
        is_ready: The version before could be served at once.
        before_not_after: When the certificate served before the rotation ends.
        candidate_faults: What is wrong with its candidate; None: there is none yet.
        is_busy: Somebody else is in charge of it.
        left_at: When it began to serve the candidate, where that was proven and is over by now.
        pending: Operation that waits for its confirmation.
        tickets_until: Until when tickets from before may hide refusals; None: none do.
        no_tickets_from: From when on no ticket from before is taken up; None: nobody tells.
        detail: Why something is not known.
    """

    name: str
    served: str | None = None
    observed_at: datetime | None = None
    needs_old: bool | None = None
    activated_at: datetime | None = None
    has_api: bool = True
    is_ready: bool | None = None
    before_not_after: datetime | None = None
    candidate_faults: tuple[str, ...] | None = None
    is_busy: bool = False
    left_at: datetime | None = None
    pending: str | None = None
    tickets_until: datetime | None = None
    no_tickets_from: datetime | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that is known, gathered at one moment.

    Attributes:
        gateways: All of the inventory by name, also those outside of the plan.
        devices: Those behind the gateways of the plan, by name.
        ca_faults: What is wrong with the new CA.
        is_control_good: A control target answered; None: there is none.
        longest_absence_s: How long the device is silent by now that was not heard of for longest,
            ``longest_absent`` its name.
        by_gateway: The devices' names by gateway; a large fleet is asked for it often.
    """

    gathered_at: datetime
    gateways: Mapping[str, GatewayFacts]
    devices: Mapping[str, DeviceFacts]
    ca_faults: tuple[str, ...] = ()
    is_control_good: bool | None = None
    longest_absence_s: float = 0.0
    longest_absent: str = ""
    by_gateway: Mapping[str, tuple[str, ...]] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        """Go through the devices once."""
        found: dict[str, list[str]] = {}
        for name, device in self.devices.items():
            found.setdefault(device.gateway, []).append(name)
        by_gateway = {gateway: tuple(names) for gateway, names in found.items()}
        object.__setattr__(self, "by_gateway", by_gateway)


# What was done, by the journal


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayMark:
    """What was done to one gateway.

    Attributes:
        candidate: Leaf of the chain that was signed for it.
        rehearsed: Leaf that was met on its second port.
        intended: ``rotate`` or ``roll_back`` was begun and has not been seen to be done.
        asked_at: When it was asked to take its candidate, as long as no answer came: it may take
            it yet.
        rotated_at: When the candidate was proven to be served; None: it was not, or was taken
            back.
        is_confirmed: The dead-man's wait was ended.
        rolled_back_at: When it was put back or refused the candidate, ``rolled_back_why`` a
            sentence; until a person resumes it stays as it is.
        retry_at: Nothing is tried before then; ``tries`` how often it failed.
        before: What it serves otherwise, where a person adopted another than the plan's.
    """

    candidate: str | None = None
    rehearsed: str | None = None
    intended: Step | None = None
    asked_at: datetime | None = None
    rotated_at: datetime | None = None
    is_confirmed: bool = False
    rolled_back_at: datetime | None = None
    rolled_back_why: str = ""
    retry_at: datetime | None = None
    tries: int = 0
    before: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceMark:
    """What was asked for one device.

    Attributes:
        added_at: When ADD was last asked for, ``added_tries`` how often; likewise REMOVE.
        validated: Leaf of the candidate that the platform was asked about at ``validated_at``.
        is_valid: Its answer; ``refusal`` its reasons.
    """

    added_at: datetime | None = None
    added_tries: int = 0
    removed_at: datetime | None = None
    removed_tries: int = 0
    validated: str | None = None
    validated_at: datetime | None = None
    is_valid: bool = False
    refusal: str = ""


NO_MARK, NOTHING_ASKED = GatewayMark(), DeviceMark()


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """What was done, by the journal.

    Attributes:
        consents: Hash that was approved, by what for; see ``Plan.consent_hash``.
        excluded: Device and the reason that a person gave for leaving it out.
        begun_at: When the first ADD, or of a renewal the first validation, was allowed.
        removing_at: When REMOVE was begun.
        is_aborting: A person aborted it: only the way back is left.
        ended: How it ended; None: it has not.
        phase: Where it was found at the last look, ``phase_at`` since when; told, never gone by.
        longest_absence_s: The longest silence of a device that was seen so far,
            ``longest_absent`` its name.
        is_automatic: No person started it: it renews a certificate in time.
        resumed_at: When it was last resumed, ``resumed_count`` how often.
    """

    consents: Mapping[Consent, str] = field(default_factory=dict)
    excluded: Mapping[str, str] = field(default_factory=dict)
    gateways: Mapping[str, GatewayMark] = field(default_factory=dict)
    devices: Mapping[str, DeviceMark] = field(default_factory=dict)
    begun_at: datetime | None = None
    removing_at: datetime | None = None
    is_paused: bool = False
    is_aborting: bool = False
    ended: Phase | None = None
    phase: Phase | None = None
    phase_at: datetime | None = None
    longest_absence_s: float = 0.0
    longest_absent: str = ""
    is_automatic: bool = False
    resumed_at: datetime | None = None
    resumed_count: int = 0

    def gateway(self, name: str) -> GatewayMark:
        """Return what was done to a gateway."""
        return self.gateways.get(name, NO_MARK)

    def device(self, name: str) -> DeviceMark:
        """Return what was asked for a device."""
        return self.devices.get(name, NOTHING_ASKED)

    def is_consented(self, plan: Plan, consent: Consent) -> bool:
        """Return whether a person approved exactly this."""
        return self.consents.get(consent) == plan.consent_hash(consent, self.excluded)


def included(facts: Facts, marks: Marks) -> tuple[DeviceFacts, ...]:
    """Return the devices that nobody left out."""
    return tuple(one for name, one in facts.devices.items() if name not in marks.excluded)


def behind(facts: Facts, marks: Marks, gateway: str) -> tuple[DeviceFacts, ...]:
    """Return the devices behind one gateway that nobody left out."""
    names = facts.by_gateway.get(gateway, ())
    return tuple(facts.devices[name] for name in names if name not in marks.excluded)
