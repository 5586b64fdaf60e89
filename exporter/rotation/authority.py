"""What is wrong with a new CA, and with a chain that a signer gave back; pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from exporter.anchors import trust_store
from exporter.certificates import UNREADABLE, Certificate, ca_flag_of
from exporter.recovery.issue import Wanted, fault_of_issued
from exporter.verdicts.judge import judge

_SHA1 = "sha1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordered:
    """What a chain was asked for.

    Attributes:
        until: It must be accepted at least until then.
    """

    request: x509.CertificateSigningRequest
    wanted: Wanted
    authority: Certificate
    now: datetime
    until: datetime


def faults_of_ca(
    new: Certificate, old: Certificate, *, now: datetime, until: datetime, is_same_meant: bool
) -> tuple[str, ...]:
    """Return what speaks against ``new`` as the CA after ``old``, each a sentence; empty: nothing.

    ``until``: it must last longer. ``is_same_meant``: a person said that it bears the old one's
    subject, although its key is another.
    """
    try:
        return tuple(_ca_faults(new, old, now=now, until=until, is_same_meant=is_same_meant))
    except UNREADABLE as exc:
        return (f"the new CA has an extension that cannot be read ({exc})",)


def _ca_faults(
    new: Certificate, old: Certificate, *, now: datetime, until: datetime, is_same_meant: bool
) -> Iterator[str]:
    parsed, before = new.parsed(), old.parsed()
    if not ca_flag_of(parsed):
        yield "the new CA does not say that it is one (basic constraints, CA:TRUE)"
    if not _may_sign(parsed):
        yield "the new CA may not sign certificates (key usage, keyCertSign)"
    if _SHA1 in new.signature_algorithm.lower():
        yield f"the new CA is signed by {new.signature_algorithm}; devices refuse SHA-1"
    if now < new.not_before:
        yield f"the new CA begins on {new.not_before:%Y-%m-%d %H:%M}"
    if new.not_after <= until:
        yield (
            f"the new CA ends on {new.not_after:%Y-%m-%d}, before both CAs were trusted long"
            f" enough ({until:%Y-%m-%d})"
        )
    is_same_key = parsed.public_key() == before.public_key()
    if new.subject == old.subject and not is_same_key and not is_same_meant:
        yield (
            "the new CA bears the old one's subject with another key: many devices take the wrong"
            " one of the two; give it another name, or say that it is meant"
        )
    if is_same_key:
        yield "the new CA has the old one's key: whoever holds that key holds the new one too"


def _may_sign(parsed: x509.Certificate) -> bool:
    try:
        return parsed.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    except x509.ExtensionNotFound:
        return False


def faults_of_chain(chain: Sequence[Certificate], ordered: Ordered) -> tuple[str, ...]:
    """Return what is wrong with ``chain``, leaf first, each a sentence; empty: nothing.

    It is read like a stranger's: for the key of the request, in order, complete, for a server,
    with all names, and accepted by who trusts the new CA alone, now and later.
    """
    if not chain:
        return ("there is no certificate in what the signer gave back",)
    try:
        return tuple(_chain_faults(chain, ordered))
    except UNREADABLE as exc:
        return (f"it has an extension that cannot be read ({exc})",)


def _chain_faults(chain: Sequence[Certificate], ordered: Ordered) -> Iterator[str]:
    leaf, *others = (one.parsed() for one in chain)
    issuer = others[0] if others else ordered.authority.parsed()
    told = fault_of_issued(leaf, ordered.request, issuer, ordered.wanted)
    if told:
        yield told
    for lower, upper in pairwise(others):
        if not _is_issued_by(lower, upper):
            yield "its certificates are not in order, each issued by the next"
            break
    store = trust_store("the new CA alone", [ordered.authority])
    for moment in (ordered.now, ordered.until):
        verdict = judge(chain, store, name=None, at=moment)
        if not verdict.verified:
            reasons = ", ".join(verdict.reasons)
            yield f"on {moment:%Y-%m-%d} who trusts the new CA alone refuses it: {reasons}"


def _is_issued_by(lower: x509.Certificate, upper: x509.Certificate) -> bool:
    try:
        lower.verify_directly_issued_by(upper)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
