"""The nouns of the data path: reasons, and what a look or a log line said about a handshake."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from exporter.certificates import Certificate


class Reason(StrEnum):
    """Why a handshake failed or a chain is not accepted.

    One vocabulary for probes, verdicts, logs and metrics. The order of definition is the order
    in which one of several is picked as *the* reason (see ``first_of``).
    """

    BAD_SIGNATURE = "bad_signature"
    REVOKED = "revoked"
    UNKNOWN_CA = "unknown_ca"
    SELF_SIGNED = "self_signed"
    CHAIN_INCOMPLETE = "chain_incomplete"
    NOT_YET_VALID = "not_yet_valid"
    EXPIRED = "expired"
    WRONG_USAGE = "wrong_usage"
    WEAK_CRYPTO = "weak_crypto"
    HOSTNAME_MISMATCH = "hostname_mismatch"
    CLIENT_CERT_REQUIRED = "client_cert_required"
    VERIFY_FAILED = "verify_failed"
    PROTOCOL_VERSION = "protocol_version"
    NO_SHARED_CIPHER = "no_shared_cipher"
    HANDSHAKE_TIMEOUT = "handshake_timeout"
    CONNECTION_RESET = "connection_reset"
    NOT_TLS = "not_tls"
    DNS_FAILURE = "dns_failure"
    CONNECT_REFUSED = "connect_refused"
    CONNECT_TIMEOUT = "connect_timeout"
    UNREACHABLE = "unreachable"
    INTERNAL = "internal"
    OTHER = "other"


class WarningReason(StrEnum):
    """What a verdict remarks without refusing."""

    NONCONFORMING = "nonconforming"
    WEAK_CRYPTO = "weak_crypto"


TRUST_REASONS = frozenset(
    {
        Reason.BAD_SIGNATURE,
        Reason.REVOKED,
        Reason.UNKNOWN_CA,
        Reason.SELF_SIGNED,
        Reason.CHAIN_INCOMPLETE,
        Reason.NOT_YET_VALID,
        Reason.EXPIRED,
        Reason.WRONG_USAGE,
        Reason.WEAK_CRYPTO,
        Reason.HOSTNAME_MISMATCH,
        Reason.VERIFY_FAILED,
    }
)
"""What a device can hold against its gateway's certificate."""

_RANK = {reason: rank for rank, reason in enumerate(Reason)}


def in_order(reasons: set[Reason] | frozenset[Reason]) -> tuple[Reason, ...]:
    """Return ``reasons`` in the enum's order; empty for none."""
    return tuple(sorted(reasons, key=_RANK.__getitem__))


class ToldBy(StrEnum):
    """Who refused, in the words of the one who tells: a probe or a single log line."""

    LOCAL = "local"
    PEER = "peer"


class RejectedBy(StrEnum):
    """Who refused, in the fleet's terms. Only ``DEVICE`` is a trust store mismatch."""

    GATEWAY = "gateway"
    DEVICE = "device"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Durations:
    """Seconds spent in each phase of a look; None for a phase that was not reached."""

    resolve: float | None = None
    connect: float | None = None
    handshake: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OcspStaple:
    """A stapled OCSP answer (RFC 6066, 8; RFC 6960).

    Attributes:
        status: ``good``, ``revoked`` or ``unknown``.
        verified: Its signature is by the leaf's issuer or a delegate of it. None: the issuer was
            not sent, so it cannot be said.
    """

    status: str
    this_update: datetime
    next_update: datetime | None
    verified: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What one look saw; a failed handshake is an observation, not an error.

    Attributes:
        target: The inventory's name, or the address for a look outside the inventory.
        address: ``HOST:PORT`` as asked for.
        connected: The transport connection was made.
        handshake: The handshake was finished *and* the server did not refuse us right after
            (TLS 1.3 servers judge the client's certificate after the client is done).
        reason: Why there is no handshake; None when there is.
        rejected_by: None also where nobody refused (a timeout, no route).
        detail: One sentence for people; never an empty text on failure.
        chain: As sent, leaf first; may be there without ``handshake``. Empty: none received.
        chain_sent_count: How many certificates were sent; more than ``len(chain)`` when cut.
        client_certificate_requested: None when the handshake did not get that far.
        ocsp: None when nothing was stapled, or it could not be parsed (``detail`` says so).
    """

    target: str
    address: str
    observed_at: datetime
    protocol: str = "tls"
    connected: bool = False
    handshake: bool = False
    reason: Reason | None = None
    rejected_by: ToldBy | None = None
    detail: str = ""
    tls_version: str | None = None
    cipher: str | None = None
    alpn: str | None = None
    client_certificate_requested: bool | None = None
    chain: tuple[Certificate, ...] = ()
    chain_sent_count: int = 0
    ocsp: OcspStaple | None = None
    durations_s: Durations = Durations()


@dataclass(frozen=True, slots=True, kw_only=True)
class HandshakeRecord:
    """What one or more log lines say about one handshake.

    Attributes:
        failure: The handshake failed. Exactly one of ``failure`` and ``success`` is True.
        reason: None for a success.
        rejected_by: None where the line does not tell.
        peer: The other side as it stands in the line: ``IP:port``, IP, name, client id, subject.
        writer: The software that wrote the line, or the TLS library; None when neither is known.
        resumed: True resumed, False full, None where the producer does not tell.
        at: The line's own moment when it carries one with a known offset.
        client_not_after: End of the device's own certificate where the producer logs it.
        names: Further names of the other side in the line: its certificate's subject, its MQTT
            client id.
        server_name: The name that the client asked for (SNI).
    """

    failure: bool
    success: bool
    reason: Reason | None = None
    rejected_by: ToldBy | None = None
    peer: str | None = None
    writer: str | None = None
    resumed: bool | None = None
    at: datetime | None = None
    client_not_after: datetime | None = None
    names: tuple[str, ...] = ()
    server_name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustReport:
    """What one device said it trusts.

    Attributes:
        device: Name from the inventory.
        anchors: SHA-256 of each anchor's DER, lower-case hex. Empty means "trusts nothing",
            not "did not say": for that there is no report.
        reported_at: The device's own moment of writing; may be wrong by its clock.
        received_at: When the platform, or we, received it, as far as that is told.
    """

    device: str
    anchors: frozenset[str]
    reported_at: datetime
    received_at: datetime
