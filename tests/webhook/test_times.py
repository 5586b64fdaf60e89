"""What moments in deliveries tell of our clock."""

from datetime import UTC, datetime, timedelta

from exporter.webhook.times import SenderTimes

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def test_without_a_delivery_nothing_is_known() -> None:
    assert SenderTimes().offset_at_most_s(NOW, 1000.0) is None


def test_an_alert_of_the_past_is_a_limit_on_one_side_only() -> None:
    times = SenderTimes()
    times.note(at(-3600), 1000.0)

    assert times.offset_at_most_s(NOW, 1000.0) == 3600.0


def test_an_alert_from_our_future_shows_that_we_are_behind_whatever_comes_after_it() -> None:
    times = SenderTimes()
    times.note(at(90), 1000.0)
    times.note(at(-3600), 1010.0)

    assert times.offset_at_most_s(at(10), 1010.0) == -90.0


def test_a_clock_that_is_put_right_is_right_at_once() -> None:
    times = SenderTimes()
    times.note(at(7200), 1000.0)

    assert times.offset_at_most_s(at(7200), 1000.0) == 0.0


def test_what_is_older_than_a_quarter_of_an_hour_tells_nothing() -> None:
    times = SenderTimes()
    times.note(at(90), 1000.0)

    assert times.offset_at_most_s(at(800), 1800.0) == -90.0
    assert times.offset_at_most_s(at(1000), 2000.0) is None


def test_what_is_kept_does_not_grow_with_the_deliveries() -> None:
    times = SenderTimes()
    for number in range(10_000):
        times.note(at(number), 1000.0 + number)

    assert len(times._shown_s) <= 16


def test_the_ends_of_the_calendar_are_moments_like_others() -> None:
    times = SenderTimes()
    times.note(datetime.max.replace(tzinfo=UTC), 1000.0)
    times.note(datetime.min.replace(tzinfo=UTC), 1000.0)

    assert (times.offset_at_most_s(NOW, 1000.0) or 0) < -1e11
