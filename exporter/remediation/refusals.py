"""What speaks against a rollback: each refusal of SAFETY 1 as a pure function."""

from collections.abc import Callable, Mapping
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
    AlertState,
    Asker,
    ChangeFact,
    Evidence,
    Forecast,
    PreviousVersion,
    Refusal,
    ServedFact,
    VersionsFact,
)
from exporter.remediation.options import Options

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
class Weighed:
    """One question with all that its answers look at."""

    evidence: Evidence
    options: Options
    question: Question
    now: datetime
    forecast: Forecast
    witnesses: tuple[str, ...]

    @property
    def previous(self) -> PreviousVersion | None:
        """What a rollback would serve; None: nothing, or it is not known."""
        versions = self.evidence.versions
        return versions.previous if versions is not None else None

    def ago(self, seconds: float) -> datetime:
        """Return the moment ``seconds`` before now."""
        return self.now - timedelta(seconds=seconds)

    def is_fresh(self, moment: datetime) -> bool:
        """Return whether a fact of that moment still counts; one from the future does not."""
        offset = timedelta(seconds=self.options.max_clock_offset)
        return self.ago(self.options.evidence_max_age) <= moment <= self.now + offset


def weighed(evidence: Evidence, options: Options, question: Question, now: datetime) -> Weighed:
    """Return the question with what follows from its evidence at once."""
    since = now - timedelta(seconds=options.window)
    return Weighed(
        evidence=evidence,
        options=options,
        question=question,
        now=now,
        forecast=forecast_of(evidence),
        witnesses=tuple(
            device.device
            for device in evidence.devices
            if is_witness(device, evidence.served, since=since)
        ),
    )


def why_no_way_back(
    evidence: Evidence, options: Options, *, now: datetime
) -> Mapping[Refusal, str]:
    """Return what would be wrong with going back, whoever asked and whatever the reason."""
    case = weighed(evidence, options, Question(), now)
    held = {refusal: said for refusal in _OF_THE_TARGET if (said := CHECKS[refusal](case))}
    unknown = [
        _missing("which versions it has", evidence.versions, case, evidence.versions_detail),
        *_unknown_previous(case),
    ]
    if said := "; ".join(filter(None, unknown)):
        held[Refusal.EVIDENCE_UNKNOWN] = said
    return held


# The refusals. Each returns the sentence why it holds, or nothing


def _mode_disabled(case: Weighed) -> str:
    return "remediation is switched off" if case.options.mode is Mode.DISABLED else ""


def _kill_switch(case: Weighed) -> str:
    if case.evidence.is_killed is None:
        return "it is not known whether the kill switch is on"
    return "the kill switch is on" if case.evidence.is_killed else ""


def _gateway_held(case: Weighed) -> str:
    until = case.evidence.held_until
    if until is None or until <= case.now:
        return ""
    return f"after an earlier action it is held until {until:%Y-%m-%d %H:%M} UTC, or released"


def _unknown_gateway(case: Weighed) -> str:
    return "" if case.evidence.is_in_inventory else "it is not a gateway of the inventory"


def _alert_resolved(case: Weighed) -> str:
    is_over = case.evidence.alert is AlertState.RESOLVED
    return "the alert was resolved before anything began" if is_over else ""


def _already_recovered(case: Weighed) -> str:
    served, previous = case.evidence.served, case.previous
    if served is not None and previous is not None and served.fingerprint == previous.fingerprint:
        return f"version {previous.number} is served already"
    is_any_out = any(is_about_certificate(one, served) for one in case.evidence.devices)
    if not is_any_out and any(connects_now(one) for one in case.evidence.devices):
        return "devices shake hands again, and none refuses"
    return ""


def _cannot_look(case: Weighed) -> str:
    if case.evidence.is_control_good is False:
        return "the control target does not answer either: it may be us who are cut off"
    return _clock_is_off(case.evidence, case.options.max_clock_offset)


def _clock_is_off(evidence: Evidence, limit_s: float) -> str:
    offset_s, at_most_s = evidence.clock_offset_s, evidence.alerts_offset_at_most_s
    if offset_s is not None and abs(offset_s) > limit_s:
        way = "ahead of" if offset_s > 0 else "behind"
        return (
            f"our clock is {abs(offset_s):.0f} s {way} the management API's, more than"
            f" {limit_s:.0f} s"
        )
    # Beside the API's clock alerts tell nothing: a forged one would keep everybody from acting
    if offset_s is None and at_most_s is not None and at_most_s < -limit_s:
        return (
            f"our clock is at least {-at_most_s:.0f} s behind the alerts', more than"
            f" {limit_s:.0f} s"
        )
    return ""


def _evidence_unknown(case: Weighed) -> str:
    return "; ".join(filter(None, (*_unknown_served(case), *_unknown_states(case))))


def _unknown_served(case: Weighed) -> tuple[str, ...]:
    evidence = case.evidence
    served, versions, change = evidence.served, evidence.versions, evidence.change
    told = [
        _missing("what it serves", served, case, evidence.served_detail),
        _missing("which versions it has", versions, case, evidence.versions_detail),
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
    what: str, fact: ServedFact | VersionsFact | ChangeFact | None, case: Weighed, detail: str
) -> str:
    if fact is None:
        return f"{what} is not known" + (f" ({detail})" if detail else "")
    if case.is_fresh(fact.observed_at):
        return ""
    return f"{what} was looked at too long ago, at {fact.observed_at:%Y-%m-%d %H:%M} UTC"


def _unknown_states(case: Weighed) -> tuple[str, ...]:
    evidence = case.evidence
    states = {
        "an action is under way on it": evidence.is_in_progress,
        "an action is under way elsewhere": evidence.is_fleet_busy,
        "a rotation is in charge": evidence.is_rotation_in_charge,
    }
    return (*_not_known(states), *_unknown_previous(case))


def _unknown_previous(case: Weighed) -> tuple[str, ...]:
    states = {"the previous CA is being removed": case.evidence.is_removing}
    if case.previous is not None:
        states["the previous version's key is usable"] = case.previous.is_key_usable
        states["the previous version's chain is good"] = case.previous.is_chain_good
    return _not_known(states)


def _not_known(states: Mapping[str, bool | None]) -> tuple[str, ...]:
    return tuple(
        f"it is not known whether {what}" for what, known in states.items() if known is None
    )


def _in_progress(case: Weighed) -> str:
    return "an action on it has no outcome yet" if case.evidence.is_in_progress else ""


def _rotation_in_charge(case: Weighed) -> str:
    is_rotating = case.evidence.is_rotation_in_charge
    return "a rotation is under way, which has a way back of its own" if is_rotating else ""


def _budget_spent(case: Weighed) -> str:
    if case.question.asker is Asker.PERSON:
        return ""  # the budget is automation's
    if case.evidence.is_fleet_busy:
        return "another gateway is being rolled back; one at a time"
    spent = sum(case.now - _HOUR < at <= case.now for at in case.evidence.automatic_actions)
    limit = case.options.max_actions_per_hour
    return (
        f"{spent} automatic actions within an hour; {limit} are allowed" if spent >= limit else ""
    )


def _flip_flop(case: Weighed) -> str:
    since = case.ago(case.options.flip_flop)
    for away in case.evidence.rolled_away:
        if case.previous and away.fingerprint == case.previous.fingerprint and away.at > since:
            return (
                f"version {case.previous.number} was rolled away from at {away.at:%Y-%m-%d %H:%M}"
            )
    return ""


def _no_change_to_undo(case: Weighed) -> str:
    change = case.evidence.change
    if change is None:
        return ""  # that is evidence_unknown
    if change.changed_at is None or change.changed_at < case.ago(case.options.look_back):
        return "what it serves did not change within the look-back"
    return ""


def _not_caused_by_certificate(case: Weighed) -> str:
    failing = [device for device in case.evidence.devices if device.failing is not None]
    others = sum(not is_about_certificate(device, case.evidence.served) for device in failing)
    if others and others >= len(failing) - others:
        return f"{others} of {len(failing)} failures are not about its certificate"
    return ""


def _too_few_witnesses(case: Weighed) -> str:
    before = {one.device for one in case.evidence.devices if one.connected_before}
    count = len(before.intersection(case.witnesses))
    share = case.options.min_witness_ratio * len(before)
    if count >= case.options.min_witnesses and count >= share:
        return ""
    return f"{count} of {len(before)} devices that connected before refuse its certificate"


def _no_previous(case: Weighed) -> str:
    has_none = case.evidence.versions is not None and case.previous is None
    return "there is no earlier version that was served and proven" if has_none else ""


def _previous_expired(case: Weighed) -> str:
    previous, least_s = case.previous, case.options.previous_min_validity
    if previous is None or previous.not_after - case.now >= timedelta(seconds=least_s):
        return ""
    verb = "ends" if previous.not_after > case.now else "ended"
    return f"version {previous.number} {verb} at {previous.not_after:%Y-%m-%d %H:%M} UTC"


def _previous_revoked(case: Weighed) -> str:
    is_revoked = case.previous is not None and case.previous.is_revoked
    return "the previous version is marked as compromised" if is_revoked else ""


def _previous_broken(case: Weighed) -> str:
    if case.previous is None:
        return ""
    if case.previous.is_key_usable is False:
        return "the previous version's key is lost or does not match"
    return "" if case.previous.is_chain_good is not False else "the previous chain does not verify"


def _no_gain(case: Weighed) -> str:
    gain, loss = len(case.forecast.gain), len(case.forecast.loss)
    return "" if gain > loss else f"{gain} devices would gain and {loss} would lose"


def _removes_in_flight(case: Weighed) -> str:
    is_removing = case.evidence.is_removing
    return "the CA of the previous version is removed from devices" if is_removing else ""


CHECKS: Mapping[Refusal, Callable[[Weighed], str]] = {
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

_OF_THE_TARGET = (
    Refusal.FLIP_FLOP,
    Refusal.NO_PREVIOUS,
    Refusal.PREVIOUS_EXPIRED,
    Refusal.PREVIOUS_REVOKED,
    Refusal.PREVIOUS_BROKEN,
    Refusal.REMOVES_IN_FLIGHT,
)
"""Those that hold whether or not there is a fault at the moment."""
