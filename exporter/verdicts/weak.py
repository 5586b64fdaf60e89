"""Weak keys and signatures, by a stated policy.

``X509StoreContext`` knows no security level. What is refused here is what OpenSSL's level 1
refuses (SSL_CTX_set_security_level(3): less than 80 bits; SHA-1 gives 63 since OpenSSL 3.0), but
for RSA of 1000 to 1023 bits: OpenSSL rounds their strength up to 80.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa

from exporter.certificates import UNREADABLE, Certificate
from exporter.verdicts.openssl import KeyKind, key_of

_WEAK_HASHES = {"md5", "sha1"}
# Nearly all; of the others the certificate is parsed to see what they are
_STRONG_KEYS = {"EC P-256", "EC P-384", "EC P-521", "RSA 2048", "RSA 3072", "RSA 4096", "Ed25519"}
_STRONG_SIGNATURES = {
    "ecdsa-with-SHA256",
    "ecdsa-with-SHA384",
    "ecdsa-with-SHA512",
    "sha256WithRSAEncryption",
    "sha384WithRSAEncryption",
    "sha512WithRSAEncryption",
    "ED25519",
}
# Refused below the first number of bits, remarked below the second
_LIMITS = {KeyKind.FACTORING: (1024, 2048), KeyKind.CURVE: (160, 224)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Weakness:
    """One weak thing on a path.

    Attributes:
        is_refused: By every store; else it is the store's policy that decides.
    """

    certificate: Certificate
    what: str
    is_refused: bool


def weaknesses_of(path: Sequence[Certificate], *, reaches_anchor: bool) -> list[Weakness]:
    """Return what is weak on ``path``, leaf first; an anchor's own signature does not count.

    Where no anchor is reached, that of a self-signed certificate at the end does not count
    either: it proves nothing, and would not once that certificate is an anchor.
    """
    found = []
    for position, certificate in enumerate(path):
        is_last = position == len(path) - 1
        proves_nothing = is_last and (reaches_anchor or certificate.subject == certificate.issuer)
        found.append(_weak_key(certificate))
        found.append(None if proves_nothing else _weak_signature(certificate))
    return [weakness for weakness in found if weakness is not None]


def _weak_signature(certificate: Certificate) -> Weakness | None:
    if certificate.signature_algorithm in _STRONG_SIGNATURES:
        return None
    try:
        used = certificate.parsed().signature_hash_algorithm
    except UNREADABLE:
        return None  # OpenSSL cannot check it either, or knows it as strong enough
    if used is None or used.name not in _WEAK_HASHES:
        return None
    return Weakness(
        certificate=certificate, what=f"is signed by {used.name.upper()}", is_refused=True
    )


def _weak_key(certificate: Certificate) -> Weakness | None:
    if certificate.public_key in _STRONG_KEYS:
        return None
    kind, bits = _kind_and_bits(certificate)
    refused_below, remarked_below = _LIMITS.get(kind, (0, 0))
    if bits >= remarked_below:
        return None
    return Weakness(
        certificate=certificate,
        what=f"has a key of {bits} bits ({certificate.public_key})",
        is_refused=bits < refused_below,
    )


def _kind_and_bits(certificate: Certificate) -> tuple[KeyKind, int]:
    try:
        key = certificate.parsed().public_key()
    except UNREADABLE:
        return key_of(certificate)  # OpenSSL reads more curves
    match key:
        case rsa.RSAPublicKey() | dsa.DSAPublicKey():
            return KeyKind.FACTORING, key.key_size
        case ec.EllipticCurvePublicKey():
            return KeyKind.CURVE, key.key_size
        case _:
            return KeyKind.OTHER, 0
