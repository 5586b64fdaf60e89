"""Where each rotation is, what is in its way and how far each device is, for the page; pure."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from exporter.fleet_page.obstacles import Obstacle, obstacles_of
from exporter.fleet_page.query import Asked
from exporter.fleet_page.reached import Place, Reached, is_asked, places_of
from exporter.modes import Mode
from exporter.rotation.blockers import BlockReason
from exporter.rotation.forecast import forecast_of
from exporter.rotation.model import ENDED, Consent, Phase
from exporter.rotation.phases import consent_needed
from exporter.rotation.seen import Seen
from exporter.rotation.view import View, gateway_state

_NAMES = 12
_CELLS = 500
_GATEWAYS = 60


PHASE_WORDS: Mapping[Phase, str] = {
    Phase.PLANNED: "Keys are made and chains signed; nothing that is served or trusted changes",
    Phase.ADDING: "Devices are given the new CA beside the old one, group by group",
    Phase.VALIDATING: "For each device it is asked whether it would accept the new chain",
    Phase.CANARY: "The first gateways serve the new chain, watched and to be confirmed",
    Phase.ROTATING: "The other gateways follow in batches",
    Phase.OVERLAP: "Every gateway serves the new chain; both CAs stay trusted for a while",
    Phase.REMOVING: "The old CA is taken from the devices",
    Phase.DONE: "It is done",
    Phase.ROLLED_BACK: "What was served before is served again; both CAs stay trusted",
    Phase.ABORTED: "A person gave it up",
}
MODE_WORDS: Mapping[Mode, str] = {
    Mode.DISABLED: "disabled: nothing goes on",
    Mode.DRY_RUN: "dry run: it says what it would do",
    Mode.ACT: "acts, where each gate is open",
}
GATEWAY_WORDS: Mapping[str, str] = {
    "unknown": "not seen",
    "rolled_back": "put back",
    "waiting": "serves the old chain",
    "on_new": "serves the new chain, watched",
    "settled": "serves the new chain",
}
_FULL = (Phase.PLANNED, Phase.ADDING, Phase.VALIDATING, Phase.CANARY, Phase.ROTATING,
         Phase.OVERLAP, Phase.REMOVING, Phase.DONE)  # fmt: skip
_SHORT = (Phase.PLANNED, Phase.VALIDATING, Phase.CANARY, Phase.ROTATING, Phase.DONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotations:
    """What the rotating part says of itself.

    Attributes:
        is_known: It was looked which rotations there are.
    """

    mode: Mode = Mode.DISABLED
    seen: Mapping[str, Seen] = field(default_factory=dict)
    is_known: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """One phase on the way; ``place`` is ``past``, ``here`` or ``ahead``."""

    phase: Phase
    place: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationBoard:
    """One rotation.

    Attributes:
        level: ``bad``, ``warn`` or ``good``.
        good_until: Until when what was looked at counts; None: it has ended.
        gate: ``open``, ``shut`` or ``not known``; empty for one that has ended.
        approval: The command that a person is waited for with; empty: nobody is.
        next: What is done next; empty: something is waited for.
        places: Of all devices, those in the way first.
        gateways: Names with what they serve, those that are not done first.
    """

    id: str
    kind: str
    mode: Mode
    phase: Phase
    level: str
    since: datetime
    looked_at: datetime
    good_until: datetime | None
    passages: tuple[Passage, ...]
    gate: str
    obstacles: tuple[Obstacle, ...]
    approval: str
    next: str
    notes: tuple[str, ...]
    excluded: tuple[tuple[str, str], ...]
    overlap_end: datetime | None
    forecast: str
    counts: Mapping[Reached, int]
    places: tuple[Place, ...]
    gateways: tuple[tuple[str, str], ...]
    more_gateways: int

    @property
    def has_ended(self) -> bool:
        """Nothing leads on from here."""
        return self.phase in ENDED

    @property
    def fingerprint(self) -> int:
        """Another one where a reader would see a difference."""
        what = (self.id, self.mode, self.phase, self.gate, self.obstacles, self.approval)
        how = (self.next, self.notes, self.excluded, self.overlap_end, self.forecast)
        return hash((what, how, self.places, self.gateways))

    def is_stale(self, now: datetime) -> bool:
        """Return whether it was looked at too long ago to count."""
        return self.good_until is not None and now > self.good_until

    def places_for(self, asked: Asked) -> tuple[tuple[Place, ...], int]:
        """Return the devices that a page shows of those asked for, and how many those are."""
        found = [one for one in self.places if is_asked(one, asked)]
        return tuple(found[:_CELLS]), len(found)


def boards_of(told: Rotations) -> tuple[RotationBoard, ...]:
    """Return the boards, the latest rotation first."""
    boards = [board_of(seen, told.mode) for seen in told.seen.values()]
    return tuple(sorted(boards, key=lambda one: (one.has_ended, -one.since.timestamp())))


def board_of(seen: Seen, mode: Mode) -> RotationBoard:
    """Return the board of one rotation as it was last looked at."""
    view, marks, plan = seen.view, seen.rotation.marks, seen.rotation.plan
    ended = marks.ended is not None
    looked_at = view.facts.gathered_at
    places = tuple(places_of(seen))
    states = _gateway_states(view)
    return RotationBoard(
        id=plan.id,
        kind="renewal under the same CA" if plan.is_renewal else "rotation to a new CA",
        mode=mode,
        phase=seen.phase,
        level=_level(seen),
        since=marks.phase_at or seen.rotation.started_at,
        looked_at=looked_at,
        good_until=None if ended else looked_at + timedelta(seconds=view.options.fact_max_age),
        passages=tuple(_passages(seen)),
        gate="" if ended else {True: "open", False: "shut", None: "not known"}[seen.gate.is_open],
        obstacles=() if ended else tuple(obstacles_of(seen.gate.blockers)),
        approval=_approval(seen),
        next=_next(seen),
        notes=() if ended else tuple(_notes(seen)),
        excluded=tuple(sorted(marks.excluded.items())),
        overlap_end=None if ended else view.position.overlap_end,
        forecast="" if ended else forecast_of(view).sentence,
        counts=Counter(one.reached for one in places),
        places=places,
        gateways=tuple(states[:_GATEWAYS]),
        more_gateways=max(0, len(states) - _GATEWAYS),
    )


def _level(seen: Seen) -> str:
    if seen.phase in {Phase.ROLLED_BACK, Phase.ABORTED}:
        return "bad"
    if seen.phase is Phase.DONE:
        return "good"
    reasons = {one.reason for one in seen.gate.blockers}
    bad = {BlockReason.TRUST_FAILURE, BlockReason.ROLLED_BACK, BlockReason.DRIFT}
    return "bad" if bad & reasons else "warn" if reasons else "good"


def _passages(seen: Seen) -> Iterator[Passage]:
    """Yield the way that this rotation takes, with where it is on it."""
    plan, phase = seen.rotation.plan, seen.phase
    is_one_batch = all(one.is_canary for one in plan.gateways)
    phases = _SHORT if plan.is_renewal else _FULL
    way = [one for one in phases if one is not Phase.ROTATING or not is_one_batch or one is phase]
    if phase not in way:  # rolled back, aborted, or a renewal that is about to end
        way = [*way[:-1], phase] if phase in ENDED else [*way[:-1], phase, way[-1]]
    here = way.index(phase)
    for place, one in enumerate(way):
        where = "past" if place < here or phase is Phase.DONE else "ahead"
        yield Passage(phase=one, place="here" if place == here else where)


def _approval(seen: Seen) -> str:
    if all(one.reason is not BlockReason.AWAITING_APPROVAL for one in seen.gate.blockers):
        return ""
    plan, consent = seen.rotation.plan, consent_needed(seen.phase) or Consent.BEGIN
    hash_ = plan.consent_hash(consent, seen.rotation.marks.excluded)
    return f"fleet-tls-exporter rotation approve {plan.id} --plan-hash {hash_}"


def _next(seen: Seen) -> str:
    action = seen.would
    if action is None or seen.rotation.marks.ended is not None:
        return ""
    about = [*action.gateways, *action.devices]
    more = f" and {len(about) - _NAMES} more" if len(about) > _NAMES else ""
    names = f" ({', '.join(about[:_NAMES])}{more})" if about else ""
    return f"{action.step.value.replace('_', ' ')}{names}: {action.why}"


def _notes(seen: Seen) -> Iterator[str]:
    marks = seen.rotation.marks
    if marks.is_aborting:
        yield "It is being aborted: only the way back is left."
    elif marks.is_paused:
        yield "It is paused; rotation resume goes on."
    for said in seen.view.position.drift:
        yield f"Drift: {said}. It stands until rotation adopt, or undo."


def _gateway_states(view: View) -> list[tuple[str, str]]:
    order = list(GATEWAY_WORDS)
    found = [(one.name, gateway_state(view, one.name)) for one in view.plan.gateways]
    return sorted(found, key=lambda it: order.index(it[1]))
