"""One simulated device: it connects with its own trust store, and may listen itself."""

import asyncio
import contextlib
import os
import random
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from exporter.clock import Clock
from exporter.demo.authorities import GATEWAY_NAME, Served
from exporter.gateway.agent.drivers.embedded import mqtt
from exporter.gateway.agent.drivers.embedded.listener import Peer, Streams, serve
from exporter.gateway.agent.drivers.embedded.tls_stream import PeerClosedError, TlsStream

_CONNECT_S = 5.0
_SESSION_S = 10.0
_LISTEN_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """What is fixed about a device.

    Attributes:
        address: The loopback address it connects from, and listens on.
        trust_store: Folder of PEM files, read again for each connection.
        listens: It has a TLS endpoint of its own.
        has_fallback: It can be reached although it refuses the gateway.
    """

    name: str
    address: str
    device_class: str
    rollout_group: str
    trust_store: Path
    listens: bool
    has_fallback: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """One attempt of a device to reach its gateway; ``refusal`` is None for a good one."""

    device: str
    at: datetime
    refusal: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """How often devices came to the gateway, how often that failed, and why the last time."""

    attempt_count: int = 0
    failure_count: int = 0
    last_refusal: str = ""

    def with_(self, contact: Contact) -> "Counted":
        """Return the same with one attempt more."""
        return Counted(
            attempt_count=self.attempt_count + 1,
            failure_count=self.failure_count + (contact.refusal is not None),
            last_refusal=contact.refusal or self.last_refusal,
        )

    def since(self, before: "Counted") -> "Counted":
        """Return what was counted after ``before``."""
        return Counted(
            attempt_count=self.attempt_count - before.attempt_count,
            failure_count=self.failure_count - before.failure_count,
            last_refusal=self.last_refusal,
        )


def client_context(trust_store: Path) -> ssl.SSLContext:
    """Return a context that trusts exactly the PEM files in ``trust_store`` at this moment."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # An anchor may be an intermediate, as with most devices' libraries
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    for anchor in sorted(trust_store.glob("*.pem")):
        with contextlib.suppress(FileNotFoundError):  # the device lets go of it in this moment
            context.load_verify_locations(anchor)
    return context


class DeviceClient:
    """Connects to the gateway again and again, each time with a full handshake."""

    def __init__(
        self,
        device: Device,
        gateway: str,
        clock: Clock,
        *,
        interval_s: float,
        tell: Callable[[Contact], Awaitable[None]],
    ) -> None:
        self._device = device
        self._host, self._port = gateway.rsplit(":", 1)
        self._clock = clock
        self._interval_s = interval_s
        self._tell = tell
        self._random = random.Random(device.name)  # noqa: S311 - spreads load, guards nothing

    async def run(self) -> None:
        """Connect until cancelled; the first time somewhere within the interval."""
        await self._clock.sleep(self._random.random() * self._interval_s)
        while True:
            await self._tell(await self.connect_once())
            # Jitter, so that the fleet does not fall into step
            await self._clock.sleep(self._interval_s * self._random.uniform(0.8, 1.2))

    async def connect_once(self) -> Contact:
        """Return how one connection went; a failure is an answer."""
        try:
            refusal = await self._connect()
        except TimeoutError:
            refusal = "the gateway did not answer in time"
        except PeerClosedError:
            refusal = "the gateway closed the connection"
        except ssl.SSLError as error:  # an OSError too, so it comes before that
            refusal = getattr(error, "verify_message", "") or error.reason or str(error)
        except OSError as error:
            refusal = os.strerror(error.errno) if error.errno else str(error)
        return Contact(device=self._device.name, at=self._clock.now(), refusal=refusal)

    async def _connect(self) -> str | None:
        """Return what the device did not like about a session that worked in TLS, else None."""
        context = await asyncio.to_thread(client_context, self._device.trust_store)
        async with asyncio.timeout(_CONNECT_S):
            streams = await asyncio.open_connection(
                self._host, self._port, local_addr=(self._device.address, 0)
            )
        try:
            async with asyncio.timeout(_SESSION_S):
                # A context of its own each time holds no session: nothing can be resumed
                stream = TlsStream(streams, context, server_name=GATEWAY_NAME)
                await stream.handshake()
                await stream.write(mqtt.connect(self._device.name))
                answer = await stream.read()
                await stream.write(mqtt.DISCONNECT)
                # The answer has come by now; nginx, for one, goes without a close_notify
                with contextlib.suppress(PeerClosedError, ConnectionError):
                    await stream.say_goodbye()
        finally:
            streams[1].close()
        return None if answer == mqtt.CONNACK else "the gateway did not answer the CONNECT"


class DeviceListener:
    """The TLS endpoint of a device that has one."""

    def __init__(self, device: Device, served: Served, certificate: Path) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.touch(mode=0o600)
        certificate.write_bytes(served.key_pem + served.chain_pem)
        self._context.load_cert_chain(certificate)
        self._socket = socket.create_server((device.address, 0), backlog=16)

    @property
    def address(self) -> str:
        """``IP:PORT`` it listens on, also before ``run``."""
        host, port = self._socket.getsockname()[:2]
        return f"{host}:{port}"

    async def run(self) -> None:
        """Serve until cancelled; the port is free afterwards."""
        try:
            await serve(self._socket, self._session)
        finally:
            self.close()

    def close(self) -> None:
        """Give the port back, also where ``run`` was never called."""
        self._socket.close()

    async def _session(self, streams: Streams, _peer: Peer) -> None:
        try:
            async with asyncio.timeout(_LISTEN_S):
                stream = TlsStream(streams, self._context, server_side=True)
                await stream.handshake()
                while await stream.read():
                    pass
                await stream.say_goodbye()
        except (ssl.SSLError, PeerClosedError, OSError):  # TimeoutError is an OSError
            return
