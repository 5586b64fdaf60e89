"""Which CA signed which, among the certificates that are known; pure."""

from collections.abc import Iterable, Iterator, Mapping

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from exporter.certificates import UNREADABLE, Certificate
from exporter.trust_map.model import Kind
from exporter.verdicts.paths import Authorities, comparable, has_bad_signature

_MAX_DEPTH = 10


class Kinship:
    """The relations among ``certificates`` (by SHA-256); each is found out once."""

    def __init__(self, certificates: Mapping[str, Certificate]) -> None:
        self._certificates = certificates
        self._by_subject = Authorities(certificates.values())
        self._issuers: dict[str, tuple[str, ...]] = {}
        self._keys: dict[str, bytes | None] = {}

    def issuers_of(self, certificate: Certificate) -> tuple[str, ...]:
        """Return the known certificates whose key signed ``certificate``.

        None for one that signed itself: others of the same key lead on from their own names.
        """
        own = certificate.fingerprint_sha256
        if own not in self._issuers:
            signers = () if _is_root(certificate) else self._signers(certificate)
            self._issuers[own] = tuple(sorted(signers))
        return self._issuers[own]

    def _signers(self, certificate: Certificate) -> Iterator[str]:
        for one in self._by_subject.named(certificate.issuer):
            is_other = one.fingerprint_sha256 != certificate.fingerprint_sha256
            if is_other and not has_bad_signature(certificate, one):
                yield one.fingerprint_sha256

    def above(self, certificate: Certificate) -> frozenset[str]:
        """Return all known certificates that a path from ``certificate`` may lead through."""
        found: set[str] = set()
        level = {certificate.fingerprint_sha256: certificate}
        for _ in range(_MAX_DEPTH):
            fresh = {up for one in level.values() for up in self.issuers_of(one)} - found
            if not fresh:
                break
            found |= fresh
            level = {up: self._certificates[up] for up in fresh}
        return frozenset(found - {certificate.fingerprint_sha256})

    def same_key(self, certificate: Certificate) -> tuple[str, ...]:
        """Return the other known certificates of the same CA: same subject, same key."""
        key = self._key_of(certificate)
        return tuple(
            sorted(
                one.fingerprint_sha256
                for one in self._by_subject.named(certificate.subject)
                if one.fingerprint_sha256 != certificate.fingerprint_sha256
                and key is not None
                and self._key_of(one) == key
            )
        )

    def _key_of(self, certificate: Certificate) -> bytes | None:
        own = certificate.fingerprint_sha256
        if own not in self._keys:
            self._keys[own] = _key_in(certificate)
        return self._keys[own]

    def kind_of(self, certificate: Certificate) -> Kind:
        """Return what kind of CA it is."""
        if _is_root(certificate):
            return Kind.ROOT
        return Kind.BRIDGE if self.same_key(certificate) else Kind.INTERMEDIATE


def without(chain: Iterable[Certificate], fingerprint: str) -> list[Certificate]:
    """Return ``chain`` without one certificate, wherever and however often it stands there."""
    return [one for one in chain if one.fingerprint_sha256 != fingerprint]


def _is_root(certificate: Certificate) -> bool:
    # RFC 5280, 3.2: self-issued may still be signed by an older key of the same name
    is_self_issued = comparable(certificate.subject) == comparable(certificate.issuer)
    return is_self_issued and not has_bad_signature(certificate, certificate)


def _key_in(certificate: Certificate) -> bytes | None:
    try:
        key = certificate.parsed().public_key()
        return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except UNREADABLE:
        return None
