"""A decision in one sentence, for the one who is woken; pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from exporter.durations import format_duration
from exporter.remediation.model import (
    Answer,
    Evidence,
    Forecast,
    Outcome,
    PreviousVersion,
    Refusal,
)
from exporter.remediation.way_out import way_out

_DONE = {
    Outcome.WOULD_ROLLBACK: "would roll back",
    Outcome.AWAITING_APPROVAL: "a person must approve",
    Outcome.ROLLBACK: "rolling back",
}
_NOTHING_TO_GO_BACK_TO = frozenset(
    {
        Refusal.NO_PREVIOUS,
        Refusal.PREVIOUS_EXPIRED,
        Refusal.PREVIOUS_REVOKED,
        Refusal.PREVIOUS_BROKEN,
    }
)


def sentence_of(
    evidence: Evidence,
    outcome: Outcome,
    refusals: Mapping[Refusal, str],
    *,
    forecast: Forecast,
    witnesses: Sequence[str],
) -> str:
    """Return what is seen and what is done about it."""
    seen = _seen(evidence, witnesses)
    previous = evidence.versions.previous if evidence.versions else None
    if outcome is Outcome.REFUSED or previous is None:
        why = "; ".join(f"{said} ({refusal})" for refusal, said in refusals.items())
        why = why or "it is not known what to go back to"
        return f"{seen}. Not rolled back: {why}.{_way_out(evidence, refusals, witnesses)}"
    return f"{seen}; {_chance(evidence, forecast, previous)}: {_DONE[outcome]}."


def _way_out(evidence: Evidence, refusals: Mapping[Refusal, str], witnesses: Sequence[str]) -> str:
    """Return what a person can do; empty: nobody is out, or a new leaf by that CA helps nobody."""
    is_needed = witnesses and not _NOTHING_TO_GO_BACK_TO.isdisjoint(refusals)
    if not is_needed or Refusal.REMOVES_IN_FLIGHT in refusals:
        return ""
    return f" {way_out(evidence.gateway, evidence.stores)}"


def _seen(evidence: Evidence, witnesses: Sequence[str]) -> str:
    gateway, total = evidence.gateway, len(evidence.devices)
    if not witnesses:
        return f"None of {total} devices is known to refuse {gateway}"
    told = [one for one in evidence.devices if one.device in set(witnesses)]
    reason = Counter(one.failing for one in told).most_common(1)[0][0]
    moments = (one.failing_since_at or one.failed_at for one in told)
    since = min(at for at in moments if at is not None)
    text = f"{len(told)} of {total} devices refuse {gateway} ({reason}) since {since:%H:%M}"
    return text + _after_change(evidence, since)


def _after_change(evidence: Evidence, since: datetime) -> str:
    changed_at = evidence.change.changed_at if evidence.change else None
    if changed_at is None or since < changed_at:
        return ""
    number = evidence.versions.current if evidence.versions else None
    what = f"version {number}" if number is not None else "the change"
    # To the minute where it is minutes; nobody needs the milliseconds
    passed = since - changed_at
    step = timedelta(minutes=1) if passed >= timedelta(minutes=1) else timedelta(seconds=1)
    rounded = passed // step * step
    return f", {format_duration(rounded.total_seconds())} after {what}"


def _chance(evidence: Evidence, forecast: Forecast, previous: PreviousVersion) -> str:
    accepting = sum(one.accepts_previous.answer is Answer.YES for one in evidence.devices)
    text = f"gain {len(forecast.gain)}, loss {len(forecast.loss)}"
    if forecast.unknown:
        text += f", unknown {len(forecast.unknown)}"
    return (
        f"version {previous.number} (until {previous.not_after:%Y-%m-%d}) would be accepted by"
        f" {accepting}: {text}"
    )
