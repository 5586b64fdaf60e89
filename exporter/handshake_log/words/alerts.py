"""The alerts of TLS by number and by the names that libraries give them.

Numbers and names: RFC 8446, 6 (TLS 1.3), with those that only RFC 5246, 7.2 and RFC 6101, 5.4
(TLS 1.2, SSL 3.0) know. Spellings: OpenSSL ssl/ssl_stat.c, Go crypto/tls/alert.go, GnuTLS
lib/alert.c, JSSE Alert.java, Erlang ssl_alert.erl, rustls AlertDescription.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from exporter.handshake_log.words.saying import Kind, Meaning, Number, Saying, sayings
from exporter.observations import Reason, ToldBy


class Alert(NamedTuple):
    """One alert: its number, what its sender means, and its names."""

    number: int
    reason: Reason
    names: tuple[str, ...]


ALERTS = (
    Alert(10, Reason.OTHER, ("unexpected message",)),
    Alert(20, Reason.OTHER, ("bad record mac", "bad mac read", "bad mac alert")),
    Alert(21, Reason.OTHER, ("decryption failed", "decrypt fail")),
    Alert(22, Reason.OTHER, ("record overflow", "record overlow")),  # axTLS misspells it
    Alert(30, Reason.OTHER, ("decompression failure", "decompression fail")),
    Alert(40, Reason.OTHER, ("handshake failure",)),
    Alert(41, Reason.CLIENT_CERT_REQUIRED, ("no certificate",)),
    # 42 and 46 say that a certificate was refused and not why.
    Alert(42, Reason.VERIFY_FAILED, ("bad certificate", "certificate is bad")),
    # OpenSSL sends 43 for a wrong purpose only (ssl/statem/statem_lib.c, x509table).
    Alert(
        43,
        Reason.WRONG_USAGE,
        ("unsupported certificate", "certificate is not supported", "certificate unsupported"),
    ),
    Alert(
        44,
        Reason.REVOKED,
        ("certificate revoked", "revoked certificate", "certificate was revoked"),
    ),
    Alert(
        45,
        Reason.EXPIRED,
        ("certificate expired", "expired certificate", "certificate is expired"),
    ),
    Alert(
        46,
        Reason.VERIFY_FAILED,
        ("certificate unknown", "unknown certificate", "certificate is unknown"),
    ),
    Alert(47, Reason.OTHER, ("illegal parameter",)),
    Alert(
        48,
        Reason.UNKNOWN_CA,
        ("unknown ca", "unknown certificate authority", "ca is unknown", "unknown ca alert"),
    ),
    Alert(49, Reason.OTHER, ("access denied", "access was denied")),
    Alert(50, Reason.OTHER, ("decode error", "error decoding message")),
    Alert(51, Reason.BAD_SIGNATURE, ("decrypt error", "error decrypting message")),
    Alert(60, Reason.OTHER, ("export restriction",)),
    Alert(
        70,
        Reason.PROTOCOL_VERSION,
        ("protocol version", "protocol version not supported", "error in protocol version"),
    ),
    Alert(
        71,
        Reason.NO_SHARED_CIPHER,
        ("insufficient security", "insufficient security level"),
    ),
    Alert(80, Reason.OTHER, ("internal error",)),
    Alert(86, Reason.PROTOCOL_VERSION, ("inappropriate fallback",)),
    Alert(90, Reason.OTHER, ("user canceled", "user cancelled")),
    Alert(100, Reason.OTHER, ("no renegotiation",)),
    Alert(109, Reason.OTHER, ("missing extension",)),
    Alert(110, Reason.OTHER, ("unsupported extension",)),
    Alert(111, Reason.OTHER, ("certificate unobtainable",)),
    Alert(112, Reason.OTHER, ("unrecognized name", "unrecognised name")),
    Alert(113, Reason.VERIFY_FAILED, ("bad certificate status response",)),
    Alert(114, Reason.VERIFY_FAILED, ("bad certificate hash value",)),
    Alert(115, Reason.OTHER, ("unknown psk identity",)),
    Alert(116, Reason.CLIENT_CERT_REQUIRED, ("certificate required", "certificate is required")),
    Alert(120, Reason.OTHER, ("no application protocol",)),
    Alert(121, Reason.OTHER, ("ech required",)),
)
REASONS = {alert.number: alert.reason for alert in ALERTS}


def _read(number: int) -> Meaning | None:
    """Return what an alert that was read means; an unknown one is fatal all the same."""
    if number == 0:  # close_notify, RFC 8446, 6.1
        return None
    return Meaning(REASONS.get(number, Reason.OTHER), ToldBy.PEER)


def _either(number: int) -> Meaning | None:
    return Meaning(REASONS[number]) if number in REASONS else None


def _read_by_openssl() -> Iterator[Saying]:
    """OpenSSL's, LibreSSL's and BoringSSL's reasons 1000 + n: an alert that was *read*."""
    # ssl/ssl_err.c: "sslv3 alert bad certificate" ("ssl/tls alert …" since 3.2), "tlsv1 alert
    # unknown ca", "tlsv13 alert certificate required"; without "alert" for the extensions' ones.
    for alert in ALERTS:
        for name in alert.names:
            yield from sayings(
                Kind.FAILS,
                alert.reason,
                ToldBy.PEER,
                "openssl",
                f"(?:sslv3|tlsv1|tlsv13|sslv23|ssl/tls) (?:alert )?{name}",
            )


def _named() -> Iterator[Saying]:
    """Names alone: everyday words, which mean an alert only beside a word that says so."""
    for alert in ALERTS:
        for name in alert.names:
            yield from sayings(Kind.HINTS, alert.reason, None, None, name)
            # GnuTLS, JSSE, s_client, FreeRADIUS, Erlang: the word "alert" or "fatal" beside it.
            yield from sayings(
                Kind.FAILS,
                alert.reason,
                None,
                None,
                rf"fatal(?: alert| error)?[ :,/'\"-]{{1,4}}\W?{name}",
                rf"alert[ :]{{1,3}}(?:fatal|number \d+|\[?\(?\d+\)?\]?)[ :,-]{{1,4}}\W?{name}",
            )


SAYINGS = (*_read_by_openssl(), *_named())

NUMBERS = (
    # nginx and OpenSSL's own programs append it; OpenSSL sets it for alerts it *received*.
    Number(
        pattern=re.compile(r"SSL alert number (\d{1,3})"),
        base=10,
        mark="ssl alert number",
        meaning=_read,
        library="openssl",
    ),
    # mbedTLS ssl_msg.c / ssl_tls.c: "is a fatal alert message (msg 48)".
    Number(
        pattern=re.compile(r"is a fatal alert message \(msg (\d{1,3})\)"),
        base=10,
        mark="is a fatal alert message",
        meaning=_read,
        library="mbedtls",
    ),
    # GnuTLS programs: "*** Received alert [48]: CA is unknown".
    Number(
        pattern=re.compile(r"[Rr]eceived (?:fatal )?alert (?:\(|\[|')?(\d{1,3})\b"),
        base=10,
        mark="received",
        meaning=_read,
        library="gnutls",
    ),
    # wolfSSL ("Alert type: 48"), lwIP, curl's Schannel and others that print a bare number.
    Number(
        pattern=re.compile(
            r"\b[Aa]lert(?:[ _](?:code|type|number|description|msg|desc))[ :=]+(\d{1,3})\b"
        ),
        base=10,
        mark="alert",
        meaning=_either,
        library="tls",
    ),
)
