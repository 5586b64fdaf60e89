"""Debian's ``openssl verify``, asked the same question as our judge."""

import calendar
import re
import subprocess
from collections.abc import Sequence
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.daemons import need

# DESIGN's profile: partial chains, security level 1, purpose server
PROFILE = ("-partial_chain", "-auth_level", "1", "-purpose", "sslserver")


def openssl_verify(
    directory: Path,
    chain: Sequence[bytes],
    anchors: Sequence[bytes],
    *,
    name: str | None,
    at: datetime,
    strict: bool = False,
) -> int:
    """0 when it verifies, else its first error number (-1: it could not read its input).

    Args:
        chain: PEM of each certificate as sent, leaf first; ``anchors`` likewise.
    """
    for file, parts in (("leaf", chain[:1]), ("sent", chain[1:]), ("anchors", anchors)):
        (directory / file).write_bytes(b"\n".join(parts))
    command = [need("openssl"), "verify", *PROFILE, "-no-CApath", "-no-CAstore"]
    command += ["-CAfile", "anchors"] if anchors else ["-no-CAfile"]
    command += ["-x509_strict"] if strict else []
    command += ["-attime", str(calendar.timegm(at.utctimetuple()))]
    command += ["-untrusted", "sent"] if len(chain) > 1 else []
    command += [*_name_words(name), "leaf"]
    done = subprocess.run(command, cwd=directory, check=False, capture_output=True, text=True)
    if done.returncode == 0:
        return 0
    found = re.search(r"error (\d+) at", done.stderr + done.stdout)
    return int(found.group(1)) if found else -1


def _name_words(name: str | None) -> list[str]:
    if name is None:
        return []
    try:
        return ["-verify_ip", str(ip_address(name))]
    except ValueError:
        return ["-verify_hostname", name]


def pem_of(der: bytes) -> bytes:
    return x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)
