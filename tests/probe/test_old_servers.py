"""Servers that only speak old versions or ciphers, and stapled OCSP, by ``openssl s_server``."""

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.x509 import ocsp

from exporter.clock import SystemClock
from exporter.observations import Reason, ToldBy
from exporter.probe.client_files import ClientFiles
from tests.daemons import Daemon, free_port, s_server, write_key, write_pem
from tests.pki import Issued, make_ca, make_leaf, new_key
from tests.probe.conftest import AMPLE, Look, Pki, at, names_of, new_prober
from tests.probe.staples import staple_of

pytestmark = pytest.mark.slow


def serve(directory: Path, port: int, chain: tuple[Issued, ...], *arguments: str | Path) -> Daemon:
    return s_server(
        directory,
        port,
        *("-cert", write_pem(directory, "leaf.pem", chain[0])),
        *("-key", write_key(directory, "key.pem", chain[0])),
        *(("-cert_chain", write_pem(directory, "rest.pem", *chain[1:])) if chain[1:] else ()),
        *arguments,
    )


@pytest.mark.parametrize(
    ("option", "version"),
    [("-tls1", "TLSv1"), ("-tls1_1", "TLSv1.1"), ("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")],
)
@pytest.mark.parametrize("kind", ["EC P-256", "RSA 2048"])
async def test_a_server_with_one_version_only_is_looked_at_and_reported(
    look: Look, tmp_path: Path, option: str, version: str, kind: str
) -> None:
    port = free_port()
    root = make_ca("root")
    leaf = make_leaf(root, "gw.test", key=new_key(kind))

    with serve(tmp_path, port, (leaf,), option, "-cipher", "ALL:@SECLEVEL=0"):
        seen = await look(port)

    assert (seen.handshake, seen.tls_version) == (True, version)
    assert names_of(seen) == ["gw.test"]


@pytest.mark.parametrize(
    ("cipher", "kind"),
    [
        ("AES128-SHA", "RSA 1024"),
        ("DHE-RSA-CAMELLIA128-SHA", "RSA 2048"),
        ("ECDHE-ECDSA-AES128-CCM8", "EC P-256"),
    ],
)
async def test_an_old_or_small_cipher_is_no_obstacle(
    look: Look, tmp_path: Path, cipher: str, kind: str
) -> None:
    port = free_port()
    leaf = make_leaf(make_ca("root"), "gw.test", key=new_key(kind))

    with serve(tmp_path, port, (leaf,), "-tls1_2", "-cipher", f"{cipher}:@SECLEVEL=0"):
        seen = await look(port)

    assert (seen.handshake, seen.cipher) == (True, cipher)


@pytest.mark.parametrize(
    ("group", "version"),
    [
        ("P-256", "-tls1_2"),
        ("P-256", "-tls1_3"),
        ("P-384", "-tls1_3"),
        ("X25519", "-tls1_2"),
        ("brainpoolP256r1", "-tls1_2"),  # RFC 8446 left these curves out
        ("ffdhe2048", "-tls1_3"),  # and brought these groups in
    ],
)
async def test_a_server_with_one_key_exchange_group_only_is_looked_at(
    look: Look, pki: Pki, tmp_path: Path, group: str, version: str
) -> None:
    port = free_port()

    with serve(tmp_path, port, pki.chain, version, "-groups", group):
        seen = await look(port)

    assert seen.handshake, seen.detail
    assert len(seen.chain) == 2


async def test_a_big_client_chain_is_shown_whole(pki: Pki, tmp_path: Path) -> None:
    port = free_port()
    chain = write_pem(tmp_path, "big.pem", pki.client, *[pki.client_root] * 90)
    files = ClientFiles(chain, write_key(tmp_path, "client.key", pki.client), SystemClock())
    arguments = ("-Verify", "1", "-CAfile", write_pem(tmp_path, "ca.pem", pki.client_root))

    with serve(tmp_path, port, pki.chain, *arguments, "-verify_return_error"):
        seen = await new_prober(files)(at(port), AMPLE)

    assert seen.handshake, seen.detail


async def test_an_anonymous_server_shares_no_cipher_with_us(look: Look, tmp_path: Path) -> None:
    port = free_port()
    arguments = ("-nocert", "-tls1_2", "-cipher", "aNULL:@SECLEVEL=0")

    with s_server(tmp_path, port, *arguments):
        seen = await look(port)

    assert (seen.handshake, seen.reason) == (False, Reason.NO_SHARED_CIPHER)
    assert seen.rejected_by is ToldBy.PEER
    assert seen.client_certificate_requested is None


@pytest.mark.parametrize("status", ["good", "revoked", "unknown"])
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
async def test_a_stapled_answer_is_reported(
    look: Look, pki: Pki, tmp_path: Path, status: str, version: str
) -> None:
    port = free_port()
    (tmp_path / "staple").write_bytes(
        staple_of(pki.leaf, pki.intermediate, status=ocsp.OCSPCertStatus[status.upper()])
    )

    with serve(tmp_path, port, pki.chain, version, "-status_file", tmp_path / "staple"):
        seen = await look(port)

    assert seen.handshake
    assert seen.ocsp is not None
    assert (seen.ocsp.status, seen.ocsp.verified) == (status, True)
    assert seen.ocsp.this_update == pki.leaf.certificate.not_valid_before_utc
    assert seen.ocsp.next_update == seen.ocsp.this_update + timedelta(days=4)


async def test_without_a_staple_there_is_no_status(look: Look, pki: Pki, tmp_path: Path) -> None:
    port = free_port()

    with serve(tmp_path, port, pki.chain):
        seen = await look(port)

    assert seen.handshake
    assert seen.ocsp is None


async def test_a_staple_about_another_certificate_is_absent_and_said_so(
    look: Look, pki: Pki, tmp_path: Path
) -> None:
    port = free_port()
    other = make_leaf(pki.intermediate, "other.test")
    (tmp_path / "staple").write_bytes(staple_of(other, pki.intermediate))

    with serve(tmp_path, port, pki.chain, "-status_file", tmp_path / "staple"):
        seen = await look(port)

    assert (seen.handshake, seen.ocsp) == (True, None)
    assert "about another certificate" in seen.detail
