"""stunnel: src/client.c, src/ssl.c, src/verify.c; ``YYYY.MM.DD hh:mm:ss LOGn[thread]: text``.

A connection is one thread number: ``Service [x] accepted connection from A:P`` (LOG5) names the
peer, ``SSL_accept: …: error:…`` (LOG3) tells the failure, ``TLS accepted: new session negotiated``
or ``TLS accepted: previous session reused`` (LOG6) the success.
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

_LINE = re.compile(
    r"(?:^|\s)(?:\d{4}\.\d\d\.\d\d \d\d:\d\d:\d\d )?LOG(?P<level>\d)\[(?P<thread>[^\]]+)\]: "
    r"(?P<text>.*)$"
)
_ACCEPTED = re.compile(r"^Service \[[^\]]*\] accepted connection from (?P<peer>\S+)")
_NEGOTIATED = re.compile(
    r"^TLS (?P<side>accepted|connected): (?P<how>new session negotiated|previous session reused)"
)
_TIMED_OUT = re.compile(
    r"^(?:TLS socket|SSL_\w+|TLSaccept|\w*init_ssl\w*).*TIMEOUT|: (?:s_poll_wait: )?TIMEOUTbusy "
    r"exceeded|TIMEOUTbusy"
)
# Behind the error of SSL_accept: what stands on one line alone follows from it.
_FOLLOWS = re.compile(r"^(?:Connection (?:reset|closed)|error queue: )")


def read(message: Message, _heard: Heard) -> Reading | None:
    """Return what a line of stunnel tells."""
    line = _LINE.search(message.text)
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
    if line["level"] == "7" or (line["level"] == "6" and "error" not in text.lower()):
        return NOT_ITS_BUSINESS
    return _failed(message, text, thread)


def _failed(message: Message, text: str, thread: str) -> Reading:
    heard = hear(text)
    reason, told_by = heard.reason, heard.told_by
    if _TIMED_OUT.search(text) is not None:
        reason, told_by = Reason.HANDSHAKE_TIMEOUT, ToldBy.LOCAL
    elif not heard.failure:
        return Reading(suspicious=heard.suspicious, writer="stunnel", thread=thread)
    record = HandshakeRecord(
        failure=True,
        success=False,
        reason=reason,
        rejected_by=told_by,
        peer=peer_in(text, message.fields),
        writer="stunnel",
    )
    follows = _FOLLOWS.match(text) is not None
    return Reading(record=record, writer="stunnel", thread=thread, continues=follows)


STUNNEL = Format(
    writer="stunnel",
    marks=(
        r"LOG\d\[[^\]]+\]: (?:Service \[[^\]]*\] accepted|TLS (?:accepted|connected): |"
        r".*TIMEOUTbusy)",
    ),
    read=read,
)
