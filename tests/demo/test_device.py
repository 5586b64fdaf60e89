"""Simulated devices judge with what lies in their trust store at that moment."""

import asyncio
import socket
import ssl
from pathlib import Path

import pytest

from exporter.clock import SystemClock
from exporter.demo.authorities import Authorities, device_certificate, gateway_certificate
from exporter.demo.device import Contact, Device, DeviceClient, DeviceListener, client_context
from exporter.demo.options import Break
from exporter.gateway.agent.drivers.embedded.listener import Peer, Streams, serve
from exporter.gateway.agent.drivers.embedded.tls_stream import TlsStream
from tests.gateway.agent.embedded.stand import NOW, address_of, running, sessions


def device(folder: Path, *anchors: bytes) -> Device:
    store = folder / "dev-07" / "truststore"
    store.mkdir(parents=True)
    for number, anchor in enumerate(anchors):
        (store / f"{number}.pem").write_bytes(anchor)
    return Device(
        name="dev-07",
        address="127.0.1.7",
        device_class="sensor",
        rollout_group="canary",
        trust_store=store,
        listens=True,
    )


def client(of: Device, address: str) -> DeviceClient:
    async def ignore(contact: Contact) -> None:
        pass

    return DeviceClient(of, address, SystemClock(), interval_s=1, tell=ignore)


async def test_a_device_that_trusts_the_gateways_ca_gets_through(
    tmp_path: Path, ca: Authorities
) -> None:
    one = device(tmp_path, ca.old_ca.pem)

    async with running(tmp_path, gateway_certificate(ca, NOW)) as gateway:
        contact = await client(one, address_of(gateway)).connect_once()
        last = (await sessions(tmp_path)).splitlines()[-1]

    assert contact.device == "dev-07"
    assert contact.refusal is None
    assert last.startswith("127.0.1.7 [")
    assert "resumed=. status=200" in last


async def test_an_intermediate_alone_is_an_anchor_too(tmp_path: Path, ca: Authorities) -> None:
    one = device(tmp_path, ca.old_intermediate.pem)

    async with running(tmp_path, gateway_certificate(ca, NOW)) as gateway:
        contact = await client(one, address_of(gateway)).connect_once()

    assert contact.refusal is None


async def test_an_anchor_taken_away_or_added_counts_from_the_next_connection(
    tmp_path: Path, ca: Authorities
) -> None:
    one = device(tmp_path, ca.old_ca.pem)

    async with running(tmp_path, gateway_certificate(ca, NOW)) as gateway:
        it = client(one, address_of(gateway))
        first = await it.connect_once()
        (one.trust_store / "0.pem").unlink()
        without = await it.connect_once()
        (one.trust_store / "added.pem").write_bytes(ca.old_ca.pem)
        again = await it.connect_once()

    assert first.refusal is None
    assert without.refusal == "unable to get local issuer certificate"
    assert again.refusal is None


async def test_each_connection_is_a_full_handshake(tmp_path: Path, ca: Authorities) -> None:
    one = device(tmp_path, ca.old_ca.pem)
    told: list[Contact] = []
    enough = asyncio.Event()

    async def keep(contact: Contact) -> None:
        told.append(contact)
        if len(told) == 5:
            enough.set()

    async with running(tmp_path, gateway_certificate(ca, NOW)) as gateway:
        it = DeviceClient(one, address_of(gateway), SystemClock(), interval_s=0.01, tell=keep)
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(it.run())
            await enough.wait()
            task.cancel()
        log = await sessions(tmp_path, 5)

    assert {contact.refusal for contact in told} == {None}
    assert log.count("resumed=. status=200") >= 5
    assert "resumed=r" not in log


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (Break.UNKNOWN_CA, "unable to get local issuer certificate"),
        (Break.EXPIRED, "certificate has expired"),
        (Break.MISSING_INTERMEDIATE, "unable to get local issuer certificate"),
        (Break.HOSTNAME, "Hostname mismatch"),
    ],
)
async def test_the_device_says_why_it_refused(
    tmp_path: Path, ca: Authorities, broken: Break, words: str
) -> None:
    one = device(tmp_path, ca.old_ca.pem)

    async with running(tmp_path, gateway_certificate(ca, NOW, broken)) as gateway:
        contact = await client(one, address_of(gateway)).connect_once()

    assert contact.refusal is not None
    assert contact.refusal.startswith(words)


async def test_a_gateway_that_is_gone_is_an_answer(tmp_path: Path, ca: Authorities) -> None:
    async with running(tmp_path, gateway_certificate(ca, NOW)) as gateway:
        address = address_of(gateway)

    contact = await client(device(tmp_path, ca.old_ca.pem), address).connect_once()

    assert contact.refusal == "Connection refused"


async def test_a_gateway_without_a_certificate_is_an_answer(tmp_path: Path) -> None:
    async with running(tmp_path, None) as gateway:
        contact = await client(device(tmp_path), address_of(gateway)).connect_once()

    # Which of the two is a matter of whether the hello was already there when it closed
    closed = {"the gateway closed the connection", "Connection reset by peer"}
    assert contact.refusal in closed


async def test_a_silent_gateway_is_given_up(
    tmp_path: Path, ca: Authorities, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.demo.device._SESSION_S", 0.05)

    async def hold(streams: Streams, peer: Peer) -> None:
        await streams[0].read(-1)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        host, port = listening.getsockname()
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(serve(listening, hold))
            contact = await client(
                device(tmp_path, ca.old_ca.pem), f"{host}:{port}"
            ).connect_once()
            task.cancel()

    assert contact.refusal == "the gateway did not answer in time"


async def test_a_listening_device_shows_its_certificate_and_leaves_politely(
    tmp_path: Path, ca: Authorities
) -> None:
    one = device(tmp_path)
    trust = tmp_path / "trust"
    trust.mkdir()
    (trust / "device-ca.pem").write_bytes(ca.device_ca.pem)
    served = device_certificate(ca, NOW, one.name, one.address)
    listener = DeviceListener(one, served, tmp_path / "endpoint.pem")

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(listener.run())
        host, port = listener.address.split(":")
        streams = await asyncio.open_connection(host, int(port))
        stream = TlsStream(streams, client_context(trust), server_name=host)
        await stream.handshake()
        leaf = stream.tls.getpeercert(binary_form=True)
        await stream.say_goodbye()
        streams[1].close()
        task.cancel()

    assert host == "127.0.1.7"
    assert leaf == ssl.PEM_cert_to_DER_cert(served.chain_pem.decode())


async def test_a_listening_device_survives_a_client_that_refuses_it(
    tmp_path: Path, ca: Authorities
) -> None:
    one = device(tmp_path)
    served = device_certificate(ca, NOW, one.name, one.address)
    listener = DeviceListener(one, served, tmp_path / "endpoint.pem")

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(listener.run())
        host, port = listener.address.split(":")
        for _ in range(2):
            streams = await asyncio.open_connection(host, int(port))
            stream = TlsStream(streams, client_context(one.trust_store), server_name=host)
            with pytest.raises(ssl.SSLCertVerificationError):
                await stream.handshake()
            streams[1].close()
        task.cancel()
    listener.close()
