"""What may happen to the real service on its way through a rotation.

Once a moment of the path has come that the doom's file names, lines of the rotating code are
counted, and the process is killed at one of them. Moments are a phase in which it looks; a step
that is about to be noted, like ``rotate``; and the same ``written``, ``answered`` where it is
about an answer.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypedDict

from exporter.rotation import carry_out, phases, steps
from exporter.rotation.records import Records, Rotation
from exporter.rotation.rotate import Rotator
from tests.response.doomed import Doom

_OURS = (
    "/exporter/rotation/", "/exporter/rotation_hands.py", "/exporter/journal.py",
    "/exporter/operations.py", "/exporter/store.py", "/exporter/transaction.py",
    "/exporter/gateway/client.py", "/exporter/gateway/calls.py", "/exporter/gateways.py",
)  # fmt: skip


class Fate(TypedDict):
    """What a process is told before it begins.

    Attributes:
        doom: The file that says when it is killed.
        unanswered_s: So long a gateway that did not answer is waited for.
        confirm_s: So long a gateway waits for its confirmation, at least.
    """

    doom: str
    unanswered_s: float
    confirm_s: float


def beset(fate: Fate) -> None:
    """Have the service tell the doom where it is, and shorten waits that nobody may set."""
    doom = Doom(Path(fate["doom"]), _OURS)
    note, look = Records.note, Rotator._look

    async def noting(
        self: Records,
        rotation: Rotation,
        facts: Mapping[str, Any],
        *,
        at: datetime,
        gateway: str = "",
    ) -> None:
        moment = _moment(facts)
        doom.begin(moment)
        await note(self, rotation, facts, at=at, gateway=gateway)
        doom.begin(f"{moment} written")

    async def looking(self: Rotator, rotation: Rotation) -> Any:
        found = await look(self, rotation)
        doom.begin(found[1].phase)
        return found

    replaced: tuple[tuple[object, str, Callable[..., Any] | float | timedelta], ...] = (
        (Records, "note", noting),
        (Rotator, "_look", looking),
        (phases, "UNANSWERED", timedelta(seconds=fate["unanswered_s"])),
        (steps, "_CONFIRM_S", fate["confirm_s"]),
        (carry_out, "_PAUSE", timedelta(seconds=1)),
    )
    for owner, name, other in replaced:
        setattr(owner, name, other)


def _moment(facts: Mapping[str, Any]) -> str:
    if "looked" in facts:
        return "looked"
    step = str(facts.get("step") or facts.get("what"))
    return f"{step} answered" if facts.keys() & {"answer", "error"} else step
