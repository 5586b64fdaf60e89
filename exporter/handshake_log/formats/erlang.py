"""EMQX, RabbitMQ, VerneMQ and others on Erlang's ssl application.

lib/ssl/src/ssl_alert.erl (alert_txt), esockd_connection.erl, emqx_connection.erl,
rabbit_networking.erl.
"""

import re

from exporter.handshake_log.message import Format, Message, Reading
from exporter.handshake_log.peers import peer_in
from exporter.handshake_log.vocabulary import hear
from exporter.observations import HandshakeRecord, Reason

_MARKS = ("ALERT", "tls_alert", "_error,", "bad_cert", ".erl:", "ssl_closed", "TLS ", "DTLS ")
_ALERT = re.compile(
    r"\b(?:TLS|DTLS) (?:server|client): In state|\b(?:SERVER|CLIENT) ALERT: Fatal|"
    r"\bSSL: \w+: \w+\.erl:\d+|\{tls_alert,|\{ssl_(?:upgrade_)?error,|\{bad_cert,|"
    r"ssl_closed_during_handshake"
)
# EMQX 4 and 5: "peername: 10.0.0.5:51234", "[Channel] …", msg: tls_handshake_failed.
_PEERNAME = re.compile(r"\b(?:peername|remote_ip|peer)[:=]\s*\"?(?P<peer>[0-9A-Fa-f.:\[\]]+\d)")
_EMQX = re.compile(r"emqx|esockd|\bmsg: \w+|\bmfa: ", re.IGNORECASE)


def read(message: Message) -> Reading | None:
    """Return what a line of a program on Erlang's ssl tells."""
    text = message.text
    if not any(mark in text for mark in _MARKS) or _ALERT.search(text) is None:
        return None
    heard = hear(text)
    writer = "emqx" if _EMQX.search(text) else "erlang"
    if not heard.failure:
        return Reading(suspicious=heard.suspicious, writer=writer)
    named = _PEERNAME.search(text)
    record = HandshakeRecord(
        failure=True,
        success=False,
        reason=heard.reason or Reason.OTHER,
        rejected_by=heard.told_by,
        peer=named["peer"] if named is not None else peer_in(text, message.fields),
        writer=writer,
    )
    return Reading(record=record, writer=writer)


ERLANG = Format(writer="erlang", marks=(), read=read)
