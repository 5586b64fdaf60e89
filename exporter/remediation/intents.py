"""An action on one gateway and how far it has come; pure values."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from exporter.errors import ExporterError
from exporter.remediation.model import Asker, Identity

_MOST_CHARS = 200


class Ending(StrEnum):
    """How an action ended."""

    RECOVERED = "recovered"
    """Served and proven, and the devices are back."""
    NOT_SERVED = "not_served"
    """The previous version could not be served; what is served is what was before."""
    UNPROVEN = "unproven"
    """It was sent, and what is served cannot be seen, or is not the same by every way."""
    NOT_BACK = "not_back"
    """It is served, and too few devices came back; their recovery was asked for."""
    OVERTAKEN = "overtaken"
    """Somebody else changed the gateway in the meantime; nothing was sent, or it was refused."""
    STOPPED = "stopped"
    """The kill switch, or a store that was put back, stopped it before it was sent."""


class Stage(StrEnum):
    """How far an action has come."""

    INTENDED = "intended"
    """Durable; it may or may not have been sent."""
    SERVED = "served"
    """The gateway was seen to serve the intended chain by every look."""
    ENDED = "ended"

    def is_before(self, other: "Stage") -> bool:
        """Return whether ``other`` is further on."""
        stages = list(Stage)
        return stages.index(self) < stages.index(other)


class TakenError(ExporterError):
    """The same action was intended already, or another one on that gateway is under way."""


class TakenUpError(ExporterError):
    """Another process carries this action out now: whoever meets this does nothing more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """One action on one gateway.

    Attributes:
        round: From 1; the same identity is intended again only after an end that left the
            gateway as it was.
        operation_number: Of the lease; rises with each intent.
        decision_number: The journal's entry of the decision, with its evidence.
        fingerprint: Of the leaf that is to be served; ``rolled_away`` of the one served before.
        devices: Those that connected before the change, and are expected back.
        asker: On whose behalf; ``by`` is a person's name or empty.
        stage_at: When it came to its present stage.
    """

    identity: Identity
    round: int
    operation_number: int
    decision_number: int
    fingerprint: str
    rolled_away: str
    devices: tuple[str, ...]
    asker: Asker
    by: str
    intended_at: datetime
    stage: Stage
    stage_at: datetime
    ending: Ending | None = None

    @property
    def key(self) -> str:
        """The ``Idempotency-Key`` of everything that is sent for it."""
        key = self.identity.key
        if not key.isascii() or " " in key or len(key) > _MOST_CHARS:
            # A header carries visible ASCII only, and a gateway may have any name
            key = f"rollback:{hashlib.sha256(key.encode()).hexdigest()}"
        return f"{key}:{self.round}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """No automatic change of a gateway until then, unless a person releases it."""

    gateway: str
    until: datetime
    reason: str


LEFT_AS_IT_WAS = frozenset({Ending.NOT_SERVED, Ending.OVERTAKEN, Ending.STOPPED})
"""Ends after which the gateway serves what it did: the same may be intended again."""
