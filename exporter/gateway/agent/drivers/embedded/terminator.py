"""The embedded terminator: a real TLS listener that writes the log of an nginx."""

import asyncio
import itertools
import os
import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from weakref import WeakKeyDictionary

from exporter.clock import Clock
from exporter.gateway.agent.driver import CHAIN, KEY, Address
from exporter.gateway.agent.drivers.embedded import mqtt
from exporter.gateway.agent.drivers.embedded.listener import Peer, Streams, serve
from exporter.gateway.agent.drivers.embedded.nginx_log import (
    Outcome,
    Session,
    access_line,
    closed_line,
    connected_line,
    debug_lines,
    refused_line,
)
from exporter.gateway.agent.drivers.embedded.openssl_error import describe_error
from exporter.gateway.agent.drivers.embedded.tls_stream import PeerClosedError, TlsStream

# nginx's own: ssl_handshake_timeout; and how long a client may say nothing afterwards
_HANDSHAKE_S = 60.0
_IDLE_S = 60.0
_GOODBYE_S = 5.0
_DONE = 200
_HANDSHAKE_FAILED = 500
_ANY_PORT = (Address(host="127.0.0.1", port=0),)


def server_context(folder: Path) -> ssl.SSLContext:
    """Return settings that serve the chain and the key in ``folder``.

    Raises:
        OSError: one cannot be read, or the key is not the leaf's (``ssl.SSLError``).
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load(context, folder)
    return context


def _load(context: ssl.SSLContext, folder: Path) -> None:
    # An encrypted key would make OpenSSL ask at the terminal; the empty word makes it fail
    context.load_cert_chain(folder / CHAIN, folder / KEY, password="")


class Terminator:
    """Ends the devices' TLS connections and answers as an MQTT broker would.

    Its certificate can be changed while it runs: sessions under way keep theirs, new connections
    get the new one.

    Args:
        listen: Where; port 0 is any free one.

    Attributes:
        addresses: Where it listens, also before ``run``.
        is_verbose: Write what nginx writes at the level ``debug``, too.
    """

    def __init__(self, log: Path, clock: Clock, *, listen: Sequence[Address] = _ANY_PORT) -> None:
        self.is_verbose = False
        self._clock = clock
        self._numbers = itertools.count(1)
        self._names: WeakKeyDictionary[ssl.SSLObject, str] = WeakKeyDictionary()
        self._context: ssl.SSLContext | None = None
        self._log = -1
        self._sockets: list[socket.socket] = []
        try:
            for address in listen:
                self._sockets.append(_listening(address))
            self.addresses = tuple(_address_of(one) for one in self._sockets)
            self._log = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
        except BaseException:
            self.close()
            raise

    def serve(self, folder: Path, *, keep_tickets: bool = False) -> None:
        """Serve the chain in ``folder`` from the next connection on.

        Session tickets given out before are worthless afterwards (their keys live in the context
        that is dropped), unless ``keep_tickets``: then a device may resume without ever seeing
        the new certificate.

        Raises:
            OSError: a file cannot be read, or the key is not the leaf's (``ssl.SSLError``); what
                was served before stays.
        """
        kept = self._context if keep_tickets else None
        if kept is not None:
            _load(kept, folder)
            return
        context = server_context(folder)
        context.sni_callback = self._keep_name
        self._context = context

    async def run(self) -> None:
        """Serve until cancelled; the ports are free and the log closed afterwards."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for one in self._sockets:
                    tasks.create_task(serve(one, self._session))
        finally:
            self.close()

    def close(self) -> None:
        """Give the ports and the log back, also where ``run`` was never called."""
        for one in self._sockets:
            one.close()
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
        began = self._clock.monotonic()
        session = Session(
            pid=os.getpid(),
            number=next(self._numbers),
            client=client,
            client_port=port,
            server=_server_of(streams),
        )
        self._write(connected_line(session, self._local_time()))
        stream = TlsStream(streams, context, server_side=True)
        status = _HANDSHAKE_FAILED
        try:
            if await self._shake_hands(session, stream):
                status = _DONE
                self._tell_more(session, self._outcome(stream, status, began))
                await _serve_client(stream)
        finally:
            outcome = self._outcome(stream, status, began)
            self._write(access_line(session, self._local_time(), outcome))

    def _tell_more(self, session: Session, outcome: Outcome) -> None:
        if self.is_verbose:
            for line in debug_lines(session, self._local_time(), outcome):
                self._write(line)

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

    def _outcome(self, stream: TlsStream, status: int, began: float) -> Outcome:
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
            took_s=self._clock.monotonic() - began,
        )

    def _write(self, line: str) -> None:
        # One write per line, unbuffered, in the loop: as nginx does it, and as short
        # A full disk takes the line, not the connection
        with suppress(OSError):
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


def _listening(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    return socket.create_server((address.host, address.port), family=family, backlog=256)


def _address_of(one: socket.socket) -> Address:
    host, port = one.getsockname()[:2]
    return Address(host=host, port=port)


def _server_of(streams: Streams) -> str:
    host, port = streams[1].get_extra_info("sockname")[:2]
    return str(Address(host=host, port=port))
