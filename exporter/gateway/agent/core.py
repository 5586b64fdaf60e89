"""What all calls of the management API work on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from exporter.clock import Clock
from exporter.gateway.agent.answers import RefusedError
from exporter.gateway.agent.changing import Changer
from exporter.gateway.agent.devices.book import Devices
from exporter.gateway.agent.driver import Driver
from exporter.gateway.agent.journal import Journal
from exporter.gateway.agent.keys import Keys
from exporter.gateway.agent.looking import Looker
from exporter.gateway.agent.proof import leaf_of
from exporter.gateway.agent.versions import Version, VersionError, Versions
from exporter.gateway.messages import ErrorCode, Fingerprint

# Looking after itself takes the agent less; a change mostly takes longer
_TURN_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Core:
    """The parts of one agent.

    Attributes:
        server_name: Under which devices know the gateway; None: they name none.
    """

    driver: Driver
    versions: Versions
    journal: Journal
    looker: Looker
    changer: Changer
    keys: Keys
    devices: Devices
    clock: Clock
    server_name: str | None

    async def all_versions(self) -> list[Version]:
        """Return the versions that can be read, in their order."""
        return await asyncio.to_thread(self._readable)

    def _readable(self) -> list[Version]:
        found = []
        for number in self.versions.numbers():
            try:
                found.append(self.versions.read(number))
            except VersionError:
                continue
        return found

    async def current(self) -> Version | None:
        """Return the version that ``current`` leads to; None: there is none."""
        return await asyncio.to_thread(self._current)

    def _current(self) -> Version | None:
        number = self.versions.pointed_to()
        return None if number is None else self.versions.read(number)

    async def served_leaf(self) -> Fingerprint | None:
        """Return the leaf that every address serves now, seen from outside; None: no such one."""
        looks = await self.looker.glance(self.driver.addresses, self.server_name)
        return leaf_of(looks)

    async def check_served(self, expected: Fingerprint | None) -> None:
        """Return when ``expected`` is served now, or nothing is expected.

        Raises:
            RefusedError: something else is, or nobody can say.
        """
        if expected is None:
            return
        served = await self.served_leaf()
        if served != expected:
            what = served or "no certificate that all addresses agree on"
            raise RefusedError(
                ErrorCode.PRECONDITION_FAILED,
                f"{what} is served, not {expected} as If-Match says; nothing was changed",
            )

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Be the only one that changes what is served; what was interrupted is settled before.

        Raises:
            RefusedError: another change is being carried out.
        """
        lock = self.changer.lock
        try:
            async with asyncio.timeout(_TURN_S):
                await lock.acquire()
        except TimeoutError as exc:
            raise RefusedError(
                ErrorCode.IN_PROGRESS, "another change is being carried out; ask again"
            ) from exc
        try:
            await self.changer.settle()
            yield
        finally:
            lock.release()
