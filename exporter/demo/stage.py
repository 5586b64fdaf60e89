"""The simulated fleet while it runs: a gateway and its agent, devices, and how each fared."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Self

import aiohttp

from exporter.clock import Clock
from exporter.demo.authorities import (
    Authorities,
    Served,
    device_certificate,
    gateway_certificate,
    gateway_chain,
    make_authorities,
)
from exporter.demo.device import Contact, Counted, Device, DeviceClient, DeviceListener
from exporter.demo.fleet import Pace, devices_of, pace_of
from exporter.demo.front import Front
from exporter.demo.layout import Layout
from exporter.demo.options import Break, Terminator
from exporter.demo.platform import Platform
from exporter.demo.updates import StoreKeeper
from exporter.gateway.agent.agent import run_agent
from exporter.gateway.agent.options import Options
from exporter.gateway.agent.versions import Content, Versions

_BETWEEN_S = 0.1
_ANSWER = aiohttp.ClientTimeout(total=60)


class Stage:
    """A gateway with its agent, and devices, on loopback; their files below one directory.

    As a context manager it holds the ports and the log; ``run`` brings it to life.
    """

    def __init__(
        self,
        layout: Layout,
        clock: Clock,
        *,
        device_count: int,
        terminator: Terminator = Terminator.EMBEDDED,
    ) -> None:
        now = clock.now()
        self._clock = clock
        self._layout = layout
        self._last: dict[str, Contact] = {}
        self.counted = Counted()
        """What all devices together counted so far."""
        self._told = asyncio.Condition()
        self._management_api: str | None = None
        self._is_up = asyncio.Event()
        self._open = ExitStack()
        self.pace: Pace = pace_of(device_count)
        self.devices: Sequence[Device] = devices_of(device_count, layout.devices)
        self.authorities: Authorities = make_authorities(now)
        layout.write_secrets(self.authorities)
        layout.write_trust_stores(self.authorities, self.devices)
        with self._open:
            front = Front(terminator, layout, clock)
            self._open.callback(front.close)
            self._driver = front.driver
            self._listeners = self._make_listeners(now)
            self._open = self._open.pop_all()
        self.gateway = str(self._driver.addresses[0])
        served = gateway_certificate(self.authorities, now)
        self._agent_options = Options.model_validate_json(
            json.dumps(layout.write_agent_config(self.devices, served, front.section)), strict=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @property
    def contacts(self) -> Mapping[str, Contact]:
        """Each device's latest attempt; a device that has not tried yet is absent."""
        return MappingProxyType(self._last)

    async def management_api(self) -> str:
        """Return the base URL of the agent's API once it answers."""
        await self._is_up.wait()
        assert self._management_api is not None  # noqa: S101 - it is up
        return self._management_api

    async def write_config(self, listen: str) -> None:
        """Write the configuration of a service that listens at ``listen`` and watches all this.

        Waits for the agent, so ``run`` must have begun.
        """
        self._layout.write_config(
            self.devices,
            listen=listen,
            gateway=self.gateway,
            management_api=await self.management_api(),
            device_addresses={name: made.address for name, made in self._listeners.items()},
            pace=self.pace,
        )

    async def run(self) -> None:
        """Let the gateway serve, its agent answer and the devices connect, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(
                run_agent(
                    self._agent_options, self._clock, listening=self._up, driver=self._driver
                )
            )
            for listener in self._listeners.values():
                tasks.create_task(listener.run())
            url = await self.management_api()
            # A group of their own: the session is closed when the last device has ended
            session = self._session(url, self._layout.device_token_file)
            async with session, asyncio.TaskGroup() as fleet:
                for device in self.devices:
                    fleet.create_task(self._client_of(device).run())
                    fleet.create_task(self._keeper_of(device, session).run())

    def _up(self, url: str) -> None:
        self._management_api = url
        self._is_up.set()

    def _client_of(self, device: Device) -> DeviceClient:
        return DeviceClient(
            device,
            self.gateway,
            self._clock,
            interval_s=self.pace.contact_s,
            tell=self._keep,
        )

    def _keeper_of(self, device: Device, session: aiohttp.ClientSession) -> StoreKeeper:
        def is_connected() -> bool:
            last = self._last.get(device.name)
            return last is not None and last.refusal is None

        return StoreKeeper(
            device,
            session,
            self._clock,
            interval_s=self.pace.contact_s,
            is_connected=is_connected,
        )

    def _session(self, url: str, token_file: Path) -> aiohttp.ClientSession:
        """Return who speaks to the agent with the token in ``token_file``."""
        token = token_file.read_text().strip()
        headers = {"Authorization": f"Bearer {token}"}
        return aiohttp.ClientSession(url, headers=headers, timeout=_ANSWER)

    @asynccontextmanager
    async def _platform(self) -> AsyncIterator[Platform]:
        url = await self.management_api()
        async with self._session(url, self._layout.token_file) as session:
            yield Platform(session)

    async def break_gateway(self, broken: Break) -> datetime:
        """Let the gateway serve a certificate with ``broken`` wrong; return since when.

        The unknown CA comes as it came in the incident: by a rotation that the platform calls a
        success. All else the agent refuses, so it comes by hand, behind its back.
        """
        now = self._clock.now()
        if broken is Break.UNKNOWN_CA:
            async with self._platform() as platform:
                issuer = self.authorities.new_intermediate
                chain = gateway_chain(await platform.csr(), issuer, now)
                await platform.rotate_without_asking(chain)
        else:
            await self._serve_by_hand(gateway_certificate(self.authorities, now, broken))
        since = self._clock.now()
        self._layout.write_alert(since)
        return since

    async def _serve_by_hand(self, served: Served) -> None:
        versions = Versions(self._layout.gateway)
        further = self._driver.further_files(served.chain_pem, served.key_pem)
        content = Content(chain_pem=served.chain_pem, key_pem=served.key_pem, further=further)
        number = max(versions.numbers()) + 1
        versions.write(number, content, self._clock.now())
        await self._driver.apply(versions.point_to(number), same_key_kind=True)

    async def platforms_word(self) -> str:
        """Return what the platform says of its fleet."""
        async with self._platform() as platform:
            complete, total = await platform.complete()
            return f"Distributed: {complete}/{total} devices"

    async def all_known(self) -> None:
        """Return once the agent has proved what it serves and every device has reported."""
        async with self._platform() as platform:
            while not await platform.is_proven() or len(set(await platform.complete())) > 1:
                await self._clock.sleep(_BETWEEN_S)

    async def all_contacts(self, wanted: Callable[[Contact], bool]) -> None:
        """Return once the latest attempt of every device is ``wanted``."""
        names = [device.name for device in self.devices]
        async with self._told:
            await self._told.wait_for(
                lambda: all(name in self._last and wanted(self._last[name]) for name in names)
            )

    async def _keep(self, contact: Contact) -> None:
        self._last[contact.device] = contact
        self.counted = self.counted.with_(contact)
        async with self._told:
            self._told.notify_all()

    def _make_listeners(self, now: datetime) -> dict[str, DeviceListener]:
        listeners = {}
        for device in self.devices:
            if device.listens:
                served = device_certificate(self.authorities, now, device.name, device.address)
                certificate = device.trust_store.parent / "endpoint.pem"
                listener = DeviceListener(device, served, certificate)
                self._open.callback(listener.close)
                listeners[device.name] = listener
        return listeners
