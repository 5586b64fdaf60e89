"""Real terminators, each with its agent, and real devices that can be made to fail or to lie."""

import asyncio
import json
import ssl
import stat
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import aiohttp
import yaml

from exporter.clock import SystemClock
from exporter.demo.authorities import GATEWAY_NAME, Authorities, Served, make_authorities
from exporter.demo.device import Contact, Device, DeviceClient, client_context
from exporter.demo.fleet import Pace, devices_of
from exporter.demo.layout import Layout
from exporter.demo.options import RotationTimes
from exporter.demo.pki import Wishes, issue
from exporter.demo.stage import Stage
from exporter.demo.updates import StoreKeeper
from exporter.gateway.agent.agent import run_agent
from exporter.gateway.agent.drivers.embedded import mqtt
from exporter.gateway.agent.drivers.embedded.tls_stream import TlsStream
from exporter.gateway.agent.options import Options
from tests.gateway.agent.real.stand import Versions, leaf_at
from tests.gateway.agent.real.terminators import HTTP, Real, Start
from tests.rotation.service import Service, serving

CONTACT_S = 0.5
TIMES = RotationTimes(interval_s=0.3, soak_s=1.0, overlap_s=600.0)
WITHIN_S = 60.0
OF_TRUST = ("certificate", "issuer", "signed", "verif", "hostname")

SIGN = """\
#!/bin/sh
# As the signer of a fleet, with the fault that is written beside it
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fault=$(cat "$0.fault" 2>/dev/null || true)
cat > "$work/request.pem"
printf 'basicConstraints=critical,CA:FALSE\\nextendedKeyUsage=serverAuth\\n' > "$work/ext"
copy="-copy_extensions copy"
if [ "$fault" = name ]; then
  copy=""
  printf 'subjectAltName=DNS:NAME\\n' >> "$work/ext"
fi
openssl x509 -req -in "$work/request.pem" -CA "$1.pem" -CAkey "$1.key" -days 30 \\
  $copy -extfile "$work/ext" -out "$work/leaf.pem" 2> "$work/said" \\
  || { cat "$work/said" >&2; exit 1; }
cat "$work/leaf.pem"
[ "$fault" = intermediate ] || cat "$1.pem"
""".replace("NAME", GATEWAY_NAME)


class Client(DeviceClient):
    """A device's client, in the words of what it comes to; it may come by ticket only.

    Attributes:
        only: Trusts nothing but this folder, whatever its store says; None: its store.
        by_ticket: Takes up its old session each time, and so verifies nothing.
    """

    def __init__(self, device: Device, gateway: "Gateway") -> None:
        super().__init__(
            device, gateway.address, SystemClock(), interval_s=CONTACT_S, tell=_told_to_nobody
        )
        self._words = HTTP.encode() if gateway.speaks_http else mqtt.connect(device.name)
        self._good = b"HTTP/1.1 200" if gateway.speaks_http else mqtt.CONNACK
        self._held: tuple[ssl.SSLContext, ssl.SSLSession] | None = None
        self.only: Path | None = None
        self.by_ticket = False

    async def _connect(self) -> str | None:
        store = self.only or self._device.trust_store
        context = self._held[0] if self._held and self.by_ticket else client_context(store)
        async with asyncio.timeout(10):
            streams = await asyncio.open_connection(
                self._host, self._port, local_addr=(self._device.address, 0)
            )
            try:
                stream = TlsStream(streams, context, server_name=GATEWAY_NAME)
                if self._held and self.by_ticket:
                    stream.tls.session = self._held[1]
                await stream.handshake()
                await stream.write(self._words)
                answer = await stream.read()
                if stream.tls.session is not None:
                    self._held = (context, stream.tls.session)
            finally:
                streams[1].close()
        return None if answer.startswith(self._good) else "no answer to the request"


async def _told_to_nobody(_contact: Contact) -> None:
    return


class Keeper(StoreKeeper):
    """Keeps a device's store as its life has it."""

    life: "Life"

    async def _look(self) -> None:
        if self.life.is_on and not self.life.is_silent:
            await super()._look()

    async def _carry_out(self, update: Mapping[str, Any]) -> str | None:
        return None if self.life.is_lying else await super()._carry_out(update)


@dataclass
class Life:
    """One device that comes all the time; what is wrong with it may change while it does.

    Attributes:
        is_on: It comes, and speaks with the platform.
        is_silent: It comes, and never tells what it trusts nor fetches what is to be changed.
        is_lying: It says of each update that it is done, and does nothing.
    """

    device: Device
    gateway: str
    client: Client
    attempts: list[Contact] = field(default_factory=list)
    is_on: bool = True
    is_silent: bool = False
    is_lying: bool = False

    @property
    def is_connected(self) -> bool:
        return self.is_on and bool(self.attempts) and self.attempts[-1].refusal is None

    def fails_with(self, words: str) -> None:
        """Let each update fail with these words; empty: none."""
        (self.device.trust_store.parent / "update-failure").write_text(words)

    async def come(self) -> None:
        clock = SystemClock()
        while True:
            if self.is_on:
                self.attempts.append(await self.client.connect_once())
            await clock.sleep(CONTACT_S)

    async def keep(self, session: aiohttp.ClientSession) -> None:
        keeper = Keeper(
            self.device, session, SystemClock(),
            interval_s=CONTACT_S, is_connected=lambda: self.is_connected,
        )  # fmt: skip
        keeper.life = self
        await keeper.run()

    def refusals(self, since: int = 0) -> list[str]:
        """What the device did not like about the gateway's certificate."""
        told = [one.refusal for one in self.attempts[since:] if one.refusal is not None]
        return [one for one in told if any(word in one for word in OF_TRUST)]


@dataclass
class Gateway:
    """A terminator and the agent in front of it."""

    name: str
    real: Real
    url: str

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.real.port}"

    @property
    def speaks_http(self) -> bool:
        return self.real.words == HTTP

    async def served(self) -> str | None:
        """The leaf of a fresh handshake of our own."""
        return await asyncio.to_thread(leaf_at, self.real.port)


@dataclass
class RealFleet:
    """What stands: the gateways, the devices behind them, and the service that rotates them."""

    layout: Layout
    authorities: Authorities
    gateways: Mapping[str, Gateway]
    lives: Mapping[str, Life]
    service: Service

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

    async def held(self, *expected: tuple[str, str]) -> dict[str, str]:
        """Wait until exactly these are in the way, by name and reason; what would help, by name.

        A reason may be one of several, as in ``stale|pending``.
        """

        def is_so(seen: Mapping[str, Any]) -> bool:
            blockers = {one["name"]: one["reason"] for one in seen["gate"]["blockers"]}
            return blockers.keys() == dict(expected).keys() and all(
                blockers[name] in reasons.split("|") for name, reasons in expected
            )

        seen = await self.service.until(is_so)
        assert seen["gate"]["open"] is not True
        return {one["name"]: one["unblocks"] for one in seen["gate"]["blockers"]}

    def sign_with_fault(self, fault: str) -> None:
        """Let the signer leave out the ``intermediate`` or a ``name``; empty: nothing."""
        (self.layout.directory / "sign.sh.fault").write_text(fault)


@asynccontextmanager
async def real_fleet(
    folder: Path, start: Start, behind: Mapping[str, int], *, silent: Collection[str] = ()
) -> AsyncIterator[RealFleet]:
    """Devices behind each gateway, all accepted, and the service that looked at all.

    Args:
        behind: How many, by the gateways' names.
        silent: Devices that never told what they trust.
    """
    layout = Layout(folder, rotating=TIMES)
    authorities = make_authorities(SystemClock().now())
    devices = devices_of(sum(behind.values()), layout.devices)
    layout.write_secrets(authorities)
    layout.write_trust_stores(authorities, devices)
    with ExitStack() as terminators:
        async with asyncio.TaskGroup() as tasks:
            running = list[asyncio.Task[None]]()
            gateways, lives = dict[str, Gateway](), dict[str, Life]()
            rest = list(devices)
            try:
                for name, count in behind.items():
                    own, rest = rest[:count], rest[count:]
                    standing = _Standing(layout, authorities, name, own, tasks, running)
                    gateway = await standing.begin(start, terminators)
                    gateways[name] = gateway
                    lives |= {
                        one.name: Life(
                            one, name, Client(one, gateway), is_silent=one.name in silent
                        )
                        for one in own
                    }
                    running += [
                        tasks.create_task(
                            _behind(gateway, layout, [lives[one.name] for one in own])
                        )
                    ]
                _write_config(layout, devices, gateways, lives)
                async with _service(layout) as service:
                    fleet = RealFleet(layout, authorities, gateways, lives, service)
                    await fleet.all_come()
                    yield fleet
            finally:
                for one in running:
                    one.cancel()


@dataclass
class _Standing:
    """How one gateway comes to stand."""

    layout: Layout
    authorities: Authorities
    name: str
    devices: Sequence[Device]
    tasks: asyncio.TaskGroup
    running: list[asyncio.Task[None]]
    url: str = ""

    @property
    def _directory(self) -> Path:
        return self.layout.directory / f"{self.name}-agent"

    async def begin(self, start: Start, terminators: ExitStack) -> Gateway:
        # HAProxy's sockets lie there, and a socket's path is short
        folder, loop = self.layout.directory / self.name, asyncio.get_running_loop()

        def before(settings: Mapping[str, object]) -> None:
            # It makes ``current``: without that no terminator starts
            asyncio.run_coroutine_threadsafe(self._agent(settings), loop).result(WITHIN_S)

        made = start(folder, Versions(self._directory), before=before)
        real = await asyncio.to_thread(terminators.enter_context, made)
        return Gateway(self.name, real, self.url)

    async def _agent(self, settings: Mapping[str, object]) -> None:
        document = self.layout.write_agent_config(self.devices, self._first(), settings)
        options = Options.model_validate_json(
            json.dumps({**document, "directory": str(self._directory)}), strict=True
        )
        url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        running = run_agent(options, SystemClock(), listening=url.set_result)
        self.running.append(self.tasks.create_task(running))
        self.url = await url

    def _first(self) -> Served:
        now, issuer = SystemClock().now(), self.authorities.old_intermediate
        wishes = Wishes(
            common_name=GATEWAY_NAME,
            names=(GATEWAY_NAME, "127.0.0.1"),
            not_before=now - timedelta(days=30),
            not_after=now + timedelta(days=60),
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


def _write_config(
    layout: Layout,
    devices: Sequence[Device],
    gateways: Mapping[str, Gateway],
    lives: Mapping[str, Life],
) -> None:
    first = next(iter(gateways.values()))
    layout.write_config(
        devices, listen="127.0.0.1:0", gateway=first.address, management_api=first.url,
        device_addresses={}, pace=Pace(contact_s=CONTACT_S, probe_s=1),
    )  # fmt: skip
    config = yaml.safe_load(layout.config.read_text("utf-8"))
    entry, *others = config["targets"]["static"]
    api, log = config["management_apis"][0], config["handshake_logs"][0]
    config["targets"]["static"] = [
        {**entry, "name": one.name, "address": one.address, "management_api": f"api-{one.name}"}
        for one in gateways.values()
    ] + [{**other, "gateway": lives[other["name"]].gateway} for other in others]
    config["management_apis"] = [
        {**api, "name": f"api-{one.name}", "url": one.url} for one in gateways.values()
    ]
    config["handshake_logs"] = [
        {**log, "file": f"{one.real.folder}/{name}", "gateway": one.name, "read_from": "end"}
        for one in gateways.values()
        for name in one.real.logs
    ]
    script = layout.directory / "sign.sh"
    script.write_text(SIGN)
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    command = [str(script), str(layout.pki / "new-intermediate")]
    config["rotation"] |= {"signer": {"command": command}, "retry_pause": "1s"}
    layout.config.write_text(yaml.safe_dump(config, sort_keys=False))


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
