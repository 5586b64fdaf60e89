"""Whether the next step may be taken, and all that is in its way, by name; pure."""

from collections.abc import Callable, Iterator, Mapping

from exporter.rotation.blockers import Blocker, BlockReason, Gate, of_gateway, of_rotation
from exporter.rotation.devices import (
    lost,
    needing_the_old,
    still_trusting,
    unproven,
    untrusting,
    unwilling,
)
from exporter.rotation.model import Consent, GatewayFacts, Phase
from exporter.rotation.phases import (
    MOST_TRIES,
    UNANSWERED,
    consent_needed,
    is_to_be_rehearsed,
    is_unanswered,
    needed_until,
    soak_until,
)
from exporter.rotation.view import View

Check = Callable[[View], Iterator[Blocker]]

_UNMET = (
    "its new chain was not met on the agent's second_port, which must be an address that the"
    " exporter reaches"
)


def gate_of(view: View) -> Gate:
    """Return the gate of the phase that the rotation is in; an ended one has none: it is open."""
    if view.marks.ended is not None:
        return Gate(blockers=())
    checks = (*ALWAYS, *CHECKS[view.phase])
    return Gate(blockers=tuple(blocker for check in checks for blocker in check(view)))


def rotation_blockers(view: View, gateway: str) -> tuple[Blocker, ...]:
    """Return what keeps one gateway from being given its new chain.

    A known device that would refuse it is always among them, unless a person left it out.
    """
    return (*_whole(view), *_gateway(view, gateway), *_accepting(view, gateway))


def proof_blockers(view: View, gateway: str) -> tuple[Blocker, ...]:
    """Return what is still to be seen before a rotated gateway's chain is kept for good."""
    return (
        *_soaking(view, gateway), *_confirmation(view, gateway), *_proof(view, gateway),
    )  # fmt: skip


def removal_blockers(view: View) -> tuple[Blocker, ...]:
    """Return what still hangs on the old CA, or may; nothing is removed while there is any."""
    return (*_whole(view), *_overlap(view), *_needing(view), *_proofs(view), *_holding(view))


# What always holds


def _whole(view: View) -> Iterator[Blocker]:
    yield from _looking(view)
    yield from _agreement(view)


def _looking(view: View) -> Iterator[Blocker]:
    age_s = (view.now - view.facts.gathered_at).total_seconds()
    if view.facts.is_control_good is False:
        said = "our control targets do not answer either: it is we who cannot look"
    elif not 0 <= age_s <= view.options.fact_max_age:
        said = "what is known is too old; it is looked at again"
    else:
        return
    yield of_rotation(view.plan.id, BlockReason.CANNOT_LOOK, said)


def _agreement(view: View) -> Iterator[Blocker]:
    for said in view.position.drift:
        yield of_rotation(view.plan.id, BlockReason.DRIFT, f"{said}; rotation adopt, or undo")
    if view.marks.is_paused:
        yield of_rotation(view.plan.id, BlockReason.PAUSED, "rotation resume")


# Gateways


def _plan(view: View) -> Iterator[Blocker]:
    for fault in view.facts.ca_faults:
        yield of_rotation(view.plan.id, BlockReason.NEW_CA, fault)
    if not view.devices and not view.plan.is_renewal:
        said = "there is no device behind these gateways: nothing would prove anything"
        yield of_rotation(view.plan.id, BlockReason.NO_DEVICES, said)
    for planned in view.plan.gateways:
        yield from _gateway(view, planned.name)
        yield from _way_back(view, planned.name)


def _gateway(view: View, name: str) -> Iterator[Blocker]:
    found = view.facts.gateways.get(name)
    if found is None or not _is_looked_at(view, found):
        detail = found.detail if found is not None else "it is not in the inventory"
        yield of_gateway(
            name, BlockReason.GATEWAY_UNKNOWN, f"it must be seen what it serves ({detail})"
        )
        return
    if not found.has_api:
        said = "it has no management API, so nothing can be changed there"
        yield of_gateway(name, BlockReason.GATEWAY_UNKNOWN, said)
    if found.is_busy:
        said = "somebody else is changing it; that must come to its end first"
        yield of_gateway(name, BlockReason.GATEWAY_BUSY, said)
    yield from _candidate(view, found)


def _is_looked_at(view: View, found: GatewayFacts) -> bool:
    if found.served is None or found.observed_at is None:
        return False
    return (view.now - found.observed_at).total_seconds() <= view.options.fact_max_age


def _candidate(view: View, found: GatewayFacts) -> Iterator[Blocker]:
    mark = view.marks.gateway(found.name)
    if mark.candidate is None or found.candidate_faults is None:
        said = "its key must be made and its chain be signed"
        if mark.tries >= MOST_TRIES:
            said = f"{said}; tried {mark.tries} times, rotation resume tries it again"
        yield of_gateway(found.name, BlockReason.NO_CANDIDATE, said, expected_at=mark.retry_at)
        return
    for fault in found.candidate_faults:
        yield of_gateway(found.name, BlockReason.CANDIDATE_FAULT, fault)
    if mark.asked_at is not None and is_unanswered(mark, view.now):
        said = "it was asked and did not answer: it may take its new chain yet"
        until = mark.asked_at + UNANSWERED
        yield of_gateway(found.name, BlockReason.RETRYING, said, expected_at=until)
    if mark.retry_at is not None and view.now < mark.retry_at:
        is_unmet = is_to_be_rehearsed(view.plan, mark) and not found.candidate_faults
        said = _UNMET if is_unmet else "it did not take its new chain"
        said = f"{said}; it is tried again by itself"
        yield of_gateway(found.name, BlockReason.RETRYING, said, expected_at=mark.retry_at)
    if mark.rolled_back_at is not None:
        said = f"it was put back: {mark.rolled_back_why}; rotation resume tries it again"
        since = mark.rolled_back_at
        yield of_gateway(found.name, BlockReason.ROLLED_BACK, said, since=since)


def _way_back(view: View, name: str) -> Iterator[Blocker]:
    found = view.facts.gateways.get(name)
    if found is None or view.position.on_new & {name}:
        return
    if found.is_ready is not True:
        said = "the certificate it serves must be one that could be served again at any time"
        yield of_gateway(name, BlockReason.NOT_READY, said)
    if view.plan.is_renewal:
        return  # that it ends soon is why it is renewed
    until = needed_until(view.plan, now=view.now, options=view.options)
    if found.before_not_after is None or found.before_not_after <= until:
        said = "what it serves ends before the overlap does; renew it under the old CA first"
        yield of_gateway(
            name, BlockReason.OLD_VERSION_ENDS, said, expected_at=found.before_not_after
        )


# Devices


def _trusting(view: View) -> Iterator[Blocker]:
    found = (untrusting(view, device) for device in view.devices)
    yield from (one for one in found if one is not None)


def _holding(view: View) -> Iterator[Blocker]:
    """Yield the devices that do not hold the new CA for certain, whatever the platform says."""
    if not view.plan.is_renewal:
        found = (lost(view, device) for device in view.devices)
        yield from (one for one in found if one is not None)


def _accepting_all(view: View) -> Iterator[Blocker]:
    for planned in view.plan.gateways:
        yield from _gateway(view, planned.name)
        yield from _accepting(view, planned.name)


def _accepting(view: View, gateway: str) -> Iterator[Blocker]:
    for device in view.behind(gateway):
        lacking = None if view.plan.is_renewal else untrusting(view, device)
        found = lacking or unwilling(view, device)
        if found is not None:
            yield found


def _soaking(view: View, gateway: str) -> Iterator[Blocker]:
    until = soak_until(view.facts, view.marks, gateway, options=view.options)
    if until is not None and view.now < until:
        said = "it is watched for one contact interval of its devices"
        since = view.marks.gateway(gateway).rotated_at
        yield of_gateway(gateway, BlockReason.SOAKING, said, since=since, expected_at=until)


def _confirmation(view: View, gateway: str) -> Iterator[Blocker]:
    if not view.marks.gateway(gateway).is_confirmed:
        said = "it is to be confirmed; else it goes back by itself"
        yield of_gateway(gateway, BlockReason.UNCONFIRMED, said)


def _proof(view: View, gateway: str) -> Iterator[Blocker]:
    devices = view.behind(gateway)
    found = (unproven(view, device) for device in devices)
    yield from (one for one in found if one is not None)


def _serving(view: View) -> Iterator[Blocker]:
    """Yield what keeps the next gateway from its turn: the last ones first, then its own."""
    unsettled = sorted(view.position.on_new - view.position.settled)
    for name in unsettled:
        yield from proof_blockers(view, name)
    if unsettled:
        return
    for name in waiting(view):
        yield from _gateway(view, name)
        yield from _accepting(view, name)


def waiting(view: View) -> tuple[str, ...]:
    """Return the gateways whose turn it is: the canaries, and behind them all others."""
    return tuple(
        one.name
        for one in view.plan.gateways
        if one.name not in view.position.on_new and (one.is_canary or view.phase is Phase.ROTATING)
    )


# The old CA


def _overlap(view: View) -> Iterator[Blocker]:
    if view.plan.is_renewal:
        return
    end = view.position.overlap_end
    if end is None:
        said = "every gateway must serve its new chain, and be seen to"
        yield of_rotation(view.plan.id, BlockReason.OVERLAP, said)
    elif view.now < end:
        said = f"both CAs stay trusted until {end:%Y-%m-%d %H:%M}"
        yield of_rotation(view.plan.id, BlockReason.OVERLAP, said, expected_at=end)


def _needing(view: View) -> Iterator[Blocker]:
    if view.plan.is_renewal:
        return
    for name, found in view.facts.gateways.items():
        if found.needs_old is None or not _is_looked_at(view, found):
            said = f"it must be seen that it does not need the old CA ({found.detail})"
            yield of_gateway(name, BlockReason.GATEWAY_UNKNOWN, said)
        elif found.needs_old:
            said = "what it serves is accepted only by who trusts the old CA"
            yield of_gateway(name, BlockReason.NEEDS_OLD, said, since=found.activated_at)
    yield from needing_the_old(view)


def _proofs(view: View) -> Iterator[Blocker]:
    for planned in view.plan.gateways:
        yield from _proof(view, planned.name)


def _removing(view: View) -> Iterator[Blocker]:
    found = (still_trusting(view, device) for device in view.devices)
    yield from (one for one in found if one is not None)


def _consent(view: View) -> Iterator[Blocker]:
    consent = consent_needed(view.phase)
    if consent is None or (consent is Consent.REMOVE and view.plan.is_renewal):
        return
    if not view.marks.is_consented(view.plan, consent):
        hash_ = view.plan.consent_hash(consent, view.marks.excluded)
        said = f"a person must approve it: rotation approve {view.plan.id} --plan-hash {hash_}"
        yield of_rotation(view.plan.id, BlockReason.AWAITING_APPROVAL, said)


ALWAYS: tuple[Check, ...] = (_looking, _agreement)
CHECKS: Mapping[Phase, tuple[Check, ...]] = {
    Phase.PLANNED: (_plan, _consent),
    Phase.ADDING: (_trusting,),
    Phase.VALIDATING: (_accepting_all,),
    Phase.CANARY: (_serving,),
    Phase.ROTATING: (_serving,),
    Phase.OVERLAP: (_overlap, _needing, _proofs, _holding, _consent),
    Phase.REMOVING: (_needing, _holding, _removing),
}
"""What is asked in each phase; the order is that in which blockers are shown."""
