"""What OpenSSL, LibreSSL and BoringSSL put into their error queues, by reason number and by text.

Numbers: include/openssl/sslerr.h (1.0 - 3.x; they did not change), BoringSSL
include/openssl/ssl.h. Texts: ssl/ssl_err.c; BoringSSL prints the constant's name. Packing of a
code: ERR_PACK in include/openssl/err.h, 8 + 12 + 12 bits before 3.0 and in BoringSSL and
LibreSSL, 8 + 23 bits since.
"""

import re
from typing import NamedTuple

from exporter.handshake_log.words.alerts import REASONS as ALERT_REASONS
from exporter.handshake_log.words.saying import Kind, Meaning, Number, Saying, sayings
from exporter.observations import Reason, ToldBy

_SSL_LIBRARY = 20  # ERR_LIB_SSL
_BORING_SSL_LIBRARY = 16  # ERR_LIB_SSL in BoringSSL's include/openssl/err.h
_ALERT_READ = 1000  # SSL_AD_REASON_OFFSET


class Because(NamedTuple):
    """One reason of the SSL library: its numbers in OpenSSL and BoringSSL, and its text."""

    text: str
    openssl: int | None
    boringssl: int | None
    reason: Reason
    told_by: ToldBy | None = ToldBy.LOCAL


REASONS = (
    Because("certificate verify failed", 134, 125, Reason.VERIFY_FAILED),
    Because("peer did not return a certificate", 199, 192, Reason.CLIENT_CERT_REQUIRED),
    Because(
        "tls peer did not respond with certificate list", None, 217, Reason.CLIENT_CERT_REQUIRED
    ),
    Because("no certificate returned", 178, None, Reason.CLIENT_CERT_REQUIRED),
    Because("no certificates returned", 176, 172, Reason.CLIENT_CERT_REQUIRED),
    Because("no shared cipher", 193, 184, Reason.NO_SHARED_CIPHER),
    Because("no ciphers available", 181, 175, Reason.NO_SHARED_CIPHER),
    Because("no ciphers passed", 182, 176, Reason.NO_SHARED_CIPHER),
    Because("no ciphers specified", 183, 262, Reason.NO_SHARED_CIPHER),
    Because("no cipher match", 185, 177, Reason.NO_SHARED_CIPHER),
    Because("unknown cipher returned", 248, 229, Reason.NO_SHARED_CIPHER),
    Because("wrong cipher returned", 261, 242, Reason.NO_SHARED_CIPHER),
    Because("no shared groups?", 410, 266, Reason.NO_SHARED_CIPHER),
    Because("no suitable groups", 295, None, Reason.NO_SHARED_CIPHER),
    Because("no suitable key share", 101, None, Reason.NO_SHARED_CIPHER),
    Because("no shared signature algorithms", 376, None, Reason.NO_SHARED_CIPHER),
    Because(
        "no shared sigature algorithms", None, None, Reason.NO_SHARED_CIPHER
    ),  # 1.0.2's spelling
    Because("no common signature algorithms", None, 253, Reason.NO_SHARED_CIPHER),
    Because("no suitable signature algorithm", 118, None, Reason.NO_SHARED_CIPHER),
    Because("no suitable digest algorithm", 297, None, Reason.NO_SHARED_CIPHER),
    Because("unsupported elliptic curve", 315, 239, Reason.NO_SHARED_CIPHER),
    Because("wrong curve", 378, 243, Reason.NO_SHARED_CIPHER),
    Because("no required digest", 324, 183, Reason.NO_SHARED_CIPHER),
    Because("required cipher missing", 215, 203, Reason.NO_SHARED_CIPHER),
    Because("missing tmp dh key", 171, 166, Reason.NO_SHARED_CIPHER),
    Because("missing tmp ecdh key", 311, 167, Reason.NO_SHARED_CIPHER),
    Because("insufficient security", 241, None, Reason.NO_SHARED_CIPHER),
    Because("unsupported protocol", 258, 240, Reason.PROTOCOL_VERSION),
    Because("unknown protocol", 252, 233, Reason.PROTOCOL_VERSION),
    Because("no protocols available", 191, None, Reason.PROTOCOL_VERSION),
    Because("no supported versions enabled", None, 280, Reason.PROTOCOL_VERSION),
    Because("wrong version number", 267, 247, Reason.PROTOCOL_VERSION),
    Because("wrong ssl version", 266, 246, Reason.PROTOCOL_VERSION),
    Because("unsupported ssl version", 259, None, Reason.PROTOCOL_VERSION),
    Because("unknown ssl version", 254, 234, Reason.PROTOCOL_VERSION),
    Because("bad protocol version number", 116, None, Reason.PROTOCOL_VERSION),
    Because("bad legacy version", 292, None, Reason.PROTOCOL_VERSION),
    Because("version too low", 396, None, Reason.PROTOCOL_VERSION),
    Because("version too high", 166, None, Reason.PROTOCOL_VERSION),
    Because("inappropriate fallback", 373, 157, Reason.PROTOCOL_VERSION),
    Because("downgrade detected", None, 254, Reason.PROTOCOL_VERSION),
    Because("tls13 downgrade", None, 297, Reason.PROTOCOL_VERSION),
    Because("http request", 156, 156, Reason.NOT_TLS),
    Because("https proxy request", 155, 155, Reason.NOT_TLS),
    # The peer went away without close_notify: 3.0 reports it, 1.x said "SSL_ERROR_SYSCALL".
    Because("unexpected eof while reading", 294, None, Reason.CONNECTION_RESET, ToldBy.PEER),
    Because("read timeout expired", 312, 198, Reason.HANDSHAKE_TIMEOUT),
    Because("bad signature", 123, 114, Reason.BAD_SIGNATURE),
    Because("digest check failed", 149, 142, Reason.BAD_SIGNATURE),
    Because("dh key too small", 394, None, Reason.WEAK_CRYPTO),
    Because("ee key too small", 399, None, Reason.WEAK_CRYPTO),
    Because("ca key too small", 397, None, Reason.WEAK_CRYPTO),
    Because("ca md too weak", 398, None, Reason.WEAK_CRYPTO),
    Because("bad dh p length", None, 105, Reason.WEAK_CRYPTO),
    Because("key usage bit incorrect", None, 302, Reason.WRONG_USAGE),
    Because("ecc cert not for signing", 318, 144, Reason.WRONG_USAGE),
    Because("wrong certificate type", 383, 241, Reason.WRONG_USAGE),
    Because("signature for non signing certificate", 220, None, Reason.WRONG_USAGE),
    # "handshake failure" of the queue says who is not told.
    Because("ssl handshake failure", 229, 215, Reason.OTHER, None),
    Because("handshake failure on client hello", None, 154, Reason.OTHER, ToldBy.PEER),
    Because("unexpected message", 244, 223, Reason.OTHER),
    Because("no application protocol", 235, 307, Reason.OTHER),
    Because("unsafe legacy renegotiation disabled", 338, 236, Reason.OTHER),
)
_OPENSSL = {row.openssl: row for row in REASONS if row.openssl is not None}
_BORINGSSL = {row.boringssl: row for row in REASONS if row.boringssl is not None}
# Distinct enough to be a failure in anybody's line; the others are everyday words and count only
# behind an error queue's prefix or beside other words of failing.
_EVERYDAY = {
    "bad signature", "insufficient security", "unexpected message", "http request",
    "unknown protocol", "unsupported protocol", "handshake failure", "no application protocol",
    "wrong curve", "version too low", "version too high", "no ciphers available",
    "read timeout expired", "inappropriate fallback", "ca md too weak", "no protocols available",
}  # fmt: skip


def packed(code: int) -> Meaning | None:
    """Return what a packed error code of the SSL library means; None for other libraries.

    Which of the two layouts a code has follows from where the library's number stands: 20 in the
    upper nine bits can only be 3.x, since 1.x and BoringSSL would have a library 10 there.
    """
    if code >> 23 == _SSL_LIBRARY:
        return _meaning(code & 0x7FFFFF, _OPENSSL)
    if code >> 24 == _SSL_LIBRARY:
        return _meaning(code & 0xFFF, _OPENSSL)
    if code >> 24 == _BORING_SSL_LIBRARY:
        return _meaning(code & 0xFFF, _BORINGSSL)
    return None


def _meaning(number: int, table: dict[int, Because]) -> Meaning | None:
    if number > _ALERT_READ:
        return Meaning(ALERT_REASONS.get(number - _ALERT_READ, Reason.OTHER), ToldBy.PEER)
    if number == _ALERT_READ:  # close_notify in the middle of the handshake
        return Meaning(Reason.CONNECTION_RESET, ToldBy.PEER)
    row = table.get(number)
    return Meaning(Reason.OTHER, ToldBy.LOCAL) if row is None else Meaning(row.reason, row.told_by)


def _texts() -> tuple[Saying, ...]:
    return tuple(
        saying
        for row in REASONS
        for saying in sayings(
            Kind.HINTS if row.text in _EVERYDAY else Kind.FAILS,
            row.reason,
            row.told_by,
            "openssl",
            *_spelled(row.text),
        )
    )


def _spelled(text: str) -> tuple[str, ...]:
    """An everyday word is OpenSSL's own behind a colon of the queue, or as a constant."""
    if text not in _EVERYDAY:
        return (text,)
    return (rf"*: ?{text}", rf"{text.replace(' ', '_')}")


SAYINGS = (
    *_texts(),
    # Any entry of the error queue from the SSL library: "error:0A000102:SSL routines::…",
    # Envoy's decimal "268435581:SSL routines:OPENSSL_internal:…" and "SSL_routines" in JSON.
    *sayings(
        Kind.FRAME, Reason.OTHER, ToldBy.LOCAL, "openssl", r"*[0-9A-Fa-f]:SSL routines", worth=2
    ),
    *sayings(Kind.FRAME, Reason.OTHER, ToldBy.LOCAL, "openssl", r"lib\(20\)", worth=2),
    # BoringSSL's read close_notify inside a handshake; in a queue only then.
    *sayings(
        Kind.FAILS, Reason.CONNECTION_RESET, ToldBy.PEER, "openssl", "sslv3 alert close notify"
    ),
    # Python's ssl module: "[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1129)".
    *sayings(Kind.FRAME, Reason.OTHER, ToldBy.LOCAL, "openssl", r"*\[SSL: [A-Z0-9_]+\]*", worth=2),
    # SSL_get_error(3) by name. WANT_READ and WANT_WRITE are the normal course.
    *sayings(
        Kind.HINTS,
        Reason.CONNECTION_RESET,
        ToldBy.PEER,
        "openssl",
        "SSL_ERROR_ZERO_RETURN",
        "SSL_ERROR_SYSCALL",
        "Success.{0,20}SSL_ERROR_EOF",
    ),
    *sayings(Kind.NOT, None, None, "openssl", "WANT_READ", "WANT_WRITE"),
    # The info callback as OpenSSL's man page shows it, copied by FreeRADIUS, hostapd, stunnel:
    # "SSL3 alert write:fatal:unknown CA", "TLS Alert read:fatal:certificate expired".
    *sayings(Kind.SIDE, None, ToldBy.LOCAL, "openssl", r"alert write", r"alert \(write\)"),
    *sayings(Kind.SIDE, None, ToldBy.PEER, "openssl", r"alert read", r"alert \(read\)"),
    *sayings(Kind.FRAME, Reason.OTHER, None, "openssl", r"alert (?:read|write)[: ]+fatal"),
    # Setting up, not shaking hands: SSL_CTX_use_certificate and its like, PEM and key files.
    *sayings(
        Kind.NOT,
        None,
        None,
        "openssl",
        r"SSL_CTX_\w+",
        r"SSL_use_\w+",
        r"PEM routines",
        r"BIO routines",
        r"conf(?:iguration file)? routines",
        r"DSO support routines",
        r"system library:(?:fopen|bind)\w*",
        r"(?:key|certificate) values mismatch",
    ),
    # After the handshake.
    *sayings(
        Kind.LATE,
        None,
        None,
        "openssl",
        r"SSL_shutdown\(?\)?",
        r"SSL_write(?:\(\)|:)*",
        r"SSL_read(?:\(\)|:)*",
        r"application data after close notify",
        r"application data on shutdown",
        r"protocol is shutdown",
        r"shutdown while in init",
    ),
)

NUMBERS = (
    Number(
        pattern=re.compile(r"\berror(?:\[0x|:)([0-9A-Fa-f]{8})[:\]]"),
        base=16,
        mark="error",
        meaning=packed,
        library="openssl",
    ),
    # The queue printed without "error:", as stunnel's "error queue: 14090086:" does.
    Number(
        pattern=re.compile(r"\b([0-9A-Fa-f]{8}):SSL[ _]routines"),
        base=16,
        mark="routines",
        meaning=packed,
        library="openssl",
    ),
    # Envoy and gRPC print BoringSSL's code in decimal.
    Number(
        pattern=re.compile(r"\b(\d{9}):SSL[ _]routines"),
        base=10,
        mark="routines",
        meaning=packed,
        library="boringssl",
    ),
)
