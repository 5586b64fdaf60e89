"""Keys that are made on the gateway, and their certificate requests.

A key is written to the disk before its request is told to anybody, and never leaves it.
"""

import hashlib
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from exporter.certificates import Certificate, names_of
from exporter.errors import ExporterError
from exporter.gateway.agent.versions import VersionError, write_private
from exporter.targets.addresses import is_host
from exporter.wording import shown

MadeKey: TypeAlias = (
    ec.EllipticCurvePrivateKey
    | rsa.RSAPrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
)

_DEFAULT_RSA_BITS = 2048
_CURVES: dict[str, type[ec.EllipticCurve]] = {
    "EC P-256": ec.SECP256R1,
    "EC P-384": ec.SECP384R1,
    "EC P-521": ec.SECP521R1,
}


class RequestError(ExporterError):
    """What a certificate request should say cannot be said."""


def new_key(like: str) -> MadeKey:
    """Return a fresh key of a kind as certificates name it; EC P-256 for one not made here."""
    family, _, size = like.partition(" ")
    if family == "RSA":
        bits = max(int(size or 0), _DEFAULT_RSA_BITS)
        return rsa.generate_private_key(public_exponent=65537, key_size=bits)
    if family == "Ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if family == "Ed448":
        return ed448.Ed448PrivateKey.generate()
    return ec.generate_private_key(_CURVES.get(like, ec.SECP256R1)())


def pem_of(key: MadeKey) -> bytes:
    """Return a key as it is written to its file, and nowhere else."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def key_id(key: PublicKeyTypes) -> str:
    """Return what a pair of keys is known by: the SHA-256 of its public key."""
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


class Keys:
    """The keys whose certificates have not come yet, below one folder. All of it blocks."""

    def __init__(self, directory: Path) -> None:
        self._folder = directory / "keys"

    def prepare(self) -> None:
        """Make the folder."""
        self._folder.mkdir(mode=0o700, exist_ok=True)

    def keep(self, key: MadeKey) -> str:
        """Write a new key; return what it is known by.

        Raises:
            VersionError: it cannot be written.
        """
        name = key_id(key.public_key())
        try:
            write_private(self._folder / f"{name}.pem", pem_of(key))
        except OSError as exc:
            (self._folder / f"{name}.pem").unlink(missing_ok=True)
            raise VersionError(f"the key cannot be written: {exc.strerror}") from exc
        return name

    def pem(self, name: str) -> bytes | None:
        """Return a key that is known by ``name``; None: it is not there."""
        try:
            return (self._folder / f"{name}.pem").read_bytes()
        except OSError:
            return None

    def keep_only(self, name: str | None) -> None:
        """Remove all keys but one: certificates are only taken for the last request."""
        for one in self._folder.glob("*.pem"):
            if one.stem != name:
                one.unlink(missing_ok=True)


def request_pem(
    key: MadeKey,
    *,
    subject: str | None,
    dns_names: Sequence[str] | None,
    like: Certificate | None,
) -> str:
    """Return a PKCS #10 request; what is not said is taken from ``like``.

    Raises:
        RequestError: nothing to say, or nothing that can be said.
    """
    alternatives = _alternatives(dns_names, like)
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        _subject(subject, like, alternatives)
    )
    if alternatives:
        names = x509.SubjectAlternativeName(alternatives)
        builder = builder.add_extension(names, critical=False)
    is_edwards = isinstance(key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey)
    request = builder.sign(key, None if is_edwards else hashes.SHA256())
    return request.public_bytes(Encoding.PEM).decode()


def _subject(
    subject: str | None, like: Certificate | None, alternatives: Sequence[x509.GeneralName]
) -> x509.Name:
    if subject is not None:
        try:
            return x509.Name.from_rfc4514_string(subject)
        except ValueError as exc:
            raise RequestError(
                f"the subject {shown(subject)} is not written as RFC 4514 has it,"
                " like CN=gw-1.example,O=Example"
            ) from exc
    if like is not None:
        return like.parsed().subject
    if not alternatives:
        raise RequestError("no certificate is served yet to take names from; say dnsNames")
    return x509.Name([])


def _alternatives(
    dns_names: Sequence[str] | None, like: Certificate | None
) -> Sequence[x509.GeneralName]:
    if dns_names is not None:
        return [x509.DNSName(_checked(name)) for name in dns_names]
    if like is None:
        return []
    names = names_of(like)
    addresses = [x509.IPAddress(ip_address(one)) for one in names.ips]
    return [*(x509.DNSName(name) for name in names.dns), *addresses]


def _checked(name: str) -> str:
    plain = name.removeprefix("*.")
    if not (plain.isascii() and len(name) <= 253 and is_host(plain)) or _is_ip(plain):
        raise RequestError(f"{shown(name)} is not a DNS name (an A-label, or *. before one)")
    return name


def _is_ip(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
