import os
import sys
from pathlib import Path

import pytest

from tests.drill.rollback import run_rollback
from tests.drill.scenarios import SCENARIOS

IS_CAMPAIGN = "FLEET_TLS_CAMPAIGN" in os.environ
TIMES = 5 if IS_CAMPAIGN else 1
# The others run without Prometheus and Alertmanager in test_scenarios.py
OTHERS = [name for name in SCENARIOS if name != "undone"] if IS_CAMPAIGN else ["not-back"]


pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.mark.parametrize("number", range(TIMES))
async def test_a_rotation_that_nobody_accepts_is_undone_and_all_devices_are_back(
    number: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    undone = await run_rollback(tmp_path)

    with capsys.disabled():
        sys.stdout.write("\n".join(["", *undone.lines(), ""]))
    assert undone.is_good
    order = ["forced", "delivery", "intent", "attempt served", "back"]
    seconds = [undone.timeline.seconds(key) for key in order]
    assert seconds == sorted(seconds)


@pytest.mark.parametrize("name", OTHERS)
async def test_an_outage_that_a_rollback_does_not_end_is_escalated_or_left_to_a_person(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drilled = await run_rollback(tmp_path, SCENARIOS[name])

    with capsys.disabled():
        sys.stdout.write("\n".join(["", *drilled.lines(), ""]))
    assert drilled.is_good, drilled.fault
