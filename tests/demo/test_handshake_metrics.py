"""The incident in the service's own metrics, from the gateway's log alone."""

import asyncio
import re
from pathlib import Path

import pytest
from aiohttp import ClientSession

from exporter.app import run_service
from exporter.clock import SystemClock
from exporter.demo.options import Break
from exporter.demo.watch import wait_for_handshakes
from tests.demo.standing import standing

CLOCK = SystemClock()
FAILING = re.compile(
    r'fleet_tls_device_failing\{gateway="gw-1",device="(dev-\d\d)",reason="unknown_ca",'
    r'rejected_by="device"\} 1'
)
LIMIT_S = 2.0
_PAUSE_S = 0.02


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
            # It follows the log from where that ended when it was opened
            names = {device.name for device in stage.devices}
            await wait_for_handshakes(base, names, clock=CLOCK)
            before = await failing_at(base)
            since = await stage.break_gateway(Break.UNKNOWN_CA)
            await stage.all_contacts(lambda contact: contact.at > since and bool(contact.refusal))
            # Pauses are counted, and not what a busy machine keeps us waiting for besides
            pauses = int(LIMIT_S / _PAUSE_S)
            while (found := await failing_at(base)) != names and pauses:
                pauses -= 1
                await CLOCK.sleep(_PAUSE_S)
            service.cancel()

    assert before == set()
    assert found == names
