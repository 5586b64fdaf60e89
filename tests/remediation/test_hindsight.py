"""Whether what was only said would have been right."""

from collections.abc import Collection
from dataclasses import replace
from datetime import timedelta

import pytest

from exporter.remediation.codec import Case, decided
from exporter.remediation.decide import Question
from exporter.remediation.hands import Returned
from exporter.remediation.hindsight import (
    Judgement,
    Score,
    TrialVerdict,
    heard_since,
    judged,
)
from exporter.remediation.model import Answer, ChangeFact, Evidence, Outcome
from exporter.remediation.options import Options
from tests.remediation.cases import ALL_OUT, INCIDENT, NEW, NO, NOW, OLD, connecting

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
DEVICES = tuple(f"dev-{n:02}" for n in range(1, 19))
NOBODY = Returned(back=(), by_ticket=())
THIRD = "c" * 64


def said(evidence: Evidence = ALL_OUT) -> Case:
    case = decided(evidence, Options(), now=NOW, question=Question())
    assert case.decision.outcome is Outcome.WOULD_ROLLBACK
    return case


def serving(fingerprint: str, evidence: Evidence = ALL_OUT) -> Evidence:
    """The gateway ten minutes later, with another certificate."""
    assert evidence.served is not None
    assert evidence.versions is not None
    return replace(
        evidence,
        served=replace(evidence.served, fingerprint=fingerprint),
        versions=replace(evidence.versions, current_fingerprint=fingerprint, activation_number=8),
        change=ChangeFact(
            changed_at=NOW + 10 * MINUTE, source="management API", observed_at=NOW + 11 * MINUTE
        ),
    )


def back(count: int, refusing: Collection[str] = ()) -> Returned:
    return Returned(back=set(DEVICES[:count]), by_ticket=(), refusing=set(refusing))


def told(
    fresh: Evidence = ALL_OUT,
    returned: Returned = NOBODY,
    after: timedelta = HOUR,
    case: Case | None = None,
) -> Judgement | None:
    return judged(case or said(), fresh, returned, now=NOW + after)


def test_a_fault_that_ends_without_a_change_needed_nobody() -> None:
    found = told(returned=back(17), after=5 * MINUTE)

    assert found is not None
    assert found.verdict is TrialVerdict.NEEDLESS
    assert found.ended_by_itself is Answer.YES
    assert found.detail.startswith("17 of 18 devices that were out are back")
    assert found.measured is not None
    assert len(found.measured.gain) == 17


def test_while_it_may_still_end_nothing_is_judged() -> None:
    assert told(returned=back(9), after=59 * MINUTE) is None


def test_a_fault_that_stays_and_a_forecast_that_would_still_hold_were_right() -> None:
    found = told(returned=back(9, refusing=DEVICES[9:]))

    assert found is not None
    assert found.verdict is TrialVerdict.RIGHT
    assert (found.ended_by_itself, found.forecast_held) == (Answer.NO, Answer.YES)
    assert "of 18 devices that were to gain 18 still would" in found.detail


def test_a_fault_that_stays_with_stores_that_no_longer_accept_the_previous_was_wrong() -> None:
    devices = tuple(replace(one, accepts_previous=NO) for one in ALL_OUT.devices)

    found = told(replace(ALL_OUT, devices=devices))

    assert found is not None
    assert found.verdict is TrialVerdict.WRONG


def test_when_somebody_goes_back_the_forecast_is_held_against_what_is_measured() -> None:
    found = told(serving(OLD), back(18), after=12 * MINUTE)

    assert found is not None
    assert found.verdict is TrialVerdict.RIGHT
    assert "of 18 devices that were to gain 18 did" in found.detail


def test_devices_that_are_slow_to_come_back_are_waited_for() -> None:
    assert told(serving(OLD), back(9), after=69 * MINUTE) is None

    found = told(serving(OLD), back(9), after=70 * MINUTE)

    assert found is not None
    assert found.verdict is TrialVerdict.WRONG


def test_a_way_back_that_costs_more_than_was_foreseen_was_wrong() -> None:
    devices = (*ALL_OUT.devices[:2], *(connecting(n) for n in range(3, 6)))
    case = said(replace(ALL_OUT, devices=devices))
    returned = Returned(
        back={"dev-01", "dev-02"}, by_ticket=(), refusing={"dev-03", "dev-04", "dev-05"}
    )

    found = told(serving(OLD, case.evidence), returned, 2 * HOUR, case)

    assert found is not None
    assert found.verdict is TrialVerdict.WRONG
    assert "gain 2, loss 3" in found.detail


def test_a_third_certificate_tells_that_it_was_needed_and_no_more() -> None:
    found = told(serving(THIRD), back(18), after=12 * MINUTE)

    assert found is not None
    assert found.verdict is TrialVerdict.UNCLEAR
    assert (found.ended_by_itself, found.forecast_held) == (Answer.NO, Answer.UNKNOWN)


def test_the_same_certificate_activated_again_is_a_change() -> None:
    fresh = serving(NEW)

    assert heard_since(said(), fresh) == NOW + 10 * MINUTE
    found = told(fresh, back(18))
    assert found is not None
    assert found.verdict is TrialVerdict.UNCLEAR


def test_handshakes_are_heard_from_the_decision_on_where_nothing_was_changed() -> None:
    assert heard_since(said(), ALL_OUT) == NOW
    assert heard_since(said(), replace(serving(OLD), change=None)) == NOW


def test_what_cannot_be_seen_is_waited_for_and_then_unclear() -> None:
    blind = replace(ALL_OUT, served=None)

    assert told(blind, after=24 * HOUR) is None
    found = told(blind, after=26 * HOUR)
    assert found is not None
    assert found.verdict is TrialVerdict.UNCLEAR


def test_a_gateway_that_left_the_inventory_is_unclear_at_once() -> None:
    found = told(replace(ALL_OUT, is_in_inventory=False), after=MINUTE)

    assert found is not None
    assert found.verdict is TrialVerdict.UNCLEAR


@pytest.mark.parametrize("ended", Answer)
@pytest.mark.parametrize("held", Answer)
def test_unknown_is_never_right(ended: Answer, held: Answer) -> None:
    verdict = Judgement(ended_by_itself=ended, forecast_held=held, detail="").verdict

    is_right = (ended, held) == (Answer.NO, Answer.YES)
    assert (verdict is TrialVerdict.RIGHT) is is_right
    assert (verdict is TrialVerdict.WRONG) is (held is Answer.NO)


def test_who_was_in_before_is_not_counted_as_back() -> None:
    case = said(INCIDENT)  # 4 of 18 connect with the new one
    connected = Returned(back=set(DEVICES[14:]), by_ticket=())

    assert told(INCIDENT, connected, 30 * MINUTE, case) is None


def test_the_score_is_a_sentence() -> None:
    counts = {**Score().counts, TrialVerdict.RIGHT: 5, TrialVerdict.NEEDLESS: 1}

    assert Score().sentence == "no rollback was only said so far"
    assert Score(pending_count=1).sentence == "0 would-be rollbacks were judged; 1 not yet"
    assert Score(counts=counts, pending_count=2).sentence == (
        "6 would-be rollbacks were judged: 5 right, 1 needless; 2 not yet"
    )
