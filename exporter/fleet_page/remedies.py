"""What remediation did, would do and why, as the page tells it; pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from exporter.fleet import FleetSnapshot
from exporter.fleet_page.sentence import Rollback
from exporter.modes import Mode
from exporter.remediation.codec import Case
from exporter.remediation.hindsight import Score
from exporter.remediation.intents import Ending, Intent
from exporter.remediation.model import Answer, Decision, Outcome, Refusal
from exporter.remediation.readiness import Readiness

MODE_WORDS: Mapping[Mode, str] = {
    Mode.DISABLED: "disabled: nothing is decided",
    Mode.DRY_RUN: "dry run: it decides and changes nothing",
    Mode.ACT: "acts by itself, within its limits",
}
OUTCOME_WORDS: Mapping[Outcome, str] = {
    Outcome.REFUSED: "no rollback",
    Outcome.WOULD_ROLLBACK: "would roll back",
    Outcome.AWAITING_APPROVAL: "waits for a person's approval",
    Outcome.ROLLBACK: "rolls back",
}
ENDING_WORDS: Mapping[Ending, str] = {
    Ending.RECOVERED: "served and proven, and the devices are back",
    Ending.NOT_SERVED: "the version before could not be served; all is as it was",
    Ending.UNPROVEN: "it was sent, and what is served now cannot be proven: look at the gateway",
    Ending.NOT_BACK: "it is served, and too few devices came back",
    Ending.OVERTAKEN: "somebody else changed the gateway meanwhile",
    Ending.STOPPED: "it was stopped before it was sent",
}


_OUTDATED = "not known yet: another certificate is served by now"


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedies:
    """What remediation says of itself.

    Attributes:
        decisions: The last one by gateway with its evidence, and its number in the journal.
        intents: The last action by gateway.
        is_stopped: By the kill switch; None: not known.
        holds: Until when gateways are held.
        ready: Whether gateways could be rolled back.
        score: How rollbacks turned out that were only said.
        budget: Automatic actions that are allowed in the present hour; None: not known.
        fault: Why this is not known; empty when it is.
    """

    mode: Mode = Mode.DISABLED
    is_stopped: bool | None = False
    decisions: Mapping[str, tuple[int, Case]] = field(default_factory=dict)
    intents: Mapping[str, Intent] = field(default_factory=dict)
    holds: Mapping[str, datetime] = field(default_factory=dict)
    ready: Mapping[str, Readiness] = field(default_factory=dict)
    score: Score = field(default_factory=Score)
    budget: int | None = None
    fault: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """What is to be told of one gateway.

    Attributes:
        level: ``bad``, ``warn`` or ``good``.
        action: What was done, in words; empty: nothing.
        number: Of the decision in the journal; 0: there is none.
        refusals: Why nothing is done, by the labels of the metric; the sentence has the words.
        way_back: Whether it could be rolled back, in words; empty: it is not known.
        is_ready: It could; None: it is not known, or it serves its first certificate.
        checked_at: When that was worked out.
    """

    gateway: str
    level: str
    outcome: str = ""
    sentence: str = ""
    decided_at: datetime | None = None
    number: int = 0
    action: str = ""
    action_at: datetime | None = None
    hold_until: datetime | None = None
    refusals: tuple[Refusal, ...] = ()
    way_back: str = ""
    is_ready: bool | None = None
    checked_at: datetime | None = None
    rehearsed_at: datetime | None = None

    @property
    def is_news(self) -> bool:
        """There is more to tell than that all is ready."""
        return self.is_ready is False or bool(self.number or self.action or self.hold_until)


Changed = Mapping[str, datetime]
"""Since when each gateway has served another certificate than before, where that was seen."""


def remedies_on(told: Remedies, changed: Changed) -> tuple[Remedy, ...]:
    """Return what there is to tell, by gateway; nothing where nothing is known."""
    names = sorted({*told.decisions, *told.intents, *told.holds, *told.ready})
    return tuple(_remedy(name, told, changed) for name in names)


def sentences_on(told: Remedies, changed: Changed) -> tuple[str, ...]:
    """Return what is to be said of all gateways together, in sentences."""
    said = []
    if told.mode is Mode.ACT and told.budget is not None:
        said.append(f"{told.budget} automatic actions are left in this hour.")
    if told.ready:
        ready = sum(one.is_ready and _is_of_now(one, changed) for one in told.ready.values())
        said.append(f"{ready} of {len(told.ready)} gateways could be rolled back at once.")
    if told.score.is_known:
        said.append(f"In dry run, {told.score.sentence}.")
    return tuple(said)


def _remedy(name: str, told: Remedies, changed: Changed) -> Remedy:
    number, case = told.decisions.get(name, (0, None))
    decision = case.decision if case else None
    intent, checked = told.intents.get(name), told.ready.get(name)
    ready = checked if checked is not None and _is_of_now(checked, changed) else None
    return Remedy(
        gateway=name,
        level=_level(decision, intent, ready),
        outcome=OUTCOME_WORDS[decision.outcome] if decision else "",
        sentence=decision.sentence if decision else "",
        decided_at=decision.decided_at if decision else None,
        number=number,
        action=_action(intent) if intent else "",
        action_at=intent.stage_at if intent else None,
        hold_until=told.holds.get(name),
        refusals=tuple(decision.refusals) if decision else (),
        way_back=_way_back(ready) if ready else _OUTDATED if checked else "",
        is_ready=ready.is_ready if ready and not ready.is_first else None,
        checked_at=checked.checked_at if checked else None,
        rehearsed_at=ready.rehearsed_at if ready else None,
    )


def _is_of_now(ready: Readiness, changed: Changed) -> bool:
    """Whether it was worked out since the gateway has served what it does."""
    since = changed.get(ready.gateway)
    return since is None or since <= ready.checked_at


def _way_back(ready: Readiness) -> str:
    if ready.is_first:
        return "none; it serves its first certificate, so there is nothing to undo"
    if not ready.is_ready:
        return ready.reason
    return (
        f"version {ready.version}, which {ready.accepting_count} of {ready.device_count} devices"
        " accept"
    )


def _action(intent: Intent) -> str:
    by = f" for {intent.by}" if intent.by else ""
    how = ENDING_WORDS[intent.ending] if intent.ending else f"under way: {intent.stage}"
    return f"rollback to version {intent.identity.target_version}{by}: {how}"


def _level(decision: Decision | None, intent: Intent | None, ready: Readiness | None) -> str:
    if decision is None and intent is None and ready is not None and ready.is_ready:
        return "good"
    ending = intent.ending if intent else None
    if ending in {Ending.UNPROVEN, Ending.NOT_BACK}:
        return "bad"
    if ending is Ending.RECOVERED and (
        decision is None or intent is None or decision.decided_at <= intent.stage_at
    ):
        return "good"
    return "warn"


def rollbacks_of(
    told: Remedies, snapshot: FleetSnapshot, changed: Changed
) -> Mapping[str, Rollback]:
    """Return what going back would do, where that was worked out for what is served now.

    By the last decision, else by what is looked at all the time.
    """
    found = {
        name: Rollback(version=ready.version, accepting_count=ready.accepting_count)
        for name, ready in told.ready.items()
        if ready.is_ready and ready.version is not None and _is_of_now(ready, changed)
        if (state := snapshot.targets.get(name)) is not None and state.is_chain_current
    }
    for name, (_, case) in told.decisions.items():
        identity, devices = case.decision.identity, case.evidence.devices
        state = snapshot.targets.get(name)
        served = state.chain[0].fingerprint_sha256 if state and state.is_chain_current else None
        if identity is not None and identity.fingerprint == served:
            accepting = [one for one in devices if one.accepts_previous.answer is Answer.YES]
            found[name] = Rollback(version=identity.target_version, accepting_count=len(accepting))
    return found
