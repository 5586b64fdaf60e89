"""Whether a gateway is rolled back: SAFETY 1 as pure functions; nothing is touched."""

import hashlib
import json
from collections.abc import Collection
from datetime import datetime

from exporter.modes import Mode
from exporter.remediation.model import (
    NEVER_OVERRIDDEN,
    Asker,
    Decision,
    Evidence,
    Forecast,
    Identity,
    Outcome,
    Refusal,
)
from exporter.remediation.options import Options
from exporter.remediation.refusals import CHECKS, Question, Weighed, weighed
from exporter.remediation.sentences import sentence_of

__all__ = ["Question", "decide_rollback"]

_AUTOMATION = Question()


def decide_rollback(
    evidence: Evidence, options: Options, *, now: datetime, question: Question = _AUTOMATION
) -> Decision:
    """Return what is to be done about ``evidence.gateway``, with every refusal that holds."""
    case = weighed(evidence, options, question, now)
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
        witnesses=case.witnesses,
        identity=identity,
        plan_hash=plan_hash,
        sentence=sentence_of(
            evidence, outcome, refusals, forecast=case.forecast, witnesses=case.witnesses
        ),
    )


def _outcome(
    case: Weighed, refusals: Collection[Refusal], identity: Identity | None, plan_hash: str
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


def _needs_approval(case: Weighed) -> bool:
    limit = case.options.approval_from_devices
    return limit is not None and len(case.evidence.devices) >= limit


def _is_approved(case: Weighed, plan_hash: str) -> bool:
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
