"""Reasons in plain words, what to do about each, and how far away a moment is; pure."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from exporter.observations import Reason, WarningReason

REASON_WORDS: Mapping[Reason, str] = {
    Reason.BAD_SIGNATURE: "a signature in the chain does not hold",
    Reason.REVOKED: "its issuer has revoked it",
    Reason.UNKNOWN_CA: "it leads to no CA in this trust store",
    Reason.SELF_SIGNED: "it is signed by itself, and this trust store does not hold it",
    Reason.CHAIN_INCOMPLETE: "an intermediate is missing, or not found in the order sent",
    Reason.NOT_YET_VALID: "it begins in the future",
    Reason.EXPIRED: "it has ended",
    Reason.WRONG_USAGE: "a certificate is used for what it was not made for",
    Reason.WEAK_CRYPTO: "its key or signature is too weak",
    Reason.HOSTNAME_MISMATCH: "it is for another name",
    Reason.CLIENT_CERT_REQUIRED: "the endpoint wants a client certificate",
    Reason.VERIFY_FAILED: "a certificate was refused, and nobody says why",
    Reason.PROTOCOL_VERSION: "there is no TLS version that both sides speak",
    Reason.NO_SHARED_CIPHER: "there is no cipher that both sides speak",
    Reason.HANDSHAKE_TIMEOUT: "the handshake was not finished in time",
    Reason.CONNECTION_RESET: "the connection was cut during the handshake",
    Reason.NOT_TLS: "what answers there is not TLS",
    Reason.DNS_FAILURE: "the name cannot be resolved",
    Reason.CONNECT_REFUSED: "nothing listens there",
    Reason.CONNECT_TIMEOUT: "no connection was made in time",
    Reason.UNREACHABLE: "there is no way there",
    Reason.INTERNAL: "a fault of this program",
    Reason.OTHER: "something that has no name here",
}
WARNING_WORDS: Mapping[WarningReason, str] = {
    WarningReason.NONCONFORMING: "a certificate breaks RFC 5280's form; strict devices refuse it",
    WarningReason.WEAK_CRYPTO: "a key is below today's strength (RSA 2048, EC 224)",
}

ADVICE: Mapping[Reason, str] = {
    Reason.BAD_SIGNATURE: "Serve the chain as its CA issued it; one was changed or mixed up.",
    Reason.REVOKED: "Serve a certificate that is not revoked, and find out why this one was.",
    Reason.UNKNOWN_CA: "Serve a chain of a CA that is trusted there (roll back), or add the new"
    " CA to what is trusted there, and wait until it is known to have arrived.",
    Reason.SELF_SIGNED: "Serve a certificate of a CA that is trusted there.",
    Reason.CHAIN_INCOMPLETE: "Serve the leaf with all its intermediates, in order, no root.",
    Reason.NOT_YET_VALID: "Compare the clocks first; else serve the certificate before this one.",
    Reason.EXPIRED: "Serve a renewed certificate of the same CA.",
    Reason.WRONG_USAGE: "Have it issued anew with the usages it is for (server: serverAuth).",
    Reason.WEAK_CRYPTO: "Have it issued anew with a stronger key and a SHA-256 signature.",
    Reason.HOSTNAME_MISMATCH: "Serve the certificate that is for this name, or correct the name"
    " that is asked for (server_name).",
    Reason.CLIENT_CERT_REQUIRED: "Give the one who connects a client certificate"
    " (for looks: probe.client_cert_file).",
    Reason.VERIFY_FAILED: "Look at the log of the side that refused: it alone knows why.",
    Reason.PROTOCOL_VERSION: "Allow a TLS version on both sides that both know (1.2 or 1.3).",
    Reason.NO_SHARED_CIPHER: "Allow a cipher that both sides know, and look at the key's kind.",
    Reason.HANDSHAKE_TIMEOUT: "Look whether the other side is overloaded, or packets are lost.",
    Reason.CONNECTION_RESET: "Look at the log of the other side, and at what stands in between.",
    Reason.NOT_TLS: "Look whether address, port and protocol are the right ones.",
    Reason.DNS_FAILURE: "Look whether the name is right and the resolver answers.",
    Reason.CONNECT_REFUSED: "Start what should listen there, or correct address and port.",
    Reason.CONNECT_TIMEOUT: "Look at the network and the firewall in between, and at the machine.",
    Reason.UNREACHABLE: "Look at routes and the network in between.",
    Reason.INTERNAL: "Look at the exporter's own log, and report it.",
    Reason.OTHER: "Look at the details, and at the logs of both sides.",
}

_UNITS = (
    (timedelta(days=1), "day", 2),  # 30 hours say more than 1 day
    (timedelta(hours=1), "hour", 1),
    (timedelta(minutes=1), "minute", 0),
)


def time_left(end: datetime, now: datetime) -> str:
    """Return how far ``end`` is from ``now``: ``87 days left``, ``ended 3 hours ago``."""
    distance = abs(end - now)
    amounts = [(distance // unit, name, least) for unit, name, least in _UNITS]
    count, name = next((count, name) for count, name, least in amounts if count >= least)
    amount = f"{count} {name}{'' if count == 1 else 's'}"
    return f"{amount} left" if end > now else f"ended {amount} ago"


def ago(at: datetime, now: datetime) -> str:
    """Return how old ``at`` is: ``3 s ago``, ``12 min ago``, ``5 h ago``, ``3 days ago``."""
    age_s = (now - at).total_seconds()
    if age_s < -1:
        return f"{_short(-age_s)} ahead of this clock"
    return f"{_short(max(age_s, 0.0))} ago"


def _short(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 36 * 3600:
        return f"{seconds / 3600:.0f} h"
    return f"{seconds / 86_400:.0f} days"


def moment(at: datetime) -> str:
    """Return ``at`` as people read it, to the minute."""
    return f"{at:%Y-%m-%d %H:%M} UTC"
