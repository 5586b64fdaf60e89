"""The device platform's own lines, as the incident showed them and ``logHandshakes=true`` adds.

``Rotation: SUCCESS`` and ``Distributed: 18/18 devices`` say nothing about any handshake: they are
what made the outage look like a success.
"""

import re

from exporter.handshake_log.message import Format, Message, Reading
from exporter.handshake_log.peers import peer_in
from exporter.handshake_log.vocabulary import hear
from exporter.observations import HandshakeRecord, Reason, ToldBy

_OUTCOME = re.compile(r"\bTLS Handshake: (?P<outcome>FAILED|SUCCESS|OK)\b(?P<rest>.*)$")
_VERIFY = re.compile(r"(?:^|\s)Error: certificate verify failed\b(?P<rest>.*)$")
_REPORT = re.compile(r"(?:^|\s)(?:Rotation: (?:SUCCESS|FAILED)|Distributed: \d+/\d+ devices)\b")
_DEVICE = re.compile(r"\b(?:device(?:Id|_id|-id)?|client|peer)[:=]? ?\"?(?P<peer>[\w.:@-]+)")


def read(message: Message) -> Reading | None:
    """Return what a line of the platform tells."""
    text = message.text
    if ("Rotation: " in text or "Distributed: " in text) and _REPORT.search(text) is not None:
        return Reading(writer="platform")
    outcome = _OUTCOME.search(text) if "TLS Handshake: " in text else None
    if outcome is not None:
        return _handshake(message, outcome)
    verify = _VERIFY.search(text) if "Error: certificate verify failed" in text else None
    if verify is not None:
        return _record(message, verify["rest"], Reason.VERIFY_FAILED, ToldBy.LOCAL)
    return None


def _handshake(message: Message, outcome: re.Match[str]) -> Reading:
    if outcome["outcome"].upper() != "FAILED":
        record = HandshakeRecord(
            failure=False,
            success=True,
            peer=_peer(message, outcome["rest"]),
            writer="platform",
            resumed=_resumed(outcome["rest"]),
        )
        return Reading(record=record, writer="platform")
    heard = hear(outcome["rest"])
    return _record(message, outcome["rest"], heard.reason or Reason.OTHER, heard.told_by)


def _record(message: Message, rest: str, reason: Reason, told_by: ToldBy | None) -> Reading:
    more = hear(f"certificate verify failed {rest}")
    if reason is Reason.VERIFY_FAILED and more.reason is not None:
        reason = more.reason
    record = HandshakeRecord(
        failure=True,
        success=False,
        reason=reason,
        rejected_by=told_by,
        peer=_peer(message, rest),
        writer="platform",
    )
    return Reading(record=record, writer="platform")


def _peer(message: Message, rest: str) -> str | None:
    device = _DEVICE.search(rest) or _DEVICE.search(message.text)
    return device["peer"] if device is not None else peer_in(rest, message.fields)


def _resumed(rest: str) -> bool | None:
    words = rest.lower()
    if "resumed" in words:
        return "resumed=false" not in words and "not resumed" not in words
    return False if "full handshake" in words else None


PLATFORM = Format(
    writer="platform",
    marks=(r"TLS Handshake: \w", r"Error: certificate verify failed"),
    read=read,
)
