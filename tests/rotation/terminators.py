"""Real terminators with the agent in front of each, and real clients that come all the time."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import cast

import aiohttp

from exporter.clock import SystemClock
from exporter.demo.authorities import GATEWAY_NAME, make_authorities
from exporter.demo.device import Contact, Device, DeviceClient, client_context
from exporter.demo.fleet import devices_of
from exporter.demo.layout import Layout
from exporter.demo.options import RotationTimes
from exporter.demo.updates import StoreKeeper
from exporter.gateway.agent.drivers.embedded.tls_stream import TlsStream
from tests.daemons import is_listening, wait_until
from tests.drill.guarded import GuardedFleet, Setting, Told, write_agent_config
from tests.gateway.agent.real.stand import Versions
from tests.gateway.agent.real.terminators import HTTP, Real, Start, haproxy, mosquitto, nginx
from tests.response.stand import lasting_port
from tests.rotation.forked import Forks, Running

# Session tickets of before end with the change, so that no refusal is hidden for two hours
STARTS: Mapping[str, Start] = {
    "nginx": nginx,
    "haproxy": partial(haproxy, apply="reload"),
    "mosquitto": partial(mosquitto, drop_tickets=True),
}
CAMPAIGN = "FLEET_TLS_CAMPAIGN" in os.environ
# A busy machine alone may keep a client waiting; where it is measured, nothing else runs
MOST_OFFLINE_S = 5.0 if CAMPAIGN else 30.0
SETTING = Setting(count=4, interval="1s", contact_s=0.8, told=Told.REPORTS)
TIMES = RotationTimes(interval_s=0.5, soak_s=1.0, overlap_s=1.0)
OF_TRUST = ("certificate", "issuer", "signed", "verif", "hostname")
Agent = Callable[[GuardedFleet], AbstractContextManager[object]]
"""Runs the agent of a fleet, which answers at its ``agent_url``."""


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


def client_of(terminator: str) -> type[DeviceClient]:
    """Devices that speak what is behind the terminator."""
    return DeviceClient if terminator == "mosquitto" else HttpClient


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

    async def until_all_came(self) -> None:
        """Return once every device came from now on, and was served."""
        names, since = {one.name for one in self.fleet.devices}, self.fleet.clock.now()
        await self.fleet.until(lambda: self.fleet.connected(since) == names, "all devices to come")

    @property
    def of_trust(self) -> list[str]:
        """Refusals for what the gateway showed; there must never be one."""
        refusals = [one.refusal for one in self.attempts if one.refusal is not None]
        return [one for one in refusals if any(word in one for word in OF_TRUST)]

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


def fleet_at(layout: Layout) -> GuardedFleet:
    """Authorities, devices and their files; nothing runs."""
    clock = SystemClock()
    authorities = make_authorities(clock.now())
    devices = devices_of(SETTING.count, layout.devices)
    layout.write_secrets(authorities)
    layout.write_trust_stores(authorities, devices)
    return GuardedFleet(
        setting=SETTING, layout=layout, authorities=authorities, devices=devices, clock=clock
    )


def agent_of(fleet: GuardedFleet, forks: Forks) -> Running:
    """The agent of a fleet; it listens."""
    folder, port = fleet.layout.directory, int(fleet.agent_url.rpartition(":")[2])
    argv = ["gateway-agent", "--config", str(folder / "agent.json")]
    agent = forks.start(argv, folder / "agent.log")
    wait_until(lambda: is_listening(port), within_s=60, what="the agent to listen")
    return agent


def agents_by(forks: Forks) -> Agent:
    """Agents that run while a block does."""

    @contextmanager
    def running(fleet: GuardedFleet) -> Iterator[None]:
        agent = agent_of(fleet, forks)
        yield
        agent.stop()

    return running


@contextmanager
def fronted(name: str, fleet: GuardedFleet, agent: Agent, port: int) -> Iterator[Real]:
    """The terminator of a fleet; its agent, which is to answer at ``port``, does not run yet."""
    folder = fleet.layout.directory
    fleet.agent_url = f"http://127.0.0.1:{port}"

    def begin(settings: Mapping[str, object]) -> None:
        section = cast("Mapping[str, list[str]]", settings[name])
        fleet.gateway = section["addresses"][0]
        write_agent_config(fleet, listen=f"127.0.0.1:{port}", terminator=settings)
        with agent(fleet):
            pass  # it has made ``current``: without that no terminator starts

    with STARTS[name](folder / name, Versions(fleet.layout.gateway), before=begin) as real:
        yield real


@asynccontextmanager
async def gateway(
    name: str, folder: Path, forks: Forks
) -> AsyncIterator[tuple[GuardedFleet, Real]]:
    """The terminator with the agent in front of it, as processes, and the devices' files."""
    fleet, agent = fleet_at(Layout(folder, rotating=TIMES)), agents_by(forks)
    with forks.ending_all(), fronted(name, fleet, agent, lasting_port()) as real, agent(fleet):
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
            await clients.until_all_came()
            yield clients
        finally:
            for one in lives:
                one.cancel()
