"""Says what one log line tells about a handshake; pure, each line by itself."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

import re2

from exporter.handshake_log.formats import FORMATS
from exporter.handshake_log.message import Format, Message, Reading
from exporter.handshake_log.peers import peer_in
from exporter.handshake_log.vocabulary import hear
from exporter.handshake_log.words import SAYINGS
from exporter.handshake_log.words.saying import Kind, spread
from exporter.handshake_log.wrappers import DEFAULT_MESSAGE_KEYS, unwrap
from exporter.observations import HandshakeRecord

# A CR at its end included; of a longer line the beginning is judged. Docker splits lines at this
# length, syslog cuts at 8 KiB, nginx at 2.
MAX_LINE_BYTES = 16 << 10
_MEMORY_BYTES = 32 << 20  # of the automaton; it drops its states and goes on when they are full

# A line is looked at in full only when it matches: it names TLS and trouble, in either order, or
# a number that mbedTLS prints without a word, or a format's mark. One automaton without
# backtracking over whole chunks: 450 MB/s, where a pattern per line gave 20. It must match a line
# in a chunk where it matches the line alone, so nothing in it may match a newline.
_ABOUT = (
    r"(?i:tls|ssl|handshak|certificat|(?:\b|_)cert|x\.?509|cipher|pkix|trust|crt.bundle|verify|"
    r"hmac|schannel|\bnss |https|wss:|issuer|hostname|plain http|alert|secur|"
    r"connection (?:error|failed))"
)
_WRONG = (
    r"(?i:err|fail|fatal|alert|reject|refus|denied|abort|exception|invalid|unable|cannot|can't|"
    r"could not|couldn't|problem|bad|unknown|untrust|mismatch|clos|terminat|reset|eof|timed? ?out|"
    r"timeout|panick|"
    r"disconnect|crit|not |n't|no |wrong|unsupported|unexpected|expired|revoked|self.?signed|"
    r"mbedtls_\w+ ?\(?\)? returned|insecure|unhandled|too (?:weak|small|short))"
)
_ALONE = r"(?i:-0x[0-9a-f]{4}|-9984|error -208[345]|error:[0-9a-f]{8}:lib\((?:20|16)\))"
# What could match a newline, or means the line's beginning.
_ACROSS_LINES = re.compile(r"\^|\\s|\[\^")


def _sure_words() -> Iterator[str]:
    """Yield the phrases that tell a failure by themselves, without their ends."""
    yield _ALONE
    for saying in SAYINGS:
        words = saying.words.strip("*")
        if saying.kind is Kind.FAILS and not _ACROSS_LINES.search(words):
            yield f"(?i:{spread(words)})"


def _prefilter(formats: Sequence[Format]) -> "re2._Regexp":
    marks = [mark for known in formats for mark in known.marks]
    pattern = "|".join(
        [rf"{_ABOUT}[^\n]*{_WRONG}", rf"{_WRONG}[^\n]*{_ABOUT}", *_sure_words(), *marks]
    )
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.max_mem = _MEMORY_BYTES
    options.log_errors = False
    options.never_capture = True
    return re2.compile(pattern.encode("utf-8"), options)


class LineReader:
    """Reads single lines; knows every format of ``FORMATS`` and the operator's own.

    Args:
        own: The operator's formats; they are asked before all others.
        message_keys: Names under which JSON lines hold the message, the first that is there wins.
    """

    def __init__(
        self,
        own: Sequence[Format] = (),
        message_keys: tuple[str, ...] = DEFAULT_MESSAGE_KEYS,
    ) -> None:
        self._formats = (*own, *FORMATS.values())
        self._message_keys = message_keys
        self.prefilter = _prefilter(self._formats)

    def read(self, line: bytes) -> Reading | None:
        """Return what ``line`` tells; None when it tells nothing.

        A newline at its end and a CR before it are dropped. Of a line above ``MAX_LINE_BYTES``
        the beginning is judged.
        """
        line = line.removesuffix(b"\n")[:MAX_LINE_BYTES].removesuffix(b"\r")
        return None if self.prefilter.search(line) is None else self.read_candidate(line)

    def read_candidate(self, line: bytes) -> Reading | None:
        """Return what a line that matches ``prefilter``, without its end, tells."""
        message = unwrap(line, self._message_keys)
        reading = self._reading(message)
        record = reading.record
        if record is not None and record.at is None and message.at is not None:
            return replace(reading, record=replace(record, at=message.at))
        return reading if record or reading.clue or reading.suspicious else None

    def _reading(self, message: Message) -> Reading:
        for known in self._formats:
            reading = known.read(message)
            if reading is not None:
                return reading
        return _of_anybody(message)


def _of_anybody(message: Message) -> Reading:
    """Return what the words alone say of a line whose writer no format knows."""
    heard = hear(message.text)
    if not heard.failure:
        return Reading(suspicious=heard.suspicious, writer=heard.library)
    record = HandshakeRecord(
        failure=True,
        success=False,
        reason=heard.reason,
        rejected_by=heard.told_by,
        peer=peer_in(message.text, message.fields),
        writer=heard.library,
    )
    return Reading(record=record, writer=heard.library)


READER = LineReader()


def classify_line(line: bytes) -> HandshakeRecord | None:
    """Return the handshake that ``line`` tells of; None when it tells of none."""
    reading = READER.read(line)
    return None if reading is None else reading.record
