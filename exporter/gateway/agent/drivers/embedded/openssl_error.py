"""OpenSSL's errors as a program written in C prints them; Python keeps the text, not the code."""

import re
import ssl

# ``[SSL: TLSV1_ALERT_UNKNOWN_CA] tlsv1 alert unknown ca (_ssl.c:1006)``: Python's own frame around
# what OpenSSL said (Modules/_ssl.c, fill_and_set_sslerror)
_FRAMED = re.compile(r"^(?:\[[^\]]*\] )?(?P<text>.*?)(?: \(_ssl\.c:\d+\))?$", re.DOTALL)

# What a peer's alert is called, by number (RFC 8446, 6, and the older ones it reserves). OpenSSL's
# reason code for it is 1000 above (include/openssl/sslerr.h). The words before "alert" change with
# the version ("sslv3 alert bad certificate" until 3.1, "ssl/tls alert bad certificate" since).
_ALERTS = {
    "unexpected message": 10,
    "bad record mac": 20,
    "decryption failed": 21,
    "record overflow": 22,
    "decompression failure": 30,
    "handshake failure": 40,
    "bad certificate": 42,
    "unsupported certificate": 43,
    "certificate revoked": 44,
    "certificate expired": 45,
    "certificate unknown": 46,
    "illegal parameter": 47,
    "unknown ca": 48,
    "access denied": 49,
    "decode error": 50,
    "decrypt error": 51,
    "protocol version": 70,
    "insufficient security": 71,
    "internal error": 80,
    "inappropriate fallback": 86,
    "user cancelled": 90,
    "no renegotiation": 100,
    "missing extension": 109,
    "unknown psk identity": 115,
    "certificate required": 116,
    "no application protocol": 120,
}
_ALERT = re.compile(r"^(?:sslv3|tlsv1|tlsv13|ssl/tls) alert (?P<name>.+)$")

# Reason codes of what a server meets in a handshake (include/openssl/sslerr.h)
_REASONS = {
    "no suitable key share": 101,
    "bad key share": 108,
    "bad extension": 110,
    "bad digest length": 111,
    "bad packet length": 115,
    "no suitable signature algorithm": 118,
    "bad signature": 123,
    "https proxy request": 155,
    "http request": 156,
    "length mismatch": 159,
    "length too short": 160,
    "no protocols available": 191,
    "no shared cipher": 193,
    "packet length too long": 198,
    "unexpected message": 244,
    "unknown protocol": 252,
    "unsupported protocol": 258,
    "wrong version number": 267,
    "decryption failed or bad record mac": 281,
    "mixed handshake and non handshake data": 293,
    "unexpected eof while reading": 294,
    "inappropriate fallback": 373,
    "version too low": 396,
    "no shared groups": 410,
    "bad record type": 443,
}
_SSL_LIBRARY = 20  # ERR_LIB_SSL


def describe_error(error: ssl.SSLError) -> str:
    """Return ``error`` as ``ERR_error_string`` and the alert's data spell it (OpenSSL 3).

    A reason that is not in the tables gets the code of its library alone, ``error:0A000000``: the
    text is OpenSSL's own in any case.
    """
    framed = _FRAMED.match(str(error.args[-1]) if error.args else str(error))
    text = framed["text"] if framed else str(error)
    alert = _ALERT.match(text)
    number = _ALERTS.get(alert["name"]) if alert else None
    reason = 1000 + number if number is not None else _REASONS.get(text, 0)
    # ERR_PACK: the library in the bits from 23 up, the reason below
    code = f"error:{_SSL_LIBRARY << 23 | reason:08X}:SSL routines::{text}"
    return f"{code}:SSL alert number {number}" if number is not None else code
