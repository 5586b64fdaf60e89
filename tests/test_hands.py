"""The hands that remediation has in the running service: real looks, real HTTP, real logs."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import yaml

from exporter.app import App
from exporter.clock import SystemClock
from exporter.config import load
from exporter.hands import ServiceHands
from exporter.remediation.model import (
    AcceptanceBasis,
    Accepts,
    AlertState,
    Answer,
    DeviceEvidence,
    Evidence,
)
from tests.daemons import free_port
from tests.fake_gateway import FakeGateway, Handler, hanging_up, html, refusing
from tests.listeners import listening, say_nothing, server_context
from tests.pki import Issued, certificate_of, make_ca, make_leaf, new_key

pytestmark = pytest.mark.timeout(90)

NOW = SystemClock().now()
DATES: Any = {"not_before": NOW - timedelta(days=1), "not_after": NOW + timedelta(days=60)}
OLD_CA, NEW_CA = make_ca("old CA", **DATES), make_ca("new CA", **DATES)
NAME = "gw-1.example"
OLD, NEW = make_leaf(OLD_CA, NAME, **DATES), make_leaf(NEW_CA, NAME, **DATES)
CHANGED = NOW - timedelta(minutes=3)


def fingerprint(issued: Issued) -> str:
    return certificate_of(issued).fingerprint_sha256


def version(number: int, state: str, leaf: Issued, **more: object) -> dict[str, object]:
    """One version as a management API tells of it."""
    return {
        "version": number,
        "state": state,
        "fingerprint": fingerprint(leaf),
        "notBefore": DATES["not_before"].isoformat(),
        "notAfter": DATES["not_after"].isoformat(),
        "activatedAt": CHANGED.isoformat(),
        "proven": True,
        "keyUsable": True,
        "chain": leaf.pem.decode(),
        **more,
    }


def after_the_rotation() -> FakeGateway:
    """A management API after a rotation to the new CA."""
    made = FakeGateway()
    made.answers["certificates"] = {
        "serving": {"version": 4, "fingerprint": fingerprint(NEW)},
        "memory": {"version": 4, "fingerprint": fingerprint(NEW)},
        "tickets": {"kept": False},
        "lastOperationNumber": 0,
        "activationNumber": 7,
        "versions": [version(3, "previous", OLD), version(4, "current", NEW)],
    }
    made.devices = []
    return made


@dataclass(slots=True, kw_only=True)
class Stand:
    """A service, its hands, and the log that it follows."""

    folder: Path
    hands: ServiceHands
    lines: list[str] = field(default_factory=list)

    def log(self, device: int, at: datetime, *, resumed: bool = False) -> None:
        """Let a device shake hands, as nginx tells of it."""
        mark = "r" if resumed else "."
        moment = at.astimezone(UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")
        line = (
            f"127.0.1.{device} [{moment}] TLSv1.3 TLS_AES_128_GCM_SHA256 resumed={mark}"
            f' status=200 sni="{NAME}" client="-" client_end="-" took=0.01'
        )
        self.write(line)

    def refuse(self, device: int, at: datetime) -> None:
        """Let a device refuse the gateway, as mosquitto tells of it."""
        self.write(
            f"{at.timestamp():.0f}: Client connection from 127.0.1.{device} failed:"
            " error:0A000418:SSL routines::tlsv1 alert unknown ca."
        )

    def write(self, line: str) -> None:
        with (self.folder / "gateway.log").open("a") as log:
            log.write(f"{line}\n")

    async def gathered(self) -> Evidence:
        return await self.hands.gather("gw-1", AlertState.FIRING)

    async def until(self, holds: Callable[[Evidence], bool]) -> Evidence:
        """Evidence as soon as it is as wanted."""
        async with asyncio.timeout(30):
            while not holds(found := await self.gathered()):
                await SystemClock().sleep(0.05)
        return found


@asynccontextmanager
async def serving(
    folder: Path,
    *,
    address: str,
    api: str | None,
    probe: dict[str, object] | None = None,
    devices: Sequence[int] = (1, 2, 3),
) -> AsyncIterator[Stand]:
    """The service with one gateway, devices behind it, and the gateway's log."""
    (folder / "old.pem").write_bytes(OLD_CA.pem)
    (folder / "gateway.log").touch()
    gateway: dict[str, object] = {
        "name": "gw-1", "address": address, "role": "gateway", "server_name": NAME,
        "trust_stores": ["old"],
    }  # fmt: skip
    document = {
        "listen": "127.0.0.1:0",
        "trust_stores": [{"name": "old", "file": "old.pem"}],
        "device_classes": [
            {"name": "sensor", "holds": ["old"], "reconnect": "10m"},
            {"name": "camera", "contact_interval": "1h"},
        ],
        "targets": {
            "static": [
                gateway | ({"management_api": "site"} if api else {}),
                *(
                    {
                        "name": f"dev-{n:02}",
                        "gateway": "gw-1",
                        "device_class": "sensor" if n == 1 else "camera",
                        "peers": [f"127.0.1.{n}"],
                    }
                    for n in devices
                ),
            ]
        },
        "probe": {"interval": "1s", "timeout": "60s", **(probe or {})},
        "handshake_logs": [{"file": "gateway.log", "gateway": "gw-1", "read_from": "beginning"}],
        "management_apis": [{"name": "site", "url": api}] if api else [],
    }
    (folder / "config.yml").write_text(yaml.safe_dump(document))
    app = App(load(folder / "config.yml"), SystemClock())
    up: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(app.run(up.set_result))
        await up
        hands = app._response.responder._hands
        assert isinstance(hands, ServiceHands)
        stand = Stand(folder=folder, hands=hands)
        await stand.until(lambda found: found.is_in_inventory)
        yield stand
        running.cancel()


@asynccontextmanager
async def gateway_of(folder: Path, *leaves: Issued, host: str = "127.0.0.1") -> AsyncIterator[int]:
    """The port of a real listener with one certificate for each kind of key."""
    context = server_context(folder / f"served-{host}", leaves[:1])
    for number, leaf in enumerate(leaves[1:]):
        file = folder / f"more-{number}.pem"
        file.write_bytes(leaf.key_pem + leaf.pem)
        context.load_cert_chain(file)
    async with listening(say_nothing, host=host, tls=context) as port:
        yield port


# Evidence


async def test_evidence_is_what_was_looked_at_asked_for_and_logged(tmp_path: Path) -> None:
    before, since = CHANGED - timedelta(minutes=5), CHANGED + timedelta(minutes=1)
    async with (
        gateway_of(tmp_path, NEW) as port,
        after_the_rotation().serving() as api,
        serving(tmp_path, address=f"127.0.0.1:{port}", api=api) as stand,
    ):
        stand.log(1, before)
        stand.refuse(1, since)
        stand.log(2, before)
        stand.log(2, since, resumed=True)
        found = await stand.until(
            lambda one: any(device.connected_resumed for device in one.devices)
        )

    assert found.served is not None
    assert found.served.fingerprint == fingerprint(NEW)
    assert found.versions is not None
    assert (found.versions.current, found.versions.activation_number) == (4, 7)
    assert found.versions.previous is not None
    assert found.versions.previous.fingerprint == fingerprint(OLD)
    assert found.change is not None
    assert found.change.changed_at == CHANGED
    assert found.clock_offset_s is not None
    assert abs(found.clock_offset_s) < 30
    first, second, third = found.devices
    assert (first.connected_before, first.connected_since_at) == (True, None)
    assert (str(first.failing), first.is_trusted_source) == ("unknown_ca", True)
    assert first.accepts_previous == Accepts(answer=Answer.YES, basis=AcceptanceBasis.INVENTORY)
    # Nobody says what it trusts: it shook hands in full with the chain before
    assert second.accepts_previous == Accepts(answer=Answer.YES, basis=AcceptanceBasis.HANDSHAKE)
    assert (second.connected_resumed, second.connected_since_at) == (True, None)
    assert third == DeviceEvidence(device="dev-03")


@pytest.mark.parametrize(
    ("fault", "detail"),
    [
        pytest.param(refusing(401, "unauthorized"), "unauthorized", id="no token"),
        pytest.param(refusing(404, "not_found"), "not_found", id="not there"),
        pytest.param(html(), "", id="a login page"),
        pytest.param(hanging_up(), "", id="hangs up"),
    ],
)
async def test_versions_that_cannot_be_asked_for_are_unknown_with_the_reason(
    fault: Handler, detail: str, tmp_path: Path
) -> None:
    fake = after_the_rotation()
    async with (
        gateway_of(tmp_path, NEW) as port,
        fake.serving() as api,
        serving(tmp_path, address=f"127.0.0.1:{port}", api=api) as stand,
    ):
        fake.script("certificates", *[fault] * 50)
        found = await stand.gathered()

    assert (found.versions, found.change, found.devices) == (None, None, ())
    assert detail in found.versions_detail
    assert found.versions_detail
    assert found.is_removing is None
    assert found.served is not None  # one thing that fails hides no other


async def test_a_gateway_without_an_api_or_that_does_not_answer_is_unknown(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path, address=f"127.0.0.1:{free_port()}", api=None) as stand:
        found = await stand.gathered()
        looked = await stand.hands.look("gw-1", (), fingerprint(OLD))

    assert found.served is None
    assert found.served_detail
    assert (found.versions, found.versions_detail) == (None, "it has no management API")
    assert found.clock_offset_s is None
    assert found.is_control_good is None
    assert (looked.fingerprint, stand.hands.api("gw-1")) == (None, None)
    assert looked.fault


async def test_what_is_no_gateway_of_the_inventory_has_no_evidence(tmp_path: Path) -> None:
    async with serving(tmp_path, address=f"127.0.0.1:{free_port()}", api=None) as stand:
        other = await stand.hands.gather("gw-9", AlertState.FIRING)
        device = await stand.hands.gather("dev-01", AlertState.NONE)
        looked = await stand.hands.look("gw-9", (), fingerprint(OLD))

    assert [one.is_in_inventory for one in (other, device)] == [False, False]
    assert (other.served, other.versions, other.devices) == (None, None, ())
    assert (looked.fingerprint, bool(looked.fault)) == (None, True)


async def test_an_api_that_leaves_out_the_rest_leaves_it_unknown(tmp_path: Path) -> None:
    fake = after_the_rotation()
    told = fake.answers["certificates"]
    for one in told["versions"]:
        for key in ("activatedAt", "keyUsable", "chain"):
            del one[key]
    async with (
        gateway_of(tmp_path, NEW) as port,
        fake.serving() as api,
        serving(tmp_path, address=f"127.0.0.1:{port}", api=api) as stand,
    ):
        found = await stand.until(lambda one: one.versions is not None)

    assert found.change is None
    assert found.versions is not None
    previous = found.versions.previous
    assert previous is not None
    assert (previous.is_key_usable, previous.is_chain_good) == (None, None)
    assert {one.accepts_previous.answer for one in found.devices} == {Answer.UNKNOWN}


@pytest.mark.parametrize("is_there", [True, False])
async def test_a_control_target_tells_whether_we_can_look_at_all(
    is_there: bool, tmp_path: Path
) -> None:
    async with gateway_of(tmp_path, NEW) as port:
        control = f"127.0.0.1:{port if is_there else free_port()}"
        probe: dict[str, object] = {"control_targets": [control]}
        async with serving(tmp_path, address=f"127.0.0.1:{port}", api=None, probe=probe) as stand:
            found = await stand.gathered()

    assert found.is_control_good is is_there


async def test_what_a_person_is_told_of_devices_comes_from_the_inventory(tmp_path: Path) -> None:
    async with serving(tmp_path, address=f"127.0.0.1:{free_port()}", api=None) as stand:
        times = [stand.hands.reconnect_s(name) for name in ("dev-01", "dev-02", "dev-99")]
        files = [stand.hands.store_files(name) for name in ("gw-1", "gw-9")]

    assert times == [600.0, 3_600.0, None]
    assert files == [{"old": str(tmp_path / "old.pem")}, {}]


# Who came back


async def test_a_ticket_is_no_return_and_a_full_handshake_is(tmp_path: Path) -> None:
    served_at = NOW - timedelta(minutes=1)
    async with serving(tmp_path, address=f"127.0.0.1:{free_port()}", api=None) as stand:
        stand.log(1, served_at + timedelta(seconds=5), resumed=True)
        stand.log(2, served_at - timedelta(seconds=5))
        stand.log(3, served_at + timedelta(seconds=5))
        async with asyncio.timeout(30):
            while not (found := stand.hands.returned("gw-1", served_at)).back:
                await SystemClock().sleep(0.02)

    assert found.back == {"dev-03"}
    assert found.by_ticket == {"dev-01"}


# Looks by every way


def two_addresses(*ports: int) -> Callable[..., object]:
    """``getaddrinfo`` that knows one more name, with an IPv4 and an IPv6 address."""
    real = socket.getaddrinfo
    four, six = ports

    def asked(host: object, *more: Any, **named: Any) -> object:
        if host not in {"two.test", b"two.test"}:
            return real(host, *more, **named)  # type: ignore[arg-type]  # passed on
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", four)),
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", six, 0, 0)),
        ]

    return asked


async def test_what_is_shown_on_one_address_only_is_not_served(tmp_path: Path) -> None:
    chain = (fingerprint(OLD),)
    async with (
        gateway_of(tmp_path, OLD) as four,
        gateway_of(tmp_path, NEW, host="::1") as six,
        gateway_of(tmp_path, OLD, host="::1") as also_six,
    ):
        with patch("socket.getaddrinfo", two_addresses(four, six)):
            async with serving(tmp_path, address="two.test:443", api=None) as stand:
                looked = await stand.hands.look("gw-1", chain, chain[0])
        with patch("socket.getaddrinfo", two_addresses(four, also_six)):
            async with serving(tmp_path, address="two.test:443", api=None) as stand:
                good = await stand.hands.look("gw-1", chain, chain[0])

    assert looked.fingerprint is None  # not the same for all
    assert looked.fault.startswith(f"[::1]:{six} ")
    assert f"the leaf {fingerprint(NEW)[:16]} is served" in looked.fault
    assert (good.fingerprint, good.fault) == (chain[0], "")


async def test_what_is_shown_to_one_kind_of_key_only_is_not_served(tmp_path: Path) -> None:
    of_rsa = make_leaf(NEW_CA, NAME, key=new_key("RSA 2048"), **DATES)
    chain = (fingerprint(OLD),)
    async with (
        gateway_of(tmp_path, OLD, of_rsa) as port,
        serving(tmp_path, address=f"127.0.0.1:{port}", api=None) as stand,
    ):
        looked = await stand.hands.look("gw-1", chain, chain[0])

    assert looked.fingerprint is None
    assert "RSA only: the leaf" in looked.fault
    kinds = f"(EC P-256 {fingerprint(OLD)[:16]}, RSA 2048 {fingerprint(of_rsa)[:16]})"
    assert f"leaves of several kinds are served at once {kinds}, and a version has" in looked.fault


async def test_another_chain_behind_the_right_leaf_is_not_what_was_meant(tmp_path: Path) -> None:
    inner = make_ca("inner CA", issuer=OLD_CA, **DATES)
    leaf = make_leaf(inner, NAME, **DATES)
    chain = (fingerprint(leaf), fingerprint(inner))
    async with (
        gateway_of(tmp_path, leaf) as port,
        serving(tmp_path, address=f"127.0.0.1:{port}", api=None) as stand,
    ):
        looked = await stand.hands.look("gw-1", chain, chain[0])

    assert looked.fingerprint == chain[0]
    assert "served with another chain" in looked.fault
