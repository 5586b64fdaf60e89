"""What became of a rollback that was only said (mode ``dry_run``): was it right? Pure.

Two questions, each with yes, no or unknown: did the fault end by itself, and would the forecast
have held? Together they are what a person switches to ``act`` on.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from exporter.remediation.codec import Case
from exporter.remediation.forecast import forecast_of
from exporter.remediation.hands import Returned
from exporter.remediation.measure import counts_of, measured
from exporter.remediation.model import Answer, Evidence, Forecast

_GIVEN_UP_AFTER = timedelta(days=1)


class TrialVerdict(StrEnum):
    """What a would-be rollback was worth, once that can be told."""

    RIGHT = "right"
    """The fault stayed until somebody acted or the time was over, and the forecast held."""
    NEEDLESS = "needless"
    """The fault ended by itself."""
    WRONG = "wrong"
    """The forecast did not hold: the rollback would not have helped so."""
    UNCLEAR = "unclear"
    """It cannot be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The two answers about one would-be rollback.

    Attributes:
        measured: What became of each device since; None: nothing was to be measured.
    """

    ended_by_itself: Answer
    forecast_held: Answer
    detail: str
    measured: Forecast | None = None

    @property
    def verdict(self) -> TrialVerdict:
        """Both answers as one word; what did not hold is wrong, whatever else."""
        if self.forecast_held is Answer.NO:
            return TrialVerdict.WRONG
        if self.ended_by_itself is Answer.YES:
            return TrialVerdict.NEEDLESS
        if self.ended_by_itself is Answer.NO and self.forecast_held is Answer.YES:
            return TrialVerdict.RIGHT
        return TrialVerdict.UNCLEAR


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A would-be rollback; the same action is said once, however often it is decided.

    Attributes:
        decision_number: The journal's entry of the first decision to it.
    """

    identity: str
    gateway: str
    decision_number: int
    decided_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A would-be rollback and what became of it."""

    trial: Trial
    verdict: TrialVerdict
    detail: str
    judged_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How the would-be rollbacks turned out.

    Attributes:
        pending_count: Those that cannot be judged yet.
        latest: The last ones that were judged, the latest first.
    """

    counts: Mapping[TrialVerdict, int] = field(
        default_factory=lambda: dict.fromkeys(TrialVerdict, 0)
    )
    pending_count: int = 0
    latest: tuple[Judged, ...] = ()

    @property
    def is_known(self) -> bool:
        """Something was said in place of being done."""
        return bool(self.pending_count or sum(self.counts.values()))

    @property
    def sentence(self) -> str:
        """The score in words."""
        judged = sum(self.counts.values())
        if not self.is_known:
            return "no rollback was only said so far"
        told = ", ".join(f"{count} {verdict}" for verdict, count in self.counts.items() if count)
        what = "would-be rollback was" if judged == 1 else "would-be rollbacks were"
        text = f"{judged} {what} judged" + (f": {told}" if told else "")
        return text + (f"; {self.pending_count} not yet" if self.pending_count else "")


def heard_since(case: Case, fresh: Evidence) -> datetime:
    """Return since when handshakes tell of it: the decision, or what was changed after it."""
    changed_at = fresh.change.changed_at if fresh.change is not None else None
    if changed_at is None or _is_as_it_was(case, fresh):
        return case.now
    return max(case.now, changed_at)


def judged(case: Case, fresh: Evidence, returned: Returned, *, now: datetime) -> Judgement | None:
    """Return what became of it; None: it is too early to tell.

    Args:
        case: The decision with its evidence.
        fresh: All that is known of the gateway now.
        returned: Who shook hands since ``heard_since``.
        now: The moment of judging.
    """
    identity, served = case.decision.identity, fresh.served
    if identity is None or not fresh.is_in_inventory:
        return _unclear("the gateway is not in the inventory any more")
    if served is None or fresh.versions is None:
        is_given_up = now - case.now > _horizon(case) + _GIVEN_UP_AFTER
        return _unclear("what it serves could not be seen for too long") if is_given_up else None
    if _is_as_it_was(case, fresh):
        return _unchanged(case, fresh, returned, now)
    previous = case.evidence.versions.previous if case.evidence.versions else None
    if previous is not None and served.fingerprint == previous.fingerprint:
        return _went_back(case, fresh, returned, now)
    return Judgement(
        ended_by_itself=Answer.NO,
        forecast_held=Answer.UNKNOWN,
        detail="somebody had it serve another certificate; whether the one before would have"
        " helped was not seen",
    )


def _is_as_it_was(case: Case, fresh: Evidence) -> bool:
    identity = case.decision.identity
    return (
        identity is not None
        and fresh.served is not None
        and fresh.versions is not None
        and fresh.served.fingerprint == identity.fingerprint
        and fresh.versions.activation_number == identity.activation_number
    )


def _unchanged(case: Case, fresh: Evidence, returned: Returned, now: datetime) -> Judgement | None:
    """Judge it while that is served which was refused."""
    told = measured(case.evidence, returned)
    out = {*case.decision.witnesses, *case.decision.forecast.gain}
    back = out.intersection(told.gain)
    if out and len(back) >= _needed(case, len(out)):
        return Judgement(
            ended_by_itself=Answer.YES,
            forecast_held=Answer.UNKNOWN,
            detail=f"{len(back)} of {len(out)} devices that were out are back, and nothing was"
            " changed",
            measured=told,
        )
    if now - case.now < _horizon(case):
        return None
    return _still_out(case, fresh, told)


def _still_out(case: Case, fresh: Evidence, told: Forecast) -> Judgement:
    """The fault stayed: nobody went back, so the forecast is held against one of today."""
    again, gain = forecast_of(fresh), case.decision.forecast.gain
    kept = set(gain).intersection(again.gain)
    is_kept = len(kept) >= _needed(case, len(gain)) and len(again.gain) > len(again.loss)
    return Judgement(
        ended_by_itself=Answer.NO,
        forecast_held=Answer.YES if is_kept else Answer.NO,
        detail=f"the fault is still there, and of {len(gain)} devices that were to gain"
        f" {len(kept)} still would; the forecast of today: {counts_of(again)}",
        measured=told,
    )


def _went_back(case: Case, fresh: Evidence, returned: Returned, now: datetime) -> Judgement | None:
    """Somebody did what was said: the forecast is held against what was measured."""
    told, gain = measured(case.evidence, returned), case.decision.forecast.gain
    gained = set(gain).intersection(told.gain)
    unforeseen = set(told.loss) - set(case.decision.forecast.loss)
    is_held = len(gained) >= _needed(case, len(gain)) and len(unforeseen) < len(gained)
    if not is_held and now - heard_since(case, fresh) < _horizon(case):
        return None
    return Judgement(
        ended_by_itself=Answer.NO,
        forecast_held=Answer.YES if is_held else Answer.NO,
        detail=f"somebody went back to that version: of {len(gain)} devices that were to gain"
        f" {len(gained)} did; measured: {counts_of(told)}",
        measured=told,
    )


def _needed(case: Case, count: int) -> int:
    return math.ceil(case.options.back_ratio * count)


def _horizon(case: Case) -> timedelta:
    return timedelta(seconds=case.options.back_within)


def _unclear(detail: str) -> Judgement:
    return Judgement(ended_by_itself=Answer.UNKNOWN, forecast_held=Answer.UNKNOWN, detail=detail)
