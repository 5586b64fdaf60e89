"""A driver that does as the embedded one does, until a test says otherwise."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from exporter.gateway.agent.driver import Address, DriverError
from exporter.gateway.agent.drivers.embedded.driver import EmbeddedDriver
from exporter.gateway.messages import DebugLevel, Fingerprint, Tickets

Apply = Callable[[Path], Awaitable[None]]


async def refuse(_folder: Path) -> None:
    raise DriverError("the reload failed: worker process exited")


async def pretend(_folder: Path) -> None:
    """Say that it is done, and do nothing."""


async def break_down(_folder: Path) -> None:
    raise KeyError("a fault of the driver")


class WillfulDriver:
    """Each entry of ``applies`` is what one ``apply`` does, in order; then all is as usual.

    Attributes:
        checks_refused: ``check`` refuses; ``refused_folders``: these only.
        applied: The folders given to ``apply``, and whether the key was said to be of one kind.
        logged: The levels that were asked for; ``is_mute``: they are refused.
    """

    def __init__(self, real: EmbeddedDriver) -> None:
        self.real = real
        self.applies: list[Apply] = []
        self.checks_refused = False
        self.refused_folders: set[str] = set()
        self.is_mute = False
        self.applied: list[tuple[str, bool]] = []
        self.logged: list[tuple[DebugLevel, bool]] = []

    @property
    def addresses(self) -> Sequence[Address]:
        return self.real.addresses

    @property
    def tickets(self) -> Tickets:
        return self.real.tickets

    @property
    def serves_others(self) -> bool:
        return self.real.serves_others

    def further_files(self, chain: bytes, key: bytes) -> Mapping[str, bytes]:
        return {"both.pem": chain + key}

    async def run(self) -> None:
        await self.real.run()

    def close(self) -> None:
        self.real.close()

    async def is_alive(self) -> bool:
        return await self.real.is_alive()

    async def check(self, folder: Path) -> None:
        if self.checks_refused or folder.name in self.refused_folders:
            raise DriverError("[emerg] unknown directive in nginx.conf:7")
        await self.real.check(folder)

    async def apply(self, folder: Path, *, same_key_kind: bool) -> None:
        self.applied.append((folder.name, same_key_kind))
        if self.applies:
            await self.applies.pop(0)(folder)
        else:
            await self.real.apply(folder, same_key_kind=same_key_kind)

    async def in_memory(self) -> Fingerprint | None:
        return await self.real.in_memory()

    async def log_handshakes(self, level: DebugLevel, *, on: bool) -> None:
        if self.is_mute:
            raise DriverError("the log cannot be opened")
        self.logged.append((level, on))
        await self.real.log_handshakes(level, on=on)

    def rehearse(self, folder: Path, address: Address) -> AbstractAsyncContextManager[Address]:
        return self.real.rehearse(folder, address)
