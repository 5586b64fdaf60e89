"""The way back before a real nginx: rehearsed on its second port, and lost with its key."""

from pathlib import Path
from typing import Any

import pytest

from exporter.gateway.agent.driver import KEY
from tests.drill.guarded import Setting
from tests.drill.standing import guarded_fleet

SETTING = Setting(count=4, interval="1s", contact_s=0.5)


@pytest.mark.slow
@pytest.mark.timeout(200)
async def test_nginx_serves_the_previous_version_on_its_second_port_until_its_key_is_lost(
    tmp_path: Path,
) -> None:
    async with guarded_fleet(tmp_path, SETTING) as fleet:

        async def rehearsed(*, is_ready: bool) -> Any:
            told = await fleet.remediation("/rehearse", {"gateway": "gw-1", "by": "ada"})
            return told["way_back"] if told["rollback_ready"] is is_ready else None

        await fleet.rotate(fleet.authorities.old_intermediate)
        before = await fleet.served()
        ready = await fleet.until(lambda: rehearsed(is_ready=True), "a way back")
        after = await fleet.served()
        (fleet.layout.gateway / "versions" / "1" / KEY).unlink()
        lost = await fleet.until(lambda: rehearsed(is_ready=False), "the lost key to be told")

    assert before == after  # what devices meet was not touched
    assert (ready["version"], ready["accepting_devices"], ready["devices"]) == (1, 4, 4)
    assert "key is lost or does not match" in lost["reason"]
