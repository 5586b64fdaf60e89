"""Searches the paths that certificates could make; used only where OpenSSL found none.

OpenSSL takes the first issuer that fits and never comes back from a dead end. Knowing whether a
path exists at all tells "not trusted" from "a certificate is missing, or in the wrong place".
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice, pairwise

from cryptography.exceptions import InvalidSignature

from exporter.certificates import UNREADABLE, Certificate

# As many as a device follows; a hostile chain of look-alikes must not cost more than some ms
_MAX_DEPTH = 10
_MAX_STEPS = 500
_MAX_CHECKS = 50
_MAX_PATHS = 8


class Authorities(Collection[Certificate]):
    """CA certificates, each once, by the name of their subject."""

    def __init__(self, certificates: Iterable[Certificate] = ()) -> None:
        self._by_subject: dict[str, dict[str, Certificate]] = {}
        self._count = 0
        for certificate in certificates:
            self.add(certificate)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Certificate]:
        return (one for namesakes in self._by_subject.values() for one in namesakes.values())

    def __contains__(self, certificate: object) -> bool:
        return isinstance(
            certificate, Certificate
        ) and certificate.fingerprint_sha256 in self._by_subject.get(
            comparable(certificate.subject), ()
        )

    def add(self, certificate: Certificate) -> None:
        """Take one in, behind others of its name."""
        namesakes = self._by_subject.setdefault(comparable(certificate.subject), {})
        if certificate.fingerprint_sha256 not in namesakes:
            namesakes[certificate.fingerprint_sha256] = certificate
            self._count += 1

    def discard(self, certificate: Certificate) -> None:
        """Forget one, if it is there."""
        key = comparable(certificate.subject)
        namesakes = self._by_subject.get(key, {})
        if namesakes.pop(certificate.fingerprint_sha256, None) is not None:
            self._count -= 1
            if not namesakes:
                del self._by_subject[key]

    def named(self, subject: str) -> Iterable[Certificate]:
        """Return those of a subject, in the order in which they came."""
        return self._by_subject.get(comparable(subject), {}).values()


def comparable(name: str) -> str:
    """Return a name so that equal ones compare equal (RFC 5280, 7.1: case, spaces)."""
    return " ".join(name.casefold().split())


def has_bad_signature(certificate: Certificate, issuer: Certificate) -> bool:
    """Return whether another key than ``issuer``'s signed ``certificate``.

    False also where that cannot be said here: MD5, SHA-1, a key that cannot be read.
    """
    try:
        certificate.parsed().verify_directly_issued_by(issuer.parsed())
    except InvalidSignature:
        return True
    except UNREADABLE:
        return False
    return False


@dataclass(slots=True)
class _Search:
    anchors: frozenset[str]
    sources: Sequence[Authorities]
    steps_left: int = _MAX_STEPS
    checks_left: int = _MAX_CHECKS
    on_path: list[Certificate] = field(default_factory=list)
    is_signed: dict[tuple[str, str], bool] = field(default_factory=dict)

    def paths_from(self, certificate: Certificate) -> Iterator[tuple[Certificate, ...]]:
        self.on_path.append(certificate)
        if certificate.fingerprint_sha256 in self.anchors:
            # Names are cheap to compare: signatures are checked where they lead to an anchor
            if all(self._signed(one, issuer) for one, issuer in pairwise(self.on_path)):
                yield tuple(self.on_path)
        elif len(self.on_path) < _MAX_DEPTH:
            for issuer in self._issuers_of(certificate):
                yield from self.paths_from(issuer)
        self.on_path.pop()

    def _issuers_of(self, certificate: Certificate) -> Iterator[Certificate]:
        used = {one.fingerprint_sha256 for one in self.on_path}
        for source in self.sources:
            for issuer in source.named(certificate.issuer):
                if issuer.fingerprint_sha256 not in used and self.steps_left > 0:
                    used.add(issuer.fingerprint_sha256)
                    self.steps_left -= 1
                    yield issuer

    def _signed(self, certificate: Certificate, issuer: Certificate) -> bool:
        key = certificate.fingerprint_sha256, issuer.fingerprint_sha256
        found = self.is_signed.get(key)
        if found is None:
            if self.checks_left <= 0:
                return False
            self.checks_left -= 1
            found = self.is_signed[key] = not has_bad_signature(certificate, issuer)
        return found


def paths_to(
    anchors: Sequence[Certificate], leaf: Certificate, sources: Sequence[Authorities]
) -> list[tuple[Certificate, ...]]:
    """Return paths from ``leaf`` to one of ``anchors``, leaf first; empty: there is none.

    Issuers are taken from the anchors first, then from ``sources`` in their order. At most some
    paths are found, and a search among many certificates of one name may end before its end.
    """
    search = _Search(
        anchors=frozenset(anchor.fingerprint_sha256 for anchor in anchors),
        sources=(Authorities(anchors), *sources),
    )
    return list(islice(search.paths_from(leaf), _MAX_PATHS))


def passed_over(path: Sequence[Certificate], sent: Sequence[Certificate]) -> Certificate | None:
    """Return a sent certificate that stands before its namesake on ``path``; None: there is none.

    A device that takes the first issuer that fits would go another way than ``path``.
    """
    positions = {
        one.fingerprint_sha256: position for position, one in reversed([*enumerate(sent)])
    }
    for issuer in path[1:]:
        position = positions.get(issuer.fingerprint_sha256, 0)
        for other in sent[1:position]:
            if other not in path and comparable(other.subject) == comparable(issuer.subject):
                return other
    return None
