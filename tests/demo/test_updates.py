"""What devices do for their trust stores, with a real agent and real handshakes."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from exporter.clock import SystemClock
from exporter.demo.authorities import gateway_chain
from exporter.demo.options import Break
from exporter.demo.pki import Issued
from exporter.demo.stage import Stage
from exporter.demo.updates import add_anchor, anchors_in, remove_anchor
from tests.demo.standing import standing
from tests.gateway.agent.stand import until
from tests.pki import certificate_of, make_ca

STATUS = "/devices/truststore/status"
CLOCK = SystemClock()


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """Six devices, the last of which can be reached through the gateway only."""

    stage: Stage
    session: aiohttp.ClientSession
    folder: Path

    async def post(self, path: str, body: object) -> dict[str, Any]:
        async with self.session.post(path, json=body) as answer:
            told: dict[str, Any] = await answer.json()
            assert answer.status == 200, told
            return told

    async def update(self, operation: str, ca: Issued) -> None:
        body = {"operation": operation, "certificate": ca.pem.decode()}
        await self.post("/devices/truststore/update", body)

    async def rotate(self, issuer: Issued, mode: str) -> dict[str, Any]:
        csr = (await self.post("/gateway/certificates/csr", {}))["csr"]
        chain = gateway_chain(csr, issuer, CLOCK.now())
        body = {"newCertificate": chain, "validationMode": mode}
        return await self.post("/gateway/certificates/rotate", body)

    async def devices(self) -> dict[str, dict[str, Any]]:
        async with self.session.get(STATUS) as answer:
            return {one["deviceId"]: one for one in (await answer.json())["devices"]}

    async def statuses(self, wanted: Callable[[Sequence[str]], bool]) -> dict[str, dict[str, Any]]:
        """The devices once what the platform says of them is ``wanted``."""

        async def holds() -> dict[str, dict[str, Any]] | None:
            found = await self.devices()
            return found if wanted([one["status"] for one in found.values()]) else None

        found: dict[str, dict[str, Any]] = await until(holds, "what the platform says")
        return found

    async def connected(self, count: int) -> None:
        """Return when so many devices reach the gateway by what it serves now."""
        since = CLOCK.now()

        async def holds() -> bool:
            last = [one for one in self.stage.contacts.values() if one.at > since]
            good = [one for one in last if one.refusal is None]
            return len(last) == 6 and len(good) == count

        await until(holds, f"{count} of 6 devices to reach the gateway")

    def held(self, device: str) -> set[str]:
        store = self.folder / "devices" / device / "truststore"
        return {one.fingerprint_sha256 for one in anchors_in(store).values()}


@asynccontextmanager
async def fleet(folder: Path) -> AsyncIterator[Fleet]:
    async with standing(folder, devices=6) as stage:
        headers = {"Authorization": f"Bearer {token_of(folder)}"}
        async with aiohttp.ClientSession(await stage.management_api(), headers=headers) as session:
            await stage.all_known()
            yield Fleet(stage=stage, session=session, folder=folder)


def token_of(folder: Path) -> str:
    return (folder / "token").read_text().strip()


def set_for(folder: Path, device: str, name: str, value: str) -> None:
    (folder / "devices" / device / name).write_text(value)


def all_are(status: str) -> Callable[[Sequence[str]], bool]:
    return lambda found: set(found) == {status}


@pytest.mark.slow
async def test_a_phased_rotation_keeps_every_device(tmp_path: Path) -> None:
    async with fleet(tmp_path) as one:
        ca = one.stage.authorities
        new, old = (certificate_of(root).fingerprint_sha256 for root in (ca.new_ca, ca.old_ca))
        await one.update("ADD", ca.new_ca)

        async def reported() -> bool:
            devices = await one.devices()
            return all(new in device["anchors"] for device in devices.values())

        await until(reported, "every device to report the new CA")
        rotated = await one.rotate(ca.new_intermediate, "strict")
        await one.connected(6)
        await one.update("REMOVE", ca.old_ca)

        async def removed() -> bool:
            devices = await one.devices()
            return all(old not in device["anchors"] for device in devices.values())

        await until(removed, "every device to report that the old CA is gone")
        await one.connected(6)

    assert rotated["status"] == "SUCCESS"
    assert new in one.held("dev-06")
    assert old not in one.held("dev-06")


@pytest.mark.slow
async def test_how_an_update_goes_can_be_set_for_each_device(tmp_path: Path) -> None:
    async with fleet(tmp_path) as one:
        ca = one.stage.authorities
        set_for(tmp_path, "dev-02", "update-failure", "flash is full")
        set_for(tmp_path, "dev-03", "update-delay", "10m")
        set_for(tmp_path, "dev-04", "update-delay", "soon")
        await one.update("ADD", ca.new_ca)
        found = await one.statuses(
            lambda all_of: (all_of.count("COMPLETE"), all_of.count("FAILED")) == (4, 1)
        )
        set_for(tmp_path, "dev-02", "update-failure", "")
        await one.update("ADD", ca.new_ca)
        await one.statuses(lambda all_of: all_of.count("COMPLETE") == 5)

    assert (found["dev-02"]["status"], found["dev-02"]["error"]) == ("FAILED", "flash is full")
    assert found["dev-03"]["status"] == "PENDING"
    new = certificate_of(ca.new_ca).fingerprint_sha256
    assert new in one.held("dev-02")
    assert new not in one.held("dev-03")


@pytest.mark.slow
async def test_who_is_dark_gets_nothing_but_over_another_way_in(tmp_path: Path) -> None:
    async with fleet(tmp_path) as one:
        ca = one.stage.authorities
        await one.stage.break_gateway(Break.UNKNOWN_CA)
        await one.connected(0)
        await one.update("ADD", ca.new_ca)
        await one.connected(0)
        names = [device.name for device in one.stage.devices]
        started = await one.post(
            "/devices/recovery/initiate",
            {"deviceIds": names, "method": "FALLBACK_CHANNEL", "action": "UPDATE_TRUSTSTORE"},
        )
        await one.connected(5)
        dark = await one.devices()
        back = await one.post(
            "/gateway/certificates/rollback",
            {"targetVersion": "previous", "scope": "gateway-only", "preserveDeviceCerts": True},
        )
        await one.connected(6)
        await one.statuses(all_are("COMPLETE"))

    assert started["rejected"] == ["dev-06"]
    assert dark["dev-06"]["status"] == "PENDING"
    assert back["status"] == "SUCCESS"


def test_an_anchor_is_added_once_and_removed_under_any_name(tmp_path: Path) -> None:
    ca, other = make_ca("a"), make_ca("b")
    (tmp_path / "factory.pem").write_bytes(other.pem)
    (tmp_path / "broken.pem").write_text("nothing")

    for _ in range(2):
        add_anchor(tmp_path, ca.pem.decode())
    both = {one.subject for one in anchors_in(tmp_path).values()}
    remove_anchor(tmp_path, certificate_of(other).fingerprint_sha256)

    assert both == {"CN=a", "CN=b"}
    assert [one.subject for one in anchors_in(tmp_path).values()] == ["CN=a"]
    assert not (tmp_path / "factory.pem").exists()
    assert not list(tmp_path.glob(".*"))
