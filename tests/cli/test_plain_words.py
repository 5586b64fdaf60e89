from datetime import datetime, timedelta

import pytest

from exporter.cli.plain_words import REASON_WORDS, WARNING_WORDS, moment, time_left
from exporter.cli.terminal import safe, short
from exporter.observations import Reason, WarningReason
from tests.pki import utc

NOW = utc("2026-11-24T12:00:00")


def test_every_reason_and_warning_has_plain_words() -> None:
    assert set(REASON_WORDS) == set(Reason)
    assert set(WARNING_WORDS) == set(WarningReason)


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
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("Zürich 東京", "Zürich 東京"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\u202eevil", "\\u202eevil"),
        ("\u2066a\u2069", "\\u2066a\\u2069"),
        ("\u200bzero", "\\u200bzero"),
        ("\x9b2J", "\\x9b2J"),
        ("\udcff", "\\udcff"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_what_a_terminal_would_obey_is_written_out(text: str, shown: str) -> None:
    assert safe(text) == shown


def test_a_long_text_is_cut() -> None:
    assert short("a" * 1_000) == "a" * 300 + "…"
