"""What a device lately did: enough to decide upon, however often it connects or fails."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.handshake_log.recent import KEEP_S, MAX_FAILURES, MAX_MOMENTS, Recent
from exporter.observations import Reason, RejectedBy

CHANGE = datetime(2026, 11, 24, 12, tzinfo=UTC)
UNKNOWN_CA = (Reason.UNKNOWN_CA, RejectedBy.DEVICE)
EXPIRED = (Reason.EXPIRED, RejectedBy.DEVICE)
HOUR = timedelta(hours=1)


def at(seconds: float) -> datetime:
    """So long after the change."""
    return CHANGE + timedelta(seconds=seconds)


def full(recent: Recent, *seconds: float) -> Recent:
    for after in seconds:
        recent = recent.succeeded(at(after), is_resumed=False, is_evidence=True)
    return recent


def refused(
    recent: Recent,
    *seconds: float,
    why: tuple[Reason, RejectedBy] = UNKNOWN_CA,
    evidence: bool = True,
) -> Recent:
    for after in seconds:
        recent = recent.failed(at(after), why, is_evidence=evidence)
    return recent


def test_a_device_that_connected_before_and_is_refused_since_is_told_whole() -> None:
    recent = refused(full(Recent(), -1800, -60), 5, 10, 15)

    failing = recent.failing_since(CHANGE)
    assert recent.full_between(CHANGE - HOUR, CHANGE) == at(-60)
    assert recent.full_since(CHANGE) is None
    assert failing is not None
    assert (failing.reason, failing.rejected_by) == UNKNOWN_CA
    assert (failing.last_at, failing.count, failing.is_evidence) == (at(15), 3, True)
    assert failing.first_at == at(5)


def test_a_failure_begins_anew_after_the_change_and_after_a_success() -> None:
    before = refused(Recent(), -30, 5, 10).failing_since(CHANGE)
    again = refused(full(refused(Recent(), 5), 7), 10).failing_since(CHANGE)

    assert before is not None
    assert again is not None
    assert (before.first_at, again.first_at) == (at(10), at(10))


def test_a_storm_of_failures_forgets_no_success_of_before() -> None:
    recent = refused(full(Recent(), -60), *range(10_000))

    assert recent.full_between(CHANGE - HOUR, CHANGE) == at(-60)


def test_many_successes_since_forget_none_of_shortly_before() -> None:
    recent = full(Recent(), *range(-7200, 3600, 30))

    assert recent.full_between(CHANGE - HOUR, CHANGE) is not None
    assert recent.full_since(CHANGE) == at(3570)


def test_a_success_ends_a_failure_and_one_of_unknown_kind_too() -> None:
    out = refused(Recent(), 5)

    assert full(out, 6).failing_since(CHANGE) is None
    assert out.succeeded(at(6), is_resumed=None, is_evidence=True).failing_since(CHANGE) is None


def test_a_resumed_session_ends_no_failure_and_proves_nothing() -> None:
    recent = refused(Recent(), 5).succeeded(at(6), is_resumed=True, is_evidence=True)

    assert recent.failing_since(CHANGE) is not None
    assert recent.full_since(CHANGE) is None
    assert recent.resumed_since(CHANGE)
    assert not recent.resumed_since(at(7))


@pytest.mark.parametrize(("resumed", "evidence"), [(None, True), (False, False), (None, False)])
def test_only_a_full_handshake_of_a_trusted_source_is_one(
    resumed: bool | None, evidence: bool
) -> None:
    recent = Recent().succeeded(at(5), is_resumed=resumed, is_evidence=evidence)

    assert recent.full_since(CHANGE) is None
    assert recent.latest_s == at(5).timestamp()


def test_who_does_not_say_whether_it_was_resumed_is_told_apart_where_it_is_trusted() -> None:
    told = Recent().succeeded(at(5), is_resumed=None, is_evidence=True)
    doubtful = Recent().succeeded(at(5), is_resumed=None, is_evidence=False)

    assert told.untold_since(at(5)) == at(5)
    assert told.untold_since(at(6)) is None
    assert doubtful.untold_since(CHANGE) is None
    assert Recent.load(told.dump()) == told


def test_what_a_version_before_kept_is_read() -> None:
    before = Recent.load("[[1.0], 2.0, null, []]")

    assert (before.full_s, before.unknown_s, before.untold_s) == ((1.0,), 2.0, None)


def test_what_is_no_evidence_hides_none() -> None:
    recent = refused(refused(Recent(), 5), 9, why=EXPIRED, evidence=False)

    failing = recent.failing_since(CHANGE)
    assert failing is not None
    assert (failing.reason, failing.is_evidence) == (Reason.UNKNOWN_CA, True)


def test_failures_of_before_are_none_of_since() -> None:
    assert refused(Recent(), -5).failing_since(CHANGE) is None


def test_a_kind_of_failure_that_returns_after_weeks_begins_anew() -> None:
    recent = refused(Recent(), -KEEP_S - 10, 0)

    [only] = recent.failures
    assert (only.first_s, only.count) == (at(0).timestamp(), 1)


moments = st.lists(st.floats(-2e6, 2e6), max_size=80)


@given(moments, st.lists(st.tuples(st.sampled_from(Reason), st.floats(-2e6, 2e6)), max_size=60))
def test_it_is_bounded_keeps_the_latest_and_survives_a_restart(
    good: list[float], bad: list[tuple[Reason, float]]
) -> None:
    recent = full(Recent(), *good)
    for reason, after in bad:
        recent = refused(recent, after, why=(reason, RejectedBy.DEVICE))

    assert len(recent.full_s) <= MAX_MOMENTS
    assert len(recent.failures) <= MAX_FAILURES
    assert all(before < after for before, after in pairwise(recent.full_s))
    if good:
        assert recent.full_s[-1] == max(at(after).timestamp() for after in good)
    assert Recent.load(recent.dump()) == recent
