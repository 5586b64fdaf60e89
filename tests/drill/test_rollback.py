import os
import sys
from pathlib import Path

import pytest

from tests.drill.rollback import run_rollback

TIMES = 5 if "FLEET_TLS_CAMPAIGN" in os.environ else 1


@pytest.mark.slow
@pytest.mark.timeout(300)
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
