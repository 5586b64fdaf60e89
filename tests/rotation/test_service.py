"""The real service, its real hands, and the demo's fleet with the real agent."""

from pathlib import Path

import pytest

from tests.rotation.service import rotating

pytestmark = pytest.mark.timeout(180)


async def test_a_whole_rotation_leaves_nobody_dark_for_a_moment(tmp_path: Path) -> None:
    async with rotating(tmp_path) as service:
        planned = await service.post("/plan", new_ca=service.new_ca())
        started = await service.post("/start", new_ca=service.new_ca(), by="anna")
        await service.approve()
        overlap = await service.until(lambda seen: seen["phase"] == "overlap")
        await service.approve()
        done = await service.until(lambda seen: seen["phase"] == "done")

    assert planned["devices"]["total"] == started["devices"]["total"] == 4
    assert overlap["devices"] == {"total": 4, "synced": 4, "on_new_chain": 4}
    assert done["gate"] == {"open": True, "blockers": []}
    assert service.refusals == []
    for device in service.stage.devices:
        names = {path.name for path in device.trust_store.iterdir()}
        assert "old-ca.pem" not in names
