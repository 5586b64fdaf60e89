"""One rotation as it was last looked at; a pure value."""

from dataclasses import dataclass

from exporter.rotation.blockers import Gate
from exporter.rotation.gate import gate_of
from exporter.rotation.model import Phase
from exporter.rotation.records import Rotation
from exporter.rotation.steps import Action, next_action
from exporter.rotation.view import View


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One rotation as it was last looked at.

    Attributes:
        would: What would be done next, were the mode ``act``.
    """

    rotation: Rotation
    view: View
    gate: Gate
    would: Action | None

    @property
    def phase(self) -> Phase:
        """Where it is, or how it ended."""
        return self.rotation.marks.ended or self.view.phase


def seen_of(rotation: Rotation, view: View) -> Seen:
    """Return a rotation as it is seen now."""
    return Seen(rotation=rotation, view=view, gate=gate_of(view), would=next_action(view))
