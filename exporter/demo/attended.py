"""A real terminator that runs as long as the demo's agent does, with a broker behind it."""

import asyncio
import os
import shutil
import signal
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path

from exporter.clock import Clock
from exporter.demo.setups import Setup
from exporter.demo.watch import DemoError
from exporter.gateway.agent.driver import Address, Driver
from exporter.gateway.agent.drivers.embedded import mqtt
from exporter.gateway.agent.drivers.embedded.listener import Peer, Streams, serve
from exporter.gateway.agent.processes import is_listening
from exporter.gateway.messages import DebugLevel, Fingerprint, Tickets

_UP_WITHIN_S = 30.0
_POLL_S = 0.05
_GOODBYE_S = 3.0
_LAST_WORDS = 600


class Attended:
    """A driver whose terminator is started, and ended, with the agent.

    The agent makes ``current`` before it starts its driver, and no terminator starts without.

    Args:
        real: Speaks to the terminator.
        program: The terminator's own, by its path.
        log: Where it logs handshakes; what else it says is in ``terminator.out`` beside it.
        broker: Listens for what the terminator hands on.
    """

    def __init__(
        self,
        real: Driver,
        setup: Setup,
        clock: Clock,
        *,
        program: str,
        log: Path,
        broker: socket.socket,
    ) -> None:
        self._real = real
        self._setup = setup
        self._clock = clock
        self._program = program
        self._log = log
        self._output = log.with_name("terminator.out")
        self._broker = broker
        self._is_up = asyncio.Event()

    @property
    def addresses(self) -> Sequence[Address]:
        """As the driver within, as all that follows."""
        return self._real.addresses

    @property
    def tickets(self) -> Tickets:
        """See there."""
        return self._real.tickets

    @property
    def serves_others(self) -> bool:
        """See there."""
        return self._real.serves_others

    def further_files(self, chain: bytes, key: bytes) -> Mapping[str, bytes]:
        """See there."""
        return self._real.further_files(chain, key)

    async def run(self) -> None:
        """Run the terminator until cancelled.

        Raises:
            DemoError: it ended by itself, or does not begin to serve.
        """
        async with self._running() as process, asyncio.TaskGroup() as tasks:
            tasks.create_task(serve(self._broker, _answer))
            ending = tasks.create_task(self._fail_when_ended(process))
            await self._until_up()
            self._is_up.set()
            tasks.create_task(self._real.run())
            await ending

    def close(self) -> None:
        """Give the broker's port back."""
        self._broker.close()

    async def is_alive(self) -> bool:
        """See there; the first answer waits until it was started."""
        await self._is_up.wait()
        return await self._real.is_alive()

    async def check(self, folder: Path) -> None:
        """See there."""
        await self._real.check(folder)

    async def apply(self, folder: Path, *, same_key_kind: bool) -> None:
        """See there."""
        await self._real.apply(folder, same_key_kind=same_key_kind)

    async def in_memory(self) -> Fingerprint | None:
        """See there."""
        return await self._real.in_memory()

    async def log_handshakes(self, level: DebugLevel, *, on: bool) -> None:
        """See there."""
        await self._is_up.wait()
        await self._real.log_handshakes(level, on=on)

    def rehearse(self, folder: Path, address: Address) -> AbstractAsyncContextManager[Address]:
        """See there."""
        return self._real.rehearse(folder, address)

    # --- the process -----------------------------------------------------------------------

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[asyncio.subprocess.Process]:
        with self._output.open("ab") as output, self._log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *_tied_to_us(),
                self._program,
                *self._setup.arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log if self._setup.logs_to_stdout else output,
                stderr=output,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            await _end(process)

    async def _until_up(self) -> None:
        ports = [one.port for one in self.addresses]

        def is_up() -> bool:
            # never by a connection: that would be a line in the log
            return self._setup.running in self._said() and all(map(is_listening, ports))

        try:
            async with asyncio.timeout(_UP_WITHIN_S):
                while not await asyncio.to_thread(is_up):
                    await self._clock.sleep(_POLL_S)
        except TimeoutError as exc:
            raise DemoError(
                f"{self._program} did not serve within {_UP_WITHIN_S:g} s: {self._last_words()}"
            ) from exc

    async def _fail_when_ended(self, process: asyncio.subprocess.Process) -> None:
        code = await process.wait()
        raise DemoError(f"{self._program} ended by itself ({code}): {self._last_words()}")

    def _said(self) -> str:
        with suppress(OSError):
            return self._log.read_text(errors="replace") if self._setup.running else ""
        return ""

    def _last_words(self) -> str:
        texts = [path.read_text(errors="replace") for path in (self._output, self._log)]
        return " ".join("".join(text[-_LAST_WORDS:] for text in texts).split())


def _tied_to_us() -> Sequence[str]:
    """Return what to write before a command, so that it ends also when we are killed."""
    program = shutil.which("setpriv")
    return () if program is None else (program, "--pdeathsig", "TERM", "--")


async def _end(process: asyncio.subprocess.Process) -> None:
    """End it and what it started, politely first."""
    if process.returncode is not None:
        return
    try:
        _signal(process.pid, signal.SIGTERM)
        with suppress(TimeoutError):
            async with asyncio.timeout(_GOODBYE_S):
                await process.wait()
    finally:
        if process.returncode is None:
            _signal(process.pid, signal.SIGKILL)
            await process.wait()


def _signal(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)


async def _answer(streams: Streams, _peer: Peer) -> None:
    """What stands behind the terminator: it accepts every MQTT CONNECT."""
    reader, writer = streams
    with suppress(OSError):  # the device or the terminator went away
        while data := await reader.read(1024):
            writer.write(mqtt.answer_to(data))
            await writer.drain()
