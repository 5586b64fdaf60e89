from datetime import datetime, timedelta

import pytest

from exporter.observations import Reason, WarningReason
from exporter.plain_words import ADVICE, REASON_WORDS, WARNING_WORDS, ago, moment, time_left
from tests.pki import utc

NOW = utc("2026-11-24T12:00:00")


def test_every_reason_and_warning_has_plain_words() -> None:
    assert set(REASON_WORDS) == set(Reason)
    assert set(WARNING_WORDS) == set(WarningReason)
    assert set(ADVICE) == set(Reason)


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (NOW + timedelta(days=90, hours=3), "90 days left"),
        (NOW + timedelta(days=2), "2 days left"),
        (NOW + timedelta(hours=47), "47 hours left"),
        (NOW + timedelta(hours=1), "1 hour left"),
        (NOW + timedelta(minutes=59), "59 minutes left"),
        (NOW + timedelta(seconds=5), "0 minutes left"),
        (NOW, "ended 0 minutes ago"),
        (NOW - timedelta(minutes=1), "ended 1 minute ago"),
        (NOW - timedelta(days=23, hours=5), "ended 23 days ago"),
    ],
)
def test_time_is_told_in_the_unit_that_fits(end: datetime, words: str) -> None:
    assert time_left(end, NOW) == words


def test_moments_are_told_to_the_minute() -> None:
    assert moment(NOW) == "2026-11-24 12:00 UTC"


@pytest.mark.parametrize(
    ("age_s", "words"),
    [
        (0, "0 s ago"),
        (-0.5, "0 s ago"),
        (89.4, "89 s ago"),
        (90, "2 min ago"),
        (89 * 60, "89 min ago"),
        (5 * 3600, "5 h ago"),
        (36 * 3600, "2 days ago"),
        (-20, "20 s ahead of this clock"),
    ],
)
def test_an_age_is_told_in_short(age_s: float, words: str) -> None:
    assert ago(NOW - timedelta(seconds=age_s), NOW) == words
