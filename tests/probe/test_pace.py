from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.probe.options import Options
from exporter.probe.pace import Health, Pace, Paces, first_spread_s, next_moment, pace_of
from tests.pki import utc

NOW = utc("2026-11-24T12:00:00")
PACES = Paces.of(Options())


def test_the_paces_follow_from_the_interval() -> None:
    assert (PACES.normal_s, PACES.fast_s, PACES.slow_s) == (60.0, 20.0, 300.0)
    assert [PACES.seconds(pace) for pace in Pace] == [60.0, 20.0, 300.0]


@pytest.mark.parametrize(("interval_s", "fast_s"), [(2.0, 2.0), (9.0, 5.0), (30.0, 10.0)])
def test_fast_is_a_third_at_least_five_seconds_and_never_slower_than_normal(
    interval_s: float, fast_s: float
) -> None:
    assert Paces.of(Options(interval=interval_s)).fast_s == fast_s


def test_paces_can_be_set() -> None:
    paces = Paces.of(Options(failing_interval=7.0, dead_interval=900.0))

    assert (paces.fast_s, paces.slow_s) == (7.0, 900.0)


@pytest.mark.parametrize(
    ("health", "pace"),
    [
        pytest.param(Health(), Pace.NORMAL, id="never looked at"),
        pytest.param(Health(answers=True), Pace.NORMAL, id="good"),
        pytest.param(Health(failing_since_s=100.0, answers=False), Pace.FAST, id="fails"),
        pytest.param(Health(failing_since_s=-3500.0, answers=False), Pace.SLOW, id="long dead"),
        pytest.param(Health(failing_since_s=-3500.0, answers=True), Pace.NORMAL, id="long bad"),
        pytest.param(
            Health(answers=True, not_after=NOW + timedelta(days=2)), Pace.FAST, id="near the end"
        ),
        pytest.param(
            Health(answers=True, not_after=NOW - timedelta(days=2)), Pace.FAST, id="just ended"
        ),
        pytest.param(
            Health(answers=True, not_after=NOW + timedelta(days=3)), Pace.NORMAL, id="boundary"
        ),
        pytest.param(
            Health(answers=True, not_after=NOW - timedelta(days=30)), Pace.NORMAL, id="long ended"
        ),
        pytest.param(
            Health(failing_since_s=-3500.0, answers=False, not_after=NOW),
            Pace.SLOW,
            id="dead goes before the end",
        ),
    ],
)
def test_the_pace_follows_from_the_looks(health: Health, pace: Pace) -> None:
    assert pace_of(health, PACES, now=NOW, now_s=100.0) is pace


@given(
    phase=st.floats(0, 1, exclude_max=True),
    period_s=st.floats(0.1, 86_400),
    after_s=st.floats(0, 4e9),
)
def test_the_next_moment_is_later_by_at_most_a_period_and_in_phase(
    phase: float, period_s: float, after_s: float
) -> None:
    moment = next_moment(phase, period_s, after_s=after_s)

    assert after_s < moment <= after_s + period_s * 1.000_001 + 1e-5
    turns = moment / period_s - phase
    assert abs(turns - round(turns)) < 1e-4


@pytest.mark.parametrize(
    ("count", "interval_s", "spread_s"),
    [(0, 60.0, 1.0), (19, 60.0, 1.0), (1_000, 60.0, 10.0), (10_000, 60.0, 60.0), (19, 0.5, 0.5)],
)
def test_first_looks_are_spread(count: int, interval_s: float, spread_s: float) -> None:
    assert first_spread_s(count, interval_s) == spread_s
