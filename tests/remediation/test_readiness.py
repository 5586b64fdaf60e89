"""Whether a gateway could go back, by evidence and a rehearsal."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.modes import Mode
from exporter.remediation.model import Accepts, AlertState, Answer, Evidence, RolledAway
from exporter.remediation.options import Options
from exporter.remediation.readiness import (
    Readiness,
    Rehearsed,
    is_rehearsal_due,
    readiness_of,
    why_not_now,
)
from tests.remediation.cases import INCIDENT, NEW, NO, NOW, OLD, connecting, with_previous

HOUR = timedelta(hours=1)
WELL = replace(INCIDENT, alert=AlertState.NONE, devices=tuple(connecting(n) for n in range(1, 19)))
GOOD = Rehearsed(gateway="gw-1", version=3, fingerprint=OLD, at=NOW - HOUR, fault="")
BAD = replace(GOOD, fault="on the second port 10.0.0.1:8444: connection refused")


def judged(
    evidence: Evidence = WELL,
    rehearsed: Rehearsed | None = GOOD,
    options: Options = Options(),  # noqa: B008 - frozen
) -> Readiness:
    return readiness_of(evidence, rehearsed, options, now=NOW)


def due(
    evidence: Evidence = WELL,
    rehearsed: Rehearsed | None = None,
    options: Options = Options(),  # noqa: B008 - frozen
) -> bool:
    return is_rehearsal_due(evidence, rehearsed, options, now=NOW)


def accepting(accepts: Accepts, count: int) -> Evidence:
    """The first ``count`` devices answer so to the previous version."""
    changed = tuple(replace(one, accepts_previous=accepts) for one in WELL.devices[:count])
    return replace(WELL, devices=changed + WELL.devices[count:])


def test_what_was_rehearsed_and_is_accepted_by_all_is_ready() -> None:
    told = judged()

    assert (told.is_ready, told.reason, told.version) == (True, "", 3)
    assert (told.accepting_count, told.device_count) == (18, 18)
    assert told.rehearsed_at == NOW - HOUR


@pytest.mark.parametrize(
    ("evidence", "reason"),
    [
        pytest.param(
            replace(WELL, versions=None, versions_detail="unreachable: no answer"),
            "which versions it has is not known (unreachable: no answer)",
            id="API silent",
        ),
        pytest.param(
            replace(WELL, versions=replace(WELL.versions, previous=None)),  # type: ignore[type-var] # it is there
            "there is no earlier version that was served and proven",
            id="first version",
        ),
        pytest.param(
            with_previous(WELL, not_after=NOW + HOUR),
            "version 3 ends at 2026-11-25 13:05 UTC",
            id="ends soon",
        ),
        pytest.param(
            with_previous(WELL, is_key_usable=False),
            "the previous version's key is lost or does not match",
            id="key lost",
        ),
        pytest.param(
            with_previous(WELL, is_key_usable=None),
            "it is not known whether the previous version's key is usable",
            id="key unknown",
        ),
        pytest.param(
            with_previous(WELL, is_revoked=True),
            "the previous version is marked as compromised",
            id="compromised",
        ),
        pytest.param(
            replace(WELL, rolled_away=(RolledAway(fingerprint=OLD, at=NOW - HOUR),)),
            "version 3 was rolled away from at 2026-11-25 11:05",
            id="was rolled away from",
        ),
        pytest.param(
            replace(WELL, is_removing=True),
            "the CA of the previous version is removed from devices",
            id="CA removed",
        ),
        pytest.param(
            accepting(NO, 2),
            "2 of 18 devices would not accept it: dev-01, dev-02",
            id="two stores do not accept it",
        ),
        pytest.param(
            accepting(Accepts(), 1),
            "of 1 of 18 devices it is not known whether they would accept it: dev-01",
            id="one never reported",
        ),
        pytest.param(
            replace(WELL, devices=()),
            "no device behind it is in the inventory, so nobody is known to accept it",
            id="all of nobody",
        ),
    ],
)
def test_each_fault_is_told_and_is_not_ready(evidence: Evidence, reason: str) -> None:
    told = judged(evidence)

    assert not told.is_ready
    assert reason in told.reason.split("; ")


@pytest.mark.parametrize(
    ("rehearsed", "reason"),
    [
        pytest.param(None, "version 3 was never served on the second port", id="never"),
        pytest.param(
            replace(GOOD, fingerprint=NEW, version=2),
            "version 3 was never served on the second port",
            id="another version",
        ),
        pytest.param(
            BAD,
            "its rehearsal at 2026-11-25 11:05 UTC failed: on the second port 10.0.0.1:8444:"
            " connection refused",
            id="failed",
        ),
        pytest.param(
            replace(GOOD, at=NOW - 50 * HOUR),
            "it was last rehearsed at 2026-11-23 10:05 UTC, and should be every 1d",
            id="too long ago",
        ),
    ],
)
def test_what_was_not_rehearsed_is_not_ready(rehearsed: Rehearsed | None, reason: str) -> None:
    told = judged(rehearsed=rehearsed)

    assert (told.is_ready, told.reason) == (False, reason)


def test_all_that_speaks_against_it_is_told() -> None:
    told = judged(with_previous(accepting(NO, 1), is_key_usable=False), None)

    assert len(told.reason.split("; ")) == 3


def test_a_rehearsal_that_only_persons_ask_for_does_not_grow_old() -> None:
    old = replace(GOOD, at=NOW - 500 * HOUR)

    assert judged(rehearsed=old, options=Options(rehearsal_interval=0.0)).is_ready


@given(
    st.lists(st.sampled_from(Answer), max_size=4),
    st.sampled_from([True, False, None]),
    st.sampled_from([True, False, None]),
    st.sampled_from([None, GOOD, BAD]),
)
def test_nothing_unknown_is_ever_ready(
    answers: list[Answer],
    is_key_usable: bool | None,
    is_chain_good: bool | None,
    rehearsed: Rehearsed | None,
) -> None:
    devices = tuple(
        replace(one, accepts_previous=Accepts(answer=answer))
        for one, answer in zip(WELL.devices, answers, strict=False)
    )
    evidence = with_previous(
        replace(WELL, devices=devices), is_key_usable=is_key_usable, is_chain_good=is_chain_good
    )

    told = judged(evidence, rehearsed)

    is_all_yes = bool(answers) and set(answers) == {Answer.YES}
    is_good = is_all_yes and is_key_usable and is_chain_good and rehearsed == GOOD
    assert told.is_ready is bool(is_good)
    assert told.is_ready is not bool(told.reason)


def test_a_version_is_rehearsed_as_soon_as_it_is_the_previous_one_and_then_seldom() -> None:
    assert due()
    assert due(rehearsed=replace(GOOD, fingerprint=NEW))
    assert not due(rehearsed=GOOD)
    assert due(rehearsed=replace(GOOD, at=NOW - 25 * HOUR))


def test_a_failed_rehearsal_is_tried_again_after_an_hour() -> None:
    assert not due(rehearsed=replace(BAD, at=NOW - HOUR / 2))
    assert due(rehearsed=BAD)


def test_a_rehearsal_from_the_future_is_repeated() -> None:
    assert due(rehearsed=replace(GOOD, at=NOW + HOUR))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param(
            lambda: replace(WELL, is_killed=None), "the kill switch is on, or", id="switch unknown"
        ),
        pytest.param(lambda: replace(WELL, is_in_progress=True), "an action on it", id="at work"),
        pytest.param(
            lambda: replace(WELL, is_rotation_in_charge=True), "a rotation is", id="rotation"
        ),
        pytest.param(
            lambda: replace(WELL, is_rotation_in_charge=None), "a rotation is", id="rotation?"
        ),
    ],
)
def test_nothing_is_rehearsed_while_somebody_is_at_it(
    change: Callable[[], Evidence], reason: str
) -> None:
    evidence = change()

    assert why_not_now(evidence, Options()).startswith(reason)
    assert not due(evidence)


def test_nothing_is_rehearsed_when_it_is_switched_off_or_would_show_nothing() -> None:
    assert why_not_now(WELL, Options(mode=Mode.DISABLED)) == "remediation is switched off"
    assert why_not_now(WELL, Options()) == ""
    assert not due(options=Options(mode=Mode.DISABLED))
    assert not due(options=Options(rehearsal_interval=0.0))
    assert not due(with_previous(WELL, is_key_usable=False))
    assert not due(replace(WELL, versions=None))
