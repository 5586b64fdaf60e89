"""The way back before a real nginx: rehearsed on its second port, and lost with its key."""

from pathlib import Path
from typing import Any

import pytest

from exporter.gateway.agent.driver import KEY
from tests.drill.guarded import Setting
from tests.drill.standing import guarded_fleet

SETTING = Setting(count=4, interval="1s", contact_s=0.5)
LOST = "key is lost or does not match"


@pytest.mark.slow
@pytest.mark.timeout(200)
async def test_nginx_serves_the_previous_version_on_its_second_port_until_its_key_is_lost(
    tmp_path: Path,
) -> None:
    async with guarded_fleet(tmp_path, SETTING) as fleet:

        async def ready() -> Any:
            told = await fleet.rehearsed()
            return told["way_back"] if told and told["rollback_ready"] is True else None

        async def lost() -> Any:
            """For its key, and not for a look that came too late."""
            told = await fleet.rehearsed()
            is_so = told and told["rollback_ready"] is False and LOST in told["way_back"]["reason"]
            return told if is_so else None

        await fleet.rotate(fleet.authorities.old_intermediate)
        before = await fleet.served()
        way_back = await fleet.until(ready, "a way back")
        after = await fleet.served()
        (fleet.layout.gateway / "versions" / "1" / KEY).unlink()
        await fleet.until(lost, "the lost key to be told")

    assert before == after  # what devices meet was not touched
    told = [way_back[key] for key in ("version", "accepting_devices", "devices")]
    assert told == [1, 4, 4]
