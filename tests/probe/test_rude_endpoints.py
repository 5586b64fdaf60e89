"""Endpoints that do not shake hands: each is told apart by its reason."""

import asyncio
import socket

import pytest

from exporter.observations import Reason, ToldBy
from exporter.probe.model import Limits
from tests.daemons import free_port
from tests.listeners import (
    answering,
    close_after_hello,
    dripping,
    greeting,
    listening,
    reset_after_hello,
    reset_at_once,
    say_nothing,
)
from tests.probe.conftest import Look

# a ServerHello that never ends: handshake record of 4096 bytes, its first 6
HELLO_BEGUN = b"\x16\x03\x03\x10\x00\x02"


@pytest.mark.parametrize(
    ("handler", "reason", "rejected_by", "words"),
    [
        pytest.param(close_after_hello, "connection_reset", "peer", "closed", id="closes"),
        pytest.param(reset_after_hello, "connection_reset", "peer", "reset", id="resets"),
        pytest.param(reset_at_once, "connection_reset", "peer", "reset", id="resets-at-once"),
        pytest.param(
            answering(HELLO_BEGUN), "connection_reset", "peer", "in the middle", id="breaks-off"
        ),
        pytest.param(
            answering(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "not_tls", "local", "HTTP", id="http"
        ),
        pytest.param(greeting(b"SSH-2.0-OpenSSH_9.2\r\n"), "not_tls", "local", "SSH", id="ssh"),
        pytest.param(
            greeting(b"220 mail.test ESMTP\r\n"), "not_tls", "local", "STARTTLS", id="smtp"
        ),
        pytest.param(answering(b"\x00\xff" * 40), "not_tls", "local", "begins", id="garbage"),
        pytest.param(
            answering(b"\x16\x03\x01\xff\xff" + b"\xaa" * 80),
            "other",
            "local",
            "",
            id="garbled-tls",
        ),
        pytest.param(
            answering(b"\x15\x03\x03\x00\x02\x01\x00"),
            "connection_reset",
            "peer",
            "closed",
            id="close-notify",
        ),
        pytest.param(
            answering(b"\x15\x03\x03\x00\x02\x02\x28"),
            "no_shared_cipher",
            "peer",
            "alert 40",
            id="no-cipher",
        ),
        pytest.param(
            answering(b"\x15\x03\x01\x00\x02\x02\x46"),
            "protocol_version",
            "peer",
            "alert 70",
            id="version",
        ),
    ],
)
async def test_a_rude_endpoint_is_told_apart(
    look: Look, handler: object, reason: str, rejected_by: str, words: str
) -> None:
    async with listening(handler) as port:  # type: ignore[arg-type]  # a table of handlers
        seen = await look(port)

    assert (seen.connected, seen.handshake, seen.chain) == (True, False, ())
    assert (seen.reason, seen.rejected_by) == (reason, rejected_by)
    assert words in seen.detail
    assert (seen.tls_version, seen.cipher, seen.durations_s.handshake) == (None, None, None)


async def test_a_closed_port_is_connect_refused(look: Look) -> None:
    seen = await look(free_port())

    assert (seen.connected, seen.reason) == (False, Reason.CONNECT_REFUSED)
    assert seen.durations_s.connect is None


async def test_a_name_that_does_not_exist_is_a_dns_failure(look: Look) -> None:
    seen = await look(443, host="no-such-host.invalid", limits=Limits(phase_s=10))

    assert (seen.connected, seen.reason) == (False, Reason.DNS_FAILURE)
    assert "no-such-host.invalid" in seen.detail
    assert seen.durations_s.resolve is None


async def test_an_address_without_a_route_is_unreachable(look: Look) -> None:
    seen = await look(443, host="255.255.255.255")

    assert (seen.connected, seen.reason) == (False, Reason.UNREACHABLE)


async def test_a_listener_whose_queue_is_full_is_a_connect_timeout(look: Look) -> None:
    loop = asyncio.get_running_loop()
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        started = loop.time()
        seen = await look(full.getsockname()[1], limits=Limits(phase_s=0.3))

    assert (seen.connected, seen.reason) == (False, Reason.CONNECT_TIMEOUT)
    assert "within 0.3 s" in seen.detail
    assert loop.time() - started < 30  # the kernel would try for two minutes


@pytest.mark.parametrize(
    "handler",
    [
        pytest.param(say_nothing, id="silent"),
        pytest.param(greeting(HELLO_BEGUN), id="begins"),
        pytest.param(dripping(HELLO_BEGUN + b"\x00" * 99, 0.05), id="drips"),
    ],
)
async def test_silence_and_a_slow_drip_end_by_the_handshake_s_limit(
    look: Look, handler: object
) -> None:
    async with listening(handler) as port:  # type: ignore[arg-type]  # a table of handlers
        limit_s = 0.4
        seen = await look(port, limits=Limits(phase_s=limit_s))
        while not seen.connected and limit_s < 20:  # on a busy machine it was over before that
            limit_s *= 4
            seen = await look(port, limits=Limits(phase_s=limit_s))

    assert (seen.connected, seen.reason) == (True, Reason.HANDSHAKE_TIMEOUT)
    assert seen.rejected_by is None
    assert f"within {limit_s:g} s" in seen.detail


@pytest.mark.slow
async def test_one_byte_a_second_ends_by_the_handshake_s_limit(look: Look) -> None:
    async with listening(dripping(HELLO_BEGUN * 9, 1.0)) as port:
        seen = await look(port, limits=Limits(phase_s=2.5))

    assert seen.reason is Reason.HANDSHAKE_TIMEOUT
    assert "begun to answer" in seen.detail


async def test_an_endpoint_that_never_stops_sending_is_cut_off(look: Look) -> None:
    # records of type handshake whose message announces 64 KiB and never gets there
    flood = b"\x16\x03\x03\x40\x00" + b"\x02\x00\xff\xff" + b"\x00" * 16_380
    limits = Limits(phase_s=20, max_bytes=8_000)

    async with listening(answering(flood * 4)) as port:
        seen = await look(port, limits=limits)

    assert (seen.handshake, seen.rejected_by) == (False, ToldBy.LOCAL)
    assert seen.reason is Reason.OTHER
