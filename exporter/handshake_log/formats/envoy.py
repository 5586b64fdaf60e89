"""Envoy: access logs with ``%DOWNSTREAM_TRANSPORT_FAILURE_REASON%``, and the connection debug log.

source/common/tls/ssl_socket.cc (``TLS_error:|code:SSL routines:…:TLS_error_end``, before 1.28
``TLS error: code:…``), source/common/formatter. Access loggers may write blanks as underscores.
"""

import re

from exporter.handshake_log.message import Format, Message, Reading
from exporter.handshake_log.peers import peer_in
from exporter.handshake_log.vocabulary import hear
from exporter.observations import HandshakeRecord, Reason

_ERROR = re.compile(r"TLS[_ ]error:[| ]?(?P<text>.*?)(?::TLS_error_end|\"|$)")
_OPERATOR = re.compile(r"^\[[^\]]+\]\[\d+\]\[\w+\]\[\w+\] |SSL error: \d+:SSL")
# The default access log: … "UPSTREAM_HOST" at the end of the quoted part.
_UPSTREAM = re.compile(r"\"(?P<peer>(?:\d{1,3}\.){3}\d{1,3}:\d+|\[[0-9a-fA-F:]+\]:\d+)\"")
_DOWNSTREAM_KEYS = (
    "downstream_remote_address",
    "downstream_address",
    "downstream_direct_remote_address",
)


def read(message: Message) -> Reading | None:
    """Return what a line of Envoy's access or connection log tells."""
    if "TLS" not in message.text and "SSL error" not in message.text:
        return None
    error = _ERROR.search(message.text)
    if error is None and _OPERATOR.search(message.text) is None:
        return None
    told = hear(f"TLS error: {error['text']}".replace("_", " ") if error else message.text)
    if not told.failure:
        return Reading(suspicious=told.suspicious, writer="envoy")
    record = HandshakeRecord(
        failure=True,
        success=False,
        reason=told.reason or Reason.OTHER,
        rejected_by=told.told_by,
        peer=_peer(message),
        writer="envoy",
    )
    return Reading(record=record, writer="envoy")


def _peer(message: Message) -> str | None:
    for key in _DOWNSTREAM_KEYS:
        if message.fields.get(key):
            return message.fields[key]
    if "upstream_host" in message.fields:
        return message.fields["upstream_host"]
    upstream = _UPSTREAM.search(message.text)
    if upstream is not None:
        return upstream["peer"]
    return peer_in(message.text, message.fields)


ENVOY = Format(writer="envoy", marks=(), read=read)
