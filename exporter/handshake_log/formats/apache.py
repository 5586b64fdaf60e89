"""Apache httpd with mod_ssl: the error log.

modules/ssl/ssl_engine_{io,kernel,log}.c. One failed handshake gives two lines of one thread:
``[client A:P] AH02008: SSL library error 1 in handshake`` and ``SSL Library Error: error:…``; the
first has the peer, the second the reason.
"""

import re

from exporter.handshake_log.message import NOT_ITS_BUSINESS, Format, Message, Reading
from exporter.handshake_log.vocabulary import Heard, hear
from exporter.observations import HandshakeRecord, Reason, ToldBy

_LINE = re.compile(
    r"^\[[A-Z]\w\w \w{3} [ \d]\d [\d:.]+ \d{4}\] \[(?P<module>\w*):(?P<level>\w+)\] "
    r"\[pid (?P<pid>\d+)(?::tid (?P<tid>\d+))?\] (?:\S+\(\d+\): )?(?:\(\d+\)[^:]*: )?"
    r"(?:\[(?:client|remote) (?P<peer>[^\]]+)\] )?(?P<text>.*)$",
    re.DOTALL,
)
# AH numbers of mod_ssl whose line is a failed handshake, with what the number itself says.
_NUMBERS = {
    "AH01998": (Reason.CONNECTION_RESET, ToldBy.PEER),  # Connection closed to child with abort
    "AH02007": (Reason.CONNECTION_RESET, ToldBy.PEER),  # SSL handshake interrupted by system
    "AH02008": (Reason.OTHER, None),  # SSL library error %d in handshake
    "AH02003": (Reason.OTHER, None),  # SSL Proxy connect failed
    "AH02004": (Reason.OTHER, None),  # SSL Proxy connect failed
    "AH01996": (Reason.NOT_TLS, ToldBy.LOCAL),  # HTTP spoken on HTTPS port
    "AH02039": (Reason.VERIFY_FAILED, ToldBy.LOCAL),  # Certificate Verification: Error (%d): %s
    "AH02040": (Reason.VERIFY_FAILED, ToldBy.LOCAL),  # chain too long
    "AH02005": (Reason.HOSTNAME_MISMATCH, ToldBy.LOCAL),  # SSL Proxy: Peer certificate …CN
    "AH02411": (Reason.HOSTNAME_MISMATCH, ToldBy.LOCAL),
}
_NUMBER = re.compile(r"^(?P<number>AH\d{5}): ")
_QUEUE = re.compile(r"SSL Library Error: |Library Error: ")
_VERIFY = re.compile(r"Certificate Verification: Error \(\d+\): ")


def read(message: Message, _heard: Heard) -> Reading | None:
    """Return what a line of httpd's error log tells."""
    line = _LINE.match(message.text)
    if line is None:
        return None
    if line["level"] == "debug" or line["level"].startswith("trace"):
        return NOT_ITS_BUSINESS
    text = line["text"]
    # ", referer: …" is the client's.
    own = text.split(", referer: ", 1)[0]
    number = _NUMBER.match(own)
    known = _NUMBERS.get(number["number"]) if number is not None else None
    heard = hear(own)
    if known is None and not heard.failure:
        return Reading(suspicious=heard.suspicious, writer="apache")
    reason, told_by = _told(known, heard)
    record = HandshakeRecord(
        failure=True,
        success=False,
        reason=reason,
        rejected_by=told_by,
        peer=line["peer"],
        writer="apache",
    )
    return Reading(
        record=record,
        writer="apache",
        thread=f"{line['pid']}:{line['tid'] or ''}",
        continues=known is None and _QUEUE.search(own) is not None,
    )


def _told(
    known: tuple[Reason, ToldBy | None] | None, heard: Heard
) -> tuple[Reason, ToldBy | None]:
    if known is None:
        return heard.reason or Reason.OTHER, heard.told_by
    if known[0] in {Reason.OTHER, Reason.VERIFY_FAILED} and heard.reason is not None:
        return heard.reason, heard.told_by or known[1]
    return known


APACHE = Format(
    writer="apache",
    marks=(r"AH0(?:1998|200[78345]|1996|2039|2040|2411): ",),
    read=read,
)
