"""What is done next, if anything: one step at a time, and always a way out; pure."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from exporter.gateway.messages import DeviceUpdateStatus
from exporter.rotation.devices import still_trusting, untrusting
from exporter.rotation.gate import gate_of, removal_blockers, waiting
from exporter.rotation.model import DeviceFacts, Phase, Step
from exporter.rotation.phases import MOST_TRIES, is_to_be_rehearsed, is_unanswered
from exporter.rotation.view import View

_MOST_TRIES_BACK = 8
_CANARY = "canary"
_CONFIRM_S = 3_600.0
_LONGEST_CONFIRM_S = 7 * 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One step, with whom it is about.

    Attributes:
        anchor: The CA that is added or removed.
        ends: How the rotation ends by it.
        why: A sentence.
    """

    step: Step
    why: str
    gateways: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    anchor: str | None = None
    ends: Phase | None = None


def next_action(view: View) -> Action | None:
    """Return what is to be done now; None: nothing, whoever waits reads the gate."""
    if view.marks.ended is not None:
        return None
    back = _way_back(view)
    if back is not None or view.marks.is_aborting:
        return back or _leaving(view)
    if view.position.drift or view.marks.is_paused:
        return None
    return _late(view) or _ordering_again(view) or FORWARD[view.phase](view)


# The way back: it waits for no gate that leads forward


def _way_back(view: View) -> Action | None:
    if view.marks.removing_at is not None:
        return None  # the old CA may be gone already: nothing that needs it is served again
    unconfirmed = [
        name for name in view.position.on_new if not view.marks.gateway(name).is_confirmed
    ]
    failing = {one.gateway for one in view.devices if one.failing is not None}
    batch = unconfirmed if failing & set(unconfirmed) else []
    undone = [
        one.name
        for one in view.plan.gateways
        if view.marks.gateway(one.name).intended is Step.ROLL_BACK
    ]
    names = view.position.on_new if view.marks.is_aborting else (*batch, *undone)
    names = tuple(
        sorted({one for one in names if _can_go_back(view, one) and _is_time(view, one)})
    )
    if not names:
        return None
    why = _why_back(view, failing & set(names))
    return Action(step=Step.ROLL_BACK, gateways=names, why=why)


def _can_go_back(view: View, name: str) -> bool:
    found = view.facts.gateways.get(name)
    if found is None or found.before_not_after is None:
        return found is not None
    return found.before_not_after > view.now


def _is_time(view: View, name: str) -> bool:
    retry_at = view.marks.gateway(name).retry_at
    return retry_at is None or view.now >= retry_at


def _why_back(view: View, failing: Iterable[str]) -> str:
    classes = sorted(
        {one.device_class or one.name for one in view.devices if one.failing is not None}
    )
    if not set(failing):
        return "a person asked for it"
    return f"devices refuse the new chain: {', '.join(classes)}"


def _leaving(view: View) -> Action | None:
    """Return the next step of an abort; everything was put back that could be."""
    if view.marks.removing_at is not None:
        due = tuple(one.name for one in view.devices if _is_re_add_due(view, one.name))
        if due:
            why = "the old CA is trusted again"
            return Action(step=Step.RE_ADD, devices=due, anchor=view.plan.old_ca, why=why)
        return _finish(Phase.ABORTED, "REMOVE was stopped; who had let it go was asked to add it")
    if any(is_unanswered(mark, view.now) for mark in view.marks.gateways.values()):
        return None  # it may serve the new chain in a moment: nothing is taken back before
    if view.position.on_new or _unseen(view):
        return _left_serving(view)
    marks = view.marks.gateways.values()
    if any(one.rotated_at is not None or one.rolled_back_at is not None for one in marks):
        return _finish(Phase.ROLLED_BACK, "gateways were put back; both CAs stay trusted")
    added = tuple(one.name for one in view.devices if _is_anchor_taken_back(view, one))
    if added and _nobody_needs_the_new(view):
        why = "no gateway ever served the new CA's chain: it is taken back"
        return Action(step=Step.REMOVE, devices=added, anchor=view.plan.new_ca, why=why)
    return _finish(Phase.ABORTED, "it was aborted before any gateway was rotated")


def _unseen(view: View) -> bool:
    """Return whether a gateway that was rotated cannot be seen; one that is gone is none."""
    return any(
        found.served is None and _may_be_rotated(view, one.name)
        for one in view.plan.gateways
        if (found := view.facts.gateways.get(one.name)) is not None
    )


def _may_be_rotated(view: View, name: str) -> bool:
    mark = view.marks.gateway(name)
    return mark.rotated_at is not None or mark.intended is not None


def _left_serving(view: View) -> Action | None:
    """Return the end of an abort where gateways cannot be put back; None: they still may."""
    names = sorted(view.position.on_new)
    may = [name for name in names if _can_go_back(view, name)]
    if _unseen(view) or any(view.marks.gateway(name).tries < _MOST_TRIES_BACK for name in may):
        return None
    shown = ", ".join(names)
    why = f"{shown} could not be put back and serve the new chain; both CAs stay trusted"
    return _finish(Phase.ABORTED, why)


def _is_re_add_due(view: View, name: str) -> bool:
    mark = view.marks.device(name)
    if mark.removed_at is None:
        return False
    return mark.added_at is None or mark.added_at < mark.removed_at


def _is_anchor_taken_back(view: View, device: DeviceFacts) -> bool:
    mark = view.marks.device(device.name)
    return mark.added_at is not None and mark.removed_at is None and not view.plan.is_renewal


def _nobody_needs_the_new(view: View) -> bool:
    return all(one.needs_old is True for one in view.facts.gateways.values())


def _finish(ends: Phase, why: str) -> Action:
    return Action(step=Step.FINISH, ends=ends, why=why)


# Forward


def _planned(view: View) -> Action | None:
    for planned in view.plan.gateways:
        mark = view.marks.gateway(planned.name)
        found = view.facts.gateways.get(planned.name)
        is_good = mark.candidate is not None and found is not None and not found.candidate_faults
        if not is_good and _is_order_due(view, planned.name):
            return _order(planned.name)
    if not gate_of(view).is_open:
        return None
    step = Step.VALIDATE if view.plan.is_renewal else Step.ADD
    return Action(step=step, why="the plan is approved and can begin", anchor=view.plan.new_ca)


def _order(name: str) -> Action:
    return Action(step=Step.ORDER, gateways=(name,), why="its new chain is ordered")


def _is_order_due(view: View, name: str) -> bool:
    found = view.facts.gateways.get(name)
    is_there = found is not None and found.has_api and found.served is not None
    return is_there and view.marks.gateway(name).tries < MOST_TRIES and _is_time(view, name)


def _ordering_again(view: View) -> Action | None:
    """Return the order for whose candidate was dropped, since a person was at its keys."""
    if view.phase not in {Phase.ADDING, Phase.VALIDATING, Phase.CANARY, Phase.ROTATING}:
        return None
    for planned in view.plan.gateways:
        mark = view.marks.gateway(planned.name)
        is_dropped = mark.candidate is None and mark.intended is None
        if is_dropped and _is_order_due(view, planned.name):
            return _order(planned.name)
    return None


def _late(view: View) -> Action | None:
    """Return the ADD for who came late or lost it again, whatever the phase."""
    phases = {Phase.ADDING, Phase.VALIDATING, Phase.CANARY, Phase.ROTATING, Phase.OVERLAP}
    if view.plan.is_renewal or view.phase not in phases:
        return None
    for group in _groups(view):
        lacking = [one for one in group if untrusting(view, one) is not None]
        due = tuple(one.name for one in lacking if _is_add_due(view, one))
        if due:
            why = "they do not trust the new CA yet"
            return Action(step=Step.ADD, devices=due, anchor=view.plan.new_ca, why=why)
        if lacking and view.phase is Phase.ADDING:
            return None  # group by group
    return None


def _adding(_view: View) -> Action | None:
    return None  # all were asked; their reports are waited for


def _is_add_due(view: View, device: DeviceFacts) -> bool:
    mark = view.marks.device(device.name)
    if device.trusts_new and device.is_fresh(view.now):
        return False
    if mark.added_at is None:
        return True
    return not _is_under_way(device) and _is_retry_due(view, mark.added_at, mark.added_tries)


def _is_under_way(device: DeviceFacts) -> bool:
    """Return whether the platform says that the device has yet to do what was asked for.

    Where it says nothing, we may have been killed between our entry and the request.
    """
    return device.word is DeviceUpdateStatus.PENDING


def _is_retry_due(view: View, asked_at: datetime, tries: int) -> bool:
    pause = timedelta(seconds=view.options.retry_pause * 2 ** max(0, tries - 1))
    return tries < MOST_TRIES and view.now >= asked_at + pause


def _groups(view: View) -> list[list[DeviceFacts]]:
    """Return the devices by rollout group, canaries first."""
    groups: dict[str, list[DeviceFacts]] = {}
    for device in view.devices:
        groups.setdefault(device.group, []).append(device)
    return [groups[name] for name in sorted(groups, key=lambda name: (name != _CANARY, name))]


def _validating(view: View) -> Action | None:
    due = tuple(one.name for one in view.devices if _is_question_due(view, one))
    if not due:
        return None
    return Action(step=Step.VALIDATE, devices=due, why="it is asked who would refuse")


def _is_question_due(view: View, device: DeviceFacts) -> bool:
    mark = view.marks.device(device.name)
    candidate = view.marks.gateway(device.gateway).candidate
    if candidate is None or not (view.plan.is_renewal or untrusting(view, device) is None):
        return False
    if mark.validated != candidate or mark.validated_at is None:
        return True
    is_news = device.reported_at is not None and device.reported_at > mark.validated_at
    return not mark.is_valid and is_news


def _serving(view: View) -> Action | None:
    for name in sorted(view.position.on_new):
        if not view.marks.gateway(name).is_confirmed and _may_confirm(view, name):
            why = "it is served, and devices shake hands with it in full"
            return Action(step=Step.CONFIRM, gateways=(name,), why=why)
    asked = _validating(view)
    if asked is not None:
        return asked
    if view.position.on_new - view.position.settled or gate_of(view).is_open is not True:
        return None
    return _rotate(view)


def _may_confirm(view: View, name: str) -> bool:
    """Return whether the dead-man's wait may end: served for a while, met in full, no refusal."""
    rotated_at = view.marks.gateway(name).rotated_at
    devices = view.behind(name)
    if rotated_at is None or any(one.failing is not None for one in devices):
        return False
    if view.now < rotated_at + timedelta(seconds=view.options.soak):
        return False
    return not devices or any(one.full_at is not None for one in devices)


def _rotate(view: View) -> Action | None:
    due = waiting(view)  # an open gate has nothing against any of them, and some to wait
    first = due[0]
    if is_to_be_rehearsed(view.plan, view.marks.gateway(first)):
        why = "a fleet with one gateway has its canary on the second port"
        return Action(step=Step.REHEARSE, gateways=(first,), why=why)
    return Action(step=Step.ROTATE, gateways=due[: _batch_size(view)], why="their turn has come")


def _batch_size(view: View) -> int:
    """Return how many gateways are rotated at once: canaries and the first one alone."""
    canaries = {one.name for one in view.plan.gateways if one.is_canary}
    if view.phase is Phase.CANARY or not view.position.settled - canaries:
        return 1
    return max(1, math.floor(view.options.batch_ratio * len(view.plan.gateways)))


def _overlap(view: View) -> Action | None:
    if gate_of(view).is_open is not True:
        return None
    if view.plan.is_renewal:
        return _finish(Phase.DONE, "every gateway serves its renewed chain, and is met in full")
    return _remove(view)


def _removing(view: View) -> Action | None:
    if gate_of(view).is_open:
        return _finish(Phase.DONE, "no device trusts the old CA any more")
    return _remove(view)


def _remove(view: View) -> Action | None:
    if view.plan.is_renewal or removal_blockers(view):
        return None  # a renewal keeps its CA, whatever the journal says
    for group in _groups(view):
        trusting = [one for one in group if still_trusting(view, one) is not None]
        due = tuple(one.name for one in trusting if _is_removal_due(view, one))
        if due:
            why = "nothing hangs on the old CA any more, and a person approved it"
            return Action(step=Step.REMOVE, devices=due, anchor=view.plan.old_ca, why=why)
        if trusting:
            return None
    return _finish(Phase.DONE, "every device was left out: there is none to remove it from")


def _is_removal_due(view: View, device: DeviceFacts) -> bool:
    mark = view.marks.device(device.name)
    if mark.removed_at is None:
        return True
    if device.trusts_old is False and device.is_fresh(view.now):
        return False  # asked again, it would have to report again
    return not _is_under_way(device) and _is_retry_due(view, mark.removed_at, mark.removed_tries)


def confirm_within_s(view: View, gateway: str) -> float:
    """Return after which time without a confirmation the agent goes back by itself."""
    intervals = (one.contact_interval_s or 0.0 for one in view.behind(gateway))
    return min(_LONGEST_CONFIRM_S, 2 * max(view.options.soak, *intervals, 0.0) + _CONFIRM_S)


FORWARD: Mapping[Phase, Callable[[View], Action | None]] = {
    Phase.PLANNED: _planned,
    Phase.ADDING: _adding,
    Phase.VALIDATING: _validating,
    Phase.CANARY: _serving,
    Phase.ROTATING: _serving,
    Phase.OVERLAP: _overlap,
    Phase.REMOVING: _removing,
}
"""What leads forward in each phase."""
