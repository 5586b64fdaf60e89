"""``recovery-bundle`` as an operator uses it, judged by openssl beside our own judge."""

import fcntl
import json
import os
import pty
import subprocess
import termios
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.running import COMMAND, Ended

NAME = "gw-1.example"


def openssl(*words: str, cwd: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["openssl", *words], cwd=cwd, capture_output=True, text=True, timeout=60, check=check
    )


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """An old CA with an encrypted copy of its key, a new CA, a gateway's key and request."""
    for name in ("old", "new"):
        openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name} CA",
            "-days", "400", cwd=tmp_path,
        )  # fmt: skip
    openssl(
        "pkey", "-in", "old.key", "-aes256", "-passout", "pass:sesame", "-out", "old.enc",
        cwd=tmp_path,
    )  # fmt: skip
    openssl(
        "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", "gw.key", "-out", "gw.csr",
        "-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME},IP:127.0.0.1",
        cwd=tmp_path,
    )  # fmt: skip
    return tmp_path


def words_of(more: tuple[str, ...], key: str) -> list[str]:
    words = [*COMMAND, "recovery-bundle", "--csr", "gw.csr", "--ca", "old.pem", "--output", "out"]
    return [*words, *(["--ca-key", key] if key else []), *more]


def bundle(site: Path, *more: str, key: str = "old.key") -> Ended:
    ran = subprocess.run(
        words_of(more, key), cwd=site, capture_output=True, text=True, timeout=60, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return Ended(code=ran.returncode, out=ran.stdout, err=ran.stderr)


def at_a_terminal(
    site: Path, *more: str, key: str, typed: bytes, asked: Callable[[int], None] = lambda _: None
) -> tuple[int, str]:
    """Run it at a terminal of its own; when it asks, call ``asked`` with its id, and type.

    Status and what was shown.
    """
    master, slave = pty.openpty()
    try:
        process = subprocess.Popen(
            words_of(more, key), cwd=site, stdin=slave, stdout=slave, stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - one call
        )  # fmt: skip
        os.close(slave)
        shown = b""
        is_typed = False
        while chunk := _read(master):
            shown += chunk
            if b"Passphrase" in shown and not is_typed:
                asked(process.pid)
                os.write(master, typed)
                is_typed = True
        return process.wait(timeout=60), shown.decode()
    finally:
        os.close(master)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # the other end is closed
        return b""


def test_devices_with_the_old_ca_accept_what_is_made(site: Path) -> None:
    ran = bundle(site, "--trust-store", "fw-4.2=old.pem")

    assert (ran.code, ran.err) == (0, "")
    assert "fw-4.2: accepted" in ran.out
    verified = openssl(
        "verify", "-CAfile", "old.pem", "-purpose", "sslserver", "-verify_hostname", NAME,
        "out/certificate.pem", cwd=site,
    )  # fmt: skip
    assert verified.stdout == "out/certificate.pem: OK\n"
    shown = openssl("x509", "-in", "out/certificate.pem", "-noout", "-text", cwd=site).stdout
    assert "DNS:gw-1.example, IP Address:127.0.0.1" in shown
    assert "TLS Web Server Authentication" in shown


def test_the_plain_openssl_way_of_the_guide_drops_the_names(site: Path) -> None:
    # INCIDENT 10 as it stands; here to show what ours is for
    openssl(
        "x509", "-req", "-in", "gw.csr", "-CA", "old.pem", "-CAkey", "old.key", "-out",
        "plain.pem", "-CAcreateserial", cwd=site,
    )  # fmt: skip

    shown = openssl("x509", "-in", "plain.pem", "-noout", "-text", cwd=site).stdout

    assert "DNS:gw-1.example" not in shown


def test_the_manifest_is_signed_and_tells_what_every_store_said(site: Path) -> None:
    bundle(site, "--trust-store", "fw-4.2=old.pem")
    out = site / "out"

    openssl("x509", "-in", "signer.pem", "-pubkey", "-noout", "-out", "signer.pub", cwd=out)
    checked = openssl(
        "dgst", "-sha256", "-verify", "signer.pub", "-signature", "manifest.sig",
        "manifest.json", cwd=out,
    )  # fmt: skip
    manifest = json.loads((out / "manifest.json").read_text())

    assert checked.stdout == "Verified OK\n"
    assert [(one["name"], one["verified"]) for one in manifest["trust_stores"]] == [
        ("fw-4.2", True)
    ]
    assert set(manifest["files"]) == {"certificate.pem", "chain.pem", "README.md", "signer.pem"}
    assert "nginx" in (out / "README.md").read_text()


def test_no_key_is_in_the_bundle_nor_on_the_terminal(site: Path) -> None:
    ran = bundle(site, "--trust-store", "old.pem")

    written = b"".join(path.read_bytes() for path in (site / "out").iterdir())
    assert b"PRIVATE KEY" not in written
    assert "PRIVATE KEY" not in ran.out + ran.err


def test_a_ca_that_ends_before_it_shortens_it_with_a_warning(site: Path) -> None:
    openssl(
        "req", "-x509", "-key", "old.key", "-out", "old.pem", "-subj", "/CN=old CA", "-days", "9",
        cwd=site,
    )  # fmt: skip

    ran = bundle(site, "--trust-store", "fw-4.2=old.pem")

    assert ran.code == 0
    ends = ran.out.partition(", until ")[2].partition("\n")[0]
    assert f"warning: fw-4.2 accepts it only until {ends}, not until " in ran.err
    assert "must be over before" in ran.err


def test_a_store_that_refuses_it_leaves_nothing_behind(site: Path) -> None:
    ran = bundle(site, "--trust-store", "fw-4.2=old.pem", "--trust-store", "fw-5=new.pem")

    assert ran.code == 1
    assert "fw-5: refused: " in ran.out
    assert "nothing was written" in ran.err
    assert not (site / "out").exists()


def test_the_passphrase_is_asked_for_on_the_terminal(site: Path) -> None:
    status, shown = at_a_terminal(
        site, "--trust-store", "old.pem", key="old.enc", typed=b"sesame\n"
    )

    assert status == 0
    assert "Passphrase of old.enc" in shown
    assert "sesame" not in shown


def test_no_core_file_can_hold_the_cas_key(site: Path) -> None:
    limits: list[str] = []

    at_a_terminal(
        site, "--trust-store", "old.pem", key="old.enc", typed=b"sesame\n",
        asked=lambda pid: limits.extend(Path(f"/proc/{pid}/limits").read_text().splitlines()),
    )  # fmt: skip

    (core,) = [line for line in limits if "core file" in line]
    assert core.split()[4:6] == ["0", "0"]


def test_a_wrong_passphrase_is_a_sentence(site: Path) -> None:
    status, shown = at_a_terminal(site, "--trust-store", "old.pem", key="old.enc", typed=b"x\n")

    assert status == 2
    assert "--ca-key: the passphrase is wrong" in shown
    assert not (site / "out").exists()


def test_a_signer_command_keeps_the_key_where_it_is(site: Path) -> None:
    (site / "extensions").write_text(
        f"subjectAltName=DNS:{NAME},IP:127.0.0.1\nextendedKeyUsage=serverAuth\n"
    )
    signer = (
        "openssl x509 -req -CA old.pem -CAkey old.key -CAcreateserial -days 30 -extfile extensions"
    )

    ran = bundle(site, "--signer", signer, "--trust-store", "old.pem", key="")

    assert (ran.code, ran.err.count("refused")) == (0, 0)
    assert not (site / "out" / "manifest.sig").exists()


def test_a_slow_signer_makes_nothing_that_begins_in_the_future(site: Path) -> None:
    # openssl writes the second at which it signs: later than the one at which we asked
    (site / "signer.sh").write_text(
        f"echo 'subjectAltName=DNS:{NAME},IP:127.0.0.1' > extensions\n"
        "echo 'extendedKeyUsage=serverAuth' >> extensions\n"
        "asked=$(date +%s); while [ $(date +%s) = $asked ]; do :; done\n"
        "exec openssl x509 -req -CA old.pem -CAkey old.key -CAcreateserial -days 30"
        " -extfile extensions\n"
    )

    ran = bundle(site, "--signer", "sh signer.sh", "--trust-store", "old.pem", key="")

    assert (ran.code, ran.err.count("refused")) == (0, 0)


def test_what_a_careless_signer_gives_back_is_refused(site: Path) -> None:
    signer = "openssl x509 -req -CA old.pem -CAkey old.key -CAcreateserial"

    ran = bundle(site, "--signer", signer, "--trust-store", "old.pem", key="")

    assert ran.code == 2
    assert "lacks the names gw-1.example" in ran.err


@pytest.mark.parametrize(
    ("more", "key", "sentence"),
    [
        ((), "old.key", "--trust-store: name what the devices trust"),
        (("--trust-store", "old.pem"), "", "--ca-key: name either the CA's key or a --signer"),
        (("--trust-store", "old.pem"), "new.key", "--ca-key: it is not the key of"),
        (("--trust-store", "old.pem"), "gw.csr", "is no private key in PEM"),
        (("--trust-store", "old.pem", "--signer", "false"), "old.key", "not both"),
        (("--trust-store", "old.pem", "--signer", "false"), "", "ended with status 1"),
        (("--trust-store", "old.pem", "--signer", "./absent"), "", "did not answer"),
        (("--trust-store", "absent.pem"), "old.key", "absent.pem"),
        (("--trust-store", "old.pem", "--name", "gw 1\u00fc"), "old.key", "--name: "),
        (("--trust-store", "old.pem", "--days", "91"), "old.key", "--days"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(
    site: Path, more: tuple[str, ...], key: str, sentence: str
) -> None:
    ran = bundle(site, *more, key=key)

    assert ran.code == 2
    assert sentence in ran.err
    assert "Traceback" not in ran.err
    assert not (site / "out").exists()


def test_a_folder_that_is_there_is_not_touched(site: Path) -> None:
    (site / "out").mkdir()

    ran = bundle(site, "--trust-store", "old.pem")

    assert ran.code == 2
    assert "is there already" in ran.err
    assert list((site / "out").iterdir()) == []
