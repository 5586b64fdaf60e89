"""The lines that nginx 1.22 writes of a TLS session in its stream module; pure.

Taken from what Debian's nginx really writes with ``error_log … info`` and the ``log_format`` below
(the tests compare them with a running one): a session gives an error-log line when the client
connects, another when the handshake fails, and an access-log line when it ends, also after a
failed handshake: then with status 500. Both logs may go to one file, as they do here.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

# The one that docs/logging.md recommends. ``$status`` tells a failed handshake (500) from a good
# one (200, or 502 where the server behind did not answer); ``$ssl_session_reused`` is ``r`` for a
# resumed session and ``.`` for a full handshake; ``$ssl_client_v_end`` is the end of the device's
# own certificate; ``$session_time`` leads back to when it began. The quotes are needed: names and
# dates hold spaces. No ``escape=``: nginx's default writes a quote, a backslash and control
# characters as ``\xXX``.
LOG_FORMAT = (
    "$remote_addr [$time_local] $ssl_protocol $ssl_cipher resumed=$ssl_session_reused "
    'status=$status sni="$ssl_server_name" client="$ssl_client_s_dn" '
    'client_end="$ssl_client_v_end" took=$session_time'
)

# What ngx_ssl_connection_error puts at ``info``, being the client's doing; the rest is ``crit``
# (src/event/ngx_event_openssl.c, 1.22). A peer's alerts are all among them.
_CRITICAL = ("packet length too long", "bad record type", "bad packet length")
_VARIABLE = re.compile(r"\$(\w+)")
_ESCAPED = re.compile(r'[\x00-\x1f"\\\x7f-\uffff]')


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What is known of one connection when its first line is written.

    Attributes:
        number: nginx's ``*N``, one per connection.
        client: The client's address without the port.
        server: ``IP:PORT`` as nginx listens.
    """

    pid: int
    number: int
    client: str
    client_port: int
    server: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a session ended; an absent text is shown as ``-``."""

    protocol: str
    cipher: str
    is_resumed: bool
    status: int
    server_name: str
    took_s: float = 0.0
    client_subject: str = ""
    client_not_after: str = ""


def connected_line(session: Session, at: datetime) -> str:
    """Return the line of a client that connected; ``at`` in the zone that the log shows."""
    client = f"{session.client}:{session.client_port}"
    return _error_line(session, at, "info", f"client {client} connected to {session.server}")


def refused_line(session: Session, at: datetime, openssl_error: str) -> str:
    """Return the line of a handshake that OpenSSL ended with ``openssl_error``."""
    level = "crit" if openssl_error.endswith(_CRITICAL) else "info"
    message = f"SSL_do_handshake() failed (SSL: {openssl_error})"
    return _error_line(session, at, level, message + _while_shaking(session))


def closed_line(session: Session, at: datetime, system_error: str | None) -> str:
    """Return the line of a client that left in the handshake.

    ``system_error`` is like ``104: Connection reset by peer``; None: an orderly end.
    """
    why = f" ({system_error})" if system_error else ""
    message = f"peer closed connection in SSL handshake{why}"
    return _error_line(session, at, "info", message + _while_shaking(session))


def debug_lines(session: Session, at: datetime, outcome: Outcome) -> Sequence[str]:
    """Return what the level ``debug`` tells besides of a handshake that is done.

    ``ngx_ssl_handshake`` and ``ngx_ssl_handshake_log``, without what OpenSSL knows of the suite.
    """
    words = ["SSL_do_handshake: 1", f'SSL: {outcome.protocol}, cipher: "{outcome.cipher}"']
    if outcome.is_resumed:
        words.append("SSL reused session")
    return [_error_line(session, at, "debug", one) for one in words]


def access_line(session: Session, at: datetime, outcome: Outcome) -> str:
    """Return the line of ``LOG_FORMAT`` that ends every session."""
    values: Mapping[str, str] = {
        "remote_addr": session.client,
        "time_local": f"{at:%d/%b/%Y:%H:%M:%S %z}",
        "ssl_protocol": outcome.protocol,
        "ssl_cipher": outcome.cipher,
        "ssl_session_reused": "r" if outcome.is_resumed else ".",
        "status": str(outcome.status),
        "ssl_server_name": outcome.server_name,
        "ssl_client_s_dn": outcome.client_subject,
        "ssl_client_v_end": outcome.client_not_after,
        "session_time": f"{outcome.took_s:.3f}",
    }
    return _VARIABLE.sub(lambda found: _escaped(values[found[1]]) or "-", LOG_FORMAT) + "\n"


def _error_line(session: Session, at: datetime, level: str, message: str) -> str:
    process = f"{session.pid}#{session.pid}"
    return f"{at:%Y/%m/%d %H:%M:%S} [{level}] {process}: *{session.number} {message}\n"


def _while_shaking(session: Session) -> str:
    return f" while SSL handshaking, client: {session.client}, server: {session.server}"


def _escaped(value: str) -> str:
    # ngx_http_log_escape: a client chooses its server name, so it could forge lines otherwise
    return _ESCAPED.sub(
        lambda found: "".join(f"\\x{byte:02X}" for byte in found[0].encode()), value
    )
