from pathlib import Path

import pytest

from tests.drill.light import run_light
from tests.drill.scenarios import SCENARIOS

pytestmark = pytest.mark.timeout(180)


@pytest.mark.parametrize("name", [name for name in SCENARIOS if name != "undone"])
async def test_each_outage_ends_as_it_must(name: str, tmp_path: Path) -> None:
    await run_light(tmp_path, SCENARIOS[name])
