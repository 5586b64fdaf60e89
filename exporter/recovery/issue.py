"""Issues a short-lived gateway certificate for a CSR, with all that clients need; pure.

``openssl x509 -req`` as it stands drops the subject alternative names that the CSR asks for, and
gives neither key usage nor purpose: devices refuse what comes out. Here the names are kept, and a
request without any is refused.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from exporter.certificates import is_ca
from exporter.errors import CertificateError

BACKDATED = timedelta(minutes=5)
"""Devices' clocks may be late by a little."""
_MIN_RSA_BITS, _MIN_EC_BITS = 2048, 224


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the certificate shall say, beside what the request says.

    Attributes:
        names: DNS names and IP addresses to use where the request has none, and to hold in any
            case: those of the certificate that it takes the place of.
    """

    lifetime: timedelta
    names: tuple[x509.GeneralName, ...] = ()


def read_request(data: bytes, *, what: str) -> x509.CertificateSigningRequest:
    """Return the PKCS #10 request in PEM (RFC 2986).

    Raises:
        CertificateError: it is none, its signature is wrong, or its key is weak.
    """
    try:
        request = x509.load_pem_x509_csr(data)
        is_signed = request.is_signature_valid
        key = request.public_key()
    except (ValueError, TypeError, InvalidSignature) as exc:
        raise CertificateError(f"{what}: this is no certificate request in PEM ({exc})") from exc
    if not is_signed:
        raise CertificateError(f"{what}: its signature is not by its own key")
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < _MIN_RSA_BITS:
        raise CertificateError(f"{what}: an RSA key of {key.key_size} bits is refused by devices")
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.key_size < _MIN_EC_BITS:
        raise CertificateError(f"{what}: a key on {key.curve.name} is refused by devices")
    return request


def names_asked(request: x509.CertificateSigningRequest) -> tuple[x509.GeneralName, ...]:
    """Return the subject alternative names that ``request`` asks for; empty: none."""
    try:
        found = request.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()
    return tuple(found.value)


def template(
    request: x509.CertificateSigningRequest,
    issuer: x509.Certificate,
    wanted: Wanted,
    *,
    now: datetime,
) -> x509.CertificateBuilder:
    """Return the certificate, ready to be signed by ``issuer``'s key.

    It ends with ``issuer`` at the latest.

    Raises:
        CertificateError: there is no name to put into it, or ``issuer`` may not issue it.
    """
    _check_issuer(issuer, now)
    names = _united(names_asked(request), wanted.names)
    if not names:
        raise CertificateError(
            "the request asks for no subject alternative name, and no device accepts a"
            " certificate without one; name the gateway's present certificate with --like, or"
            " its names with --name"
        )
    key = request.public_key()
    end = min(now + wanted.lifetime, issuer.not_valid_after_utc)
    return (
        x509.CertificateBuilder()
        .subject_name(request.subject)
        .issuer_name(issuer.subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(max(now - BACKDATED, issuer.not_valid_before_utc))
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(is_rsa=isinstance(key, rsa.RSAPublicKey)), critical=True)
        .add_extension(x509.ExtendedKeyUsage(_purposes(request)), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=not request.subject)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(_authority_key(issuer), critical=False)
    )


def hash_for(key: CertificateIssuerPrivateKeyTypes) -> SHA256 | SHA384 | None:
    """Return what a signature by ``key`` is made over; None where the key type says it itself."""
    if isinstance(key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey):
        return None
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.key_size > 256:
        return SHA384()
    return SHA256()


def is_key_of(certificate: x509.Certificate, key: CertificateIssuerPrivateKeyTypes) -> bool:
    """Return whether ``key`` is the private key of ``certificate``."""
    return certificate.public_key() == key.public_key()


def fault_of_issued(
    issued: x509.Certificate,
    request: x509.CertificateSigningRequest,
    issuer: x509.Certificate,
    wanted: Wanted,
) -> str:
    """Return what is wrong with a certificate that a signer gave back; empty: nothing.

    Whatever comes back from a signer is checked like a stranger's.
    """
    if issued.public_key() != request.public_key():
        return "it is for another key than the request's"
    try:
        issued.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return "it is not signed by the CA that was named"
    try:
        found = issued.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names: set[x509.GeneralName] = set(found)
    except x509.ExtensionNotFound:
        names = set()
    missing = [
        str(name.value)
        for name in _united(names_asked(request), wanted.names)
        if name not in names
    ]
    if missing:
        return f"it lacks the names {', '.join(missing)}"
    try:
        purposes = issued.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return "it does not say that it is for a server (extended key usage)"
    is_for_server = ExtendedKeyUsageOID.SERVER_AUTH in purposes
    return "" if is_for_server else "it is not for a server (extended key usage)"


def _check_issuer(issuer: x509.Certificate, now: datetime) -> None:
    name = issuer.subject.rfc4514_string()
    if not issuer.not_valid_before_utc <= now < issuer.not_valid_after_utc:
        raise CertificateError(
            f"the CA {name} is not valid now: it is so from {issuer.not_valid_before_utc:%Y-%m-%d}"
            f" to {issuer.not_valid_after_utc:%Y-%m-%d}; nothing by it is accepted"
        )
    if not is_ca(issuer):
        raise CertificateError(f"{name} is no CA; name the certificate of the old CA")


def _united(
    asked: Iterable[x509.GeneralName], further: Iterable[x509.GeneralName]
) -> tuple[x509.GeneralName, ...]:
    return tuple(dict.fromkeys((*asked, *further)))


def _usage(*, is_rsa: bool) -> x509.KeyUsage:
    # RFC 5280, 4.2.1.3; key encipherment for the RSA key exchange of TLS 1.2
    return x509.KeyUsage(
        digital_signature=True, key_encipherment=is_rsa, content_commitment=False,
        data_encipherment=False, key_agreement=False, key_cert_sign=False, crl_sign=False,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _purposes(request: x509.CertificateSigningRequest) -> list[x509.ObjectIdentifier]:
    purposes = [ExtendedKeyUsageOID.SERVER_AUTH]
    try:
        asked = request.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return purposes
    # A gateway may also be a client of its platform; nothing else is given away
    if ExtendedKeyUsageOID.CLIENT_AUTH in asked:
        purposes.append(ExtendedKeyUsageOID.CLIENT_AUTH)
    return purposes


def _authority_key(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    try:
        known = issuer.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_KEY_IDENTIFIER).value
    except x509.ExtensionNotFound:
        # As issued: our parameter's type is wider than what a CA can have
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key())  # type: ignore[arg-type] # a CA's key signs
    assert isinstance(known, x509.SubjectKeyIdentifier)  # noqa: S101 - by its OID
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(known)
