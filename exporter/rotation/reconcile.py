"""What looking tells about steps that were begun, or that the agent took by itself; pure.

After a crash an intent is neither repeated nor forgotten: what is served says how it ended.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from exporter.rotation.model import (
    Facts,
    GatewayFacts,
    GatewayMark,
    Marks,
    Plan,
    PlannedGateway,
    Step,
)
from exporter.rotation.options import Options
from exporter.rotation.phases import MOST_TRIES, before_of, is_unanswered

_BY_ITSELF = "it went back by itself: its new chain was not confirmed in time"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What one gateway's journal has to say from now on, and why."""

    gateway: str
    mark: GatewayMark
    why: str


def reconciled(
    plan: Plan, facts: Facts, marks: Marks, *, now: datetime, options: Options
) -> Iterator[Found]:
    """Yield the gateways whose journal is behind what is served."""
    for planned in plan.gateways:
        found = facts.gateways.get(planned.name)
        if found is None or found.served is None:
            continue  # not seen: nothing is known, and nothing changes
        told = _told(planned, found, marks, now=now, options=options)
        if told is not None:
            yield told


def _told(
    planned: PlannedGateway, found: GatewayFacts, marks: Marks, *, now: datetime, options: Options
) -> Found | None:
    mark = marks.gateway(planned.name)
    is_new = found.served == mark.candidate
    is_old = found.served == before_of(planned, marks)
    is_late = mark.intended is None and mark.rotated_at is None and mark.asked_at is not None
    if is_new and (mark.intended is Step.ROTATE or is_late):
        fresh = replace(
            mark, intended=None, asked_at=None, rotated_at=now, is_confirmed=False, tries=0,
            retry_at=None,
        )  # fmt: skip
        return Found(gateway=planned.name, mark=fresh, why="it is seen to serve its new chain")
    if mark.intended is Step.ROTATE and is_old and _was_left(found, marks):
        return _back(planned.name, mark, _BY_ITSELF, now=now)
    if mark.intended is Step.ROTATE and is_old and not is_unanswered(mark, now):
        return _failed(planned.name, mark, now=now, options=options)
    if mark.intended is Step.ROLL_BACK and is_old:
        return _back(planned.name, mark, "it was put back", now=now)
    if mark.rotated_at is not None and not mark.is_confirmed and is_old:
        return _back(planned.name, mark, _BY_ITSELF, now=now)
    return None


def _was_left(found: GatewayFacts, marks: Marks) -> bool:
    """Return whether it served its candidate, unseen by us, since a person last let it try."""
    if found.left_at is None:
        return False
    return marks.resumed_at is None or found.left_at > marks.resumed_at


def _failed(name: str, mark: GatewayMark, *, now: datetime, options: Options) -> Found:
    tries = mark.tries + 1
    if tries >= MOST_TRIES:
        return _back(name, mark, f"it did not take its new chain, tried {tries} times", now=now)
    pause = timedelta(seconds=options.retry_pause * 2 ** (tries - 1))
    fresh = replace(mark, intended=None, tries=tries, retry_at=now + pause)
    return Found(gateway=name, mark=fresh, why="it did not take its new chain; tried again")


def _back(name: str, mark: GatewayMark, why: str, *, now: datetime) -> Found:
    said = mark.rolled_back_why or why
    fresh = replace(
        mark, intended=None, asked_at=None, rotated_at=None, is_confirmed=False, tries=0,
        retry_at=None, rolled_back_at=now, rolled_back_why=said,
    )  # fmt: skip
    return Found(gateway=name, mark=fresh, why=said)


def to_be_put_back(mark: GatewayMark) -> GatewayMark:
    """Return what the journal has to say where a change by hand is to be put back."""
    return replace(_without_candidate(mark), intended=Step.ROLL_BACK)


def _without_candidate(mark: GatewayMark) -> GatewayMark:
    """Let a chain that was never served be ordered again.

    Whoever changed the gateway by hand asked it for another key, and it keeps the last one only.
    """
    if mark.rotated_at is not None:
        return mark
    return replace(mark, candidate=None, rehearsed=None, tries=0, retry_at=None)


def adopted(plan: Plan, facts: Facts, marks: Marks, *, now: datetime) -> Iterator[Found]:
    """Yield what the journal has to say where a person takes what is served for right."""
    for planned in plan.gateways:
        found, mark = facts.gateways.get(planned.name), marks.gateway(planned.name)
        if found is None or found.served is None or mark.intended is not None:
            continue
        before = before_of(planned, marks)
        if found.served == mark.candidate and mark.rotated_at is None:
            at = found.activated_at or now
            # It has no dead-man: whoever changed it by hand confirmed it by that
            fresh = replace(mark, rotated_at=at, is_confirmed=True)
        elif found.served == before and mark.is_confirmed:
            fresh = replace(mark, rotated_at=None, is_confirmed=False)
        elif found.served not in {before, mark.candidate}:
            fresh = replace(
                _without_candidate(mark), before=found.served, rotated_at=None, is_confirmed=False
            )
        else:
            continue
        yield Found(gateway=planned.name, mark=fresh, why="a person adopted what is served")
