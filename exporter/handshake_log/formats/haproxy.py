"""HAProxy: its default error line, ``option httpslog``, and the formats of docs/logging.md.

Error texts: src/connection.c, conn_err_code_str(). The default line is built in
src/log.c, sess_build_logline() for a session that never came to be: ``ADDRESS [time] frontend/N:
text``. ``option httpslog`` (since 2.5): doc/configuration.txt, 8.2.5.
"""

import re
from datetime import UTC, datetime

from exporter.handshake_log.message import Format, Message, Reading
from exporter.handshake_log.moments import utc_time_moment
from exporter.handshake_log.vocabulary import hear
from exporter.handshake_log.words.openssl import packed
from exporter.handshake_log.words.x509 import REASONS as X509_REASONS
from exporter.observations import HandshakeRecord, Reason, ToldBy

_LOCAL = ToldBy.LOCAL
_PEER = ToldBy.PEER
_CLIENT = r"(?P<peer>[^\s\[]+|unix:\S+) \[(?P<at>\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d)(?:\.\d+)?\]"
# docs/logging.md: "fleet_tls" says whose format this is; {…} holds texts, {+Q} quotes names.
_OURS = re.compile(rf"{_CLIENT} (?P<frontend>\S+) fleet_tls (?P<fields>.*)$")
_FIELD = re.compile(r"(\w+)=(?:\{([^}]*)\}|\"((?:[^\"\\]|\\.)*)\"|(\S*))")
_DEFAULT = re.compile(rf"{_CLIENT} (?P<frontend>[^\s/]+)/(?P<listener>[^\s:]+): (?P<text>.*)$")
# "… fc_err/ssl_fc_err,hex/ssl_c_err/ssl_c_ca_err/ssl_fc_is_resumed sni/version/cipher"
_HTTPS_LOG = re.compile(
    rf"{_CLIENT} (?P<frontend>\S+) .* "
    r"(?P<fc>\d+|-)/(?P<ssl>[0-9A-Fa-f]+|-)/(?P<leaf>\d+|-)/(?P<ca>\d+|-)/(?P<resumed>[01-]) "
    r"(?P<sni>[^/\s]+)/(?P<version>[^/\s]+)/(?P<cipher>\S+)"
)
_STAMP = re.compile(r"\[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d(?:\.\d+)?\]")
_TEXTS = {
    # conn_err_code_str(): the code's text and what it says.
    "Connection closed during SSL handshake": (Reason.CONNECTION_RESET, _PEER),
    "Connection error during SSL handshake": (Reason.CONNECTION_RESET, _PEER),
    "Timeout during SSL handshake": (Reason.HANDSHAKE_TIMEOUT, _LOCAL),
    "Rejected a client-initiated SSL renegotiation attempt": (Reason.OTHER, _LOCAL),
    "SSL client CA chain cannot be verified": (Reason.UNKNOWN_CA, _LOCAL),
    # whatever is wrong with it, also that it has expired
    "SSL client certificate not trusted": (Reason.VERIFY_FAILED, _LOCAL),
    "Server presented an SSL certificate different from the configured one": (
        Reason.HOSTNAME_MISMATCH,
        _LOCAL,
    ),
    "Server presented an SSL certificate different from the expected one": (
        Reason.HOSTNAME_MISMATCH,
        _LOCAL,
    ),
    "SSL handshake failure after heartbeat": (Reason.OTHER, None),
    "SSL handshake failure": (Reason.OTHER, None),
    "SSL fatal error": (Reason.OTHER, None),
    "Stopped a TLSv1 heartbeat attack": (Reason.OTHER, _LOCAL),
}
# CO_ER_SSL_* (include/haproxy/connection-t.h) by number, for the fc_err of httpslog: an
# enumeration that grew only at its end. The text is what other formats print.
_NOT_AN_ERROR = {"", "-", "0"}


def read(message: Message) -> Reading | None:
    """Return what a line of HAProxy tells."""
    stamp = _STAMP.search(message.text)
    if stamp is not None:
        # What stands before the client's address is a header that nobody took off.
        text = message.text[message.text.rfind(" ", 0, max(0, stamp.start() - 1)) + 1 :]
        for pattern, reading_of in _PATTERNS:
            found = pattern.match(text)
            if found is not None:
                return reading_of(found)
    if message.program == "haproxy" or "haproxy[" in message.text:
        return _custom(message)
    return None


def _default(line: re.Match[str]) -> Reading:
    known = next((row for text, row in _TEXTS.items() if line["text"].startswith(text)), None)
    heard = hear(line["text"])
    # Since 2.9 OpenSSL's error may follow in brackets.
    if heard.failure and heard.reason and (known is None or known[0] is Reason.OTHER):
        known = (heard.reason, heard.told_by)
    if known is None:
        return Reading(suspicious=heard.suspicious, writer="haproxy")
    return _failed(line["peer"], *known)


def _custom(message: Message) -> Reading | None:
    """A log-format of the operator's own, around HAProxy's texts."""
    known = next((row for text, row in _TEXTS.items() if text in message.text), None)
    heard = hear(message.text)
    if known is None and not heard.failure:
        return None
    found = re.search(rf"(?:^|\s){_CLIENT}", message.text)
    reason, told_by = known or (heard.reason or Reason.OTHER, heard.told_by)
    return _failed(found["peer"] if found else None, reason, told_by)


def _ours(line: re.Match[str]) -> Reading:
    fields = {
        found[1]: found[2] or found[3] or found[4] or ""
        for found in _FIELD.finditer(line["fields"])
    }
    told = _of_numbers(
        fields.get("ssl_err", ""), fields.get("c_err", ""), fields.get("ca_err", "")
    )
    text = fields.get("err", "")
    if "err" not in fields:
        return _succeeded(line["peer"], fields, _at(fields.get("at", "")))
    if told is None:
        known = next((row for words, row in _TEXTS.items() if text.startswith(words)), None)
        heard = hear(f"{text}: {fields.get('ssl_err_str', '')}")
        better = heard.reason not in {None, Reason.OTHER}
        told = (heard.reason, heard.told_by) if better and heard.reason else known
    if told is None and text in {"", "-", "Success"}:
        return Reading(writer="haproxy")  # an error of HTTP, after a good handshake
    if text == "SSL handshake failure" and told == _TEXTS[text]:
        # OpenSSL has no error of its own: the socket failed (src/ssl_sock.c, SSL_ERROR_SYSCALL).
        told = (Reason.CONNECTION_RESET, _PEER)
    return _failed(line["peer"], *(told or (Reason.OTHER, None)))


def _of_numbers(ssl_error: str, leaf: str, ca: str) -> tuple[Reason, ToldBy | None] | None:
    """Return what the numbers say, the certificate's verification error first."""
    for number in (leaf, ca):
        if number not in _NOT_AN_ERROR and number.isdecimal():
            return X509_REASONS.get(int(number), Reason.VERIFY_FAILED), _LOCAL
    if ssl_error in _NOT_AN_ERROR:
        return None
    try:
        meaning = packed(int(ssl_error, 16))
    except ValueError:
        return None
    if meaning is None or (meaning.reason is Reason.OTHER and meaning.told_by is None):
        return None
    return meaning.reason, meaning.told_by


def _https_log(line: re.Match[str]) -> Reading:
    told = _of_numbers(line["ssl"], line["leaf"], line["ca"])
    if told is not None or line["fc"] not in _NOT_AN_ERROR:
        return _failed(line["peer"], *(told or (Reason.OTHER, None)))
    if line["version"] == "-":
        return Reading(writer="haproxy")
    return _succeeded(line["peer"], {"resumed": line["resumed"], "sni": line["sni"]}, None)


def _failed(peer: str | None, reason: Reason, told_by: ToldBy | None) -> Reading:
    record = HandshakeRecord(
        failure=True,
        success=False,
        reason=reason,
        rejected_by=told_by,
        peer=peer,
        writer="haproxy",
    )
    return Reading(record=record, writer="haproxy")


def _succeeded(peer: str, fields: dict[str, str], at: datetime | None) -> Reading:
    subject, sni = fields.get("subject", ""), fields.get("sni", "")
    record = HandshakeRecord(
        failure=False,
        success=True,
        peer=peer,
        writer="haproxy",
        resumed={"1": True, "0": False}.get(fields.get("resumed", "")),
        at=at,
        client_not_after=utc_time_moment(fields.get("client_end", "")),
        names=() if subject in _NOT_AN_ERROR else (subject,),
        server_name=None if sni in _NOT_AN_ERROR else sni,
    )
    return Reading(record=record, writer="haproxy")


def _at(text: str) -> datetime | None:
    try:
        return datetime.fromtimestamp(int(text), UTC) if text.isdecimal() else None
    except (ValueError, OverflowError):
        return None


_PATTERNS = ((_OURS, _ours), (_DEFAULT, _default), (_HTTPS_LOG, _https_log))
HAPROXY = Format(
    writer="haproxy",
    marks=(r" fleet_tls resumed=", r"/[01] [^/ ]+/(?:TLSv1|SSLv3)[.\d]*/"),
    read=read,
)
