import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from exporter.alerts.book import alerts_of
from exporter.alerts.values import Values
from tests.drill.drill import LOGGED, MISMATCH, OUTAGE, foreseen, run_drill
from tests.drill.timeline import Outcome, Timeline

TIMES = 5 if "FLEET_TLS_CAMPAIGN" in os.environ else 1
BEGAN = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("number", range(TIMES))
async def test_the_outage_pages_in_time_and_nothing_else_is_said(
    number: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = await run_drill(tmp_path)

    with capsys.disabled():
        sys.stdout.write("\n".join(["", *outcome.lines(), ""]))
    assert outcome.is_good
    # What is looked at in turns is noted a moment after it was so; a page notes itself
    states = (f"{LOGGED} critical pending", f"{LOGGED} critical firing")
    for order in (states, (f"page {LOGGED}",), ("metric",)):
        seconds = [outcome.timeline.seconds(key) for key in ("asked", "served", *order)]
        assert seconds == sorted(seconds)
    assert outcome.alerts[MISMATCH] == 18


def test_the_runbook_of_the_outage_names_alerts_that_there_are() -> None:
    assert {OUTAGE, LOGGED, MISMATCH} <= foreseen()
    assert foreseen() <= {alert.name for alert in alerts_of(Values())}


def outcome(delivered_s: float, *unforeseen: str) -> Outcome:
    timeline = Timeline(began_at=BEGAN)
    timeline.note("b", BEGAN + timedelta(seconds=delivered_s), "delivered")
    timeline.note("a", BEGAN, "served")
    timeline.note("a", BEGAN + timedelta(seconds=9), "served again")
    return Outcome(
        timeline=timeline,
        delivered_s=delivered_s,
        unforeseen=frozenset(unforeseen),
        alerts={"B": 2, "A": 1},
        limit_s=45.0,
    )


def test_a_drill_is_told_in_order_with_its_totals() -> None:
    assert list(outcome(7.5).lines()) == [
        "   0.0 s  served",
        "   7.5 s  delivered",
        "",
        "alerts: A 1, B 2",
        "not named by the runbook: none",
        "from the bad certificate to the page: 7.5 s (limit 45 s): in time",
    ]
    assert outcome(7.5).is_good


def test_a_drill_that_is_late_or_says_too_much_is_not_good() -> None:
    assert not outcome(45.0).is_good
    assert "TOO LATE" in list(outcome(45.0).lines())[-1]
    assert not outcome(7.5, "FleetTLSNotLookedAt").is_good
    said = outcome(7.5, "FleetTLSNotLookedAt").lines()
    assert "not named by the runbook: FleetTLSNotLookedAt" in said
