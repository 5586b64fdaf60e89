"""What verdicts say to people: the certificate it is about, with its date or name; pure."""

from collections.abc import Sequence

from exporter.certificates import Certificate, names_of

_NAMES_SHOWN = 5


def place_of(certificate: Certificate, sent: Sequence[Certificate]) -> str:
    """Return where a certificate stands: ``leaf``, its position, or that it was not sent."""
    if certificate.fingerprint_sha256 == sent[0].fingerprint_sha256:
        return "leaf"
    for position, other in enumerate(sent):
        if other.fingerprint_sha256 == certificate.fingerprint_sha256:
            return f"position {position}, {certificate.subject}"
    return f"not sent, {certificate.subject}"


def expired(certificate: Certificate, place: str) -> str:
    """Return that a certificate has ended."""
    return f"certificate has expired ({place}, {certificate.not_after.date().isoformat()})"


def not_yet_valid(certificate: Certificate, place: str) -> str:
    """Return that a certificate has not begun."""
    day = certificate.not_before.date().isoformat()
    return f"certificate is not yet valid ({place}, {day})"


def unknown_ca(top: Certificate, store: str) -> str:
    """Return that a path ends outside the store; ``top`` is its last certificate."""
    if top.subject == top.issuer:
        return f"the CA {top.subject!r} is not in {store}"
    return f"the issuer {top.issuer!r} is not in {store}"


def hostname_mismatch(leaf: Certificate, name: str) -> str:
    """Return for which names the leaf is."""
    names = names_of(leaf)
    own = [*names.dns, *names.ips] or ([leaf.subject_cn] if leaf.subject_cn else [])
    more = f" and {len(own) - _NAMES_SHOWN} more" if len(own) > _NAMES_SHOWN else ""
    shown = ", ".join(own[:_NAMES_SHOWN]) + more if own else "no name"
    return f"the certificate is for {shown}, not for {name}"
