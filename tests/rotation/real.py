"""Real terminators, each with its agent, the devices behind them, and the service over all."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import aiohttp

from exporter.clock import SystemClock
from exporter.demo.authorities import GATEWAY_NAME, Authorities, Served, make_authorities
from exporter.demo.device import Device
from exporter.demo.fleet import devices_of
from exporter.demo.layout import Layout
from exporter.demo.options import RotationTimes
from exporter.demo.pki import Wishes, issue
from exporter.demo.stage import Stage
from exporter.gateway.agent.agent import run_agent
from exporter.gateway.agent.options import Options
from tests.gateway.agent.real.stand import Versions
from tests.gateway.agent.real.terminators import Start
from tests.pki import certificate_of
from tests.rotation.lives import Client, Life
from tests.rotation.real_config import write_config
from tests.rotation.real_gateway import Gateway
from tests.rotation.service import Service, serving
from tests.rotation.signer import sign_with_fault

TIMES = RotationTimes(interval_s=0.3, soak_s=1.0, overlap_s=600.0)
WITHIN_S = 60.0


@dataclass
class RealFleet:
    """What stands: the gateways, the devices behind them, and the service that rotates them."""

    layout: Layout
    authorities: Authorities
    gateways: Mapping[str, Gateway]
    lives: Mapping[str, Life]
    service: Service

    @property
    def old_ca(self) -> str:
        return certificate_of(self.authorities.old_ca).fingerprint_sha256

    @property
    def new_ca(self) -> str:
        return certificate_of(self.authorities.new_ca).fingerprint_sha256

    async def until(self, holds: Callable[[], bool], what: str) -> None:
        clock = SystemClock()
        end_s = clock.monotonic() + WITHIN_S
        while not holds():
            assert clock.monotonic() < end_s, f"waited {WITHIN_S} s for: {what}"
            await clock.sleep(0.05)

    async def all_come(self, *names: str) -> None:
        """Return once each of these devices, by default of all, was accepted anew."""
        lives = [self.lives[name] for name in names or self.lives]
        counts = [len(one.attempts) for one in lives]

        def have_come() -> bool:
            pairs = zip(lives, counts, strict=True)
            return all(len(one.attempts) > had + 1 and one.is_connected for one, had in pairs)

        await self.until(have_come, "all devices to come")

    async def all_reported(self, *, silent_count: int = 0) -> None:
        """Return once the service has a report of each device but so many."""
        clock = SystemClock()
        async with asyncio.timeout(WITHIN_S):
            counts: Mapping[str, float] = {}
            while counts.get('{state="never_reported"}') != silent_count:
                await clock.sleep(0.1)
                counts = await self.service.samples("fleet_tls_trust_store_devices")

    async def until_nothing_is_due(self, gateways: Collection[str]) -> None:
        """Return once no certificate of theirs is to be renewed: by a later look than its end."""
        waiting, states = dict.fromkeys(gateways, "waiting"), dict[str, str]()
        async with asyncio.timeout(WITHIN_S):
            while states != waiting:
                told = await self.service.get("/renewals")
                states = {one["gateway"]: one["state"] for one in told["renewals"]}
                await SystemClock().sleep(0.05)

    async def held(self, *expected: tuple[str, ...]) -> dict[str, str]:
        """Wait until exactly these hold the gate; what would help, by name.

        Args:
            expected: A name, and for which reason, or for which of several.
        """

        def is_so(seen: Mapping[str, Any]) -> bool:
            found = [(one["name"], one["reason"]) for one in seen["gate"]["blockers"]]
            return len(found) == len(expected) and all(
                any((name, reason) in found for reason in reasons) for name, *reasons in expected
            )

        seen = await self.service.until(is_so)
        assert seen["gate"]["open"] is not True
        return {one["name"]: one["unblocks"] for one in seen["gate"]["blockers"]}

    def left_behind(self, gateway: str) -> Client:
        """A client that trusts the old CA only, at the address of one of the devices."""
        device = next(one.device for one in self.lives.values() if one.gateway == gateway)
        client = self.gateways[gateway].life(device, ()).client
        client.only = self.only_the_old("left-behind")
        return client

    def only_the_old(self, name: str) -> Path:
        """A new trust store that holds nothing but the old CA."""
        store = self.layout.directory / f"{name}-only"
        store.mkdir()
        (store / "old-ca.pem").write_bytes(self.authorities.old_ca.pem)
        return store

    def sign_with_fault(self, fault: str) -> None:
        """Let the signer leave out the ``intermediate`` or a ``name``; empty: nothing."""
        sign_with_fault(self.layout.directory, fault)


@asynccontextmanager
async def real_fleet(
    folder: Path,
    start: Start,
    behind: Mapping[str, int],
    *,
    silent: Collection[str] = (),
    stores: Mapping[str, Path] | None = None,
    left: timedelta = timedelta(days=60),
    signer: str = "new-intermediate",
    times: RotationTimes = TIMES,
    sections: Mapping[str, object] | None = None,
) -> AsyncIterator[RealFleet]:
    """Devices behind each gateway, all accepted, and the service that looked at all.

    Args:
        behind: How many, by the gateways' names.
        silent: Devices that never told what they trust.
        stores: Where the trust stores of some devices lie instead, by the devices' names.
        left: For how long the gateways' certificates, of 30 days ago, are valid.
        signer: The CA of the demo that signs what gateways ask for.
        sections: Of the service's configuration, besides the usual ones.
    """
    layout = Layout(folder, rotating=times)
    authorities = make_authorities(SystemClock().now())
    devices = devices_of(sum(behind.values()), layout.devices)
    layout.write_secrets(authorities)
    layout.write_trust_stores(authorities, devices)
    _move_stores(devices, stores or {})
    gateways, lives, rest = dict[str, Gateway](), dict[str, Life](), list(devices)
    with ExitStack() as terminators:
        async with asyncio.TaskGroup() as tasks:
            stage = _Stage(layout, authorities, start, terminators, tasks, left)
            try:
                for name, count in behind.items():
                    own, rest = rest[:count], rest[count:]
                    gateways[name] = gateway = await stage.stand(name, own)
                    lives |= {one.name: gateway.life(one, silent) for one in own}
                    stage.let_come(gateway, [lives[one.name] for one in own])
                write_config(
                    layout, devices, gateways, lives, signer=signer, sections=sections or {}
                )
                async with _service(layout) as service:
                    fleet = RealFleet(layout, authorities, gateways, lives, service)
                    await fleet.all_come()
                    yield fleet
            finally:
                stage.end()


def _move_stores(devices: Sequence[Device], stores: Mapping[str, Path]) -> None:
    for one in devices:
        if one.name in stores:
            shutil.move(one.trust_store, stores[one.name])
            one.trust_store.symlink_to(stores[one.name])


@dataclass
class _Stage:
    """Where gateways come to stand, and devices to live."""

    layout: Layout
    authorities: Authorities
    start: Start
    terminators: ExitStack
    tasks: asyncio.TaskGroup
    left: timedelta
    running: list[asyncio.Task[None]] = field(default_factory=list)

    def end(self) -> None:
        for one in self.running:
            one.cancel()

    def let_come(self, gateway: Gateway, lives: Sequence[Life]) -> None:
        self.running.append(self.tasks.create_task(_behind(gateway, self.layout, lives)))

    async def stand(self, name: str, devices: Sequence[Device]) -> Gateway:
        # HAProxy's sockets lie there, and a socket's path is short
        folder, directory = self.layout.directory / name, self.layout.directory / f"{name}-agent"
        loop, urls = asyncio.get_running_loop(), list[str]()

        def before(settings: Mapping[str, object]) -> None:
            # It makes ``current``: without that no terminator starts
            document = self.layout.write_agent_config(devices, self._first(), settings)
            begun = self._agent({**document, "directory": str(directory)})
            urls.append(asyncio.run_coroutine_threadsafe(begun, loop).result(WITHIN_S))

        made = self.start(folder, Versions(directory), before=before)
        real = await asyncio.to_thread(self.terminators.enter_context, made)
        return Gateway(name, real, urls[0])

    async def _agent(self, document: Mapping[str, object]) -> str:
        """Run an agent; its base URL."""
        options = Options.model_validate_json(json.dumps(document), strict=True)
        url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        running = run_agent(options, SystemClock(), listening=url.set_result)
        self.running.append(self.tasks.create_task(running))
        return await url

    def _first(self) -> Served:
        now, issuer = SystemClock().now(), self.authorities.old_intermediate
        wishes = Wishes(
            common_name=GATEWAY_NAME,
            names=(GATEWAY_NAME, "127.0.0.1"),
            not_before=now - timedelta(days=30),
            not_after=now + self.left,
        )
        leaf = issue(wishes, issuer=issuer)
        return Served(chain_pem=leaf.pem + issuer.pem, key_pem=leaf.key_pem)


async def _behind(gateway: Gateway, layout: Layout, lives: Sequence[Life]) -> None:
    """Let devices come to their gateway, which logs it, until cancelled."""
    token = layout.token_file.read_text().strip()
    async with (
        aiohttp.ClientSession(gateway.url, headers={"Authorization": f"Bearer {token}"}) as person,
        person.put("/gateway/config", json={"GatewayConfig.tls.logHandshakes": True}) as answer,
    ):
        assert answer.status == 200, await answer.text()
    token = layout.device_token_file.read_text().strip()
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        aiohttp.ClientSession(gateway.url, headers=headers) as session,
        asyncio.TaskGroup() as tasks,
    ):
        for one in lives:
            tasks.create_task(one.come())
            tasks.create_task(one.keep(session))


@asynccontextmanager
async def _service(layout: Layout) -> AsyncIterator[Service]:
    token = layout.token_file.read_text().strip()
    async with (
        serving(layout.config) as url,
        aiohttp.ClientSession(url, headers={"Authorization": f"Bearer {token}"}) as session,
    ):
        service = Service(
            stage=cast("Stage", None), folder=layout.directory, url=url, session=session
        )
        await service.looked()
        yield service
