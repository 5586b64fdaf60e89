"""What is wrong with a chain that the gateway is to serve, by the agent's own checks; pure.

Every terminator's check lets something through: all of them start with an expired leaf.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from exporter.anchors import trust_store
from exporter.certificates import Certificate, ca_flag_of, names_of
from exporter.verdicts.judge import judge
from exporter.verdicts.paths import comparable, has_bad_signature
from exporter.wording import listed

MAX_CHAIN = 20
_OWN_STORE = "the chain itself"


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a chain is held against.

    Attributes:
        replaced: The leaf that is served now; None: nothing is.
        anchors: Certificates that somebody is known to trust.
        seen: CA certificates that other chains hold.
    """

    replaced: Certificate | None = None
    anchors: Collection[Certificate] = ()
    seen: Collection[Certificate] = ()


def faults_of(
    chain: Sequence[Certificate], around: Surroundings, *, at: datetime
) -> Sequence[str]:
    """Return a sentence for everything that is wrong with ``chain`` (leaf first) itself."""
    if len(chain) > MAX_CHAIN:
        return [f"{len(chain)} certificates are no chain; at most {MAX_CHAIN} are allowed"]
    path = path_in(chain)
    return [
        *_faults_of_order(chain, path),
        *_faults_of_end(path, around),
        *_faults_of_path(path, at),
        *_faults_of_names(chain[0], around.replaced),
    ]


def faults_at_return(chain: Sequence[Certificate], *, at: datetime) -> Sequence[str]:
    """Return what forbids to serve an earlier version again; names may be fewer than today's."""
    return list(_faults_of_path(path_in(chain), at))


def path_in(chain: Sequence[Certificate]) -> Sequence[Certificate]:
    """Return the leaf and, each behind the one it issued, what of ``chain`` leads on from it."""
    path = [chain[0]]
    while not _is_self_issued(path[-1]):
        issuer = next((one for one in chain if one not in path and _issued(path[-1], one)), None)
        if issuer is None:
            break
        path.append(issuer)
    return path


def kind_of(certificate: Certificate) -> str:
    """Return the kind of its key: ``EC``, ``RSA``, ``Ed25519``."""
    return certificate.public_key.partition(" ")[0]


def _faults_of_order(chain: Sequence[Certificate], path: Sequence[Certificate]) -> Iterable[str]:
    if len({one.fingerprint_sha256 for one in chain}) != len(chain):
        yield "a certificate stands in the chain twice"
    if _is_ca(chain[0]) and not all(_is_ca(one) for one in chain):
        yield f"the first certificate ({chain[0].subject}) is a CA's; the leaf comes first"
        return
    positions = [chain.index(one) for one in path]
    if positions != sorted(positions):
        right = " > ".join(one.subject for one in path)
        yield f"the order is wrong: each certificate stands behind the one it issued, {right}"
    for one in chain:
        if one not in path and not _is_ca(one):
            yield f"{one.subject} does not belong to the chain"


def _faults_of_end(path: Sequence[Certificate], around: Surroundings) -> Iterable[str]:
    top = path[-1]
    if _is_self_issued(top) or top in around.anchors:
        return
    if any(_issued(top, anchor) for anchor in around.anchors):
        return
    issuers = [one for one in around.seen if one not in path and _issued(top, one)]
    if issuers and not any(_is_self_issued(one) for one in issuers):
        yield f"the chain is not complete: {issuers[0].subject} is missing behind {top.subject}"


def _faults_of_path(path: Sequence[Certificate], at: datetime) -> Iterable[str]:
    if _is_ca(path[0]):
        yield f"{path[0].subject} is a CA's certificate, not a server's"
    verdict = judge(path, trust_store(_OWN_STORE, path[-1:]), name=None, at=at)
    if not verdict.verified:
        yield f"{listed(verdict.reasons)}: {verdict.detail}"


def _faults_of_names(leaf: Certificate, replaced: Certificate | None) -> Iterable[str]:
    if replaced is None:
        return
    own = _names(leaf)
    missing = [name for name in _names(replaced) if not _covers(own, name)]
    if missing:
        yield f"today's certificate is for {listed(missing)}, too; this one is for {listed(own)}"


def _names(certificate: Certificate) -> Sequence[str]:
    names = names_of(certificate)
    found = [*(name.lower() for name in names.dns), *names.ips]
    return found or ([certificate.subject_cn.lower()] if certificate.subject_cn else [])


def _covers(own: Collection[str], name: str) -> bool:
    # RFC 6125, 6.4.3: a wildcard stands for one label
    return name in own or (not name.startswith("*") and f"*.{name.partition('.')[2]}" in own)


def _issued(certificate: Certificate, issuer: Certificate) -> bool:
    is_named = comparable(certificate.issuer) == comparable(issuer.subject)
    return is_named and not has_bad_signature(certificate, issuer)


def _is_self_issued(certificate: Certificate) -> bool:
    return comparable(certificate.subject) == comparable(certificate.issuer)


def _is_ca(certificate: Certificate) -> bool:
    return ca_flag_of(certificate.parsed()) is True
