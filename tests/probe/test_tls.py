import asyncio
import socket
import ssl
from pathlib import Path
from unittest.mock import patch

import pytest

from exporter.anchors import trust_store
from exporter.clock import SystemClock
from exporter.observations import Reason, ToldBy
from exporter.probe.model import Limits
from exporter.verdicts.judge import judge
from tests.daemons import free_port
from tests.listeners import (
    greeting,
    listening,
    load_chain,
    say_nothing,
    server_context,
)
from tests.pki import Issued, certificate_of, make_ca, make_leaf, new_key
from tests.probe.conftest import AMPLE, Look, Pki, at, names_of, new_prober


async def test_a_good_listener_shows_its_chain_version_and_cipher(
    look: Look, pki: Pki, tmp_path: Path
) -> None:
    async with listening(say_nothing, tls=server_context(tmp_path, pki.chain)) as port:
        seen = await look(port)

    assert (seen.connected, seen.handshake, seen.reason, seen.detail) == (True, True, None, "")
    assert seen.chain == tuple(certificate_of(issued) for issued in pki.chain)
    assert seen.chain_sent_count == 2
    assert (seen.tls_version, seen.cipher) == ("TLSv1.3", "TLS_AES_256_GCM_SHA384")
    assert seen.client_certificate_requested is False
    assert (seen.alpn, seen.ocsp, seen.rejected_by) == (None, None, None)
    assert (seen.target, seen.address) == ("gw-1", f"127.0.0.1:{port}")


async def test_each_phase_is_timed(look: Look, pki: Pki, tmp_path: Path) -> None:
    async with listening(say_nothing, tls=server_context(tmp_path, pki.chain)) as port:
        seen = await look(port)

    phases = (seen.durations_s.resolve, seen.durations_s.connect, seen.durations_s.handshake)
    assert all(phase is not None and 0 < phase < AMPLE.phase_s for phase in phases)


@pytest.mark.parametrize("kind", ["EC P-256", "EC P-384", "RSA 2048", "Ed25519"])
async def test_every_usual_kind_of_key_is_understood(
    look: Look, tmp_path: Path, kind: str
) -> None:
    leaf = make_leaf(make_ca("root"), "gw.test", key=new_key(kind))

    async with listening(say_nothing, tls=server_context(tmp_path, [leaf])) as port:
        seen = await look(port)

    assert seen.handshake
    assert [certificate.public_key for certificate in seen.chain] == [kind]


async def test_a_chain_out_of_order_with_duplicates_is_reported_as_sent_and_good_all_the_same(
    look: Look, pki: Pki, tmp_path: Path
) -> None:
    sent = (pki.leaf, pki.root, pki.intermediate, pki.root, pki.leaf)

    async with listening(say_nothing, tls=server_context(tmp_path, sent)) as port:
        seen = await look(port)

    assert names_of(seen) == ["gw.test", "root", "intermediate", "root", "gw.test"]
    store = trust_store("root", [certificate_of(pki.root)])
    assert judge(seen.chain, store, name="gw.test", at=SystemClock().now()).verified


async def test_a_chain_of_a_hundred_certificates_is_cut_and_said_so(
    look: Look, pki: Pki, tmp_path: Path
) -> None:
    sent = [pki.leaf, *[pki.intermediate] * 99]

    async with listening(say_nothing, tls=server_context(tmp_path, sent)) as port:
        seen = await look(port)

    assert seen.handshake
    assert (len(seen.chain), seen.chain_sent_count) == (20, 100)
    assert seen.detail == "the endpoint sent 100 certificates, 20 are kept"


async def test_a_chain_above_the_library_s_limit_ends_with_a_sentence(
    look: Look, pki: Pki, tmp_path: Path
) -> None:
    sent = [pki.leaf, *[pki.root] * 300]

    async with listening(say_nothing, tls=server_context(tmp_path, sent)) as port:
        seen = await look(port)

    assert (seen.handshake, seen.reason, seen.rejected_by) == (False, Reason.OTHER, ToldBy.LOCAL)
    assert "100 KiB" in seen.detail


async def test_a_changed_certificate_is_seen_by_the_next_look(
    look: Look, pki: Pki, tmp_path: Path
) -> None:
    context = server_context(tmp_path, pki.chain)
    renewed = make_leaf(pki.intermediate, "gw.test")

    async with listening(say_nothing, tls=context) as port:
        before = await look(port)
        load_chain(context, tmp_path, [renewed, pki.intermediate])
        after = await look(port)

    assert before.chain[0] == certificate_of(pki.leaf)
    assert after.chain[0] == certificate_of(renewed)


async def test_an_unchanged_certificate_is_the_same_object_again(
    look: Look, pki: Pki, tmp_path: Path
) -> None:
    async with listening(say_nothing, tls=server_context(tmp_path, pki.chain)) as port:
        first, second = await look(port), await look(port)

    assert all(a is b for a, b in zip(first.chain, second.chain, strict=True))


async def test_the_server_name_chooses_the_certificate(
    look: Look, pki: Pki, tmp_path: Path
) -> None:
    other = server_context(tmp_path / "other", [make_leaf(pki.root, "other.test")])
    context = server_context(tmp_path, pki.chain)
    asked: list[str | None] = []

    def choose(connection: ssl.SSLObject, name: str | None, _default: object) -> None:
        asked.append(name)
        if name == "other.test":
            connection.context = other

    context.sni_callback = choose
    async with listening(say_nothing, tls=context) as port:
        named = await look(port, server_name="other.test")
        unnamed = await look(port, server_name=None)

    assert (names_of(named)[0], names_of(unnamed)[0]) == ("other.test", "gw.test")
    assert asked == ["other.test", None]


async def test_an_internationalised_name_is_sent_in_ascii(
    look: Look, pki: Pki, tmp_path: Path
) -> None:
    context = server_context(tmp_path, pki.chain)
    asked: list[str | None] = []
    context.sni_callback = lambda _connection, name, _context: asked.append(name)

    async with listening(say_nothing, tls=context) as port:
        await look(port, server_name="bücher.test.")

    assert asked == ["xn--bcher-kva.test"]


@pytest.mark.parametrize("name", ["a\x00b", "x" * 300, "xn--\u2028.test", ""])
async def test_a_name_that_cannot_be_sent_ends_with_a_sentence(look: Look, name: str) -> None:
    seen = await look(free_port(), server_name=name)

    assert (seen.connected, seen.reason) == (False, Reason.OTHER)
    assert "cannot be sent" in seen.detail


async def test_an_ipv6_listener_is_looked_at(look: Look, pki: Pki, tmp_path: Path) -> None:
    context = server_context(tmp_path, pki.chain)

    async with listening(say_nothing, host="::1", tls=context) as port:
        seen = await look(port, host="::1")

    assert seen.handshake
    assert seen.address == f"[::1]:{port}"


async def test_the_next_address_of_a_name_is_tried(look: Look, pki: Pki, tmp_path: Path) -> None:
    async with listening(say_nothing, tls=server_context(tmp_path, pki.chain)) as port:
        found = [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", port, 0, 0)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)),
        ]
        with patch("socket.getaddrinfo", return_value=found):
            seen = await look(port, host="two.test")

    assert seen.handshake


async def test_when_no_address_of_a_name_answers_the_first_one_tells_why(look: Look) -> None:
    port = free_port()
    found = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("255.255.255.255", port)),
    ]

    with patch("socket.getaddrinfo", return_value=found):
        seen = await look(port, host="two.test")

    assert seen.reason is Reason.CONNECT_REFUSED
    assert "2 of 2 addresses were tried, the others: unreachable" in seen.detail


async def test_data_after_the_handshake_do_not_delay_or_break_a_look(
    look: Look, pki: Pki, tmp_path: Path
) -> None:
    context = server_context(tmp_path, pki.chain)

    async with listening(greeting(b"220 ready\r\n" * 50_000), tls=context) as port:
        seen = await look(port, limits=Limits(phase_s=20, max_bytes=20_000))

    assert seen.handshake
    assert seen.reason is None


async def test_a_listener_that_never_closes_costs_half_a_second_at_most(
    look: Look, pki: Pki, tmp_path: Path
) -> None:
    loop = asyncio.get_running_loop()
    is_over = loop.create_future()

    async def stay(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await is_over

    async with listening(stay, tls=server_context(tmp_path, pki.chain)) as port:
        took_s = []
        for _ in range(5):  # one look may take longer, on a machine that is busy
            started = loop.time()
            assert (await look(port)).handshake
            took_s.append(loop.time() - started)
            if took_s[-1] < 1.5:
                break
        is_over.set_result(None)

    assert min(took_s) < 1.5


async def test_a_certificate_that_cannot_be_parsed_cuts_the_chain_and_says_so(
    pki: Pki, tmp_path: Path
) -> None:
    prober = new_prober()
    context = server_context(tmp_path, pki.chain)
    crooked = _crooked(pki.intermediate)
    file = tmp_path / "crooked.pem"
    file.write_bytes(pki.leaf.key_pem + pki.leaf.pem + crooked + pki.root.pem)
    context.load_cert_chain(file)

    async with listening(say_nothing, tls=context) as port:
        seen = await prober(at(port), AMPLE)

    assert seen.handshake
    assert (names_of(seen), seen.chain_sent_count) == (["gw.test"], 3)
    assert "cut at position 1" in seen.detail


def _crooked(issued: Issued) -> bytes:
    """A certificate that OpenSSL takes and ``cryptography`` does not: version 3 made 7."""
    der = issued.der.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x06", 1)
    return ssl.DER_cert_to_PEM_cert(der).encode()


async def test_a_fault_of_our_own_is_internal_and_logged(
    pki: Pki, caplog: pytest.LogCaptureFixture
) -> None:
    prober = new_prober()
    broken = Limits(phase_s="soon")  # type: ignore[arg-type]  # the fault

    seen = await prober(at(free_port()), broken)

    assert (seen.reason, seen.rejected_by) == (Reason.INTERNAL, None)
    assert "look failed by a fault of our own" in caplog.text
