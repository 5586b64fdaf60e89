"""Which step leads from which phase to which, and where facts say that a rotation is; pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from exporter.rotation.model import (
    Consent,
    DeviceFacts,
    Facts,
    GatewayMark,
    Marks,
    Phase,
    Plan,
    PlannedGateway,
    Step,
    behind,
    included,
)
from exporter.rotation.options import Options

MOST_TRIES = 3
# Longer than an agent takes for a change, with the proof of it
UNANSWERED = timedelta(minutes=5)

# What is not listed is not allowed. Where a step may leave a phase or not, facts tell which.
TRANSITIONS: Mapping[tuple[Phase, Step], frozenset[Phase]] = {
    (Phase.PLANNED, Step.ORDER): frozenset({Phase.PLANNED}),
    (Phase.PLANNED, Step.ROLL_BACK): frozenset({Phase.PLANNED}),  # undoes a change by hand
    (Phase.PLANNED, Step.FINISH): frozenset({Phase.ABORTED, Phase.ROLLED_BACK}),
    (Phase.PLANNED, Step.ADD): frozenset({Phase.ADDING}),
    (Phase.PLANNED, Step.VALIDATE): frozenset({Phase.VALIDATING, Phase.CANARY}),
    (Phase.ADDING, Step.ORDER): frozenset({Phase.ADDING}),  # again, after a change by hand
    (Phase.ADDING, Step.ADD): frozenset({Phase.ADDING, Phase.VALIDATING}),
    (Phase.ADDING, Step.ROLL_BACK): frozenset({Phase.ADDING, Phase.VALIDATING, Phase.CANARY}),
    (Phase.ADDING, Step.REMOVE): frozenset({Phase.ADDING}),  # of the new CA, on the way back
    (Phase.ADDING, Step.FINISH): frozenset({Phase.ABORTED, Phase.ROLLED_BACK}),
    (Phase.VALIDATING, Step.ORDER): frozenset({Phase.VALIDATING}),
    (Phase.VALIDATING, Step.ADD): frozenset({Phase.ADDING, Phase.VALIDATING}),
    (Phase.VALIDATING, Step.VALIDATE): frozenset({Phase.VALIDATING, Phase.CANARY}),
    (Phase.VALIDATING, Step.ROLL_BACK): frozenset({Phase.VALIDATING, Phase.CANARY}),
    (Phase.VALIDATING, Step.REMOVE): frozenset({Phase.ADDING}),
    (Phase.VALIDATING, Step.FINISH): frozenset({Phase.ABORTED, Phase.ROLLED_BACK}),
    (Phase.CANARY, Step.ORDER): frozenset({Phase.CANARY}),
    (Phase.CANARY, Step.ADD): frozenset({Phase.CANARY}),
    (Phase.CANARY, Step.VALIDATE): frozenset({Phase.CANARY}),
    (Phase.CANARY, Step.REHEARSE): frozenset({Phase.CANARY}),
    (Phase.CANARY, Step.ROTATE): frozenset({Phase.CANARY, Phase.OVERLAP, Phase.DONE}),
    (Phase.CANARY, Step.CONFIRM): frozenset({Phase.CANARY, Phase.ROTATING, Phase.OVERLAP}),
    (Phase.CANARY, Step.ROLL_BACK): frozenset({Phase.CANARY, Phase.ROLLED_BACK}),
    (Phase.CANARY, Step.REMOVE): frozenset({Phase.ADDING}),
    (Phase.CANARY, Step.FINISH): frozenset({Phase.ABORTED, Phase.ROLLED_BACK}),
    (Phase.ROTATING, Step.ORDER): frozenset({Phase.ROTATING}),
    (Phase.ROTATING, Step.ADD): frozenset({Phase.ROTATING}),
    (Phase.ROTATING, Step.VALIDATE): frozenset({Phase.ROTATING}),
    (Phase.ROTATING, Step.ROTATE): frozenset({Phase.ROTATING, Phase.OVERLAP}),
    (Phase.ROTATING, Step.CONFIRM): frozenset({Phase.ROTATING, Phase.OVERLAP}),
    (Phase.ROTATING, Step.ROLL_BACK): frozenset({Phase.ROTATING, Phase.CANARY, Phase.VALIDATING}),
    (Phase.ROTATING, Step.FINISH): frozenset({Phase.ABORTED, Phase.ROLLED_BACK}),
    (Phase.OVERLAP, Step.ADD): frozenset({Phase.OVERLAP}),
    (Phase.OVERLAP, Step.CONFIRM): frozenset({Phase.OVERLAP}),
    (Phase.OVERLAP, Step.ROLL_BACK): frozenset({Phase.OVERLAP, Phase.ROTATING, Phase.CANARY}),
    (Phase.OVERLAP, Step.REMOVE): frozenset({Phase.REMOVING}),
    (Phase.OVERLAP, Step.FINISH): frozenset({Phase.DONE, Phase.ABORTED, Phase.ROLLED_BACK}),
    (Phase.REMOVING, Step.REMOVE): frozenset({Phase.REMOVING}),
    (Phase.REMOVING, Step.RE_ADD): frozenset({Phase.REMOVING}),
    (Phase.REMOVING, Step.FINISH): frozenset({Phase.DONE, Phase.ABORTED}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where a rotation is.

    Attributes:
        drift: What the facts say otherwise than the journal, each a sentence; empty: they agree.
        on_new: Gateways that serve their candidate.
        settled: Those of them whose every device has proven that it accepts it.
        overlap_end: Until when both CAs have to stay trusted; None: not known yet.
    """

    phase: Phase
    drift: tuple[str, ...] = ()
    on_new: frozenset[str] = frozenset()
    settled: frozenset[str] = frozenset()
    overlap_end: datetime | None = None


def position_of(
    plan: Plan, facts: Facts, marks: Marks, *, now: datetime, options: Options
) -> Position:
    """Return where the rotation is by what is measured; the journal only speaks against it."""
    on_new = frozenset(
        one.name for one in plan.gateways if serves_candidate(facts, marks, one.name)
    )
    settled = frozenset(
        name for name in on_new if is_settled(facts, marks, name, now=now, options=options)
    )
    return Position(
        phase=_phase(plan, facts, marks, on_new=on_new, settled=settled, now=now),
        drift=() if marks.ended is not None else tuple(_drift(plan, facts, marks)),
        on_new=on_new,
        settled=settled,
        overlap_end=overlap_end(plan, facts, marks, on_new=on_new, options=options),
    )


def serves_candidate(facts: Facts, marks: Marks, gateway: str) -> bool:
    """Return whether a gateway is seen to serve the chain that was signed for it."""
    found = facts.gateways.get(gateway)
    candidate = marks.gateway(gateway).candidate
    return found is not None and candidate is not None and found.served == candidate


def _phase(
    plan: Plan, facts: Facts, marks: Marks, *, on_new: frozenset[str], settled: frozenset[str],
    now: datetime,
) -> Phase:  # fmt: skip
    if marks.ended is not None:
        return marks.ended
    if marks.removing_at is not None:
        return Phase.REMOVING
    if marks.begun_at is None:
        return Phase.PLANNED
    if on_new:
        return _phase_of_serving(plan, settled)
    devices = included(facts, marks)
    if not plan.is_renewal and not all(trusts_new(one, now) for one in devices):
        return Phase.ADDING
    if all(is_validated(one, marks) for one in devices):
        return Phase.CANARY
    return Phase.VALIDATING


def _phase_of_serving(plan: Plan, settled: frozenset[str]) -> Phase:
    if {one.name for one in plan.gateways} <= settled:
        return Phase.OVERLAP
    canaries = {one.name for one in plan.gateways if one.is_canary}
    return Phase.ROTATING if canaries <= settled else Phase.CANARY


def is_settled(
    facts: Facts, marks: Marks, gateway: str, *, now: datetime, options: Options
) -> bool:
    """Return whether all devices behind a rotated gateway proved it, and it was watched enough."""
    until = soak_until(facts, marks, gateway, options=options)
    if not marks.gateway(gateway).is_confirmed or until is None or now < until:
        return False
    return all(one.full_at and not one.failing for one in behind(facts, marks, gateway))


def soak_until(facts: Facts, marks: Marks, gateway: str, *, options: Options) -> datetime | None:
    """Return until when a rotated gateway is watched at least; None: it is not rotated."""
    rotated_at = marks.gateway(gateway).rotated_at
    if rotated_at is None:
        return None
    intervals = (one.contact_interval_s or 0.0 for one in behind(facts, marks, gateway))
    return rotated_at + timedelta(seconds=max(options.soak, *intervals, 0.0))


def trusts_new(device: DeviceFacts, now: datetime) -> bool:
    """Return whether a fresh report of the device lists the new CA."""
    return bool(device.trusts_new) and device.is_fresh(now)


def is_validated(device: DeviceFacts, marks: Marks) -> bool:
    """Return whether platform and we both say that it would accept its gateway's candidate."""
    mark = marks.device(device.name)
    candidate = marks.gateway(device.gateway).candidate
    is_asked = candidate is not None and mark.validated == candidate and mark.is_valid
    return is_asked and device.accepts_candidate is True


def _drift(plan: Plan, facts: Facts, marks: Marks) -> Iterator[str]:
    for planned in plan.gateways:
        found = facts.gateways.get(planned.name)
        if found is None:
            yield f"{planned.name} is no longer in the inventory"
        elif found.served is not None:
            told = _drift_at(planned, found.served, marks)
            if told:
                yield told


def _drift_at(planned: PlannedGateway, served: str, marks: Marks) -> str:
    mark = marks.gateway(planned.name)
    if mark.intended is not None:
        return ""  # under way: looking tells how it ended
    before = before_of(planned, marks)
    if served not in {before, mark.candidate}:
        return (
            f"{planned.name} serves {served[:16]}, which is neither what it served before nor what"
            " was signed for it: somebody changed it by hand"
        )
    if served == mark.candidate and mark.rotated_at is None:
        return f"{planned.name} serves its new chain, and the journal does not know of it"
    if served == before and mark.is_confirmed:
        return f"{planned.name} serves again what it served before, and nobody here put it back"
    return ""


def is_unanswered(mark: GatewayMark, now: datetime) -> bool:
    """Return whether a gateway that was asked to take its candidate may still be about to.

    Its agent goes on also when we, who asked, are gone.
    """
    return mark.asked_at is not None and timedelta(0) <= now - mark.asked_at < UNANSWERED


def is_to_be_rehearsed(plan: Plan, mark: GatewayMark) -> bool:
    """Return whether the candidate is met on the second port first: the one gateway's canary."""
    return len(plan.gateways) == 1 and mark.rehearsed != mark.candidate


def before_of(planned: PlannedGateway, marks: Marks) -> str:
    """Return the leaf that a gateway serves when it is not rotated."""
    return marks.gateway(planned.name).before or planned.before


def overlap_end(
    plan: Plan, facts: Facts, marks: Marks, *, on_new: frozenset[str], options: Options
) -> datetime | None:
    """Return until when both CAs stay trusted; None while not every gateway serves the new."""
    if plan.is_renewal or {one.name for one in plan.gateways} - on_new:
        return None
    since = [marks.gateway(one.name).rotated_at for one in plan.gateways]
    known = [moment for moment in since if moment is not None]
    if len(known) < len(since):
        return None
    intervals = [one.contact_interval_s or 0.0 for one in included(facts, marks)]
    absent_s = max(facts.longest_absence_s, kept_absence_s(facts, marks))
    least_s = max(plan.overlap_s, options.overlap, absent_s, *intervals, 0.0)
    tickets = [one.tickets_until for one in facts.gateways.values() if one.tickets_until]
    return max((max(known) + timedelta(seconds=least_s), *tickets))


def kept_absence_s(facts: Facts, marks: Marks) -> float:
    """Return the longest silence so far; of who is left out, or gone, it is of no account."""
    return marks.longest_absence_s if is_awaited(facts, marks, marks.longest_absent) else 0.0


def is_awaited(facts: Facts, marks: Marks, device: str) -> bool:
    """Return whether a device is one that the rotation goes by; of which none is named, it is."""
    return not device or (device in facts.devices and device not in marks.excluded)


def needed_until(plan: Plan, *, now: datetime, options: Options) -> datetime:
    """Return until when the new chain, and what it replaces, have to be good at least.

    A renewal has no overlap, and may be of a certificate that lives for days.
    """
    least_s = options.soak if plan.is_renewal else max(plan.overlap_s, options.overlap)
    return now + timedelta(seconds=least_s)


def consent_needed(phase: Phase) -> Consent | None:
    """Return what a person has to approve to leave ``phase``; None: nothing."""
    return {Phase.PLANNED: Consent.BEGIN, Phase.OVERLAP: Consent.REMOVE}.get(phase)
