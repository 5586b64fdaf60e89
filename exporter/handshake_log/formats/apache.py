"""Apache httpd with mod_ssl: the error log, and the access log of docs/logging.md.

modules/ssl/ssl_engine_{io,kernel,log}.c. One failed handshake gives up to three lines of one
thread: ``Certificate Verification: Error (20): …``, ``AH02008: SSL library error 1 in handshake``
and ``SSL Library Error: error:…``; the first two name the peer, the first or the last the reason.
``AH01998: Connection closed … with abortive shutdown`` follows them, and some good handshakes.
"""

import re

from exporter.handshake_log.message import NOT_ITS_BUSINESS, Format, Message, Reading
from exporter.handshake_log.moments import asn1_moment, clf_moment
from exporter.handshake_log.vocabulary import Heard, hear
from exporter.observations import HandshakeRecord, Reason, ToldBy

_LINE = re.compile(
    r"^\[[A-Z]\w\w \w{3} [ \d]\d [\d:.]+ \d{4}\] \[(?P<module>\w*):(?P<level>\w+)\] "
    r"\[pid (?P<pid>\d+)(?::tid (?P<tid>\d+))?\] (?:\S+\(\d+\): )?(?P<system>\(\d+\)[^:]*: )?"
    r"(?:\[(?:client|remote) (?P<peer>[^\]]+)\] )?(?P<text>.*)$",
    re.DOTALL,
)
# The format of docs/logging.md; the first request of a connection has keepalive=0.
_ACCESS = re.compile(
    r"^(?P<peer>[0-9A-Fa-f.:]+) \[(?P<at>[^\]]+)\] (?P<protocol>TLSv[\d.]+|SSLv[\d.]+|-) "
    r"(?P<cipher>\S+) "
    r"resumed=(?P<resumed>Initial|Resumed|-) status=(?P<status>\d{3}) sni=\"(?P<sni>[^\"]*)\" "
    r"client=\"(?P<client>(?:[^\"\\]|\\.)*)\" client_end=\"(?P<end>[^\"]*)\" "
    r"keepalive=(?P<before>\d+)\s*$"
)
# AH numbers whose line is a failed handshake: what the number itself says, and its step.
_NUMBERS = {
    "AH02007": (Reason.CONNECTION_RESET, ToldBy.PEER, 2),  # handshake interrupted by system
    "AH02006": (Reason.CONNECTION_RESET, ToldBy.PEER, 2),  # handshake stopped: was closed
    "AH02008": (Reason.OTHER, None, 2),  # SSL library error %d in handshake
    "AH02003": (Reason.OTHER, None, 2),  # SSL Proxy connect failed
    "AH01996": (Reason.NOT_TLS, ToldBy.LOCAL, 2),  # HTTP spoken on HTTPS port
    "AH02276": (Reason.VERIFY_FAILED, ToldBy.LOCAL, 1),  # Certificate Verification: Error
    "AH02039": (Reason.VERIFY_FAILED, ToldBy.LOCAL, 1),  # the same, at level error
    "AH02040": (Reason.VERIFY_FAILED, ToldBy.LOCAL, 1),  # chain too long
    "AH02005": (Reason.HOSTNAME_MISMATCH, ToldBy.LOCAL, 2),  # SSL Proxy: peer certificate's CN
    "AH02411": (Reason.HOSTNAME_MISMATCH, ToldBy.LOCAL, 2),
    "AH02010": (Reason.VERIFY_FAILED, ToldBy.LOCAL, 2),  # SSL client authentication failed
}
_NUMBER = re.compile(r"(?:^|\s)(?P<number>AH\d{5}): ")
_QUEUE = "Library Error: "
_QUEUE_STEP = 3


def read(message: Message) -> Reading | None:
    """Return what a line of httpd's error log or of the recommended access log tells."""
    access = _ACCESS.match(message.text)
    if access is not None:
        return _success(access)
    line = _LINE.match(message.text)
    if line is None:
        return _pasted(message.text)
    if line["level"].startswith("trace") or (
        line["level"] == "debug" and "AH02007" not in line[0]
    ):
        return NOT_ITS_BUSINESS
    thread = f"{line['pid']}:{line['tid'] or ''}"
    # The system's error says how a handshake was interrupted; ", referer: …" is the client's.
    own = (line["system"] or "") + line["text"].split(", referer: ", 1)[0]
    return _told(own, line["peer"], thread)


def _pasted(text: str) -> Reading | None:
    """A message of mod_ssl without its head, as other collectors keep it."""
    found = _NUMBER.search(text)
    return None if found is None or found["number"] not in _NUMBERS else _told(text, None, None)


def _told(own: str, peer: str | None, thread: str | None) -> Reading:
    found = _NUMBER.search(own)
    known = _NUMBERS.get(found["number"]) if found is not None else None
    heard = hear(own)
    if (known is None and not heard.failure) or "AH01998" in own:
        return Reading(suspicious=heard.suspicious, writer="apache")
    reason, told_by = _reason(known, heard)
    record = HandshakeRecord(
        failure=True,
        success=False,
        reason=reason,
        rejected_by=told_by,
        peer=peer,
        writer="apache",
    )
    step = known[2] if known is not None else _QUEUE_STEP
    return Reading(record=record, writer="apache", thread=thread, step=step if thread else 0)


def _reason(
    known: tuple[Reason, ToldBy | None, int] | None, heard: Heard
) -> tuple[Reason, ToldBy | None]:
    if known is None:
        return heard.reason or Reason.OTHER, heard.told_by
    reason, told_by, _step = known
    if heard.reason is not None and reason in {
        Reason.OTHER,
        Reason.VERIFY_FAILED,
        Reason.CONNECTION_RESET,
    }:
        return heard.reason, heard.told_by or told_by
    return reason, told_by


def _success(line: re.Match[str]) -> Reading:
    if line["protocol"] == "-" or line["before"] != "0":
        return Reading(writer="apache")
    record = HandshakeRecord(
        failure=False,
        success=True,
        peer=line["peer"],
        writer="apache",
        resumed={"Resumed": True, "Initial": False}.get(line["resumed"]),
        at=clf_moment(line["at"]),
        client_not_after=asn1_moment(line["end"]),
        names=() if line["client"] in {"", "-"} else (line["client"],),
        server_name=None if line["sni"] in {"", "-"} else line["sni"],
    )
    return Reading(record=record, writer="apache")


APACHE = Format(
    writer="apache",
    marks=(
        r" resumed=(?:Initial|Resumed) status=\d{3} sni=",
        r"AH0(?:20(?:0[35678]|10|39|40)|2276|2411|1996): ",
    ),
    read=read,
)
