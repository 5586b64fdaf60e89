"""Reasons in plain words, and how far away a moment is; pure."""

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


def moment(at: datetime) -> str:
    """Return ``at`` as people read it, to the minute."""
    return f"{at:%Y-%m-%d %H:%M} UTC"
