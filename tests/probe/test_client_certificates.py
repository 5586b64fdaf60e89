"""Servers that ask for a client certificate, with and without ours."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import x25519

from exporter.clock import SystemClock
from exporter.observations import Reason, ToldBy
from exporter.probe.client_files import ClientFiles
from tests.daemons import write_key, write_pem
from tests.listeners import (
    alerting,
    demand_client_certificate,
    listening,
    reset,
    say_nothing,
    server_context,
)
from tests.pki import CLIENT_AUTH, Issued, make_leaf
from tests.probe.conftest import AMPLE, Pki, at, names_of, new_prober

VERSIONS = [
    pytest.param(ssl.TLSVersion.TLSv1_2, id="1.2"),
    pytest.param(ssl.TLSVersion.TLSv1_3, id="1.3"),
]


def files_of(directory: Path, issued: Issued) -> ClientFiles:
    return ClientFiles(
        write_pem(directory, "client.pem", issued),
        write_key(directory, "client.key", issued),
        SystemClock(),
    )


def demanding(
    pki: Pki, directory: Path, version: ssl.TLSVersion, *, optional: bool = False
) -> ssl.SSLContext:
    context = server_context(directory, pki.chain)
    context.maximum_version = version
    demand_client_certificate(context, pki.client_root, optional=optional)
    return context


@pytest.mark.parametrize("version", VERSIONS)
async def test_without_a_certificate_the_demand_is_told_and_the_chain_is_kept(
    pki: Pki, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    with alerting(demanding(pki, tmp_path, version)) as port:
        seen = await new_prober()(at(port), AMPLE)

    assert (seen.connected, seen.handshake) == (True, False)
    assert (seen.reason, seen.rejected_by) == (Reason.CLIENT_CERT_REQUIRED, ToldBy.PEER)
    assert seen.client_certificate_requested is True
    assert names_of(seen) == ["gw.test", "intermediate"]
    assert seen.tls_version == version.name.replace("_", ".")


@pytest.mark.parametrize("version", VERSIONS)
async def test_with_our_certificate_the_handshake_is_done(
    pki: Pki, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    prober = new_prober(files_of(tmp_path, pki.client))

    async with listening(say_nothing, tls=demanding(pki, tmp_path, version)) as port:
        seen = await prober(at(port), AMPLE)

    assert (seen.handshake, seen.reason, seen.detail) == (True, None, "")
    assert seen.client_certificate_requested is True


def refuse_what_is_revoked(context: ssl.SSLContext, directory: Path, pki: Pki) -> None:
    """Have the server ask a list of the clients' CA, on which the client's certificate is."""
    now = SystemClock().now()
    entry = x509.RevokedCertificateBuilder()
    entry = entry.serial_number(pki.client.certificate.serial_number).revocation_date(now)
    crl = x509.CertificateRevocationListBuilder()
    crl = crl.issuer_name(pki.client_root.certificate.subject)
    crl = crl.last_update(now - timedelta(days=1)).next_update(now + timedelta(days=1))
    signed = crl.add_revoked_certificate(entry.build()).sign(pki.client_root.key, hashes.SHA256())
    path = directory / "clients.crl"
    path.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    context.load_verify_locations(path)
    context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("stranger", Reason.UNKNOWN_CA),
        ("expired", Reason.EXPIRED),
        ("revoked", Reason.REVOKED),
    ],
)
async def test_a_wrong_certificate_of_ours_is_told_by_the_servers_alert(
    pki: Pki, tmp_path: Path, version: ssl.TLSVersion, kind: str, reason: Reason
) -> None:
    start = pki.client.certificate.not_valid_before_utc.replace(year=2020)
    expired = make_leaf(pki.client_root, "old prober", not_before=start, purposes=(CLIENT_AUTH,))
    shown = {"stranger": pki.stranger, "expired": expired, "revoked": pki.client}[kind]
    prober = new_prober(files_of(tmp_path, shown))
    context = demanding(pki, tmp_path, version)
    if kind == "revoked":
        refuse_what_is_revoked(context, tmp_path, pki)

    with alerting(context) as port:
        seen = await prober(at(port), AMPLE)

    assert (seen.handshake, seen.reason, seen.rejected_by) == (False, reason, ToldBy.PEER)
    assert "after our client certificate" in seen.detail
    assert len(seen.chain) == 2


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_server_that_only_asks_is_no_failure_and_the_request_is_told(
    pki: Pki, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    context = demanding(pki, tmp_path, version, optional=True)

    async with listening(say_nothing, tls=context) as port:
        seen = await new_prober()(at(port), AMPLE)

    assert (seen.handshake, seen.reason) == (True, None)
    assert seen.client_certificate_requested is True


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection that is closed also where whoever has it is cancelled."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()


@pytest.mark.parametrize("delay_s", [0.0, 0.1, 0.9])
async def test_a_refusal_that_comes_late_is_waited_for(
    pki: Pki, tmp_path: Path, delay_s: float
) -> None:
    with alerting(demanding(pki, tmp_path, ssl.TLSVersion.TLSv1_3)) as behind:

        async def hold_back(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            async with connected(behind) as (server_reader, server_writer):
                server_writer.write(await reader.read(65_536))
                writer.write(await server_reader.read(65_536))
                server_writer.write(await reader.read(65_536))
                refusal = await server_reader.read(65_536)
                with suppress(TimeoutError):
                    await asyncio.wait_for(asyncio.get_running_loop().create_future(), delay_s)
                writer.write(refusal)
                await writer.drain()

        async with listening(hold_back) as port:
            seen = await new_prober()(at(port), AMPLE)

    assert (seen.handshake, seen.reason) == (False, Reason.CLIENT_CERT_REQUIRED)
    assert "alert 116" in seen.detail


async def test_a_server_without_tickets_that_accepts_us_in_silence_is_good_after_a_while(
    pki: Pki, tmp_path: Path
) -> None:
    context = demanding(pki, tmp_path, ssl.TLSVersion.TLSv1_3)
    context.num_tickets = 0
    prober = new_prober(files_of(tmp_path, pki.client))
    loop = asyncio.get_running_loop()

    async with listening(say_nothing, tls=context) as port:
        started = loop.time()
        seen = await prober(at(port), AMPLE)

    assert seen.handshake
    # half a second, or more where the handshake was slow; not the whole of what it may take
    assert 0.4 < loop.time() - started < AMPLE.phase_s


@pytest.mark.parametrize("how", ["closed", "reset"])
@pytest.mark.parametrize(
    ("shown", "reason"),
    [
        pytest.param(None, Reason.CLIENT_CERT_REQUIRED, id="none"),
        pytest.param("client", Reason.VERIFY_FAILED, id="ours"),
    ],
)
async def test_a_server_that_hangs_up_instead_of_an_alert_has_refused(
    pki: Pki, tmp_path: Path, shown: str | None, reason: Reason, how: str
) -> None:
    context = demanding(pki, tmp_path, ssl.TLSVersion.TLSv1_3)
    prober = new_prober(files_of(tmp_path, getattr(pki, shown)) if shown else None)

    async with listening(say_nothing, tls=context) as behind:

        async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            async with connected(behind) as (server_reader, server_writer):
                server_writer.write(await reader.read(65_536))
                writer.write(await server_reader.read(65_536))
                await reader.read(65_536)
                if how == "reset":
                    reset(writer)

        async with listening(cut) as port:
            seen = await prober(at(port), AMPLE)

    assert (seen.handshake, seen.reason, seen.rejected_by) == (False, reason, ToldBy.PEER)
    assert how in seen.detail
    assert "without an alert" in seen.detail
    assert len(seen.chain) == 2


async def test_changed_files_are_used_by_the_next_look(pki: Pki, tmp_path: Path) -> None:
    files = files_of(tmp_path, pki.stranger)
    prober = new_prober(files)

    async with listening(
        say_nothing, tls=demanding(pki, tmp_path, ssl.TLSVersion.TLSv1_3)
    ) as port:
        before = await prober(at(port), AMPLE)
        files_of(tmp_path, pki.client)
        after = await prober(at(port), AMPLE)

    assert (before.handshake, after.handshake) == (False, True)
    assert files.state.problem is None
    assert files.state.not_after == pki.client.certificate.not_valid_after_utc


async def test_a_broken_pair_keeps_the_last_good_one_and_says_so(
    pki: Pki, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = files_of(tmp_path, pki.client)
    prober = new_prober(files)

    async with listening(
        say_nothing, tls=demanding(pki, tmp_path, ssl.TLSVersion.TLSv1_3)
    ) as port:
        await prober(at(port), AMPLE)
        write_pem(tmp_path, "client.pem", pki.stranger)
        seen = await prober(at(port), AMPLE)
        again = await prober(at(port), AMPLE)

    assert (seen.handshake, again.handshake) == (True, True)
    assert files.state.problem is not None
    assert "does not hold the key" in files.state.problem
    assert files.state.failure_count == 1
    assert "the last good one is kept" in caplog.text


@pytest.mark.parametrize(
    ("cert", "key", "words"),
    [
        pytest.param(None, "good", "cannot be read", id="no-certificate-file"),
        pytest.param("good", None, "cannot be read", id="no-key-file"),
        pytest.param(b"nothing", "good", "no certificate in PEM form", id="no-certificate"),
        pytest.param("good", b"nothing", "no private key in PEM form", id="no-key"),
        pytest.param("good", "encrypted", "encrypted key", id="encrypted"),
    ],
)
async def test_unusable_files_are_refused_with_a_sentence(
    pki: Pki, tmp_path: Path, cert: str | bytes | None, key: str | bytes | None, words: str
) -> None:
    texts = {
        "good": (pki.client.pem, pki.client.key_pem),
        "encrypted": (
            b"",
            pki.client.key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(b"secret"),
            ),
        ),
    }
    for name, wish, index in (("c.pem", cert, 0), ("k.pem", key, 1)):
        if wish is not None:
            text = texts[wish][index] if isinstance(wish, str) else wish
            (tmp_path / name).write_bytes(text)
    files = ClientFiles(tmp_path / "c.pem", tmp_path / "k.pem", SystemClock())

    context = await files.context()

    assert context is None
    assert files.state.problem is not None
    assert words in files.state.problem
    assert "secret" not in files.state.problem
    assert files.state.loaded_at is None


async def test_a_key_that_tls_cannot_use_is_refused_with_a_sentence(
    pki: Pki, tmp_path: Path
) -> None:
    key = x25519.X25519PrivateKey.generate()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(pki.client_root.certificate.subject)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(pki.client.certificate.not_valid_before_utc)
        .not_valid_after(pki.client.certificate.not_valid_after_utc)
        .sign(pki.client_root.key, hashes.SHA256())
    )
    files = files_of(tmp_path, Issued(certificate=certificate, key=key))  # type: ignore[arg-type]  # the fault

    assert await files.context() is None
    assert files.state.problem is not None
    assert "cannot be used" in files.state.problem


async def test_a_certificate_with_an_unknown_kind_of_key_is_refused_with_a_sentence(
    pki: Pki, tmp_path: Path
) -> None:
    curve, no_curve = bytes.fromhex("06082a8648ce3d030107"), bytes.fromhex("06082a8648ce3d03017f")
    der = pki.client.der.replace(curve, no_curve)
    files = files_of(tmp_path, pki.client)
    (tmp_path / "client.pem").write_text(ssl.DER_cert_to_PEM_cert(der))

    assert await files.context() is None
    assert files.state.problem is not None
    assert "its key cannot be used" in files.state.problem


async def test_many_looks_at_once_read_changed_files_once(pki: Pki, tmp_path: Path) -> None:
    files = files_of(tmp_path, pki.client)

    contexts = await asyncio.gather(*(files.context() for _ in range(5)))

    assert contexts[0] is not None
    assert len(set(contexts)) == 1


async def test_files_are_read_only_when_they_changed(pki: Pki, tmp_path: Path) -> None:
    files = files_of(tmp_path, pki.client)

    first = await files.context()
    os.utime(tmp_path / "client.key", ns=(1, 1))
    touched = await files.context()
    same = await files.context()

    assert first is not touched
    assert touched is same
