"""The embedded terminator: a real TLS listener that writes the log of an nginx."""

import asyncio
import itertools
import os
import socket
import ssl
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from weakref import WeakKeyDictionary

from exporter.clock import Clock
from exporter.demo import mqtt
from exporter.demo.authorities import Served
from exporter.demo.listener import Peer, Streams, serve
from exporter.demo.nginx_log import (
    Outcome,
    Session,
    access_line,
    closed_line,
    connected_line,
    refused_line,
)
from exporter.demo.openssl_error import describe_error
from exporter.demo.tls_stream import PeerClosedError, TlsStream

# nginx's own: ssl_handshake_timeout; and how long a client may say nothing afterwards
_HANDSHAKE_S = 60.0
_IDLE_S = 60.0
_GOODBYE_S = 5.0
_DONE = 200
_HANDSHAKE_FAILED = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Where the gateway keeps what it serves and what it has to tell."""

    certificate: Path
    key: Path
    log: Path


class Gateway:
    """Ends the devices' TLS connections and answers as an MQTT broker would.

    Its certificate can be changed while it runs: sessions under way keep theirs, new connections
    get the new one.
    """

    def __init__(self, files: Files, clock: Clock, *, host: str = "127.0.0.1") -> None:
        self._files = files
        self._clock = clock
        self._numbers = itertools.count(1)
        self._names: WeakKeyDictionary[ssl.SSLObject, str] = WeakKeyDictionary()
        self._context: ssl.SSLContext | None = None
        self._socket = socket.create_server((host, 0), backlog=256)
        self._log = os.open(files.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)

    @property
    def address(self) -> str:
        """``IP:PORT`` it listens on, also before ``run``."""
        host, port = self._socket.getsockname()[:2]
        return f"{host}:{port}"

    def serve(self, served: Served, *, keep_tickets: bool = False) -> None:
        """Serve this chain from the next connection on.

        Session tickets given out before are worthless afterwards (their keys live in the context
        that is dropped), unless ``keep_tickets``: then a device may resume without ever seeing
        the new certificate.

        Raises:
            ssl.SSLError: the key does not belong to the leaf, or one cannot be read; what was
                served before stays, but for the files.
        """
        self._files.certificate.write_bytes(served.chain_pem)
        self._files.key.touch(mode=0o600)
        self._files.key.write_bytes(served.key_pem)
        kept = self._context if keep_tickets else None
        context = kept or ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.sni_callback = self._keep_name
        context.load_cert_chain(self._files.certificate, self._files.key)
        self._context = context

    async def run(self) -> None:
        """Serve until cancelled; the port is free and the log closed afterwards."""
        try:
            await serve(self._socket, self._session)
        finally:
            self.close()

    def close(self) -> None:
        """Give the port and the log back, also where ``run`` was never called."""
        self._socket.close()
        if self._log >= 0:
            os.close(self._log)
            self._log = -1

    def _keep_name(self, tls: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
        self._names[tls] = name or ""

    async def _session(self, streams: Streams, peer: Peer) -> None:
        context = self._context
        if context is None:  # nothing to serve yet
            return
        client, port = peer
        session = Session(
            pid=os.getpid(),
            number=next(self._numbers),
            client=client,
            client_port=port,
            server=self.address,
        )
        self._write(connected_line(session, self._local_time()))
        stream = TlsStream(streams, context, server_side=True)
        status = _HANDSHAKE_FAILED
        try:
            if await self._shake_hands(session, stream):
                status = _DONE
                await _serve_client(stream)
        finally:
            self._write(access_line(session, self._local_time(), self._outcome(stream, status)))

    async def _shake_hands(self, session: Session, stream: TlsStream) -> bool:
        """Return whether the handshake was finished; where not, nginx's line is written."""
        try:
            async with asyncio.timeout(_HANDSHAKE_S):
                await stream.handshake()
        except TimeoutError:
            pass  # nginx says nothing of it but the status of the access-log line
        except ssl.SSLError as error:
            self._write(refused_line(session, self._local_time(), describe_error(error)))
        except PeerClosedError:
            self._write(closed_line(session, self._local_time(), None))
        except OSError as error:
            why = f"{error.errno}: {os.strerror(error.errno or 0)}"
            self._write(closed_line(session, self._local_time(), why))
        else:
            return True
        return False

    def _outcome(self, stream: TlsStream, status: int) -> Outcome:
        tls = stream.tls
        cipher = tls.cipher()
        # Python tells no version before the handshake's end: then it is the cipher's, and without
        # one the highest that is spoken, as OpenSSL has it before a ServerHello
        version = tls.version() or (cipher[1] if cipher else "TLSv1.3")
        return Outcome(
            protocol=version,
            cipher=cipher[0] if cipher else "(NONE)",
            is_resumed=bool(tls.session_reused),
            status=status,
            server_name=self._names.get(tls, ""),
        )

    def _write(self, line: str) -> None:
        # One write per line, unbuffered, in the loop: as nginx does it, and as short
        os.write(self._log, line.encode())

    def _local_time(self) -> datetime:
        return self._clock.now().astimezone()


async def _serve_client(stream: TlsStream) -> None:
    """Answer until the client is done; how it leaves is no concern of the log's."""
    try:
        async with asyncio.timeout(_IDLE_S):
            while data := await stream.read():
                if answer := mqtt.answer_to(data):
                    await stream.write(answer)
        async with asyncio.timeout(_GOODBYE_S):
            await stream.say_goodbye()
    except (ssl.SSLError, PeerClosedError, OSError):  # TimeoutError is an OSError
        return
