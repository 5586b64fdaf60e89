"""A fleet that is guarded by remediation in mode ``act``: what runs, and what is done to it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from exporter.certificates import fingerprint_of
from exporter.clock import Clock, SystemClock
from exporter.demo.authorities import GATEWAY_NAME, Authorities, Served, make_authorities
from exporter.demo.device import Contact, Device, DeviceClient
from exporter.demo.fleet import Pace, devices_of
from exporter.demo.layout import GATEWAY, Layout
from exporter.demo.pki import SERVER_AUTH, Issued, Wishes, issue
from exporter.demo.updates import StoreKeeper
from exporter.gateway.messages import ErrorCode
from tests.gateway.agent.real.stand import leaf_at
from tests.gateway.agent.stand import signed
from tests.webhook.bodies import alert, body

WITHIN_S = 60.0
_POLL_S = 0.05
_ANSWER = aiohttp.ClientTimeout(total=60)
_BEGAN = (SystemClock().now() - timedelta(days=1)).isoformat()


class Told(StrEnum):
    """From what the service knows whom the devices trust."""

    REPORTS = "reports"
    """They say so, and fetch updates."""
    INVENTORY = "inventory"
    LOGS = "logs"
    """Nobody says; there are only their handshakes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How a fleet is to be.

    Attributes:
        interval: Between two looks of the service.
        contact_s: Between two connections of one device, give or take a fifth.
        lasts: What is left of the certificate that is served first.
        reconnect: Within this time a device is back, once it may; of its class.
        has_stdin: The service reads its standard input as well: a log that nobody vouches for.
        limits: Of the section ``remediation``.
    """

    count: int
    interval: str
    contact_s: float
    told: Told = Told.INVENTORY
    lasts: timedelta = timedelta(days=60)
    reconnect: str = "1h"
    has_stdin: bool = False
    limits: Mapping[str, object] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class GuardedFleet:
    """What runs, and how each device fared.

    Attributes:
        exporter: ``HOST:PORT`` of the service; ``gateway`` likewise.
        token: Opens the agent, the webhook and the service's API.
        contacts: Each device's latest attempt; every one is a full handshake.
        clock: The service's and, where that is in our process, the agent's.
    """

    setting: Setting
    layout: Layout
    authorities: Authorities
    devices: Sequence[Device]
    clock: Clock = field(default_factory=SystemClock)
    exporter: str = ""
    gateway: str = ""
    agent_url: str = ""
    contacts: dict[str, Contact] = field(default_factory=dict)
    lives: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    @property
    def token(self) -> str:
        return self.layout.token_file.read_text().strip()

    # The devices

    async def keep(self, contact: Contact) -> None:
        """Remember how one attempt went."""
        self.contacts[contact.device] = contact

    def connected(self, since: datetime) -> set[str]:
        """Devices whose latest attempt was made since then, and was good."""
        return {one.device for one in self._since(since) if one.refusal is None}

    def refused(self, since: datetime) -> set[str]:
        """Devices whose latest attempt was made since then, and failed."""
        return {one.device for one in self._since(since) if one.refusal is not None}

    def _since(self, moment: datetime) -> list[Contact]:
        return [one for one in self.contacts.values() if one.at >= moment]

    def lose_anchors(self) -> None:
        """Every device loses all that it trusts, and cannot tell."""
        for device in self.devices:
            for anchor in device.trust_store.glob("*.pem"):
                anchor.unlink()

    def switch_off(self, device: str) -> None:
        """It does not connect, nor fetch anything, any more."""
        self.lives[device].cancel()

    # The gateway

    async def call(self, path: str, body: object = None) -> Any:
        """Call the agent; the answer's body, once no other change is being carried out.

        The service has the way back rehearsed whenever that is due, which takes its time.
        """

        async def answered() -> Any:
            status, found = await _answer_of(self.agent_url + path, self.token, body)
            if status == HTTPStatus.CONFLICT and found["error"]["code"] == ErrorCode.IN_PROGRESS:
                return None
            assert status < 300, found
            return found

        return await self.until(answered, f"the agent's turn for {path}")

    async def rotate(self, issuer: Issued, mode: str = "none", **dates: datetime) -> None:
        """Let the gateway serve a certificate by ``issuer``, proven by the agent."""
        csr = (await self.call("/gateway/certificates/csr", {}))["csr"]
        chain = {"newCertificate": signed(csr, issuer, **dates), "validationMode": mode}
        done = await self.call("/gateway/certificates/rotate", chain)
        assert done["status"] == "SUCCESS", done

    async def is_proven(self) -> bool:
        """Whether the agent has proved what is served: else there is no way back to it."""
        told = await self.call("/gateway/certificates")
        return any(one["state"] == "current" and one["proven"] for one in told["versions"])

    async def rotate_to_what_nobody_trusts(self) -> None:
        """As it came in the incident: forced through."""
        await self.rotate(self.authorities.new_intermediate)

    async def update_trust(self, operation: str, anchor: Issued) -> None:
        """Have the devices add or remove an anchor; return when all have reported it so."""
        more = {"priority": "secondary"} if operation == "ADD" else {}
        what = {"operation": operation, "certificate": anchor.pem.decode(), **more}
        await self.call("/devices/truststore/update", what)

        async def is_complete() -> bool:
            told = await self.call("/devices/truststore/status")
            return bool(told["complete"] == told["total"])

        await self.until(is_complete, f"{operation} by all devices")

    async def until_missing(self, anchor: Issued) -> None:
        """Return when the service knows that every device has ``anchor`` no more."""
        gone = fingerprint_of(anchor.der)

        async def is_known() -> bool:
            told = await _asked(f"http://{self.exporter}/api/v1/devices?limit=1000", self.token)
            return all(
                gone in {one["fingerprint_sha256"] for one in device["missing"] or ()}
                for device in told["items"]
            )

        await self.until(is_known, "the service to know what the devices lack")

    def on_disk(self) -> Mapping[str, bytes]:
        """All versions there are, and which is the current one."""
        folder = self.layout.gateway
        files = [path for path in (folder / "versions").rglob("*") if path.is_file()]
        found = {str(path.relative_to(folder)): path.read_bytes() for path in files}
        return {**found, "current": str((folder / "current").readlink()).encode()}

    async def served(self) -> str | None:
        """The leaf's fingerprint in a fresh handshake of our own."""
        return await asyncio.to_thread(leaf_at, int(self.gateway.rpartition(":")[2]))

    # The service

    async def metrics(self) -> str:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://{self.exporter}/metrics") as answer,
        ):
            return await answer.text()

    async def remediation(self, path: str, body: object = None) -> Any:
        """Ask the service, or tell it something, as a person does."""
        url = f"http://{self.exporter}/api/v1/remediation{path}"
        return await _asked(url, self.token, body)

    async def want_rollback(self, *, act: bool = False) -> Any:
        """Ask for a rollback as a person does; what is answered once nobody else is deciding."""

        async def answered() -> Any:
            return await self._told_unless_busy("/rollback", act=act)

        return await self.until(answered, "the answer to a person")

    async def rehearsed(self) -> Any:
        """What a rehearsal of the way back tells; None: there can be none at this moment."""
        return await self._told_unless_busy("/rehearse")

    async def _told_unless_busy(self, path: str, **more: object) -> Any:
        try:
            return await self.remediation(path, {"gateway": GATEWAY, "by": "anna", **more})
        except aiohttp.ContentTypeError as exc:
            if exc.status != HTTPStatus.CONFLICT:
                raise
            return None

    async def journal(self, kind: str) -> list[dict[str, Any]]:
        """Entries of one kind, the oldest first."""
        found = (await self.remediation("/journal?limit=1000"))["items"]
        return [entry for entry in found if entry["kind"] == kind]

    async def ask(self, number: int = 1, status: str = "firing") -> None:
        """Deliver an alert that asks for a rollback, as Alertmanager does."""
        headers = {"Authorization": f"Bearer {self.token}"}
        url = f"http://{self.exporter}/webhook/alertmanager"
        asking = {**alert(number, status=status, gateway=GATEWAY), "startsAt": _BEGAN}
        async with (
            aiohttp.ClientSession(timeout=_ANSWER) as session,
            session.post(url, data=body(asking), headers=headers) as answer,
        ):
            assert answer.status == 202, await answer.text()

    async def until(self, condition: Callable[[], Any], what: str) -> Any:
        """What ``condition`` comes to once that is true; it may be asked often."""
        end_s = self.clock.monotonic() + WITHIN_S
        while True:
            found = condition()
            found = await found if asyncio.iscoroutine(found) else found
            if found:
                return found
            assert self.clock.monotonic() < end_s, f"waited {WITHIN_S} s for: {what}"
            await self.clock.sleep(_POLL_S)


async def _asked(url: str, token: str, body: object = None) -> Any:
    status, found = await _answer_of(url, token, body)
    assert status < 300, found
    return found


async def _answer_of(url: str, token: str, body: object = None) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {token}"}
    method = "GET" if body is None else "POST"
    async with (
        aiohttp.ClientSession(timeout=_ANSWER) as session,
        session.request(method, url, json=body, headers=headers) as answer,
    ):
        return answer.status, await answer.json()


def new_fleet(directory: Path, setting: Setting, clock: Clock) -> GuardedFleet:
    """What there is before anything runs: authorities, devices and their files."""
    layout = Layout(directory)
    authorities = make_authorities(clock.now())
    devices = devices_of(setting.count, layout.devices)
    layout.write_secrets(authorities)
    layout.write_trust_stores(authorities, devices)
    return GuardedFleet(
        setting=setting, layout=layout, authorities=authorities, devices=devices, clock=clock
    )


def write_agent_config(
    fleet: GuardedFleet, *, listen: str, terminator: Mapping[str, object] | None = None
) -> Path:
    """The demo's agent, in front of ``terminator``, by default the one within."""
    within = {"listen": [fleet.gateway], "log_file": str(fleet.layout.gateway_log)}
    document = fleet.layout.write_agent_config(
        fleet.devices, _first(fleet), terminator or {"embedded": within}
    )
    path = fleet.layout.directory / "agent.json"
    path.write_text(json.dumps({**document, "listen": listen}))
    return path


def _first(fleet: GuardedFleet) -> Served:
    """What is served first: a leaf by the old CA's intermediate."""
    now, issuer = SystemClock().now(), fleet.authorities.old_intermediate
    wishes = Wishes(
        common_name=GATEWAY_NAME,
        names=(GATEWAY_NAME, "127.0.0.1"),
        purposes=(SERVER_AUTH,),
        not_before=now - timedelta(days=30),
        not_after=now + fleet.setting.lasts,
    )
    leaf = issue(wishes, issuer=issuer)
    return Served(chain_pem=leaf.pem + issuer.pem, key_pem=leaf.key_pem)


def write_service_config(fleet: GuardedFleet, logs: Sequence[Mapping[str, object]]) -> None:
    """The demo's configuration in mode ``act``, and what the setting wants."""
    layout, setting = fleet.layout, fleet.setting
    layout.write_config(
        fleet.devices, listen=fleet.exporter or "127.0.0.1:0", gateway=fleet.gateway,
        management_api=fleet.agent_url, device_addresses={},
        pace=Pace(contact_s=setting.contact_s, probe_s=1),
    )  # fmt: skip
    config = yaml.safe_load(layout.config.read_text("utf-8"))
    config["probe"] |= {"interval": setting.interval, "failing_interval": setting.interval}
    # What was there before the service may be old: a line without a zone is then no evidence
    usual = {**config["handshake_logs"][0], "read_from": "end"}
    config["handshake_logs"] = [{**usual, **one} for one in logs]
    if setting.has_stdin:
        config["handshake_logs"].append({"stdin": True, "gateway": GATEWAY})
    config["remediation"] = {"mode": "act", **setting.limits}
    for each in config["device_classes"]:
        each["reconnect"] = setting.reconnect
        if setting.told is Told.LOGS:
            # Within this time before the change a device must have been seen on what was before
            each |= {"contact_interval": "30s"}
            del each["holds"]
    layout.config.write_text(yaml.safe_dump(config, sort_keys=False))


@asynccontextmanager
async def connecting(fleet: GuardedFleet) -> AsyncIterator[None]:
    """Devices connect, and keep their stores where they tell of them.

    All were accepted once, and the agent has proved what it serves.
    """
    token = fleet.layout.device_token_file.read_text().strip()
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        aiohttp.ClientSession(fleet.agent_url, headers=headers, timeout=_ANSWER) as session,
        asyncio.TaskGroup() as tasks,
    ):
        for device in fleet.devices:
            fleet.lives[device.name] = tasks.create_task(_life(fleet, device, session))
        try:
            names = {device.name for device in fleet.devices}
            began_at = SystemClock().now()
            await fleet.until(lambda: fleet.connected(began_at) == names, "all devices")
            await fleet.until(fleet.is_proven, "the proof of the first version")
            yield
        finally:
            for one in fleet.lives.values():
                one.cancel()


async def _life(fleet: GuardedFleet, device: Device, session: aiohttp.ClientSession) -> None:
    clock, interval_s = SystemClock(), fleet.setting.contact_s
    client = DeviceClient(device, fleet.gateway, clock, interval_s=interval_s, tell=fleet.keep)

    def is_connected() -> bool:
        last = fleet.contacts.get(device.name)
        return last is not None and last.refusal is None

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(client.run())
        if fleet.setting.told is Told.REPORTS:
            keeper = StoreKeeper(
                device, session, clock, interval_s=interval_s, is_connected=is_connected
            )
            tasks.create_task(keeper.run())
