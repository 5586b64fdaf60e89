"""A whole rotation on each real terminator, while real clients come to it all the time."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import cast

import aiohttp
import pytest

from exporter.clock import SystemClock
from exporter.demo.authorities import GATEWAY_NAME, make_authorities
from exporter.demo.device import Contact, Device, DeviceClient, client_context
from exporter.demo.fleet import devices_of
from exporter.demo.layout import Layout
from exporter.demo.options import RotationTimes
from exporter.demo.stage import Stage
from exporter.demo.updates import StoreKeeper
from exporter.gateway.agent.drivers.embedded.tls_stream import TlsStream
from tests.daemons import Daemon, free_port
from tests.drill.guarded import (
    GuardedFleet,
    Setting,
    Told,
    write_agent_config,
    write_service_config,
)
from tests.gateway.agent.real.stand import Versions
from tests.gateway.agent.real.terminators import HTTP, Real, Start, haproxy, mosquitto, nginx
from tests.rotation.service import Service, serving

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

# Session tickets of before end with the change, so that no refusal is hidden for two hours
STARTS: Mapping[str, Start] = {
    "nginx": nginx,
    "haproxy": partial(haproxy, apply="reload"),
    "mosquitto": partial(mosquitto, drop_tickets=True),
}
CAMPAIGN = "FLEET_TLS_CAMPAIGN" in os.environ
ONES = list(STARTS) if CAMPAIGN else ["nginx"]
SETTING = Setting(count=4, interval="1s", contact_s=0.8, told=Told.REPORTS)
TIMES = RotationTimes(interval_s=0.5, soak_s=1.0, overlap_s=1.0)
# A busy machine alone may keep a client waiting; where it is measured, nothing else runs
MOST_OFFLINE_S = 5.0 if CAMPAIGN else 30.0
OF_TRUST = ("certificate", "issuer", "signed", "verif", "hostname")


class HttpClient(DeviceClient):
    """A device that speaks HTTP."""

    async def _connect(self) -> str | None:
        context = await asyncio.to_thread(client_context, self._device.trust_store)
        async with asyncio.timeout(10):
            streams = await asyncio.open_connection(
                self._host, self._port, local_addr=(self._device.address, 0)
            )
            try:
                stream = TlsStream(streams, context, server_name=GATEWAY_NAME)
                await stream.handshake()
                await stream.write(HTTP.encode())
                answer = await stream.read()
            finally:
                streams[1].close()
        return None if answer.startswith(b"HTTP/1.1 200") else "no answer to the request"


@dataclass(slots=True, kw_only=True)
class Coming:
    """Clients that come all the time, and what became of each attempt."""

    fleet: GuardedFleet
    client: type[DeviceClient]
    attempts: list[Contact] = field(default_factory=list)

    async def keep(self, contact: Contact) -> None:
        self.attempts.append(contact)
        await self.fleet.keep(contact)

    def of(self, device: Device) -> DeviceClient:
        return self.client(
            device, self.fleet.gateway, SystemClock(),
            interval_s=SETTING.contact_s, tell=self.keep,
        )  # fmt: skip

    async def live(self, device: Device, session: aiohttp.ClientSession) -> None:
        def is_connected() -> bool:
            last = self.fleet.contacts.get(device.name)
            return last is not None and last.refusal is None

        keeper = StoreKeeper(
            device, session, SystemClock(), interval_s=SETTING.contact_s, is_connected=is_connected
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.of(device).run())
            tasks.create_task(keeper.run())

    @property
    def offline_s(self) -> float:
        """The longest time that any client could not be served, from first failure to success."""
        longest, failing = 0.0, dict[str, Contact]()
        for one in self.attempts:
            if one.refusal is not None:
                failing.setdefault(one.device, one)
            elif one.device in failing:
                since = failing.pop(one.device).at
                longest = max(longest, (one.at - since).total_seconds())
        assert not failing, f"still offline at the end: {failing}"
        return longest


@asynccontextmanager
async def gateway(name: str, folder: Path) -> AsyncIterator[tuple[GuardedFleet, Real]]:
    """The terminator with the agent in front of it, as processes, and the devices' files."""
    layout, clock = Layout(folder, rotating=TIMES), SystemClock()
    authorities = make_authorities(clock.now())
    devices = devices_of(SETTING.count, layout.devices)
    layout.write_secrets(authorities)
    layout.write_trust_stores(authorities, devices)
    fleet = GuardedFleet(
        setting=SETTING, layout=layout, authorities=authorities, devices=devices, clock=clock
    )
    port = free_port()
    fleet.agent_url = f"http://127.0.0.1:{port}"

    def agent() -> Daemon:
        command = (sys.executable, "-m", "exporter", "gateway-agent")
        config = ("--config", folder / "agent.json")
        return Daemon((*command, *config), directory=folder / "agent-log", ports=[port])

    def begin(settings: Mapping[str, object]) -> None:
        section = cast("Mapping[str, list[str]]", settings[name])
        fleet.gateway = section["addresses"][0]
        write_agent_config(fleet, listen=f"127.0.0.1:{port}", terminator=settings)
        with agent():
            pass  # it has made ``current``: without that no terminator starts

    start = STARTS[name](folder / name, Versions(layout.gateway), before=begin)
    with start as real, agent():
        yield fleet, real


async def log_handshakes(fleet: GuardedFleet) -> None:
    headers = {"Authorization": f"Bearer {fleet.token}"}
    async with (
        aiohttp.ClientSession(fleet.agent_url, headers=headers) as session,
        session.put("/gateway/config", json={"GatewayConfig.tls.logHandshakes": True}) as answer,
    ):
        assert answer.status == 200, await answer.text()


@asynccontextmanager
async def coming(fleet: GuardedFleet, client: type[DeviceClient]) -> AsyncIterator[Coming]:
    """Clients that come until the block ends; each was accepted once before it begins."""
    clients = Coming(fleet=fleet, client=client)
    token = fleet.layout.device_token_file.read_text().strip()
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        aiohttp.ClientSession(fleet.agent_url, headers=headers) as session,
        asyncio.TaskGroup() as tasks,
    ):
        lives = [tasks.create_task(clients.live(one, session)) for one in fleet.devices]
        try:
            names, since = {one.name for one in fleet.devices}, fleet.clock.now()
            await fleet.until(lambda: fleet.connected(since) == names, "all devices to come")
            yield clients
        finally:
            for one in lives:
                one.cancel()


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
    name: str, tmp_path: Path
) -> None:
    client = DeviceClient if name == "mosquitto" else HttpClient
    async with gateway(name, tmp_path) as (fleet, real):
        await log_handshakes(fleet)
        write_service_config(fleet, [{"file": f"{real.folder}/{one}"} for one in real.logs])
        async with coming(fleet, client) as clients:
            done = await rotate(fleet)
            count = len(clients.attempts)
            await fleet.until(lambda: len(clients.attempts) > count + 8, "clients to go on")
            behind = await clients.of(left_behind(fleet)).connect_once()

    refusals = {one.refusal for one in clients.attempts if one.refusal is not None}
    assert [one for one in refusals if any(word in one for word in OF_TRUST)] == []
    assert clients.offline_s < MOST_OFFLINE_S, refusals
    assert done["devices"] == {"total": 4, "synced": 4, "on_new_chain": 4}
    old = fleet.authorities.old_ca.pem
    for device in fleet.devices:
        assert all(path.read_bytes() != old for path in device.trust_store.iterdir())
    assert "unable to get" in str(behind.refusal)
    assert len(clients.attempts) > 4 * SETTING.count
