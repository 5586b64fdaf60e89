"""What went wrong in a look, as a reason, who refused, and a sentence; pure."""

import errno
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from exporter.observations import Reason, ToldBy


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why there is no handshake.

    Attributes:
        rejected_by: None where nobody refused (a timeout, no route).
        detail: One sentence for people.
    """

    reason: Reason
    rejected_by: ToldBy | None
    detail: str


class LookFailed(Exception):  # noqa: N818 - a failed handshake is an answer, not an error
    """Carries a failure from where it is met to where the observation is made."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.detail)
        self.failure = failure


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsError:
    """One entry of OpenSSL's error queue.

    Attributes:
        library: ``ERR_LIB_*`` of openssl/err.h; 20 is the SSL library.
        reason: ``SSL_R_*`` of openssl/sslerr.h where the library is 20. The numbers are the same
            in OpenSSL 1.1 to 4.0, the texts are not ("sslv3 alert ..." became "tls alert ...").
        text: OpenSSL's own words.
    """

    library: int
    reason: int
    text: str

    @property
    def alert(self) -> int | None:
        """The number of the alert that the peer sent; None when this is our own finding."""
        # SSL_AD_REASON_OFFSET of openssl/ssl.h: reasons above it are alerts that were read
        is_alert = self.library == SSL_LIBRARY and 1000 <= self.reason < 1256
        return self.reason - 1000 if is_alert else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far the handshake had come.

    Attributes:
        first_bytes: The first few that the endpoint sent.
        chain_received: Its certificates were there.
        certificate_requested: It asked for a client certificate.
        certificate_held: We have one to show.
    """

    first_bytes: bytes = b""
    chain_received: bool = False
    certificate_requested: bool = False
    certificate_held: bool = False

    @property
    def owes_certificate(self) -> bool:
        """It asked for a client certificate and we had none."""
        return self.certificate_requested and not self.certificate_held


SSL_LIBRARY = 20

# RFC 8446, 6 (and RFC 5246, 7.2 for 21, 30, 41, 60, 100)
_ALERTS: Mapping[int, tuple[str, Reason]] = {
    0: ("close_notify", Reason.CONNECTION_RESET),
    10: ("unexpected_message", Reason.OTHER),
    20: ("bad_record_mac", Reason.OTHER),
    21: ("decryption_failed", Reason.OTHER),
    22: ("record_overflow", Reason.OTHER),
    30: ("decompression_failure", Reason.OTHER),
    40: ("handshake_failure", Reason.NO_SHARED_CIPHER),
    41: ("no_certificate", Reason.CLIENT_CERT_REQUIRED),
    42: ("bad_certificate", Reason.VERIFY_FAILED),
    43: ("unsupported_certificate", Reason.WRONG_USAGE),
    44: ("certificate_revoked", Reason.REVOKED),
    45: ("certificate_expired", Reason.EXPIRED),
    46: ("certificate_unknown", Reason.VERIFY_FAILED),
    47: ("illegal_parameter", Reason.OTHER),
    48: ("unknown_ca", Reason.UNKNOWN_CA),
    49: ("access_denied", Reason.OTHER),
    50: ("decode_error", Reason.OTHER),
    51: ("decrypt_error", Reason.BAD_SIGNATURE),
    60: ("export_restriction", Reason.NO_SHARED_CIPHER),
    70: ("protocol_version", Reason.PROTOCOL_VERSION),
    71: ("insufficient_security", Reason.NO_SHARED_CIPHER),
    80: ("internal_error", Reason.OTHER),
    86: ("inappropriate_fallback", Reason.PROTOCOL_VERSION),
    90: ("user_canceled", Reason.CONNECTION_RESET),
    100: ("no_renegotiation", Reason.OTHER),
    109: ("missing_extension", Reason.OTHER),
    110: ("unsupported_extension", Reason.OTHER),
    112: ("unrecognized_name", Reason.OTHER),
    113: ("bad_certificate_status_response", Reason.OTHER),
    115: ("unknown_psk_identity", Reason.OTHER),
    116: ("certificate_required", Reason.CLIENT_CERT_REQUIRED),
    120: ("no_application_protocol", Reason.OTHER),
}

# What servers send when the certificate they asked for did not come: 116 in TLS 1.3; before,
# OpenSSL 40, Java 42, others any of the certificate alerts (RFC 5246, 7.4.6 names 40).
_CERTIFICATE_ALERTS = frozenset({40, 41, 42, 43, 46, 48, 49, 116})

# SSL_R_* of openssl/sslerr.h for what this side found
_OWN_FINDINGS: Mapping[int, Reason] = {
    118: Reason.NO_SHARED_CIPHER,  # NO_SUITABLE_SIGNATURE_ALGORITHM
    123: Reason.BAD_SIGNATURE,
    149: Reason.BAD_SIGNATURE,  # DIGEST_CHECK_FAILED: the server's Finished
    116: Reason.PROTOCOL_VERSION,  # BAD_PROTOCOL_VERSION_NUMBER
    248: Reason.NO_SHARED_CIPHER,  # UNKNOWN_CIPHER_RETURNED
    258: Reason.PROTOCOL_VERSION,  # UNSUPPORTED_PROTOCOL
    259: Reason.PROTOCOL_VERSION,  # UNSUPPORTED_SSL_VERSION
    261: Reason.NO_SHARED_CIPHER,  # WRONG_CIPHER_RETURNED
    266: Reason.PROTOCOL_VERSION,  # WRONG_SSL_VERSION
    267: Reason.PROTOCOL_VERSION,  # WRONG_VERSION_NUMBER, in something that looks like TLS
    292: Reason.PROTOCOL_VERSION,  # BAD_LEGACY_VERSION
    378: Reason.NO_SHARED_CIPHER,  # WRONG_CURVE
    394: Reason.WEAK_CRYPTO,  # DH_KEY_TOO_SMALL
    397: Reason.WEAK_CRYPTO,  # CA_KEY_TOO_SMALL
    398: Reason.WEAK_CRYPTO,  # CA_MD_TOO_WEAK
    399: Reason.WEAK_CRYPTO,  # EE_KEY_TOO_SMALL
    410: Reason.NO_SHARED_CIPHER,  # NO_SHARED_GROUPS
}
_EXCESSIVE_MESSAGE_SIZE = 152

_GREETINGS: tuple[tuple[bytes, str], ...] = (
    (b"HTTP/", "HTTP without TLS"),
    (b"<", "HTML or XML without TLS"),
    (b"SSH-", "SSH"),
    (b"220", "a mail or FTP greeting (STARTTLS)"),
    (b"* OK", "an IMAP greeting (STARTTLS)"),
    (b"+OK", "a POP3 greeting (STARTTLS)"),
)


def explain_tls(error: TlsError, progress: Progress) -> Failure:
    """Return what an error of the TLS library means at this point of the handshake."""
    if not _looks_like_tls(progress.first_bytes):
        return _not_tls(progress.first_bytes)
    if error.alert is not None:
        return _told(error.alert, progress)
    if error.library != SSL_LIBRARY:
        return Failure(
            reason=Reason.OTHER,
            rejected_by=ToldBy.LOCAL,
            detail=f"what the endpoint sent cannot be used: {error.text}",
        )
    if error.reason == _EXCESSIVE_MESSAGE_SIZE:
        return Failure(
            reason=Reason.OTHER,
            rejected_by=ToldBy.LOCAL,
            detail="the endpoint sent a handshake message above OpenSSL's limit "
            "(100 KiB for a certificate chain)",
        )
    return Failure(
        reason=_OWN_FINDINGS.get(error.reason, Reason.OTHER),
        rejected_by=ToldBy.LOCAL,
        detail=f"we refused what the endpoint sent: {error.text}",
    )


def _told(alert: int, progress: Progress) -> Failure:
    name, reason = _ALERTS.get(alert, ("not registered", Reason.OTHER))
    words = f"the endpoint refused with alert {alert} ({name})"
    if alert in _CERTIFICATE_ALERTS and progress.owes_certificate:
        return Failure(
            reason=Reason.CLIENT_CERT_REQUIRED,
            rejected_by=ToldBy.PEER,
            detail=f"{words}: it demands a client certificate and none is configured",
        )
    if alert == 40 and progress.chain_received:
        # the version and cipher were agreed long before, so it cannot be about those
        is_ours = progress.certificate_requested
        reason = Reason.VERIFY_FAILED if is_ours else Reason.OTHER
    if progress.certificate_requested and progress.certificate_held:
        words += " after our client certificate"
    return Failure(reason=reason, rejected_by=ToldBy.PEER, detail=words)


def explain_close(progress: Progress, *, error: OSError | None = None) -> Failure:
    """Return what the end of the connection before the end of the handshake means.

    Args:
        progress: How far it had come.
        error: What the socket said; None: an orderly end, or a close_notify.
    """
    if progress.first_bytes and not _looks_like_tls(progress.first_bytes):
        return _not_tls(progress.first_bytes)
    if error is not None and error.errno not in _RESETS:
        return explain_connect(error)
    how = "closed" if error is None else "reset"
    if progress.certificate_requested:
        return _refused_by_closing(how, progress)
    where = "in the middle of the handshake" if progress.first_bytes else "after our ClientHello"
    return Failure(
        reason=Reason.CONNECTION_RESET,
        rejected_by=ToldBy.PEER,
        detail=f"the endpoint {how} the connection {where}, without an alert",
    )


def _refused_by_closing(how: str, progress: Progress) -> Failure:
    if progress.certificate_held:
        return Failure(
            reason=Reason.VERIFY_FAILED,
            rejected_by=ToldBy.PEER,
            detail=f"the endpoint {how} the connection after our client certificate, "
            "without an alert",
        )
    return Failure(
        reason=Reason.CLIENT_CERT_REQUIRED,
        rejected_by=ToldBy.PEER,
        detail=f"the endpoint asked for a client certificate, none is configured, and it {how} "
        "the connection without an alert",
    )


def _looks_like_tls(first_bytes: bytes) -> bool:
    # RFC 8446, 5.1: a record starts with its type (20 to 24) and the major version 3
    if not 20 <= (first_bytes or b"\x16")[0] <= 24:
        return False
    return len(first_bytes) < 2 or first_bytes[1] == 3


def _not_tls(first_bytes: bytes) -> Failure:
    guess = next((name for start, name in _GREETINGS if first_bytes.startswith(start)), None)
    spoken = f"it speaks {guess}" if guess else "it is no protocol we know"
    return Failure(
        reason=Reason.NOT_TLS,
        rejected_by=ToldBy.LOCAL,
        detail=f"the answer is not TLS: {spoken}; it begins {_shown(first_bytes)}",
    )


def _shown(data: bytes) -> str:
    """Return untrusted bytes as ASCII text: quoted, escaped and cut."""
    return ascii(data[:24].decode("latin-1"))


_RESETS = frozenset({errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED})

_CONNECT_ERRORS: Mapping[int, tuple[Reason, ToldBy | None]] = {
    errno.ECONNREFUSED: (Reason.CONNECT_REFUSED, ToldBy.PEER),
    errno.ECONNRESET: (Reason.CONNECTION_RESET, ToldBy.PEER),
    errno.EPIPE: (Reason.CONNECTION_RESET, ToldBy.PEER),
    errno.ECONNABORTED: (Reason.CONNECTION_RESET, ToldBy.PEER),
    errno.ETIMEDOUT: (Reason.CONNECT_TIMEOUT, None),
    errno.ENETUNREACH: (Reason.UNREACHABLE, None),
    errno.EHOSTUNREACH: (Reason.UNREACHABLE, None),
    errno.ENETDOWN: (Reason.UNREACHABLE, None),
    errno.EHOSTDOWN: (Reason.UNREACHABLE, None),
    errno.EADDRNOTAVAIL: (Reason.UNREACHABLE, None),
    errno.EAFNOSUPPORT: (Reason.UNREACHABLE, None),
    errno.EINVAL: (Reason.UNREACHABLE, None),  # a link-local address without a zone
    errno.EACCES: (Reason.UNREACHABLE, None),  # a local firewall, or a broadcast address
    errno.EPERM: (Reason.UNREACHABLE, None),
    errno.ENOPROTOOPT: (Reason.UNREACHABLE, None),  # ICMP "protocol unreachable"
}

# ours, not the endpoint's: out of descriptors, memory, or local ports
_OWN_ERRORS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EAGAIN})


def explain_connect(error: OSError) -> Failure:
    """Return what an error of the socket means."""
    number = error.errno or 0
    words = error.strerror or str(error) or type(error).__name__
    if number in _OWN_ERRORS:
        return Failure(
            reason=Reason.INTERNAL,
            rejected_by=None,
            detail=f"this machine could not open a connection: {words}",
        )
    reason, rejected_by = _CONNECT_ERRORS.get(number, (Reason.OTHER, None))
    return Failure(
        reason=reason, rejected_by=rejected_by, detail=f"the connection failed: {words}"
    )


def explain_resolve(host: str, error: OSError | UnicodeError | None) -> Failure:
    """Return what a failed name resolution means; None: no answer in time."""
    known = {socket.EAI_NONAME: "no such name", socket.EAI_AGAIN: "the name servers do not answer"}
    if error is None:
        words = "no answer in time"
    else:
        number = error.errno if isinstance(error, OSError) else None
        words = known.get(number or 0) or getattr(error, "strerror", None) or str(error)
    return Failure(
        reason=Reason.DNS_FAILURE,
        rejected_by=None,
        detail=f"the name {host[:100]!a} cannot be resolved: {words}",
    )


def explain_name(server_name: str, words: str) -> Failure:
    """Return what is wrong with a server name that cannot be sent."""
    return Failure(
        reason=Reason.OTHER,
        rejected_by=ToldBy.LOCAL,
        detail=f"the server name {server_name[:100]!a} cannot be sent: {words}",
    )


def explain_silence(progress: Progress, phase_s: float) -> Failure:
    """Return what a handshake that was not done in time means."""
    far = "nothing was received" if not progress.first_bytes else "it had begun to answer"
    if progress.chain_received:
        far = "its certificates were received"
    return Failure(
        reason=Reason.HANDSHAKE_TIMEOUT,
        rejected_by=None,
        detail=f"the handshake was not done within {phase_s:.3g} s; {far}",
    )
