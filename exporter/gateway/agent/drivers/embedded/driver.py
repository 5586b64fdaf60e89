"""The driver of the embedded terminator, which lives and ends with the agent."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from exporter.certificates import fingerprint_of
from exporter.errors import ConfigError, Fault
from exporter.gateway.agent.driver import CHAIN, Address, DriverError, Tools
from exporter.gateway.agent.drivers.embedded.terminator import Terminator, server_context
from exporter.gateway.messages import DebugLevel, Fingerprint, Tickets
from exporter.web.options import Listen


class Options(BaseModel):
    """A terminator inside the agent, which answers as an MQTT broker would; for trying out."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    listen: tuple[Listen, ...] = Field(min_length=1, description="Where clients connect.")
    log_file: Path = Field(description="Handshakes, as nginx's stream module writes them.")


class EmbeddedDriver:
    """Tells the terminator in its own process what to serve.

    What the operator set up logs handshakes already: ``log_handshakes`` can only tell more.
    """

    def __init__(self, options: Options, tools: Tools) -> None:
        self._tools = tools
        self._log = options.log_file
        self._in_memory: Fingerprint | None = None
        self._rehearsing: set[Terminator] = set()
        try:
            self._terminator = Terminator(
                options.log_file,
                tools.clock,
                listen=[Address(host=one.host, port=one.port) for one in options.listen],
            )
        except OSError as exc:
            message = f"the terminator cannot listen, or not write its log: {exc}"
            raise ConfigError([Fault(place="terminator.embedded", message=message)]) from exc

    @property
    def addresses(self) -> Sequence[Address]:
        """Where it listens."""
        return self._terminator.addresses

    @property
    def tickets(self) -> Tickets:
        """Their keys go with the certificate."""
        return Tickets(kept=False)

    @property
    def serves_others(self) -> bool:
        """It has one certificate."""
        return False

    def further_files(self, chain: bytes, key: bytes) -> Mapping[str, bytes]:  # noqa: ARG002 - the protocol's
        """Return nothing: chain and key are enough."""
        return {}

    async def run(self) -> None:
        """Serve what ``current`` points to, and what is applied later, until cancelled."""
        if self._in_memory is None and self._tools.place.current.exists():
            await self._serve(self._tools.place.current)
        await self._terminator.run()

    def close(self) -> None:
        """Give ports and log back where ``run`` was never called."""
        self._terminator.close()

    async def is_alive(self) -> bool:
        """Return True: it lives as long as we do."""
        return True

    async def check(self, folder: Path) -> None:
        """Load the files into settings that nobody uses."""
        await _load(server_context, folder)

    async def apply(self, folder: Path, *, same_key_kind: bool) -> None:  # noqa: ARG002 - the protocol's
        """Serve ``folder`` from the next connection on; tickets are worthless afterwards."""
        await self._serve(folder)

    async def _serve(self, folder: Path) -> None:
        await _load(self._terminator.serve, folder)
        pem = await asyncio.to_thread((folder / CHAIN).read_text)
        self._in_memory = fingerprint_of(ssl.PEM_cert_to_DER_cert(pem[: _end_of_leaf(pem)]))

    async def in_memory(self) -> Fingerprint | None:
        """Return the leaf that was loaded last."""
        return self._in_memory

    async def log_handshakes(self, level: DebugLevel, *, on: bool) -> None:  # noqa: ARG002 - it is always on
        """Write the lines of nginx's level ``debug``, too, or not."""
        for one in (self._terminator, *self._rehearsing):
            one.is_verbose = level is DebugLevel.VERBOSE

    def rehearse(self, folder: Path, address: Address) -> AbstractAsyncContextManager[Address]:
        """Serve ``folder`` by a second terminator."""
        return self._rehearsal(folder, address)

    @asynccontextmanager
    async def _rehearsal(self, folder: Path, address: Address) -> AsyncIterator[Address]:
        try:
            second = Terminator(self._log, self._tools.clock, listen=[address])
        except OSError as exc:
            raise DriverError(f"{address} cannot be listened at: {exc.strerror}") from exc
        second.is_verbose = self._terminator.is_verbose
        self._rehearsing.add(second)
        try:
            await _load(second.serve, folder)
            async with asyncio.TaskGroup() as tasks:
                running = tasks.create_task(second.run())
                try:
                    yield second.addresses[0]
                finally:
                    running.cancel()
        finally:
            self._rehearsing.discard(second)
            second.close()


async def _load(load: Callable[[Path], object], folder: Path) -> None:
    try:
        await asyncio.to_thread(load, folder)
    except ssl.SSLError as exc:
        raise DriverError(f"OpenSSL refuses chain and key: {exc.reason or exc}") from exc
    except OSError as exc:
        raise DriverError(f"{exc.filename} cannot be read: {exc.strerror}") from exc


def _end_of_leaf(pem: str) -> int:
    end = "-----END CERTIFICATE-----"
    return pem.index(end) + len(end)
