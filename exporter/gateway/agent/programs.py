"""Programs that a driver runs: no shell, bounded in time and in what is kept of their words."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from exporter.gateway.agent.driver import DriverError

_KEPT_BYTES = 16_384
_LAST_WORDS_S = 0.2
_PATIENCE_S = 5.0
MAX_SENTENCE = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a program ended.

    Attributes:
        code: Its exit status; negative: the signal that ended it.
        text: The end of what it said on standard output and error.
    """

    code: int
    text: str


class _Words(asyncio.SubprocessProtocol):
    """Keeps the end of what a program says; called by the event loop."""

    def __init__(self) -> None:
        self.said = bytearray()
        self.exited = asyncio.Event()
        self.silent = asyncio.Event()

    def pipe_data_received(self, fd: int, data: bytes) -> None:  # noqa: ARG002 - asyncio's signature
        self.said += data
        del self.said[:-_KEPT_BYTES]

    def process_exited(self) -> None:
        self.exited.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self.exited.set()
        self.silent.set()


class Child:
    """A program that runs beside us."""

    def __init__(self, transport: asyncio.SubprocessTransport, words: _Words) -> None:
        self._transport = transport
        self._words = words
        self.pid = transport.get_pid()

    @property
    def has_ended(self) -> bool:
        """Whether it runs no more."""
        return self._words.exited.is_set()

    @property
    def text(self) -> str:
        """The end of what it said so far."""
        return self._words.said.decode("utf-8", "replace")

    async def wait(self) -> Outcome:
        """Return how it ended, once it did."""
        await self._words.exited.wait()
        # a daemon that it started may hold the pipe open for ever
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_S):
                await self._words.silent.wait()
        code = self._transport.get_returncode()
        return Outcome(code=-1 if code is None else code, text=self.text)

    async def stop(self) -> None:
        """End it and what it started, politely first; also when we are cancelled."""
        try:
            if not self.has_ended:
                self._signal(signal.SIGTERM)
                with suppress(TimeoutError):
                    async with asyncio.timeout(_PATIENCE_S):
                        await self._words.exited.wait()
        finally:
            if not self.has_ended:
                self._signal(signal.SIGKILL)
                await self._words.exited.wait()  # nobody outlives that
            self._transport.close()

    def _signal(self, number: signal.Signals) -> None:
        # its own session, so its group holds nobody else
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)


async def _start(command: Sequence[str | Path], cwd: Path, env: Mapping[str, str]) -> Child:
    loop = asyncio.get_running_loop()
    try:
        transport, words = await loop.subprocess_exec(
            _Words,
            *(str(part) for part in command),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=str(cwd),
            env={**os.environ, "LC_ALL": "C", **env},
            start_new_session=True,
        )
    except OSError as exc:
        reason = exc.strerror or str(exc)
        raise DriverError(f"{command[0]} cannot be run: {reason}") from exc
    return Child(transport, words)


@asynccontextmanager
async def running(
    command: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str] | None = None
) -> AsyncIterator[Child]:
    """Run a program for as long as the context lasts; it is ended with its children."""
    child = await _start(command, cwd, env or {})
    try:
        yield child
    finally:
        await child.stop()


async def run(
    command: Sequence[str | Path],
    *,
    within_s: float,
    cwd: Path = Path("/"),
    env: Mapping[str, str] | None = None,
) -> Outcome:
    """Run a program to its end and return how it ended.

    Raises:
        DriverError: it cannot be started, or needs longer than ``within_s``.
    """
    async with running(command, cwd=cwd, env=env) as child:
        try:
            async with asyncio.timeout(within_s):
                return await child.wait()
        except TimeoutError as exc:
            raise DriverError(
                f"{command[0]} did not end within {within_s:g} s; it was ended"
            ) from exc


def cut(sentence: str) -> str:
    """Return ``sentence`` on one line, at most ``MAX_SENTENCE`` characters long."""
    line = " ".join(sentence.split())
    return line if len(line) <= MAX_SENTENCE else line[:MAX_SENTENCE] + "…"
