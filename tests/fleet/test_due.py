from datetime import timedelta

from exporter.fleet.due import Due
from tests.pki import utc

NOW = utc("2026-11-24T12:00:00")
SECOND = timedelta(seconds=1)


def test_a_name_is_taken_once_when_its_moment_has_come() -> None:
    due = Due()
    due.set("a", NOW + 10 * SECOND, now=NOW)

    assert due.take(5, now=NOW + 9 * SECOND) == []
    assert due.take(5, now=NOW + 10 * SECOND) == ["a"]
    assert due.take(5, now=NOW + 11 * SECOND) == []
    assert len(due) == 0


def test_the_latest_moment_given_is_the_one_that_counts() -> None:
    due = Due()
    due.set("a", NOW + 10 * SECOND, now=NOW)
    due.set("a", NOW + 20 * SECOND, now=NOW)
    due.set("b", NOW + 10 * SECOND, now=NOW)
    due.set("b", None, now=NOW)
    due.set("c", NOW + 10 * SECOND, now=NOW)
    due.forget("c")

    assert due.take(5, now=NOW + 15 * SECOND) == []
    assert due.take(5, now=NOW + 20 * SECOND) == ["a"]


def test_a_moment_that_has_passed_is_put_off_so_that_nobody_runs_in_circles() -> None:
    due = Due()
    due.set("a", NOW - SECOND, now=NOW)

    assert due.take(5, now=NOW) == []
    assert due.take(5, now=NOW + SECOND) == ["a"]


def test_what_is_due_at_once_is_taken_at_once_a_bounded_number() -> None:
    due = Due()
    for number in range(5):
        due.set_now(f"name-{number}", now=NOW)

    assert [len(due.take(2, now=NOW)) for _ in range(4)] == [2, 2, 1, 0]


def test_moments_that_change_all_the_time_do_not_pile_up() -> None:
    due = Due()
    for number in range(10_000):
        due.set("a", NOW + (number + 2) * SECOND, now=NOW)

    assert len(due._heap) < 100
    assert due.take(5, now=NOW + 10_001 * SECOND) == ["a"]
