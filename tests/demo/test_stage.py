"""The simulated fleet as a whole, and the files it lives by."""

import stat
from pathlib import Path

import pytest
import yaml

from exporter import config
from exporter.certificates import read_pem
from exporter.clock import SystemClock
from exporter.demo.fleet import devices_of, pace_of
from exporter.demo.layout import Layout
from exporter.demo.options import Break
from exporter.demo.screen import summary
from exporter.demo.stage import Stage
from exporter.targets.model import Role
from tests.demo.standing import standing
from tests.gateway.agent.stand import until


@pytest.mark.parametrize("count", [1, 18, 200])
def test_devices_have_addresses_classes_and_groups(count: int, tmp_path: Path) -> None:
    devices = devices_of(count, tmp_path)

    assert [device.address for device in devices] == [f"127.0.1.{n + 1}" for n in range(count)]
    assert sum(device.listens for device in devices) == count // 3
    assert {device.rollout_group for device in devices} <= {"canary", "production"}
    assert devices[0].rollout_group == "canary"
    assert len({device.device_class for device in devices}) == min(count, 3)


def test_a_larger_fleet_is_slower_per_device_not_overall() -> None:
    assert pace_of(18).contact_s == 1.5
    assert pace_of(200).contact_s == 10
    assert pace_of(200).probe_s > pace_of(18).probe_s


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_its_files_are_where_scripts_look_for_them(tmp_path: Path) -> None:
    async with standing(tmp_path) as stage:
        await stage.all_known()

    files = files_below(tmp_path)
    found = {str(path.relative_to(tmp_path)) for path in files}
    assert {"config.yml", "agent.yml", "gateway.log", "token"} <= found
    assert {"pki/old-ca.pem", "pki/new-ca.pem", "gateway/versions/1/chain.pem"} <= found
    assert all(f"devices/dev-{n:02d}/truststore/old-ca.pem" in found for n in range(1, 19))
    secret = [path for path in files if path.suffix == ".key" or path.name == "key.pem"]
    secret += [tmp_path / "token", tmp_path / "device-token"]
    assert {"old-ca.key", "new-ca.key", "key.pem"} <= {path.name for path in secret}
    assert {stat.S_IMODE(path.stat().st_mode) for path in secret} == {0o600}
    holders = [path for path in files if b"PRIVATE KEY" in path.read_bytes()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in holders} == {0o600}
    assert (tmp_path / "token").read_text().count("\n") == 1


def test_no_device_trusts_the_new_ca(tmp_path: Path) -> None:
    with Stage(Layout(tmp_path), SystemClock(), device_count=18):
        (new_ca,) = read_pem((tmp_path / "pki/new-ca.pem").read_bytes(), what="new CA")
        held = [
            anchor
            for path in tmp_path.glob("devices/*/truststore/*.pem")
            for anchor in read_pem(path.read_bytes(), what=str(path))
        ]

    assert len(held) >= 18
    assert new_ca not in held


async def test_the_service_accepts_its_configuration(tmp_path: Path) -> None:
    async with standing(tmp_path) as stage:
        loaded = config.load(tmp_path / "config.yml")
        address, url = stage.gateway, await stage.management_api()

    targets = {target.name: target for target in loaded.static_targets}
    devices = [target for target in targets.values() if target.role is Role.DEVICE]
    assert targets["gw-1"].address == address
    assert targets["gw-1"].trust_stores
    assert [(api.name, api.url) for api in loaded.management_apis] == [("site-a", url)]
    assert targets["gw-1"].management_api == "site-a"
    assert len(devices) == 18
    assert {target.gateway for target in devices} == {"gw-1"}
    assert sum(target.address is not None for target in devices) == 6
    assert set(loaded.loaded_stores) == {"fw-4.2", "fw-5.0", "device-ca"}


async def test_what_a_class_holds_is_what_its_devices_really_have(tmp_path: Path) -> None:
    async with standing(tmp_path) as stage:
        loaded = config.load(tmp_path / "config.yml")

    document = yaml.safe_load((tmp_path / "config.yml").read_text())
    holds = {entry["name"]: entry["holds"] for entry in document["device_classes"]}
    for device in stage.devices:
        (store,) = holds[device.device_class]
        predicted = {anchor.fingerprint_sha256 for anchor in loaded.loaded_stores[store].anchors}
        real = {
            anchor.fingerprint_sha256
            for path in device.trust_store.glob("*.pem")
            for anchor in read_pem(path.read_bytes(), what=str(path))
        }
        assert real == predicted


@pytest.mark.slow
async def test_every_device_gets_through_and_after_a_break_none(tmp_path: Path) -> None:
    async with standing(tmp_path) as stage:
        await stage.all_contacts(lambda contact: contact.refusal is None)
        await stage.all_known()
        healthy = summary(stage.contacts, 18)
        since = await stage.break_gateway(Break.UNKNOWN_CA)
        # Handshakes under way at the swap belong to the old certificate still
        await stage.all_contacts(lambda contact: contact.at > since and bool(contact.refusal))
        broken, word = summary(stage.contacts, 18), await stage.platforms_word()

        async def all_refused() -> bool:
            log = (tmp_path / "gateway.log").read_text()  # the gateway may be behind the devices
            lines = [line for line in log.splitlines() if "number 48)" in line]
            refused = {line.split("client: ")[1].split(",")[0] for line in lines}
            return refused == {device.address for device in stage.devices}

        await until(all_refused, "all 18 devices to refuse the gateway in its log")

    assert word == "Distributed: 18/18 devices"
    assert healthy == "18 of 18 devices reach the gateway"
    assert broken == (
        "0 of 18 devices reach the gateway; 18: unable to get local issuer certificate"
    )
