"""How a report stands to what is wanted; whatever the clocks say."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.gateway.messages import DeviceUpdateStatus
from exporter.trust_store.compare import (
    FUTURE,
    difference_of,
    fresh_until,
    standing_of,
    tally_of,
    total_of,
)
from exporter.trust_store.model import Condition, Known, Standing, SyncState, Wanted, Word
from tests.fleet.stand import certificate
from tests.trust_store.saying import (
    HOUR_S,
    NEW,
    NOON,
    OLD,
    OTHER,
    after,
    known,
    report,
    wanted,
    word,
)

BOTH = wanted(OLD, NEW)
CENTURY = datetime(1926, 1, 1, tzinfo=UTC)


def stand(
    of: Known, want: Wanted | None = BOTH, *, at_s: float = 60.0, limit_s: float = HOUR_S
) -> Standing:
    now = after(at_s)
    difference = None
    if of.report is not None:
        anchors = want.anchors if want is not None else None
        difference = difference_of(anchors, of.report.anchors, {}, expiring_s=0, now=now)
    return standing_of(of, want, difference, limit_s=limit_s, now=now)


@pytest.mark.parametrize(
    ("of", "state"),
    [
        pytest.param(known(OLD, NEW), "synced", id="complete and there"),
        pytest.param(known(OLD, NEW, said=None), "synced", id="nobody's word, and there"),
        pytest.param(known(OLD, NEW, OTHER), "synced", id="more than wanted"),
        pytest.param(known(OLD), "failed", id="complete and not there"),
        pytest.param(known(), "failed", id="complete and trusts nothing"),
        pytest.param(known(OLD, said="PENDING"), "pending", id="pending"),
        pytest.param(known(OLD, NEW, said="PENDING"), "pending", id="pending though there"),
        pytest.param(known(OLD, said="FAILED"), "failed", id="failed"),
        pytest.param(known(OLD, NEW, said="FAILED"), "failed", id="failed though there"),
        pytest.param(known(OLD, said=None), "pending", id="nobody's word, wanted lately"),
        pytest.param(known(OLD, NEW, received_s=-HOUR_S), "stale", id="old"),
        pytest.param(known(OLD, said="PENDING", received_s=-HOUR_S), "stale", id="old, pending"),
        pytest.param(Known(word=word()), "never_reported", id="complete without a report"),
        pytest.param(Known(), "never_reported", id="nothing"),
    ],
)
def test_each_state_has_its_reason(of: Known, state: str) -> None:
    assert stand(of).state == SyncState(state)


def test_what_nobody_promised_is_pending_for_a_while_and_then_failed() -> None:
    of = known(OLD, said=None, received_s=HOUR_S - 1)

    before, then = stand(of, at_s=HOUR_S - 1), stand(of, at_s=HOUR_S)

    assert (before.state, before.steady_until) == (SyncState.PENDING, after(HOUR_S))
    assert then.state is SyncState.FAILED


@pytest.mark.parametrize("said", ["COMPLETE", None])
def test_where_nothing_is_wanted_nothing_is_synced(said: str | None) -> None:
    standing = stand(known(OLD, said=said), None)

    assert standing.state is None
    assert standing.difference is not None
    assert standing.difference.extra == ()


def test_the_platform_is_heard_also_where_nothing_is_wanted() -> None:
    assert stand(known(OLD, said="FAILED"), None).state is SyncState.FAILED
    assert stand(Known(), None).state is SyncState.NEVER_REPORTED


@pytest.mark.parametrize(
    ("received_s", "reported_at", "state"),
    [
        pytest.param(0, CENTURY, "synced", id="clock never set, received lately"),
        pytest.param(-HOUR_S, CENTURY, "stale", id="clock never set, received long ago"),
        pytest.param(0, NOON + timedelta(days=9_000), "synced", id="future, received lately"),
        pytest.param(-HOUR_S, NOON + timedelta(days=9_000), "stale", id="future, long ago"),
        pytest.param(-HOUR_S, after(60), "stale", id="clock ahead, received long ago"),
        pytest.param(0, after(-HOUR_S), "stale", id="written long ago, received lately"),
        pytest.param(0, after(-HOUR_S + 61), "synced", id="written lately"),
        pytest.param(2 * HOUR_S, NOON, "stale", id="received in the future"),
        pytest.param(120, NOON, "synced", id="another clock, a little ahead"),
    ],
)
def test_no_clock_makes_an_old_report_fresh(
    received_s: float, reported_at: datetime, state: str
) -> None:
    of = Known(report=report(OLD, NEW, received_s=received_s, reported_at=reported_at))

    assert stand(of).state == SyncState(state)


def test_a_report_from_the_future_counts_when_our_clock_has_come_there() -> None:
    of = Known(report=report(OLD, NEW, received_s=2 * HOUR_S))

    standing = stand(of)

    assert standing.steady_until == after(2 * HOUR_S) - FUTURE
    assert stand(of, at_s=2 * HOUR_S - FUTURE.total_seconds()).state is SyncState.SYNCED


def test_anchors_that_end_are_told_where_their_certificate_is_known() -> None:
    over, soon, later = (
        certificate("a", not_after="2026-11-24"),
        certificate("b", not_after="2026-12-01"),
        certificate("c", not_after="2027-12-01"),
    )
    reported = frozenset({one.fingerprint_sha256 for one in (over, soon, later)} | {OTHER})
    certificates = {one.fingerprint_sha256: one for one in (over, soon, later)}

    found = difference_of(None, reported, certificates, expiring_s=30 * 86_400, now=NOON)

    assert found.expired == (over.fingerprint_sha256,)
    assert found.expiring == (soon.fingerprint_sha256,)
    assert found.steady_until == soon.not_after
    assert found.conditions == (Condition.EXPIRED, Condition.EXPIRING)


def test_an_anchor_begins_to_expire_at_the_moment_that_was_told() -> None:
    one = certificate("c", not_after="2027-12-01")
    reported, certificates = frozenset({one.fingerprint_sha256}), {one.fingerprint_sha256: one}

    before = difference_of(reported, reported, certificates, expiring_s=86_400, now=NOON)
    assert before.steady_until is not None
    then = difference_of(
        reported, reported, certificates, expiring_s=86_400, now=before.steady_until
    )

    assert (before.conditions, then.conditions) == ((), (Condition.EXPIRING,))


def test_counts_name_all_states_and_conditions() -> None:
    tally = tally_of([])

    assert tally.states == dict.fromkeys(SyncState, 0)
    assert tally.conditions == dict.fromkeys(Condition, 0)
    assert tally.outstanding_since is None


def test_counts_leave_out_what_is_stale_and_what_is_undefined() -> None:
    tally = tally_of(
        [
            stand(known(OLD, NEW)),
            stand(known(OLD), wanted(NEW, since_s=-5)),
            stand(known(OTHER, received_s=-HOUR_S), wanted(NEW, since_s=-50)),
            stand(Known()),
            stand(known(OLD), None),
        ]
    )

    assert tally.states == {
        SyncState.SYNCED: 1,
        SyncState.PENDING: 0,
        SyncState.FAILED: 1,
        SyncState.STALE: 1,
        SyncState.NEVER_REPORTED: 1,
    }
    assert tally.undefined_count == 1
    assert (tally.conditions[Condition.MISSING], tally.conditions[Condition.EXTRA]) == (1, 1)
    assert tally.outstanding_since == after(-50)


def test_the_counts_of_parts_are_those_of_the_whole() -> None:
    some = [stand(known(OLD, NEW)), stand(known(OLD), wanted(NEW, since_s=-5)), stand(Known())]
    others = [stand(known(OLD), None), stand(known(OLD), wanted(NEW, since_s=-9))]

    assert total_of([tally_of(some), tally_of(others)]) == tally_of([*some, *others])
    assert total_of([]) == tally_of([])


def test_a_stale_report_tells_no_anchors_and_still_its_age() -> None:
    fresh, stale = stand(known(OLD)), stand(known(OLD, received_s=-HOUR_S))

    assert fresh.current_anchors == frozenset({OLD})
    assert stale.current_anchors is None
    assert stale.report_age_s(NOON) == HOUR_S
    assert stand(Known()).current_anchors is None
    assert stand(Known()).report_age_s(NOON) is None


moments = st.datetimes(
    min_value=CENTURY.replace(tzinfo=None),
    max_value=NOON.replace(year=2100, tzinfo=None),
    timezones=st.just(UTC),
)
nearby = st.floats(-3 * HOUR_S, 3 * HOUR_S).map(after)
anchors = st.frozensets(st.sampled_from([OLD, NEW, OTHER]))
words = st.none() | st.builds(
    Word, status=st.sampled_from(DeviceUpdateStatus), told_at=nearby, error=st.just("")
)


@st.composite
def knowns(draw: st.DrawFn) -> Known:
    made = None
    if draw(st.booleans()):
        made = report(*draw(anchors), reported_at=draw(moments | nearby))
        received_s = draw(st.floats(-3 * HOUR_S, 3 * HOUR_S))
        made = report(*made.anchors, received_s=received_s, reported_at=made.reported_at)
    return Known(report=made, word=draw(words))


wants = st.none() | st.builds(Wanted, anchors=anchors.filter(bool), since=nearby)


@given(of=knowns(), want=wants, at_s=st.floats(0, 3 * HOUR_S))
def test_synced_is_only_what_was_received_lately_and_holds_all(
    of: Known, want: Wanted | None, at_s: float
) -> None:
    standing = stand(of, want, at_s=at_s)

    if standing.state is SyncState.SYNCED:
        assert of.report is not None
        assert want is not None
        assert of.report.anchors >= want.anchors
        assert after(at_s) - of.report.received_at < timedelta(seconds=HOUR_S)
        assert of.report.received_at - after(at_s) <= FUTURE
        assert of.word is None or of.word.status is DeviceUpdateStatus.COMPLETE


@given(of=knowns(), want=wants, at_s=st.floats(0, 3 * HOUR_S), share=st.floats(0, 1))
def test_a_state_stays_until_the_moment_that_it_tells(
    of: Known, want: Wanted | None, at_s: float, share: float
) -> None:
    standing = stand(of, want, at_s=at_s)
    until_s = 30 * HOUR_S
    if standing.steady_until is not None:
        until_s = (standing.steady_until - NOON).total_seconds()
        assert until_s > at_s

    later_s = at_s + share * (until_s - at_s) * 0.999_999

    assert stand(of, want, at_s=later_s).state is standing.state


@given(of=knowns(), reported_at=moments)
def test_the_devices_own_clock_only_ever_makes_a_report_older(
    of: Known, reported_at: datetime
) -> None:
    if of.report is None:
        return
    moved = report(
        received_s=(of.report.received_at - NOON).total_seconds(), reported_at=reported_at
    )

    assert fresh_until(moved, HOUR_S) <= moved.received_at + timedelta(seconds=HOUR_S)
