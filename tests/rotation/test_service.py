"""The real service, its real hands, and the demo's fleet with the real agent."""

from pathlib import Path
from typing import Any

import pytest

from tests.rotation.service import Service, configure, fleet, served

pytestmark = pytest.mark.timeout(240)

# By the facts, which a service that was begun again gathers anew
ALL_ON_NEW = {"total": 4, "synced": 4, "on_new_chain": 4}


async def test_a_rotation_over_a_stop_in_the_middle_leaves_nobody_dark_for_a_moment(
    tmp_path: Path,
) -> None:
    # The canary is watched for as long as it takes to look at it, and stop
    async with fleet(tmp_path, mode="dry_run", soak="1h") as (stage, refusals):
        async with served(tmp_path, stage, refusals) as service:
            await service.post("/plan", new_ca=service.new_ca())
            started = await service.post("/start", new_ca=service.new_ca(), by="anna")
            dry = await service.until(lambda seen: seen["next"] is not None)
            await service.reload(mode="act")
            await service.approve()
            canary = await service.until(lambda seen: seen["phase"] == "canary")
            remedied = await remedy(service)
        configure(tmp_path, soak="1s")
        async with served(tmp_path, stage, refusals) as service:
            overlap = await service.until(
                lambda seen: seen["phase"] == "overlap" and seen["devices"] == ALL_ON_NEW
            )
            phases = await service.samples("fleet_tls_rotation_phase")
            await service.approve()
            done = await service.until(lambda seen: seen["phase"] == "done")
            history = await service.get("/history?limit=1000")

    # In dry_run it is said what would be done, and no key is made
    assert (dry["phase"], dry["next"]["step"]) == ("planned", "order")
    assert dry["gate"]["open"] is False
    # One arbiter: remediation leaves a gateway alone that a rotation is at
    assert "rotation_in_charge" in remedied["refusals"]
    # What was begun before the stop is gone on with where the facts are
    assert started["id"] == canary["id"] == overlap["id"] == done["id"]
    assert [labels for labels, value in phases.items() if value == 1] == [
        f'{{rotation="{overlap["id"]}",phase="overlap"}}'
    ]
    assert done["gate"] == {"open": True, "blockers": []}
    told = [one["facts"] for one in history["items"]]
    assert [one["what"] for one in told if "what" in one] == ["start", "approve", "approve"]
    asked = [one for one in told if one.get("step") == "rotate" and "operation_number" in one]
    assert len(asked) == 1
    assert refusals == []
    for device in stage.devices:
        assert "old-ca.pem" not in {path.name for path in device.trust_store.iterdir()}


async def remedy(service: Service) -> dict[str, Any]:
    """What a rollback by hand would say at this moment."""
    return dict(
        await service.post("/rollback", base="/api/v1/remediation", gateway="gw-1", act=False)
    )
