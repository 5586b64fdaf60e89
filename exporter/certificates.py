"""X.509 certificates as small values: parsed once, described once, shared by fingerprint."""

import base64
import hashlib
import re
import sys
import warnings
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import NameOID

from exporter.errors import CertificateError

MAX_CERTIFICATE_BYTES = 1 << 20
"""What is longer is no certificate: the largest in use have some thousand names, 100 KB."""

UNREADABLE: tuple[type[Exception], ...] = (
    ValueError,
    TypeError,
    OverflowError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,  # OpenSSL hands such a certificate on without a word
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
"""What ``cryptography`` raises on crooked certificates, by the part that is looked at."""

# Endpoints with such certificates exist and are shown like others. Once for each process would
# be one line too many in the log: it says nothing about which endpoint it was.
warnings.filterwarnings(
    "ignore",
    message="Parsed a serial number which wasn't positive",
    category=CryptographyDeprecationWarning,
)

_PEM_BEGIN = re.compile(rb"-----BEGIN (?:X509 )?CERTIFICATE-----")
# No "-" in the body: a million beginnings without an end are read once, not a million times
_PEM = re.compile(_PEM_BEGIN.pattern + rb"([^-]*)-----END (?:X509 )?CERTIFICATE-----")
_PRIVATE_KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----")
# OpenSSL's own form: a certificate with settings behind it that can take its trust away
_TRUSTED_FORM = re.compile(rb"-----BEGIN TRUSTED CERTIFICATE-----")
_OTHER_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----")
_CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521", "secp224r1": "P-224"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """One certificate, described.

    Attributes:
        der: As it was sent.
        fingerprint_sha256: SHA-256 of ``der``, lower-case hex.
        subject: RFC 4514; so is ``issuer``. Untrusted text, but printable: control characters
            are escaped, as in all texts here.
        subject_cn: First common name, empty when there is none.
        serial_number: Lower-case hex of even length.
        public_key: Like ``RSA 2048``, ``EC P-256``, ``Ed25519``.
        signature_algorithm: OpenSSL's name, like ``ecdsa-with-SHA256``; the dotted OID if unknown.
    """

    der: bytes
    fingerprint_sha256: str
    subject: str
    issuer: str
    subject_cn: str
    issuer_cn: str
    serial_number: str
    not_before: datetime
    not_after: datetime
    public_key: str
    signature_algorithm: str

    def parsed(self) -> x509.Certificate:
        """Return the certificate as ``cryptography`` sees it (about 2 us; not kept)."""
        return x509.load_der_x509_certificate(self.der)


def fingerprint_of(der: bytes) -> str:
    """Return the SHA-256 of ``der`` in lower-case hex."""
    return hashlib.sha256(der).hexdigest()


def describe(der: bytes) -> Certificate:
    """Return the certificate in ``der``.

    Raises:
        CertificateError: when it cannot be parsed.
    """
    if len(der) > MAX_CERTIFICATE_BYTES:
        raise CertificateError(
            f"this is not a certificate: {len(der)} bytes, more than {MAX_CERTIFICATE_BYTES}"
        )
    try:
        parsed = x509.load_der_x509_certificate(der)
        # ``cryptography`` parses lazily: touch every field here, so that a crooked one fails now
        return Certificate(
            der=der,
            fingerprint_sha256=fingerprint_of(der),
            subject=printable(parsed.subject.rfc4514_string()),
            # 10,000 targets have one issuer
            issuer=sys.intern(printable(parsed.issuer.rfc4514_string())),
            subject_cn=_common_name(parsed.subject),
            issuer_cn=sys.intern(_common_name(parsed.issuer)),
            serial_number=_even_hex(parsed.serial_number),
            not_before=parsed.not_valid_before_utc,
            not_after=parsed.not_valid_after_utc,
            public_key=sys.intern(_public_key_name(parsed)),
            signature_algorithm=_signature_name(parsed),
        )
    except UNREADABLE as exc:
        raise CertificateError(f"this is not a certificate that can be parsed: {exc}") from exc


def printable(text: str) -> str:
    r"""Return ``text`` with control characters as RFC 4514, 2.4 writes them: ``\0A``."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    return "".join(f"\\{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))


def _common_name(name: x509.Name) -> str:
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return printable(str(found[0].value)) if found else ""


def _even_hex(number: int) -> str:
    digits = f"{abs(number):x}"
    return ("-" if number < 0 else "") + ("0" + digits if len(digits) % 2 else digits)


def _public_key_name(parsed: x509.Certificate) -> str:
    try:
        key = parsed.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return parsed.public_key_algorithm_oid.dotted_string
    match key:
        case rsa.RSAPublicKey():
            return f"RSA {key.key_size}"
        case ec.EllipticCurvePublicKey():
            return f"EC {_CURVES.get(key.curve.name, key.curve.name)}"
        case ed25519.Ed25519PublicKey():
            return "Ed25519"
        case ed448.Ed448PublicKey():
            return "Ed448"
        case dsa.DSAPublicKey():
            return f"DSA {key.key_size}"
        case _:
            return type(key).__name__.removesuffix("PublicKey")


# OpenSSL's long names (objects.txt), which is what operators see in ``openssl x509 -text``
_SIGNATURE_NAMES = {
    "1.2.840.113549.1.1.4": "md5WithRSAEncryption",
    "1.2.840.113549.1.1.5": "sha1WithRSAEncryption",
    "1.2.840.113549.1.1.10": "rsassaPss",
    "1.2.840.113549.1.1.11": "sha256WithRSAEncryption",
    "1.2.840.113549.1.1.12": "sha384WithRSAEncryption",
    "1.2.840.113549.1.1.13": "sha512WithRSAEncryption",
    "1.2.840.113549.1.1.14": "sha224WithRSAEncryption",
    "1.2.840.10045.4.1": "ecdsa-with-SHA1",
    "1.2.840.10045.4.3.1": "ecdsa-with-SHA224",
    "1.2.840.10045.4.3.2": "ecdsa-with-SHA256",
    "1.2.840.10045.4.3.3": "ecdsa-with-SHA384",
    "1.2.840.10045.4.3.4": "ecdsa-with-SHA512",
    "1.2.840.10040.4.3": "dsaWithSHA1",
    "2.16.840.1.101.3.4.3.2": "dsa_with_SHA256",
    "1.3.101.112": "ED25519",
    "1.3.101.113": "ED448",
}


def _signature_name(parsed: x509.Certificate) -> str:
    oid = parsed.signature_algorithm_oid.dotted_string
    return _SIGNATURE_NAMES.get(oid, oid)


class CertificateCache:
    """Certificates by fingerprint: an intermediate sent by 10,000 targets is kept once.

    Holds at most ``limit`` certificates; the one not asked for longest goes first.
    """

    def __init__(self, limit: int = 50_000) -> None:
        self._limit = limit
        self._known: OrderedDict[bytes, Certificate] = OrderedDict()

    def get(self, der: bytes) -> Certificate:
        """Return the certificate in ``der``, described at most once.

        Raises:
            CertificateError: when it cannot be parsed.
        """
        key = hashlib.sha256(der).digest()
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = describe(der)
            if len(self._known) > self._limit:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(key)
        return found


def read_pem(data: bytes, *, what: str) -> tuple[Certificate, ...]:
    """Return the certificates of a PEM file in its order; ``what`` names it in errors.

    Text around the blocks is ignored, as OpenSSL does.

    Raises:
        CertificateError: nothing in it, one that cannot be parsed, or a private key in it.
    """
    if _PRIVATE_KEY.search(data):
        raise CertificateError(f"{what}: it holds a private key; only certificates belong here")
    if _TRUSTED_FORM.search(data):
        raise CertificateError(
            f"{what}: it holds a TRUSTED CERTIFICATE, whose trust settings are not understood"
            f" here; write it as a plain one: openssl x509 -in {what} -out NEW.pem"
        )
    blocks = _PEM.findall(data)
    begun_count = len(_PEM_BEGIN.findall(data))
    if begun_count != len(blocks):
        raise CertificateError(
            f"{what}: {begun_count} certificates begin in it, but {len(blocks)} end as they should"
        )
    if not blocks:
        raise CertificateError(f"{what}: {_why_nothing(data)}")
    found = []
    for position, block in enumerate(blocks):
        try:
            body = b"".join(block.split())
            found.append(describe(base64.b64decode(body, validate=True)))
        except (ValueError, CertificateError) as exc:
            raise CertificateError(
                f"{what}: certificate {position} cannot be read: {exc}"
            ) from exc
    return tuple(found)


def _why_nothing(data: bytes) -> str:
    other = _OTHER_BLOCK.search(data)
    if not data.strip():
        return "this file is empty"
    if other is not None:
        return f"no certificate in it, but a {other.group(1).decode()}"
    if data[:1] == b"\x30":  # an ASN.1 SEQUENCE
        return "this looks like DER; convert it: openssl x509 -inform DER -in FILE -out FILE.pem"
    return "no certificate in PEM form (-----BEGIN CERTIFICATE-----)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What a certificate says it is for; untrusted text, each in the certificate's order."""

    dns: tuple[str, ...] = ()
    ips: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    units: tuple[str, ...] = ()


def names_of(certificate: Certificate) -> Names:
    """Return the certificate's alternative names and organisational units.

    What cannot be read says nothing: such names are left out, like those of other kinds.
    """
    parsed = certificate.parsed()
    units = parsed.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
    found = _alternative_names(parsed)
    return Names(
        dns=tuple(printable(one.value) for one in found if isinstance(one, x509.DNSName)),
        ips=tuple(str(one.value) for one in found if isinstance(one, x509.IPAddress)),
        emails=tuple(printable(one.value) for one in found if isinstance(one, x509.RFC822Name)),
        units=tuple(printable(str(unit.value)) for unit in units),
    )


def ca_flag_of(parsed: x509.Certificate) -> bool | None:
    """Return what the basic constraints say of a CA (RFC 5280, 4.2.1.9); None: it has none.

    Extensions that cannot be read say that it is none.
    """
    try:
        return parsed.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return None
    except UNREADABLE:
        return False


def is_ca(parsed: x509.Certificate) -> bool:
    """Return whether it may issue others; without basic constraints, one of version 1 may."""
    flag = ca_flag_of(parsed)
    return parsed.version is x509.Version.v1 if flag is None else flag


def _alternative_names(parsed: x509.Certificate) -> tuple[x509.GeneralName, ...]:
    try:
        return tuple(parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return ()
    except UNREADABLE:
        return ()
