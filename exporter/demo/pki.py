"""A small PKI that makes real certificates; for the demo and, with odder wishes, the tests."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SignatureHash = hashes.SHA256 | hashes.SHA384 | hashes.SHA512
PrivateKey = (
    ec.EllipticCurvePrivateKey
    | rsa.RSAPrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
    | dsa.DSAPrivateKey
)

PublicKey = CertificatePublicKeyTypes

SERVER_AUTH = ExtendedKeyUsageOID.SERVER_AUTH
CLIENT_AUTH = ExtendedKeyUsageOID.CLIENT_AUTH
_CA_USAGE = {"key_cert_sign", "crl_sign"}
_LEAF_USAGE = {"digital_signature"}
_USAGES = (
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
    "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What a certificate is to say; the defaults make a well-formed server certificate.

    Attributes:
        names: DNS names and IPs for subjectAltName; empty: no such extension.
        usages: keyUsage bits; None: no such extension.
        purposes: extendedKeyUsage; None: no such extension.
        path_length: For a CA; None: unlimited.
        basic_constraints: False leaves the extension out altogether.
        extra: Further extensions as (extension, critical).
        subject: Instead of the common name alone.
        serial_number: None: a random one.
        basic_critical: basicConstraints is marked critical.
    """

    common_name: str
    names: Sequence[str] = ()
    is_ca: bool = False
    path_length: int | None = None
    basic_constraints: bool = True
    usages: frozenset[str] | None = None
    default_usages: bool = True
    purposes: Sequence[x509.ObjectIdentifier] | None = (SERVER_AUTH,)
    key_ids: bool = True
    not_before: datetime | None = None
    not_after: datetime | None = None
    lifetime: timedelta = timedelta(days=90)
    hash_algorithm: SignatureHash | None = None
    extra: Sequence[tuple[x509.ExtensionType, bool]] = ()
    subject: x509.Name | None = None
    serial_number: int | None = None
    basic_critical: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: PrivateKey

    @property
    def der(self) -> bytes:
        """The certificate in DER."""
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def pem(self) -> bytes:
        """The certificate in PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """The private key in PEM (PKCS 8), not encrypted."""
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )


def new_key(kind: str = "EC P-256") -> PrivateKey:
    """Return a fresh key of a kind as certificates name it, like ``EC P-256`` or ``RSA 2048``."""
    family, _, size = kind.partition(" ")
    if family == "RSA":
        return rsa.generate_private_key(public_exponent=65537, key_size=int(size))
    if family == "DSA":
        return dsa.generate_private_key(int(size))
    if family == "Ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if family == "Ed448":
        return ed448.Ed448PrivateKey.generate()
    curves: dict[str, ec.EllipticCurve] = {
        "EC P-192": ec.SECP192R1(),
        "EC P-256": ec.SECP256R1(),
        "EC P-384": ec.SECP384R1(),
    }
    return ec.generate_private_key(curves[kind])


def issue(
    wishes: Wishes, *, issuer: Issued | None = None, key: PrivateKey | None = None
) -> Issued:
    """Return a certificate by ``issuer`` (without: self-signed); ``key`` is made if absent."""
    own_key = key if key is not None else new_key()
    signing_key = issuer.key if issuer else own_key
    name = issuer.certificate.subject if issuer else None
    certificate = certify(wishes, own_key.public_key(), signing_key, issuer_name=name)
    return Issued(certificate=certificate, key=own_key)


def certify(
    wishes: Wishes,
    public_key: PublicKey,
    signing_key: PrivateKey,
    *,
    issuer_name: x509.Name | None = None,
) -> x509.Certificate:
    """Return a certificate for somebody else's key; ``issuer_name`` None: its own."""
    subject = _name(wishes.common_name) if wishes.subject is None else wishes.subject
    start = wishes.not_before or datetime.now(UTC) - timedelta(hours=1)  # noqa: TID251 - certificates are dated by the machine's clock
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer_name is None else issuer_name)
        .public_key(public_key)
        .serial_number(wishes.serial_number or x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(wishes.not_after or start + wishes.lifetime)
    )
    for extension, critical in _extensions(wishes, public_key, signing_key):
        builder = builder.add_extension(extension, critical=critical)
    is_edwards = isinstance(signing_key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey)
    algorithm = None if is_edwards else hashes.SHA256()
    return builder.sign(signing_key, wishes.hash_algorithm or algorithm)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else [])


def _extensions(
    wishes: Wishes, public_key: PublicKey, signing_key: PrivateKey
) -> list[tuple[x509.ExtensionType, bool]]:
    wanted: list[tuple[x509.ExtensionType, bool]] = []
    if wishes.basic_constraints:
        wanted.append(
            (x509.BasicConstraints(wishes.is_ca, wishes.path_length), wishes.basic_critical)
        )
    usages = wishes.usages
    if usages is None and wishes.default_usages:
        usages = frozenset(_CA_USAGE if wishes.is_ca else _LEAF_USAGE)
    if usages is not None:
        wanted.append((x509.KeyUsage(**{name: name in usages for name in _USAGES}), True))
    if wishes.purposes is not None and not wishes.is_ca:
        wanted.append((x509.ExtendedKeyUsage(list(wishes.purposes)), False))
    if wishes.names:
        wanted.append((x509.SubjectAlternativeName([_san(name) for name in wishes.names]), False))
    if wishes.key_ids:
        wanted.append((x509.SubjectKeyIdentifier.from_public_key(public_key), False))
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key())
        wanted.append((authority, False))
    return [*wanted, *wishes.extra]


def _san(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
