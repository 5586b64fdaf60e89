"""A real terminator, the agent in front of it, and the devices that come to it."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass

from exporter.demo.device import Device
from tests.gateway.agent.real.stand import leaf_at
from tests.gateway.agent.real.terminators import HTTP, Real
from tests.rotation.lives import Client, Life


@dataclass
class Gateway:
    """A terminator and the agent in front of it."""

    name: str
    real: Real
    url: str

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.real.port}"

    def life(self, device: Device, silent: Collection[str]) -> Life:
        client = Client(device, self.address, speaks_http=self.real.words == HTTP)
        return Life(device, self.name, client, is_silent=device.name in silent)

    async def served(self) -> str | None:
        """The leaf of a fresh handshake of our own."""
        return await asyncio.to_thread(leaf_at, self.real.port)
