"""The embedded terminator, with real TLS clients."""

import asyncio
import ssl
from pathlib import Path

import pytest

from exporter.demo.authorities import (
    GATEWAY_NAME,
    Authorities,
    Served,
    gateway_certificate,
)
from exporter.demo.options import Break
from exporter.gateway.agent.drivers.embedded import mqtt
from exporter.gateway.agent.drivers.embedded.terminator import Terminator
from exporter.gateway.agent.drivers.embedded.tls_stream import PeerClosedError, TlsStream
from tests.gateway.agent.embedded.stand import NOW, address_of, running, sessions, written


def trusting(*anchors: bytes) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for anchor in anchors:
        context.load_verify_locations(cadata=anchor.decode())
    return context


async def connect(
    gateway: Terminator, context: ssl.SSLContext, *, session: ssl.SSLSession | None = None
) -> tuple[ssl.SSLObject, ssl.SSLSession | None]:
    """Shake hands, say hello as a device, leave politely."""
    host, port = address_of(gateway).split(":")
    streams = await asyncio.open_connection(host, int(port))
    try:
        stream = TlsStream(streams, context, server_name=GATEWAY_NAME)
        if session:
            stream.tls.session = session
        await stream.handshake()
        await stream.write(mqtt.connect("dev-01"))
        assert await stream.read() == mqtt.CONNACK
        kept = stream.tls.session
        await stream.write(mqtt.DISCONNECT)
        await stream.say_goodbye()
        return stream.tls, kept
    finally:
        streams[1].close()


def leaf_of(tls: ssl.SSLObject) -> bytes:
    leaf = tls.getpeercert(binary_form=True)
    assert leaf is not None
    return leaf


def leaf_in(served: Served) -> bytes:
    return ssl.PEM_cert_to_DER_cert(
        served.chain_pem.decode().split("-----END CERTIFICATE-----")[0]
        + "-----END CERTIFICATE-----"
    )


async def test_a_new_certificate_is_served_from_the_next_connection_on(
    tmp_path: Path, ca: Authorities
) -> None:
    old, new = gateway_certificate(ca, NOW), gateway_certificate(ca, NOW, Break.UNKNOWN_CA)
    both = trusting(ca.old_ca.pem, ca.new_ca.pem)

    async with running(tmp_path, old) as gateway:
        before, _ = await connect(gateway, both)
        gateway.serve(written(tmp_path, new))
        after, _ = await connect(gateway, both)

    assert leaf_of(before) == leaf_in(old)
    assert leaf_of(after) == leaf_in(new)


async def test_a_session_under_way_survives_the_change(tmp_path: Path, ca: Authorities) -> None:
    async with running(tmp_path, gateway_certificate(ca, NOW)) as gateway:
        host, port = address_of(gateway).split(":")
        streams = await asyncio.open_connection(host, int(port))
        stream = TlsStream(streams, trusting(ca.old_ca.pem), server_name=GATEWAY_NAME)
        await stream.handshake()

        gateway.serve(written(tmp_path, gateway_certificate(ca, NOW, Break.EXPIRED)))
        await stream.write(mqtt.connect("dev-01"))
        answer = await stream.read()

        await stream.say_goodbye()
        streams[1].close()
    assert answer == mqtt.CONNACK


@pytest.mark.parametrize("keep", [True, False])
async def test_session_tickets_outlive_a_change_only_when_asked_to(
    tmp_path: Path, ca: Authorities, keep: bool
) -> None:
    context = trusting(ca.old_ca.pem)
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # its ticket is there after the handshake

    async with running(tmp_path, gateway_certificate(ca, NOW)) as gateway:
        _, session = await connect(gateway, context)
        gateway.serve(written(tmp_path, gateway_certificate(ca, NOW)), keep_tickets=keep)
        again, _ = await connect(gateway, context, session=session)
        last = (await sessions(tmp_path, 2)).splitlines()[-1]

    assert bool(again.session_reused) is keep
    assert f"resumed={'r' if keep else '.'} status=200" in last


async def test_a_key_that_does_not_fit_is_refused_and_the_old_chain_stays(
    tmp_path: Path, ca: Authorities
) -> None:
    good = gateway_certificate(ca, NOW)
    other = gateway_certificate(ca, NOW)

    async with running(tmp_path, good) as gateway:
        with pytest.raises(ssl.SSLError):
            gateway.serve(
                written(tmp_path, Served(chain_pem=other.chain_pem, key_pem=good.key_pem))
            )
        tls, _ = await connect(gateway, trusting(ca.old_ca.pem))

    assert leaf_of(tls) == leaf_in(good)


@pytest.mark.parametrize(
    ("broken", "alert"),
    [
        (Break.UNKNOWN_CA, "48"),
        (Break.MISSING_INTERMEDIATE, "48"),
        (Break.EXPIRED, "45"),
        (Break.HOSTNAME, "42"),
    ],
)
async def test_each_breakage_is_refused_by_the_client_and_logged_with_its_alert(
    tmp_path: Path, ca: Authorities, broken: Break, alert: str
) -> None:
    async with running(tmp_path, gateway_certificate(ca, NOW, broken)) as gateway:
        with pytest.raises(ssl.SSLCertVerificationError):
            await connect(gateway, trusting(ca.old_ca.pem))
        log = await sessions(tmp_path)

    assert f":SSL alert number {alert}) while SSL handshaking, client: 127.0.0.1, server: " in log
    assert "status=500" in log


async def test_a_client_that_waits_for_an_answer_to_nonsense_is_left_alone(
    tmp_path: Path, ca: Authorities
) -> None:
    async with running(tmp_path, gateway_certificate(ca, NOW)) as gateway:
        host, port = address_of(gateway).split(":")
        streams = await asyncio.open_connection(host, int(port))
        stream = TlsStream(streams, trusting(ca.old_ca.pem), server_name=GATEWAY_NAME)
        await stream.handshake()
        await stream.write(b"no MQTT at all")
        await stream.say_goodbye()
        streams[1].close()
        log = await sessions(tmp_path)

    assert "status=200" in log


async def test_without_a_certificate_a_connection_is_closed_and_nothing_else_happens(
    tmp_path: Path,
) -> None:
    async with running(tmp_path, None) as gateway:
        host, port = address_of(gateway).split(":")
        streams = await asyncio.open_connection(host, int(port))
        stream = TlsStream(streams, trusting(), server_name=GATEWAY_NAME)

        with pytest.raises((PeerClosedError, ConnectionResetError)):
            await stream.handshake()

        streams[1].close()
    assert (tmp_path / "gateway.log").read_text() == ""


async def test_the_port_is_free_afterwards(tmp_path: Path, ca: Authorities) -> None:
    async with running(tmp_path, gateway_certificate(ca, NOW)) as gateway:
        host, port = address_of(gateway).split(":")

    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(host, int(port))
    gateway.close()  # a second time does no harm
