"""Searches every path that certificates could make; pure, used only where OpenSSL found none.

OpenSSL takes the first issuer that fits and never comes back from a dead end. Knowing whether a
path exists at all tells "not trusted" from "a certificate is missing, or in the wrong place".
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from exporter.certificates import Certificate

# As many as a device follows; a hostile chain of look-alikes must not cost more
_MAX_DEPTH = 8
_MAX_STEPS = 200


def is_issued_by(certificate: Certificate, issuer: Certificate) -> bool:
    """Return whether ``issuer``'s name and key made ``certificate``.

    A signature in an algorithm that cannot be checked here (MD5, SHA-1) counts by its names and
    key identifiers alone.
    """
    if certificate.issuer != issuer.subject:
        return False
    child, parent = certificate.parsed(), issuer.parsed()
    try:
        child.verify_directly_issued_by(parent)
    except InvalidSignature:
        return False
    except (UnsupportedAlgorithm, TypeError, ValueError):
        return _key_ids_agree(child, parent)
    return True


def _key_ids_agree(child: x509.Certificate, parent: x509.Certificate) -> bool:
    try:
        wanted = child.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
        offered = parent.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except (x509.ExtensionNotFound, ValueError):
        return True  # nothing speaks against it
    return wanted.value.key_identifier in (None, offered.value.digest)


@dataclass(slots=True)
class _Search:
    anchors: frozenset[str]
    by_subject: Mapping[str, Sequence[Certificate]]
    steps_left: int = _MAX_STEPS
    seen: set[str] = field(default_factory=set)

    def reaches(self, certificate: Certificate, depth: int) -> tuple[Certificate, ...] | None:
        if certificate.fingerprint_sha256 in self.anchors:
            return (certificate,)
        if depth == 0:
            return None
        for issuer in self.by_subject.get(certificate.issuer, ()):
            if issuer.fingerprint_sha256 in self.seen or self.steps_left <= 0:
                continue
            self.steps_left -= 1
            if not is_issued_by(certificate, issuer):
                continue
            self.seen.add(issuer.fingerprint_sha256)
            rest = self.reaches(issuer, depth - 1)
            if rest is not None:
                return (certificate, *rest)
            self.seen.discard(issuer.fingerprint_sha256)
        return None


def find_path(
    leaf: Certificate, others: Iterable[Certificate], anchors: Sequence[Certificate]
) -> tuple[Certificate, ...] | None:
    """Return a path from ``leaf`` over ``others`` to one of ``anchors``; None: there is none."""
    by_subject: dict[str, list[Certificate]] = {}
    for certificate in (*others, *anchors):
        by_subject.setdefault(certificate.subject, []).append(certificate)
    search = _Search(
        anchors=frozenset(anchor.fingerprint_sha256 for anchor in anchors),
        by_subject=by_subject,
        seen={leaf.fingerprint_sha256},
    )
    return search.reaches(leaf, _MAX_DEPTH)
