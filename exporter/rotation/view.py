"""All that a judgement about one rotation looks at, together; pure."""

from dataclasses import dataclass
from datetime import datetime

from exporter.rotation.model import DeviceFacts, Facts, Marks, Phase, Plan, behind, included
from exporter.rotation.options import Options
from exporter.rotation.phases import Position, is_awaited, kept_absence_s, position_of

_MUCH_LONGER = 1.25


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One rotation at one moment."""

    plan: Plan
    facts: Facts
    marks: Marks
    options: Options
    now: datetime
    position: Position

    @property
    def phase(self) -> Phase:
        """Where it is."""
        return self.position.phase

    @property
    def devices(self) -> tuple[DeviceFacts, ...]:
        """Those that nobody left out."""
        return included(self.facts, self.marks)

    def behind(self, gateway: str) -> tuple[DeviceFacts, ...]:
        """Return those behind one gateway."""
        return behind(self.facts, self.marks, gateway)


def view_of(plan: Plan, facts: Facts, marks: Marks, *, now: datetime, options: Options) -> View:
    """Return the view, with the position that the facts give."""
    return View(
        plan=plan,
        facts=facts,
        marks=marks,
        options=options,
        now=now,
        position=position_of(plan, facts, marks, now=now, options=options),
    )


def absence_to_keep(view: View, before: View | None) -> tuple[float, str] | None:
    """Return for how long which device was silent, where no later look would tell; None: nothing.

    While it lasts, each look tells it: so it is kept when it has grown much, and at its end.
    """
    kept_s = kept_absence_s(view.facts, view.marks)
    now_s = view.facts.longest_absence_s
    found = max((now_s, view.facts.longest_absent), _absence_told(view, before))
    if found[0] <= max(kept_s, view.plan.overlap_s):
        return None
    is_over = now_s < found[0]
    return found if is_over or found[0] > _MUCH_LONGER * kept_s else None


def _absence_told(view: View, before: View | None) -> tuple[float, str]:
    """Return what the look before told of who was silent, if that one is still waited for."""
    absent = before.facts.longest_absent if before is not None else ""
    if before is None or not is_awaited(view.facts, view.marks, absent):
        return 0.0, ""
    return before.facts.longest_absence_s, absent


def gateway_state(view: View, name: str) -> str:
    """Return where one gateway is, in a word; ``unknown`` where it is not seen."""
    found = view.facts.gateways.get(name)
    if found is None or found.served is None:
        return "unknown"
    if name in view.position.settled:
        return "settled"
    if name in view.position.on_new:
        return "on_new"
    return "rolled_back" if view.marks.gateway(name).rolled_back_at else "waiting"
