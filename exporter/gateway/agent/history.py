"""What was served one after the other, and what `previous` means then; pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from exporter.gateway.messages import OperationStatus


class Way(StrEnum):
    """How something came to be served."""

    FORWARD = "forward"
    BACK = "back"


class Kind(StrEnum):
    """Who wanted a change."""

    ROTATE = "rotate"
    ROLLBACK = "rollback"
    UNCONFIRMED = "unconfirmed"
    """Nobody confirmed in time, so the gateway goes back by itself."""


class Step(StrEnum):
    """How far a change has come; written before the step is taken."""

    INTENDED = "intended"
    """What is served was not touched."""
    SWITCHING = "switching"
    RETURNING = "returning"
    DONE = "done"


class Confirmation(StrEnum):
    """What became of a wait for ``confirm``."""

    AWAITED = "awaited"
    GIVEN = "given"
    LAPSED = "lapsed"
    """It went back, or something else was served since."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of what is served.

    Attributes:
        from_version: None: nothing was served before.
        status: None: it is not over.
        detail: A sentence; empty for a plain success.
        switched_at: When the terminator was told, if that is known: devices meet the new one from
            then on, and not only once that is proved.
        confirm_within_s: As asked for.
        confirm_by: Until when it must be confirmed; known once it is over.
    """

    id: str
    kind: Kind
    from_version: int | None
    to_version: int
    started_at: datetime
    step: Step = Step.INTENDED
    status: OperationStatus | None = None
    detail: str = ""
    switched_at: datetime | None = None
    ended_at: datetime | None = None
    confirm_within_s: float | None = None
    confirm_by: datetime | None = None
    confirmation: Confirmation | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Activation:
    """A version began to be served.

    Attributes:
        number: Rises by one each time.
    """

    number: int
    version: int
    way: Way
    at: datetime


def previous_of(activations: Sequence[Activation], proven: Collection[int]) -> int | None:
    """Return the version to go back to; None: there is none.

    The last one before today's that was served and proven, and was not gone back from: whoever
    went back from a version does not mean it by the word.
    """
    stack: list[int] = []
    for one in activations:
        if one.way is Way.BACK and one.version in stack:
            del stack[stack.index(one.version) + 1 :]
        elif not stack or stack[-1] != one.version:
            stack.append(one.version)
    return next((version for version in reversed(stack[:-1]) if version in proven), None)
