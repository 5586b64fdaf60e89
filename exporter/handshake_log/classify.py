"""Says what one log line tells about a handshake; pure, each line by itself."""

from collections.abc import Mapping
from dataclasses import replace

import re2

from exporter.handshake_log.formats import FORMATS
from exporter.handshake_log.message import Reading
from exporter.handshake_log.peers import peer_in
from exporter.handshake_log.vocabulary import Heard, hear
from exporter.handshake_log.wrappers import DEFAULT_MESSAGE_KEYS, unwrap
from exporter.observations import HandshakeRecord, Reason

MAX_LINE_BYTES = 64 << 10  # of a longer line the beginning is judged

# A line is looked at in full only when it matches: it names TLS and trouble, in either order, or
# a number that mbedTLS prints without a word, or a format's mark. One automaton without
# backtracking over whole chunks: 450 MB/s, where a pattern per line gave 20.
_ABOUT = (
    r"(?i:tls|ssl|handshak|certificat|[^a-z]cert[^a-z]|x\.?509|cipher|pkix|trust(?:ed|"
    r"store)?[^a-z]|"
    r"crt.bundle|verify|hmac|schannel|https|wss:|issuer|hostname|plain http|alert|secur|"
    r"connection (?:error|failed)|certpath)"
)
_WRONG = (
    r"(?i:err|fail|fatal|alert|reject|refus|denied|abort|exception|invalid|unable|cannot|can't|"
    r"could not|couldn't|problem|bad|unknown|untrust|mismatch|clos|terminat|reset|eof|timed? ?out|"
    r"timeout|panick|crit|not |n't|no |wrong|unsupported|unexpected|expired|revoked|self.?signed|"
    r"mbedtls_\w+ ?\(?\)? returned|insecure|unhandled|too (?:weak|small|short))"
)
_ALONE = (
    r"(?i:-0x[0-9a-f]{4}|-9984|SEC_E_|CERT_E_|PLAIN HTTP|NOT_TRUSTED|UNABLE.TO|PR_\w+_ERROR|"
    r"error -208[345])"
)


def _prefilter() -> "re2._Regexp":
    marks = [mark for known in FORMATS.values() for mark in known.marks]
    pattern = "|".join([rf"{_ABOUT}[^\n]*{_WRONG}", rf"{_WRONG}[^\n]*{_ABOUT}", _ALONE, *marks])
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.max_mem = 32 << 20
    options.log_errors = False
    options.never_capture = True
    return re2.compile(pattern.encode("ascii"), options)


PREFILTER = _prefilter()


def read_line(line: bytes, message_keys: tuple[str, ...] = DEFAULT_MESSAGE_KEYS) -> Reading | None:
    """Return what ``line`` tells; None when it tells nothing. A trailing CR and LF are dropped.

    Of a line above ``MAX_LINE_BYTES`` the beginning is judged.
    """
    line = line[: MAX_LINE_BYTES + 1].removesuffix(b"\n").removesuffix(b"\r")[:MAX_LINE_BYTES]
    if PREFILTER.search(line) is None:
        return None
    message = unwrap(line, message_keys)
    heard = hear(message.text)
    for known in FORMATS.values():
        reading = known.read(message, heard)
        if reading is not None:
            break
    else:
        reading = _of_anybody(message.text, message.fields, heard)
    if reading.record is not None and reading.record.at is None and message.at is not None:
        return replace(reading, record=replace(reading.record, at=message.at))
    return reading if reading.record or reading.clue or reading.suspicious else None


def classify_line(line: bytes) -> HandshakeRecord | None:
    """Return the handshake that ``line`` tells of; None when it tells of none."""
    reading = read_line(line)
    return None if reading is None else reading.record


def _of_anybody(text: str, fields: Mapping[str, str], heard: Heard) -> Reading:
    """Return what the words alone say of a line whose writer no format knows."""
    if not heard.failure:
        return Reading(suspicious=heard.suspicious, writer=heard.library)
    record = HandshakeRecord(
        failure=True,
        success=False,
        reason=heard.reason or Reason.OTHER,
        rejected_by=heard.told_by,
        peer=peer_in(text, fields),
        writer=heard.library,
    )
    return Reading(record=record, writer=heard.library)
