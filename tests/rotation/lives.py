"""Real devices that come to a gateway all the time, and that can be made to fail or to lie."""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from exporter.clock import SystemClock
from exporter.demo.authorities import GATEWAY_NAME
from exporter.demo.device import Contact, Device, DeviceClient, client_context
from exporter.demo.updates import StoreKeeper
from exporter.gateway.agent.drivers.embedded import mqtt
from exporter.gateway.agent.drivers.embedded.tls_stream import TlsStream
from tests.gateway.agent.real.terminators import HTTP
from tests.rotation.terminators import OF_TRUST

CONTACT_S = 0.5
# More often than the demo's devices do: a report may count for seconds only
REPORT_EVERY_S = 2.0


class Client(DeviceClient):
    """A device's client, in the words of what it comes to; it may come by ticket only.

    Attributes:
        only: Trusts nothing but this folder, whatever its store says; None: its store.
        by_ticket: Takes up its old session each time, and so verifies nothing.
    """

    def __init__(self, device: Device, address: str, *, speaks_http: bool) -> None:
        super().__init__(
            device, address, SystemClock(), interval_s=CONTACT_S, tell=_told_to_nobody
        )
        self._words = HTTP.encode() if speaks_http else mqtt.connect(device.name)
        self._good = b"HTTP/1.1 200" if speaks_http else mqtt.CONNACK
        self._held: tuple[ssl.SSLContext, ssl.SSLSession] | None = None
        self.only: Path | None = None
        self.by_ticket = False

    async def _connect(self) -> str | None:
        store = self.only or self._device.trust_store
        context = self._held[0] if self._held and self.by_ticket else client_context(store)
        async with asyncio.timeout(10):
            streams = await asyncio.open_connection(
                self._host, self._port, local_addr=(self._device.address, 0)
            )
            try:
                stream = TlsStream(streams, context, server_name=GATEWAY_NAME)
                if self._held and self.by_ticket:
                    stream.tls.session = self._held[1]
                await stream.handshake()
                await stream.write(self._words)
                answer = await stream.read()
                if stream.tls.session is not None:
                    self._held = (context, stream.tls.session)
            finally:
                streams[1].close()
        return None if answer.startswith(self._good) else "no answer to the request"


async def _told_to_nobody(_contact: Contact) -> None:
    return


class Keeper(StoreKeeper):
    """Keeps a device's store as its life has it."""

    life: "Life"

    async def _look(self) -> None:
        if self.life.is_on and not self.life.is_silent:
            await super()._look()

    async def _report(self, *, is_due: bool) -> None:
        is_due = is_due or self._clock.monotonic() >= self._told_at + REPORT_EVERY_S
        await super()._report(is_due=is_due)

    async def _carry_out(self, update: Mapping[str, Any]) -> str | None:
        return None if self.life.is_lying else await super()._carry_out(update)


@dataclass
class Life:
    """One device that comes all the time; what is wrong with it may change while it does.

    Attributes:
        is_on: It comes, and speaks with the platform.
        is_silent: It comes, and never tells what it trusts nor fetches what is to be changed.
        is_lying: It says of each update that it is done, and does nothing.
    """

    device: Device
    gateway: str
    client: Client
    attempts: list[Contact] = field(default_factory=list)
    is_on: bool = True
    is_silent: bool = False
    is_lying: bool = False

    @property
    def is_connected(self) -> bool:
        return self.is_on and bool(self.attempts) and self.attempts[-1].refusal is None

    async def come(self) -> None:
        clock = SystemClock()
        while True:
            if self.is_on:
                self.attempts.append(await self.client.connect_once())
            await clock.sleep(CONTACT_S)

    async def keep(self, session: aiohttp.ClientSession) -> None:
        keeper = Keeper(
            self.device, session, SystemClock(),
            interval_s=CONTACT_S, is_connected=lambda: self.is_connected,
        )  # fmt: skip
        keeper.life = self
        await keeper.run()

    @property
    def refusals(self) -> list[str]:
        """What the device did not like about the gateway's certificate."""
        told = [one.refusal for one in self.attempts if one.refusal is not None]
        return [one for one in told if any(word in one for word in OF_TRUST)]
