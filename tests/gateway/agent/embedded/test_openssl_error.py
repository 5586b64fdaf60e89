"""Errors spelled as OpenSSL itself spells them; the peer is the ``openssl`` command."""

import re
import ssl
import subprocess

import pytest

from exporter.gateway.agent.drivers.embedded.openssl_error import _ALERTS, _REASONS, describe_error


def spelled_by_openssl(code: int) -> str:
    shown = subprocess.run(
        ["openssl", "errstr", f"{0x0A000000 | code:08X}"],
        capture_output=True,
        text=True,
        check=True,
    )
    return shown.stdout.strip()


def test_each_alert_has_openssls_code() -> None:
    for name, number in _ALERTS.items():
        told = spelled_by_openssl(1000 + number)
        text = told.rsplit(":", 1)[1]
        framed = ssl.SSLError(1, f"[SSL: ANY] {text} (_ssl.c:1006)")

        assert text.endswith(f" alert {name}")
        assert describe_error(framed) == f"{told}:SSL alert number {number}"


def test_each_reason_has_openssls_code() -> None:
    for text, code in _REASONS.items():
        framed = ssl.SSLError(1, f"[SSL: ANY] {text} (_ssl.c:1006)")
        # One reason is newer than Debian 12's OpenSSL, where the number has no text yet
        told = re.sub(r"reason\(\d+\)", text, spelled_by_openssl(code))

        assert describe_error(framed) == told


def test_words_that_newer_versions_use_for_an_alert_give_the_same_number() -> None:
    error = ssl.SSLError(1, "[SSL] ssl/tls alert bad certificate (_ssl.c:1010)")

    assert describe_error(error) == (
        "error:0A000412:SSL routines::ssl/tls alert bad certificate:SSL alert number 42"
    )


@pytest.mark.parametrize("args", [(1, "[SSL: NEW] a new reason (_ssl.c:1)"), ("a new reason",)])
def test_an_unknown_reason_keeps_its_text(args: tuple[object, ...]) -> None:
    assert describe_error(ssl.SSLError(*args)) == "error:0A000000:SSL routines::a new reason"
