"""mosquitto: src/net.c, loop.c, handle_connect.c; lib/net_mosq.c for its errors.

A refused client gives ``New connection from A:P on port N.``, then ``OpenSSL Error[i]: …`` without
a name, then ``Client <unknown> disconnected…``. Only the middle one is a record; the others are
clues. mosquitto never says whether a session was resumed.
"""

import re
from datetime import UTC, datetime

from exporter.handshake_log.message import Clue, ClueKind, Format, Message, Reading
from exporter.handshake_log.vocabulary import Heard, hear
from exporter.observations import HandshakeRecord, Reason

# log_timestamp_format is the operator's: a number by default, often an ISO time.
_STAMP = r"^(?:\d{9,11}: |\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S*:? )?"
_EPOCH = re.compile(r"^(?P<at>\d{9,11}): ")
_QUEUE = re.compile(r"OpenSSL Error(?:\[(?P<index>\d{1,3})\])?: (?P<text>.*)$")
_REFUSED = re.compile(r"Client connection from (?P<peer>\S+) failed: (?P<text>.*)$")
_OPENED = re.compile(rf"{_STAMP}New connection from (?P<peer>\S+?) on port (?P<port>\d+)\.?$")
_NAMED = re.compile(
    rf"{_STAMP}New (?:client|bridge) connected from (?P<peer>\S+) as (?P<name>.+) "
    r"\((?:p\d+, )?c\d+, k\d+(?:, u'(?P<user>.*)')?\)\.?$"
)
_CLOSED = re.compile(
    rf"{_STAMP}(?:Client (?P<name>.+?)(?: \[(?P<peer>\S+)\])? "
    r"(?:disconnected|closed its connection|has exceeded timeout)|"
    r"Socket error on client (?P<socket>.+), disconnecting)"
)


def read(message: Message) -> Reading | None:
    """Return what a line of mosquitto tells."""
    text = message.text
    queue = _QUEUE.search(text) if "OpenSSL Error" in text else None
    if queue is not None and "SSL routines" in text:
        step = 1 + int(queue["index"] or 0)
        return _failed(hear(queue["text"]), None, _at(text), step=step)
    refused = _REFUSED.search(text) if "Client connection from" in text else None
    if refused is not None:
        return _failed(hear(refused["text"]), refused["peer"], _at(text), step=0)
    opened = _OPENED.match(text)
    if opened is not None:
        clue = Clue(kind=ClueKind.OPENED, peer=opened["peer"], port=int(opened["port"]))
        return Reading(clue=clue, writer="mosquitto")
    named = _NAMED.match(text)
    if named is not None:
        return _named(named)
    closed = _CLOSED.match(text)
    if closed is not None:
        name = closed["name"] or closed["socket"]
        clue = Clue(
            kind=ClueKind.CLOSED, peer=closed["peer"], name=None if name == "<unknown>" else name
        )
        return Reading(clue=clue, writer="mosquitto")
    return None


def _named(line: re.Match[str]) -> Reading:
    """MQTT's CONNECT was accepted, so there was a handshake where the listener speaks TLS.

    The line does not tell the listener; ``OPENED`` of the same address does.
    """
    record = HandshakeRecord(
        failure=False,
        success=True,
        peer=line["peer"],
        writer="mosquitto",
        at=_at(line.string),
        names=tuple(name for name in (line["name"], line["user"]) if name),
    )
    clue = Clue(kind=ClueKind.NAMED, peer=line["peer"], name=line["name"])
    return Reading(record=record, clue=clue, writer="mosquitto")


def _at(text: str) -> datetime | None:
    found = _EPOCH.match(text)
    return None if found is None else datetime.fromtimestamp(int(found["at"]), UTC)


def _failed(heard: Heard, peer: str | None, at: datetime | None, *, step: int) -> Reading:
    if not heard.failure:
        return Reading(suspicious=heard.suspicious, writer="mosquitto")
    record = HandshakeRecord(
        failure=True,
        success=False,
        reason=heard.reason or Reason.OTHER,
        rejected_by=heard.told_by,
        peer=peer,
        writer="mosquitto",
        at=at,
    )
    return Reading(record=record, writer="mosquitto", thread="", step=step)


MOSQUITTO = Format(
    writer="mosquitto",
    marks=(
        r"New connection from \S+ on port \d",
        r"New (?:client|bridge) connected from ",
        r"Client [^\n]+ (?:disconnected|closed its connection|has exceeded timeout)",
        r"Socket error on client ",
    ),
    read=read,
)
