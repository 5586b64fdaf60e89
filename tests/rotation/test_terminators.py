"""A whole rotation on each real terminator, while real clients come to it all the time."""

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import aiohttp
import pytest

from exporter.demo.device import Device
from exporter.demo.stage import Stage
from tests.drill.guarded import GuardedFleet, write_service_config
from tests.rotation.forked import Forks
from tests.rotation.service import Service, serving
from tests.rotation.terminators import (
    CAMPAIGN,
    MOST_OFFLINE_S,
    SETTING,
    STARTS,
    client_of,
    coming,
    gateway,
    log_handshakes,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

ONES = list(STARTS) if CAMPAIGN else ["nginx"]


async def rotate(fleet: GuardedFleet) -> Mapping[str, object]:
    """Go the whole way as a person does; the rotation as it ended."""
    headers = {"Authorization": f"Bearer {fleet.token}"}
    async with (
        serving(fleet.layout.config) as url,
        aiohttp.ClientSession(url, headers=headers) as session,
    ):
        service = Service(
            stage=cast("Stage", None), folder=fleet.layout.directory, url=url, session=session
        )
        await service.looked()
        await service.post("/start", by="anna")
        await service.approve()
        await service.until(lambda seen: seen["phase"] == "overlap", within_s=120)
        await service.approve()
        return await service.until(lambda seen: seen["phase"] == "done", within_s=120)


def left_behind(fleet: GuardedFleet) -> Device:
    """A device that trusts the old CA only."""
    store = fleet.layout.directory / "left-behind"
    store.mkdir()
    (store / "old-ca.pem").write_bytes(fleet.authorities.old_ca.pem)
    return Device(
        name="left-behind", address="127.0.1.250", device_class="", rollout_group="",
        trust_store=store, listens=False,
    )  # fmt: skip


@pytest.mark.parametrize("name", ONES)
async def test_a_whole_rotation_fails_no_handshake_for_trust_and_keeps_every_client(
    name: str, tmp_path: Path, forks: Forks
) -> None:
    async with gateway(name, tmp_path, forks) as (fleet, real):
        await log_handshakes(fleet)
        write_service_config(fleet, [{"file": f"{real.folder}/{one}"} for one in real.logs])
        async with coming(fleet, client_of(name)) as clients:
            done = await rotate(fleet)
            count = len(clients.attempts)
            await fleet.until(lambda: len(clients.attempts) > count + 8, "clients to go on")
            behind = await clients.of(left_behind(fleet)).connect_once()

    assert clients.of_trust == []
    assert clients.offline_s < MOST_OFFLINE_S
    assert done["devices"] == {"total": 4, "synced": 4, "on_new_chain": 4}
    old = fleet.authorities.old_ca.pem
    for device in fleet.devices:
        assert all(path.read_bytes() != old for path in device.trust_store.iterdir())
    assert "unable to get" in str(behind.refusal)
    assert len(clients.attempts) > 4 * SETTING.count
