"""Signers: a real command, and a folder in which somebody signs."""

import sys
from pathlib import Path

import pytest

from exporter.rotation.options import Signer
from exporter.rotation.signing import NotYetError, SigningError, signed
from tests.pki import make_ca


def command(*arguments: str, timeout: float = 30.0) -> Signer:
    return Signer(command=(sys.executable, "-c", *arguments), timeout=timeout)


def python(code: str) -> Signer:
    return command(code)


async def test_a_command_reads_the_request_and_writes_the_chain() -> None:
    signer = python("import sys; print('chain of ' + sys.stdin.read())")

    assert await signed(signer, "gw-1", "a request") == "chain of a request\n"


@pytest.mark.parametrize(
    ("signer", "said"),
    [
        (Signer(command=("/nowhere/sign",)), "cannot be run: No such file"),
        (python("import sys; sys.exit('no such role')"), "status 1: no such role"),
        (python("print('x' * (2 << 20))"), "which is no chain"),
        (command("import time; time.sleep(60)", timeout=0.2), "nothing within 0.2 s"),
    ],
)
async def test_a_command_that_fails_is_told_with_its_own_words(signer: Signer, said: str) -> None:
    with pytest.raises(SigningError, match=said):
        await signed(signer, "gw-1", "a request")


async def test_openssl_signs_a_real_request(tmp_path: Path) -> None:
    ca = make_ca("new CA")
    (tmp_path / "ca.pem").write_bytes(ca.pem)
    (tmp_path / "ca.key").write_bytes(ca.key_pem)
    key = tmp_path / "gw.key"
    made = await signed(
        Signer(command=(
            "openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key),
            "-subj", "/CN=gw-1",
        )), "gw-1", "",
    )  # fmt: skip
    signer = Signer(command=(
        "openssl", "x509", "-req", "-days", "30", "-CA", str(tmp_path / "ca.pem"),
        "-CAkey", str(tmp_path / "ca.key"),
    ))  # fmt: skip

    assert "BEGIN CERTIFICATE" in await signed(signer, "gw-1", made)


async def test_a_folder_is_watched_until_somebody_signed(tmp_path: Path) -> None:
    signer = Signer(folder=tmp_path)
    with pytest.raises(NotYetError, match=r"gw-1\.csr waits to be signed"):
        await signed(signer, "gw-1", "request 1")
    assert (tmp_path / "gw-1.csr").read_text() == "request 1"

    (tmp_path / "gw-1.pem").write_text("chain 1")
    assert await signed(signer, "gw-1", "request 1") == "chain 1"


async def test_the_answer_to_an_earlier_request_is_not_taken(tmp_path: Path) -> None:
    signer = Signer(folder=tmp_path)
    (tmp_path / "gw-1.csr").write_text("request 1")
    (tmp_path / "gw-1.pem").write_text("chain 1")

    with pytest.raises(NotYetError):
        await signed(signer, "gw-1", "request 2")

    assert not (tmp_path / "gw-1.pem").exists()


async def test_a_name_leads_out_of_no_folder_and_a_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotYetError):
        await signed(Signer(folder=tmp_path), "../../gw", "request")
    assert (tmp_path / "_.._gw.csr").read_text() == "request"
    with pytest.raises(SigningError, match="cannot be used"):
        await signed(Signer(folder=tmp_path / "none"), "gw-1", "request")
