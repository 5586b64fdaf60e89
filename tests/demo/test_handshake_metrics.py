"""The incident in the service's own metrics, from the gateway's log alone."""

import asyncio
import re
from pathlib import Path

import pytest
from aiohttp import ClientSession

from exporter.app import run_service
from exporter.clock import SystemClock
from exporter.demo.options import Break
from tests.demo.standing import standing

CLOCK = SystemClock()
FAILING = re.compile(
    r'fleet_tls_device_failing\{gateway="gw-1",device="(dev-\d\d)",reason="unknown_ca",'
    r'rejected_by="device"\} 1'
)
LIMIT_S = 2.0


async def failing_at(url: str) -> set[str]:
    async with ClientSession() as session, session.get(f"{url}/metrics") as answer:
        return set(FAILING.findall(await answer.text()))


@pytest.mark.slow
async def test_the_outage_is_18_devices_that_refuse_within_two_seconds(tmp_path: Path) -> None:
    async with standing(tmp_path) as stage:
        url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        async with asyncio.TaskGroup() as tasks:
            service = tasks.create_task(
                run_service(tmp_path / "config.yml", listening=url.set_result)
            )
            base = await url
            await stage.all_contacts(lambda contact: contact.refusal is None)
            before = await failing_at(base)
            since = await stage.break_gateway(Break.UNKNOWN_CA)
            await stage.all_contacts(lambda contact: contact.at > since and bool(contact.refusal))
            refused_s = CLOCK.monotonic()
            while len(found := await failing_at(base)) < 18:
                assert CLOCK.monotonic() - refused_s < LIMIT_S
                await CLOCK.sleep(0.02)
            service.cancel()

    assert before == set()
    assert found == {device.name for device in stage.devices}
