"""Go's net/http, and programs on it: Traefik, Caddy, etcd, Kubernetes, Prometheus' exporters.

net/http/server.go: ``http: TLS handshake error from ADDRESS: ERROR``. etcd embed/serve.go and
pkg/transport: ``rejected connection from "A" (error "E", ServerName "S")`` and its zap form. Whose
refusal it is says the error: ``remote error:`` is an alert that was read.
"""

import re

from exporter.handshake_log.message import Format, Message, Reading
from exporter.handshake_log.vocabulary import hear
from exporter.observations import HandshakeRecord, Reason, ToldBy

_HANDSHAKE = re.compile(r"TLS handshake error from (?P<peer>\S+): (?P<text>.*)$", re.DOTALL)
_ETCD = re.compile(
    r"rejected connection (?:from|on client endpoint)? ?\"(?P<peer>[^\"]+)\" \(error (?P<text>.*?)"
    r"(?:, ServerName \"(?P<sni>[^\"]*)\")?\)"
)
_SUITES = {
    "EOF": (Reason.CONNECTION_RESET, ToldBy.PEER),
    "unexpected EOF": (Reason.CONNECTION_RESET, ToldBy.PEER),
    "i/o timeout": (Reason.HANDSHAKE_TIMEOUT, ToldBy.LOCAL),
    "context deadline exceeded": (Reason.HANDSHAKE_TIMEOUT, ToldBy.LOCAL),
    "connection reset by peer": (Reason.CONNECTION_RESET, ToldBy.PEER),
    "broken pipe": (Reason.CONNECTION_RESET, ToldBy.PEER),
    "use of closed network connection": (Reason.CONNECTION_RESET, None),
}


def read(message: Message) -> Reading | None:
    """Return what a line of Go's net/http or of etcd tells."""
    if "TLS handshake error from" in message.text:
        found = _HANDSHAKE.search(message.text)
    elif "rejected connection" in message.text:
        found = _ETCD.search(message.text)
        if found is None:
            return _zap(message)
    else:
        return None
    return None if found is None else _failed(found["text"], found["peer"])


def _zap(message: Message) -> Reading | None:
    """Return what etcd's structured form says: peer and error are members of their own."""
    peer = message.fields.get("remote-addr")
    return None if peer is None else _failed(message.fields.get("error", ""), peer)


def _failed(text: str, peer: str) -> Reading:
    # Judged by the error alone: behind "remote error" stands what the peer sent.
    told = hear(f"TLS handshake error: {text}")
    reason, told_by = told.reason, told.told_by
    plain = text.rstrip("\"' }")
    known = next((row for words, row in _SUITES.items() if plain.endswith(words)), None)
    if known is not None and reason in {None, Reason.OTHER, *(row[0] for row in _SUITES.values())}:
        reason, told_by = known
    record = HandshakeRecord(
        failure=True,
        success=False,
        reason=reason or Reason.OTHER,
        rejected_by=told_by or (ToldBy.LOCAL if text.startswith("tls: ") else None),
        peer=peer,
        writer="go",
    )
    return Reading(record=record, writer="go")


GO = Format(writer="go", marks=(r"rejected connection",), read=read)
