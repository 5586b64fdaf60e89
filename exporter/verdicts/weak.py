"""Weak keys and signatures, by a stated policy; pure.

``X509StoreContext`` knows no security level. What is refused here is what OpenSSL's level 1
refuses (SSL_CTX_set_security_level(3): less than 80 bits; SHA-1 gives 63 since OpenSSL 3.0).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa

from exporter.certificates import Certificate

_WEAK_HASHES = {"md5", "sha1"}


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
    """Return what is weak on ``path``, leaf first; an anchor's own signature does not count."""
    found = []
    for position, certificate in enumerate(path):
        weak_key = _weak_key(certificate)
        if weak_key is not None:
            found.append(weak_key)
        is_anchor = reaches_anchor and position == len(path) - 1
        weak_signature = None if is_anchor else _weak_signature(certificate)
        if weak_signature is not None:
            found.append(weak_signature)
    return found


def _weak_signature(certificate: Certificate) -> Weakness | None:
    try:
        used = certificate.parsed().signature_hash_algorithm
    except UnsupportedAlgorithm:
        return None
    if used is None or used.name not in _WEAK_HASHES:
        return None
    return Weakness(
        certificate=certificate, what=f"is signed by {used.name.upper()}", is_refused=True
    )


def _weak_key(certificate: Certificate) -> Weakness | None:
    try:
        key = certificate.parsed().public_key()
    except (ValueError, UnsupportedAlgorithm):
        return None  # a key nobody here can read; OpenSSL's own answer stands
    match key:
        case rsa.RSAPublicKey() | dsa.DSAPublicKey():
            refused_below, warned_below = 1024, 2048
        case ec.EllipticCurvePublicKey():
            refused_below, warned_below = 160, 224
        case _:
            return None
    if key.key_size >= warned_below:
        return None
    return Weakness(
        certificate=certificate,
        what=f"has a key of {key.key_size} bits ({certificate.public_key})",
        is_refused=key.key_size < refused_below,
    )
