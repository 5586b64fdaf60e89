"""Whether a gateway is rolled back: SAFETY 1 as pure functions; nothing is touched."""

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from exporter.modes import Mode
from exporter.remediation.forecast import (
    connects_now,
    forecast_of,
    is_about_certificate,
    is_witness,
)
from exporter.remediation.model import (
    NEVER_OVERRIDDEN,
    AlertState,
    Asker,
    ChangeFact,
    Decision,
    Evidence,
    Forecast,
    Identity,
    Outcome,
    PreviousVersion,
    Refusal,
    ServedFact,
    VersionsFact,
)
from exporter.remediation.options import Options
from exporter.remediation.sentences import sentence_of

_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked about one gateway.

    Attributes:
        overrides: Refusals that a person passes; those in ``NEVER_OVERRIDDEN`` are not passed.
        is_permitted_to_act: A person said ``--yes``; without meaning for automation, which
            goes by the mode.
    """

    asker: Asker = Asker.AUTOMATION
    overrides: frozenset[Refusal] = frozenset()
    is_permitted_to_act: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """One question with all that its answers look at."""

    evidence: Evidence
    options: Options
    question: Question
    now: datetime
    forecast: Forecast
    witnesses: tuple[str, ...]

    @property
    def previous(self) -> PreviousVersion | None:
        versions = self.evidence.versions
        return versions.previous if versions is not None else None

    def ago(self, seconds: float) -> datetime:
        """Return the moment ``seconds`` before now."""
        return self.now - timedelta(seconds=seconds)

    def is_fresh(self, moment: datetime) -> bool:
        """Return whether a fact of that moment still counts; one from the future does not."""
        offset = timedelta(seconds=self.options.max_clock_offset)
        return self.ago(self.options.evidence_max_age) <= moment <= self.now + offset


def decide_rollback(
    evidence: Evidence, options: Options, *, now: datetime, question: Question = Question()
) -> Decision:
    """Return what is to be done about ``evidence.gateway``, with every refusal that holds."""
    witnesses = tuple(
        device.device
        for device in evidence.devices
        if is_witness(device, evidence.served, since=now - timedelta(seconds=options.window))
    )
    case = _Case(
        evidence=evidence,
        options=options,
        question=question,
        now=now,
        forecast=forecast_of(evidence),
        witnesses=witnesses,
    )
    held = {refusal: said for refusal, check in CHECKS.items() if (said := check(case))}
    passable = question.overrides - NEVER_OVERRIDDEN if question.asker is Asker.PERSON else set()
    refusals = {refusal: said for refusal, said in held.items() if refusal not in passable}
    passed = {refusal: said for refusal, said in held.items() if refusal in passable}
    identity = _identity(evidence)
    plan_hash = _plan_hash(identity, case.forecast)
    outcome = _outcome(case, refusals, identity, plan_hash)
    return Decision(
        outcome=outcome,
        gateway=evidence.gateway,
        decided_at=now,
        refusals=refusals,
        passed=passed,
        forecast=case.forecast,
        witnesses=witnesses,
        identity=identity,
        plan_hash=plan_hash,
        sentence=sentence_of(
            evidence, outcome, refusals, forecast=case.forecast, witnesses=witnesses
        ),
    )


def _outcome(
    case: _Case, refusals: Collection[Refusal], identity: Identity | None, plan_hash: str
) -> Outcome:
    if refusals or identity is None:
        return Outcome.REFUSED
    if case.question.asker is Asker.PERSON:
        return Outcome.ROLLBACK if case.question.is_permitted_to_act else Outcome.WOULD_ROLLBACK
    if case.options.mode is not Mode.ACT:
        return Outcome.WOULD_ROLLBACK
    if _needs_approval(case) and not _is_approved(case, plan_hash):
        return Outcome.AWAITING_APPROVAL
    return Outcome.ROLLBACK


def _needs_approval(case: _Case) -> bool:
    limit = case.options.approval_from_devices
    return limit is not None and len(case.evidence.devices) >= limit


def _is_approved(case: _Case, plan_hash: str) -> bool:
    approval = case.evidence.approval
    return (
        approval is not None
        and approval.plan_hash == plan_hash
        and case.ago(case.options.approval_valid) <= approval.at <= case.now
    )


def _identity(evidence: Evidence) -> Identity | None:
    versions = evidence.versions
    if evidence.served is None or versions is None or versions.previous is None:
        return None
    return Identity(
        gateway=evidence.gateway,
        fingerprint=evidence.served.fingerprint,
        activation_number=versions.activation_number,
        target_version=versions.previous.number,
    )


def _plan_hash(identity: Identity | None, forecast: Forecast) -> str:
    plan = [identity.key if identity else "", list(forecast.gain), list(forecast.loss)]
    return hashlib.sha256(json.dumps(plan).encode()).hexdigest()


# The refusals. Each returns the sentence why it holds, or nothing


def _mode_disabled(case: _Case) -> str:
    return "remediation is switched off" if case.options.mode is Mode.DISABLED else ""


def _kill_switch(case: _Case) -> str:
    if case.evidence.is_killed is None:
        return "it is not known whether the kill switch is on"
    return "the kill switch is on" if case.evidence.is_killed else ""


def _gateway_held(case: _Case) -> str:
    until = case.evidence.held_until
    if until is None or until <= case.now:
        return ""
    return f"after an earlier action it is held until {until:%Y-%m-%d %H:%M} UTC, or released"


def _unknown_gateway(case: _Case) -> str:
    return "" if case.evidence.is_in_inventory else "it is not a gateway of the inventory"


def _alert_resolved(case: _Case) -> str:
    is_over = case.evidence.alert is AlertState.RESOLVED
    return "the alert was resolved before anything began" if is_over else ""


def _already_recovered(case: _Case) -> str:
    served, previous = case.evidence.served, case.previous
    if served is not None and previous is not None and served.fingerprint == previous.fingerprint:
        return f"version {previous.number} is served already"
    is_any_out = any(is_about_certificate(one, served) for one in case.evidence.devices)
    if not is_any_out and any(connects_now(one) for one in case.evidence.devices):
        return "devices shake hands again, and none refuses"
    return ""


def _cannot_look(case: _Case) -> str:
    offset_s, limit_s = case.evidence.clock_offset_s, case.options.max_clock_offset
    if case.evidence.is_control_good is False:
        return "the control target does not answer either: it may be us who are cut off"
    if offset_s is not None and abs(offset_s) > limit_s:
        return f"our clock is off by {offset_s:.0f} s, more than {limit_s:.0f} s"
    return ""


def _evidence_unknown(case: _Case) -> str:
    return "; ".join(filter(None, (*_unknown_served(case), *_unknown_states(case))))


def _unknown_served(case: _Case) -> tuple[str, ...]:
    evidence = case.evidence
    served, versions, change = evidence.served, evidence.versions, evidence.change
    told = [
        _missing("what it serves", served, case, evidence.served_detail),
        _missing("its versions", versions, case, evidence.versions_detail),
        _missing("when it changed", change, case, ""),
    ]
    if served and versions and served.fingerprint != versions.current_fingerprint:
        told.append("our look and the management API see different certificates served")
    if versions and versions.last_operation_number > evidence.own_operation_number:
        told.append(
            f"the API was sent operation {versions.last_operation_number}, our journal knows none"
            f" above {evidence.own_operation_number}: it was lost or put back, or another"
            " exporter is at work"
        )
    return tuple(told)


def _missing(
    what: str, fact: ServedFact | VersionsFact | ChangeFact | None, case: _Case, detail: str
) -> str:
    if fact is None:
        return f"{what} is not known" + (f" ({detail})" if detail else "")
    if case.is_fresh(fact.observed_at):
        return ""
    return f"{what} was looked at too long ago, at {fact.observed_at:%Y-%m-%d %H:%M} UTC"


def _unknown_states(case: _Case) -> tuple[str, ...]:
    evidence, previous = case.evidence, case.previous
    states = {
        "an action is under way on it": evidence.is_in_progress,
        "an action is under way elsewhere": evidence.is_fleet_busy,
        "a rotation is in charge": evidence.is_rotation_in_charge,
        "the previous CA is being removed": evidence.is_removing,
    }
    if previous is not None:
        states["the previous version's key is usable"] = previous.is_key_usable
        states["the previous version's chain is good"] = previous.is_chain_good
    return tuple(
        f"it is not known whether {what}" for what, known in states.items() if known is None
    )


def _in_progress(case: _Case) -> str:
    return "an action on it has no outcome yet" if case.evidence.is_in_progress else ""


def _rotation_in_charge(case: _Case) -> str:
    is_rotating = case.evidence.is_rotation_in_charge
    return "a rotation is under way, which has a way back of its own" if is_rotating else ""


def _budget_spent(case: _Case) -> str:
    if case.question.asker is Asker.PERSON:
        return ""  # the budget is automation's
    if case.evidence.is_fleet_busy:
        return "another gateway is being rolled back; one at a time"
    spent = sum(case.now - _HOUR < at <= case.now for at in case.evidence.automatic_actions)
    limit = case.options.max_actions_per_hour
    return (
        f"{spent} automatic actions within an hour; {limit} are allowed" if spent >= limit else ""
    )


def _flip_flop(case: _Case) -> str:
    since = case.ago(case.options.flip_flop)
    for away in case.evidence.rolled_away:
        if case.previous and away.fingerprint == case.previous.fingerprint and away.at > since:
            return (
                f"version {case.previous.number} was rolled away from at {away.at:%Y-%m-%d %H:%M}"
            )
    return ""


def _no_change_to_undo(case: _Case) -> str:
    change = case.evidence.change
    if change is None:
        return ""  # that is evidence_unknown
    if change.changed_at is None or change.changed_at < case.ago(case.options.look_back):
        return "what it serves did not change within the look-back"
    return ""


def _not_caused_by_certificate(case: _Case) -> str:
    failing = [device for device in case.evidence.devices if device.failing is not None]
    others = sum(not is_about_certificate(device, case.evidence.served) for device in failing)
    if others and others >= len(failing) - others:
        return f"{others} of {len(failing)} failures are not about its certificate"
    return ""


def _too_few_witnesses(case: _Case) -> str:
    before = {one.device for one in case.evidence.devices if one.connected_before}
    count = len(before.intersection(case.witnesses))
    share = case.options.min_witness_ratio * len(before)
    if count >= case.options.min_witnesses and count >= share:
        return ""
    return f"{count} of {len(before)} devices that connected before refuse its certificate"


def _no_previous(case: _Case) -> str:
    has_none = case.evidence.versions is not None and case.previous is None
    return "there is no earlier version that was served and proven" if has_none else ""


def _previous_expired(case: _Case) -> str:
    previous, least_s = case.previous, case.options.previous_min_validity
    if previous is None or previous.not_after - case.now >= timedelta(seconds=least_s):
        return ""
    return f"version {previous.number} ends at {previous.not_after:%Y-%m-%d %H:%M} UTC"


def _previous_revoked(case: _Case) -> str:
    is_revoked = case.previous is not None and case.previous.is_revoked
    return "the previous version is marked as compromised" if is_revoked else ""


def _previous_broken(case: _Case) -> str:
    if case.previous is None:
        return ""
    if case.previous.is_key_usable is False:
        return "the previous version's key is lost or does not match"
    return "" if case.previous.is_chain_good is not False else "the previous chain does not verify"


def _no_gain(case: _Case) -> str:
    gain, loss = len(case.forecast.gain), len(case.forecast.loss)
    return "" if gain > loss else f"{gain} devices would gain and {loss} would lose"


def _removes_in_flight(case: _Case) -> str:
    is_removing = case.evidence.is_removing
    return "the CA of the previous version is removed from devices" if is_removing else ""


CHECKS: Mapping[Refusal, Callable[[_Case], str]] = {
    Refusal.MODE_DISABLED: _mode_disabled,
    Refusal.KILL_SWITCH: _kill_switch,
    Refusal.GATEWAY_HELD: _gateway_held,
    Refusal.UNKNOWN_GATEWAY: _unknown_gateway,
    Refusal.ALERT_RESOLVED: _alert_resolved,
    Refusal.ALREADY_RECOVERED: _already_recovered,
    Refusal.CANNOT_LOOK: _cannot_look,
    Refusal.EVIDENCE_UNKNOWN: _evidence_unknown,
    Refusal.IN_PROGRESS: _in_progress,
    Refusal.ROTATION_IN_CHARGE: _rotation_in_charge,
    Refusal.BUDGET_SPENT: _budget_spent,
    Refusal.FLIP_FLOP: _flip_flop,
    Refusal.NO_CHANGE_TO_UNDO: _no_change_to_undo,
    Refusal.NOT_CAUSED_BY_CERTIFICATE: _not_caused_by_certificate,
    Refusal.TOO_FEW_WITNESSES: _too_few_witnesses,
    Refusal.NO_PREVIOUS: _no_previous,
    Refusal.PREVIOUS_EXPIRED: _previous_expired,
    Refusal.PREVIOUS_REVOKED: _previous_revoked,
    Refusal.PREVIOUS_BROKEN: _previous_broken,
    Refusal.NO_GAIN: _no_gain,
    Refusal.REMOVES_IN_FLIGHT: _removes_in_flight,
}
"""All of them, in the enum's order; ``tests`` hold that none is missing."""
