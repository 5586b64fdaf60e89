"""TLS with the management API: whom we believe, what we show, and files that change."""

import logging
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)

from exporter.gateway.api import GatewayError, GatewayReason
from tests.fake_gateway import FakeGateway
from tests.gateway.apis import ASKING, CHANGE, api_of
from tests.pki import CLIENT_AUTH, Issued, make_ca, make_leaf

SERVER_CA = make_ca("server CA")
CLIENT_CA = make_ca("client CA")
SERVER = make_leaf(SERVER_CA, "127.0.0.1")


def client_of(ca: Issued) -> Issued:
    return make_leaf(ca, "exporter", purposes=(CLIENT_AUTH,))


CLIENT = client_of(CLIENT_CA)


def write(folder: Path, issued: Issued, name: str) -> tuple[Path, Path]:
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    cert.write_bytes(issued.pem)
    key.write_bytes(issued.key_pem)
    return cert, key


def replace_with(file: Path, content: bytes | None) -> None:
    file.unlink()
    if content is not None:
        file.write_bytes(content)


@dataclass(frozen=True, slots=True)
class Files:
    folder: Path
    ca: Path
    cert: Path
    key: Path

    @property
    def mutual(self) -> dict[str, Any]:
        return {"ca_file": self.ca, "client_cert_file": self.cert, "client_key_file": self.key}


@pytest.fixture
def files(tmp_path: Path) -> Files:
    ca, _ = write(tmp_path, SERVER_CA, "ca")
    cert, key = write(tmp_path, CLIENT, "client")
    return Files(tmp_path, ca, cert, key)


def context(folder: Path, *, client_ca: Issued | None = None) -> ssl.SSLContext:
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made.load_cert_chain(*write(folder, SERVER, "server"))
    if client_ca is not None:
        made.load_verify_locations(cadata=client_ca.pem.decode())
        made.verify_mode = ssl.CERT_REQUIRED
    return made


@pytest.fixture
async def tls_url(gateway: FakeGateway, tmp_path: Path) -> AsyncIterator[str]:
    async with gateway.serving(context(tmp_path)) as url:
        yield url


@pytest.fixture
async def mtls_url(gateway: FakeGateway, tmp_path: Path) -> AsyncIterator[str]:
    async with gateway.serving(context(tmp_path, client_ca=CLIENT_CA)) as url:
        yield url


async def failure_of(url: str, **more: Any) -> GatewayError:
    api, _ = api_of(url, None, **more)
    with pytest.raises(GatewayError) as caught:
        await ASKING[CHANGE](api)
    return caught.value


async def test_a_server_whose_ca_we_know_is_asked(tls_url: str, files: Files) -> None:
    api, _ = api_of(tls_url, ca_file=files.ca)

    assert (await api.certificates()).serving.version == 2
    assert (await api.trust_status()).total == 1


async def test_a_server_of_an_unknown_ca_is_told_nothing(
    gateway: FakeGateway, tls_url: str
) -> None:
    error = await failure_of(tls_url)

    assert error.reason is GatewayReason.TLS
    assert "certificate verify failed" in str(error)
    assert not error.is_outcome_unknown
    assert gateway.seen == []


async def test_a_server_of_another_name_is_told_nothing(
    gateway: FakeGateway, tls_url: str, files: Files
) -> None:
    error = await failure_of(tls_url.replace("127.0.0.1", "localhost"), ca_file=files.ca)

    assert error.reason is GatewayReason.TLS
    assert gateway.seen == []


async def test_a_client_certificate_is_shown_where_one_is_wanted(
    gateway: FakeGateway, mtls_url: str, files: Files
) -> None:
    api, _ = api_of(mtls_url, **files.mutual)

    await ASKING[CHANGE](api)

    assert len(gateway.seen) == 1


async def test_without_the_client_certificate_that_is_wanted_a_hint_is_given(
    gateway: FakeGateway, mtls_url: str, files: Files
) -> None:
    error = await failure_of(mtls_url, ca_file=files.ca)

    # TLS 1.3: the alert arrives, or is lost to the reset behind it
    assert error.reason is GatewayReason.TLS or "where a client certificate is wanted" in str(
        error
    )
    assert gateway.seen == []


async def test_in_tls_1_2_nothing_is_sent_without_the_client_certificate_that_is_wanted(
    gateway: FakeGateway, files: Files
) -> None:
    old = context(files.folder, client_ca=CLIENT_CA)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    async with gateway.serving(old) as url:
        error = await failure_of(url, ca_file=files.ca)

    assert error.reason is GatewayReason.TLS or "where a client certificate is wanted" in str(
        error
    )
    assert not error.is_outcome_unknown
    assert gateway.seen == []


async def test_a_server_without_tls_is_a_tls_failure(gateway: FakeGateway, url: str) -> None:
    error = await failure_of(url.replace("http:", "https:"))

    assert error.reason is GatewayReason.TLS


async def test_a_ca_that_comes_into_its_file_is_believed_from_then_on(
    tls_url: str, files: Files
) -> None:
    files.ca.write_bytes(CLIENT_CA.pem)
    api, _ = api_of(tls_url, ca_file=files.ca)
    with pytest.raises(GatewayError):
        await api.certificates()

    files.ca.write_bytes(CLIENT_CA.pem + SERVER_CA.pem)

    await api.certificates()


async def test_a_renewed_client_certificate_is_shown_from_then_on(
    mtls_url: str, files: Files
) -> None:
    write(files.folder, client_of(make_ca("other CA")), "client")
    api, _ = api_of(mtls_url, **files.mutual)
    with pytest.raises(GatewayError):
        await api.certificates()

    write(files.folder, client_of(CLIENT_CA), "client")

    await api.certificates()


async def test_a_renewal_that_is_half_done_changes_nothing(
    mtls_url: str, files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    api, _ = api_of(mtls_url, **files.mutual)
    await api.certificates()

    files.cert.write_bytes(client_of(CLIENT_CA).pem)
    with caplog.at_level(logging.WARNING):
        await api.certificates()
        await api.certificates()

    assert len(caplog.records) == 1
    assert "the last good files are used" in caplog.text


@pytest.mark.parametrize("which", ["ca", "cert", "key"])
@pytest.mark.parametrize("content", [None, b"", b"no PEM", CLIENT.pem[:200]])
async def test_files_that_cannot_be_used_are_named_and_nothing_is_sent(
    gateway: FakeGateway, mtls_url: str, files: Files, which: str, content: bytes | None
) -> None:
    file: Path = getattr(files, which)
    replace_with(file, content)

    error = await failure_of(mtls_url, **files.mutual)

    assert error.reason is GatewayReason.CREDENTIALS
    assert str(file) in str(error)
    assert gateway.seen == []


async def test_an_encrypted_key_is_refused_and_its_password_not_asked_for(
    mtls_url: str, files: Files
) -> None:
    files.key.write_bytes(
        CLIENT.key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"hunter2")
        )
    )

    error = await failure_of(mtls_url, **files.mutual)

    assert error.reason is GatewayReason.CREDENTIALS
    assert "not encrypted" in str(error)
