"""What is taken of what a platform says, and which of two reports counts."""

from datetime import UTC, datetime, timedelta, timezone
from functools import reduce
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.gateway.messages import DeviceTrustStore
from exporter.trust_store.merge import MOST_ANCHORS, Ignored, known_of, merged
from exporter.trust_store.model import Known
from tests.trust_store.saying import HOUR_S, NEW, NOON, OLD, after, anchor, entry, report, word

NEXT_CENTURY = datetime(2126, 1, 1, tzinfo=UTC)


def taken(of: DeviceTrustStore, *, offset_s: float | None = None) -> Known | Ignored:
    return known_of(of, offset_s=offset_s, now=NOON)


def received(of: DeviceTrustStore, *, offset_s: float | None = None) -> datetime:
    found = taken(of, offset_s=offset_s)
    assert isinstance(found, Known)
    assert found.report is not None
    return found.report.received_at


def test_an_entry_becomes_a_report_and_a_word() -> None:
    found = taken(entry(anchors=[OLD, NEW], status="PENDING", received_at=after(-5)))

    assert found == Known(
        report=report(OLD, NEW, received_s=-5, reported_at=NOON), word=word("PENDING")
    )


def test_no_anchors_are_a_report_and_none_at_all_are_not() -> None:
    nothing, never = taken(entry(anchors=[])), taken(entry(anchors=None))

    assert isinstance(nothing, Known)
    assert nothing.report == report()
    assert never == Known(word=word())


@pytest.mark.parametrize(
    ("of", "why"),
    [
        pytest.param(entry(received_at=after(301)), Ignored.FUTURE, id="received in the future"),
        pytest.param(entry(received_at=NEXT_CENTURY), Ignored.FUTURE, id="next century"),
        pytest.param(
            entry(received_at=None, reported_at=None), Ignored.NO_TIME, id="no time at all"
        ),
        pytest.param(
            entry(received_at=None, reported_at=NEXT_CENTURY), Ignored.NO_TIME, id="no possible"
        ),
        pytest.param(
            entry(anchors=[anchor(str(n)) for n in range(MOST_ANCHORS + 1)]),
            Ignored.TOO_MANY_ANCHORS,
            id="too many",
        ),
    ],
)
def test_what_cannot_be_is_refused(of: DeviceTrustStore, why: Ignored) -> None:
    assert taken(of) is why


def test_a_wrong_device_clock_is_no_reason_to_refuse() -> None:
    assert received(entry(reported_at=NEXT_CENTURY)) == NOON


def test_a_missing_moment_is_taken_from_the_other() -> None:
    assert received(entry(received_at=None, reported_at=after(-9))) == after(-9)
    found = taken(entry(reported_at=None, received_at=after(-9)))
    assert isinstance(found, Known)
    assert found.report is not None
    assert found.report.reported_at == after(-9)


def test_a_platform_whose_clock_is_wrong_is_understood() -> None:
    assert received(entry(received_at=after(HOUR_S)), offset_s=-HOUR_S) == NOON
    assert received(entry(received_at=after(30)), offset_s=-30.0) == after(30)
    last = datetime.max.replace(tzinfo=UTC)
    assert taken(entry(received_at=last), offset_s=HOUR_S) is Ignored.FUTURE


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00"])
def test_the_ends_of_the_calendar_break_nothing(text: str) -> None:
    end = datetime.fromisoformat(text)

    found = taken(entry(reported_at=end))
    refused = taken(entry(received_at=end, reported_at=end))

    assert isinstance(found, Known)
    assert found.report is not None
    assert found.report.reported_at.utcoffset() == timedelta(0)
    assert refused is Ignored.FUTURE or isinstance(refused, Known)


def test_moments_are_kept_in_utc() -> None:
    local = NOON.astimezone(timezone(timedelta(hours=5)))

    assert str(received(entry(received_at=local))) == str(NOON)


def test_the_platforms_words_are_cut_and_harmless() -> None:
    found = taken(entry(status="FAILED", error="disk\nfull" + "x" * 900))

    assert isinstance(found, Known)
    assert found.word is not None
    assert found.word.error.startswith("disk\\0Afull")
    assert len(found.word.error) <= 202


def test_the_report_received_later_counts_in_any_order() -> None:
    three = [Known(report=report(OLD, received_s=n)) for n in (1.0, 3.0, 2.0)]

    for order in permutations(three):
        assert reduce(merged, order, Known()).report == three[1].report


def test_the_same_again_changes_nothing() -> None:
    first = merged(Known(), Known(report=report(OLD), word=word(told_s=1)))

    assert merged(first, Known(report=report(OLD), word=word(told_s=9))) is first
    assert merged(first, Known()) is first


def test_a_platform_that_forgot_a_report_takes_nothing_from_us() -> None:
    first = Known(report=report(OLD), word=word())

    now_known = merged(first, Known(word=word("PENDING", told_s=5)))

    assert now_known == Known(report=report(OLD), word=word("PENDING", told_s=5))


def test_a_newer_push_outdates_the_platforms_word_until_it_speaks_again() -> None:
    polled = Known(report=report(OLD), word=word("PENDING"))

    pushed = merged(polled, Known(report=report(OLD, NEW, received_s=5)))
    late = merged(polled, Known(report=report(NEW, received_s=-5)))
    again = merged(pushed, Known(report=report(OLD), word=word("COMPLETE", told_s=9)))

    assert pushed == Known(report=report(OLD, NEW, received_s=5))
    assert late is polled
    assert again == Known(report=report(OLD, NEW, received_s=5), word=word("COMPLETE", told_s=9))


reports = st.builds(
    report,
    st.sampled_from([OLD, NEW]),
    received_s=st.integers(0, 3).map(float),
    reported_at=st.integers(0, 2).map(after),
)


@given(st.lists(reports, min_size=1, max_size=6), st.randoms())
def test_merging_is_the_same_in_every_order_and_however_often(
    made: list[object], random: object
) -> None:
    first = [Known(report=one) for one in made]  # type: ignore[arg-type]  # built above
    second = first * 2
    random.shuffle(second)  # type: ignore[attr-defined]  # hypothesis' own

    assert reduce(merged, first, Known()) == reduce(merged, second, Known())
