"""nginx: the error log, and the access log with the ``log_format`` of docs/logging.md.

Error log: src/core/ngx_log.c (level, pid#tid, ``*connection``), the messages of
src/event/ngx_event_openssl.c, ngx_http_request.c, ngx_stream_ssl_module.c, ngx_http_upstream.c,
ngx_stream_proxy_module.c. nginx appends ``, client: …, server: …`` in this order, before anything
that a client can choose (request line, host, referrer).
"""

import re
from datetime import datetime, timedelta

from exporter.handshake_log.message import NOT_ITS_BUSINESS, Format, Message, Reading
from exporter.handshake_log.moments import asn1_moment, clf_moment
from exporter.handshake_log.vocabulary import hear
from exporter.observations import HandshakeRecord, Reason, ToldBy

# A collector may have put something before the level, but nothing that quotes a client.
_ERROR = re.compile(
    r"^[^\[\"{]{0,200}"
    r"\[(?P<level>debug|info|notice|warn|error|crit|alert|emerg)\] \d+#\d+: "
    r"(?:\*(?P<number>\d+) )?"
    r"(?P<message>.*)",
    re.DOTALL,
)
# One handshake a line: the recommended format, the same in http and stream. In http two more
# fields follow; ``$connection_requests`` tells the first request of a connection from the rest.
_ACCESS = re.compile(
    r"^(?P<peer>[0-9A-Fa-f.:]+|unix:) \[(?P<at>\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] "
    r"(?P<protocol>TLSv[\d.]+|SSLv[\d.]+|-) (?P<cipher>\S+) resumed=(?P<resumed>[r.]|-) "
    r"status=(?P<status>\d{3}) sni=\"(?P<sni>[^\"]*)\" client=\"(?P<client>(?:[^\"\\]|\\.)*)\" "
    r"client_end=\"(?P<end>[^\"]*)\"(?: took=(?P<took>\d{1,9}\.\d{1,3}))?"
    r"(?: verify=\"(?P<verify>[^\"]*)\" requests=(?P<requests>\d+))?\s*$"
)
_CLIENT = re.compile(r", client: (?P<peer>[^\s,]+)")
_UPSTREAM = re.compile(
    r", upstream: \"(?:[a-z0-9+]+://)?(?P<peer>\[[^\]\s]+\](?::\d+)?|[^/\"\s]+)"
)
_STREAM_SERVER = re.compile(r"\b(?:upstream|server): \"?(?P<peer>[0-9a-f.:\[\]]+:\d+)")
# What nginx calls the phase. "SSL handshaking" stays the action while njs fetches.
_SHAKING = re.compile(r" while (?:SSL handshaking|.*SSL handshak)")
_SYSTEM = (
    ("client timed out", Reason.HANDSHAKE_TIMEOUT, ToldBy.LOCAL),
    ("upstream timed out", Reason.HANDSHAKE_TIMEOUT, ToldBy.LOCAL),
    ("SSL handshake timed out", Reason.HANDSHAKE_TIMEOUT, ToldBy.LOCAL),
    ("client closed connection", Reason.CONNECTION_RESET, ToldBy.PEER),
    ("peer closed connection", Reason.CONNECTION_RESET, ToldBy.PEER),
    ("Connection reset by peer", Reason.CONNECTION_RESET, ToldBy.PEER),
    ("Broken pipe", Reason.CONNECTION_RESET, ToldBy.PEER),
    ("Connection timed out", Reason.HANDSHAKE_TIMEOUT, ToldBy.LOCAL),
    ("SSL_do_handshake() failed", Reason.OTHER, None),
)


def read(message: Message) -> Reading | None:
    """Return what a line of nginx's error log or of the recommended access log tells."""
    access = _ACCESS.match(message.text)
    if access is not None:
        return _success(access)
    found = _ERROR.match(message.text)
    if found is None:
        return None
    if found["level"] == "debug":
        return NOT_ITS_BUSINESS
    return _error(found["message"], found["number"])


def _error(text: str, number: str | None) -> Reading:
    # Only nginx's own words are judged: behind them stands what the client chose.
    own = text.split(", client: ", 1)[0]
    core = _SHAKING.split(own, maxsplit=1)[0] if _SHAKING.search(own) else own
    heard = hear(core)
    reason, told_by = heard.reason, heard.told_by
    if "client SSL certificate verify error: (21:" in core:
        # nginx's callback goes on after error 20, so 21 is what remains of an unknown CA.
        reason = Reason.UNKNOWN_CA
    if not heard.failure:
        if _SHAKING.search(own) is None:
            return Reading(suspicious=heard.suspicious, writer="nginx")
        known = next((row for row in _SYSTEM if row[0] in core), None)
        if known is None or heard.denied:
            return Reading(suspicious=heard.suspicious, writer="nginx")
        reason, told_by = known[1], known[2]
    record = HandshakeRecord(
        failure=True,
        success=False,
        reason=reason,
        rejected_by=told_by,
        peer=_peer(text, own),
        writer="nginx",
    )
    return Reading(record=record, writer="nginx", thread=number)


def _peer(text: str, own: str) -> str | None:
    if "upstream" in own or "to fetch target" in own:
        # Here nginx is the client; ", client:" is the one behind it.
        found = _UPSTREAM.search(text)
        return found["peer"] if found is not None else None
    found = _CLIENT.search(text)
    return found["peer"] if found is not None else None


def _success(line: re.Match[str]) -> Reading:
    """Return the handshake of an access log's line; failures are told by the error log."""
    failed = line["status"] == "500" or line["protocol"] == "-"
    refused = line["verify"] not in {None, "SUCCESS"} and line["status"] == "400"
    if failed or refused or line["requests"] not in {None, "1"}:
        return Reading(writer="nginx")
    record = HandshakeRecord(
        failure=False,
        success=True,
        peer=line["peer"],
        writer="nginx",
        resumed={"r": True, ".": False}.get(line["resumed"]),
        at=_began(line),
        client_not_after=asn1_moment(line["end"]),
        names=tuple(name for name in (line["client"],) if name not in {"", "-"}),
        server_name=line["sni"] if line["sni"] not in {"", "-"} else None,
    )
    return Reading(record=record, writer="nginx")


def _began(line: re.Match[str]) -> datetime | None:
    """Return when the connection came: the line is written when it, or its request, ends."""
    ended = clf_moment(line["at"])
    took_s = float(line["took"] or 0.0)
    return None if ended is None else ended - timedelta(seconds=took_s)


NGINX = Format(
    writer="nginx",
    marks=(r" resumed=[r.] status=\d{3} sni=",),
    read=read,
)
