"""stunnel: src/client.c, src/ssl.c, src/verify.c; ``YYYY.MM.DD hh:mm:ss LOGn[thread]: text``.

A connection is one thread number: ``Service [x] accepted connection from A:P`` (LOG5) names the
peer, ``CERT: Pre-verification error: …`` (LOG4) and ``SSL_accept: …: error:…`` (LOG3) tell the
failure, ``TLS accepted: new session negotiated`` or ``previous session reused`` (LOG6)
the success.
"""

import re

from exporter.handshake_log.message import (
    NOT_ITS_BUSINESS,
    Clue,
    ClueKind,
    Format,
    Message,
    Reading,
)
from exporter.handshake_log.peers import peer_in
from exporter.handshake_log.vocabulary import Heard, hear
from exporter.observations import HandshakeRecord, Reason, ToldBy

_LINE = re.compile(r"(?:^|\s)LOG(?P<level>\d)\[(?P<thread>[^\]]+)\]: (?P<text>.*)$", re.DOTALL)
_ACCEPTED = re.compile(
    r"^Service \[[^\]]*\] (?:accepted|connected remote server) (?:connection "
    r")?from (?P<peer>\S+)"
)
_NEGOTIATED = re.compile(
    r"^TLS (?:accepted|connected): (?P<how>new session negotiated|previous "
    r"session reused)"
)
# s_poll_wait() of ssl_start(): what ran out is the time for the handshake.
_TIMED_OUT = re.compile(r"^ssl_start: .*TIMEOUTbusy")
_STEPS = (("CERT: ", 1), ("SSL_", 2), ("ssl_start: ", 2), ("error queue: ", 3))


def read(message: Message) -> Reading | None:
    """Return what a line of stunnel tells."""
    line = _LINE.search(message.text) if "LOG" in message.text else None
    if line is None:
        return None
    text, thread = line["text"], line["thread"]
    accepted = _ACCEPTED.match(text)
    if accepted is not None:
        clue = Clue(kind=ClueKind.OPENED, peer=accepted["peer"])
        return Reading(clue=clue, writer="stunnel", thread=thread)
    negotiated = _NEGOTIATED.match(text)
    if negotiated is not None:
        resumed = negotiated["how"].startswith("previous")
        record = HandshakeRecord(failure=False, success=True, writer="stunnel", resumed=resumed)
        return Reading(record=record, writer="stunnel", thread=thread)
    if _TIMED_OUT.match(text) is not None:
        return _failed(
            message,
            text,
            thread,
            Heard(failure=True, reason=Reason.HANDSHAKE_TIMEOUT, told_by=ToldBy.LOCAL),
        )
    if line["level"] in {"6", "7"}:
        return NOT_ITS_BUSINESS
    return _failed(message, text, thread, hear(text))


def _failed(message: Message, text: str, thread: str, heard: Heard) -> Reading:
    if not heard.failure:
        return Reading(suspicious=heard.suspicious, writer="stunnel", thread=thread)
    record = HandshakeRecord(
        failure=True,
        success=False,
        reason=heard.reason,
        rejected_by=heard.told_by,
        peer=peer_in(text, message.fields),
        writer="stunnel",
    )
    step = next((step for start, step in _STEPS if text.startswith(start)), 0)
    return Reading(record=record, writer="stunnel", thread=thread, step=step)


STUNNEL = Format(
    writer="stunnel",
    marks=(
        r"LOG\d\[[^\]\n]+\]: (?:Service \[[^\]\n]*\] accepted|TLS (?:accepted|connected): |"
        r"ssl_start: )",
    ),
    read=read,
)
