"""mosquitto: checked by a second one that starts, told by SIGHUP, or by a restart."""

import asyncio
import re
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from exporter.gateway.agent.driver import CHAIN, Address, DriverError, Tools
from exporter.gateway.agent.drivers.mosquitto import configuration
from exporter.gateway.agent.drivers.mosquitto.configuration import Line
from exporter.gateway.agent.processes import Process, is_listening, process, process_of, send
from exporter.gateway.agent.programs import Child, cut, run, running
from exporter.gateway.agent.rehearsing import FOLDER, Instance, end_leftovers, rehearsed
from exporter.gateway.agent.terminator import (
    LogTail,
    PlainPath,
    TerminatorOptions,
    empty_folder,
    find_program,
    free_port,
    names_no_certificate,
    not_set,
    own_text,
    put,
    read_configuration,
    until,
    write_whole,
)
from exporter.gateway.messages import DebugLevel, Fingerprint, Tickets
from exporter.handshake_log.advice import MOSQUITTO_LOG_TYPES

_CHECK = "check"
_OWN_FILE = "fleet-tls-handshakes.conf"
_TICKET_LIFETIME_S = 7_200.0  # OpenSSL's default; mosquitto has no setting for it
_HEARD_S = 1.0  # it may not be set to tell of a reload
_RIGHT_AFTER_S = 0.5
_TRIES = 3
_IN_USE = "Address already in use"
_LOOPBACK = "127.0.0.1"
_RUNNING = re.compile(r"mosquitto version \S+ running")
# Lines begin with the moment, "1795632189: "; what clients do wrong are errors as well
_TROUBLE = re.compile(r"(?:Error[ :]|OpenSSL Error\[\d\]: ).*")
_NOT_RELOADED = re.compile(r"Error when reloading.*|Error: .*\n.*Error found at.*")
_RELOADING = "Reloading config."


class Options(TerminatorOptions):
    """A mosquitto on this machine, a listener of which names ``current/chain.pem``."""

    binary: str = Field("mosquitto", description="The program, by name or path.")
    config: PlainPath = Field(
        Path("/etc/mosquitto/mosquitto.conf"), description="The file that it is started with."
    )
    pid_file: PlainPath = Field(
        Path("/run/mosquitto/mosquitto.pid"), description="Its `pid_file`."
    )
    restart: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        max_length=32,
        description="Command that restarts it and returns when it did, like"
        " [systemctl, restart, mosquitto]; needed for a key of another kind and to drop tickets.",
    )
    drop_tickets: bool = Field(
        False,  # noqa: FBT003 - a field's default
        description="Restart it at each change, so that no device resumes an old session: all"
        " connections end. Else SIGHUP where that will do, and tickets live on for 2 h.",
    )
    handshake_include: PlainPath | None = Field(
        None,
        description="The configuration's `include_dir`, where the agent has a file while"
        " handshakes are logged. Without it `logHandshakes` is refused.",
    )

    @model_validator(mode="after")
    def _restartable(self) -> Self:
        if self.drop_tickets and self.restart is None:
            raise ValueError("drop_tickets needs restart, the command that restarts mosquitto")
        return self


class MosquittoDriver:
    """One mosquitto; others start it."""

    def __init__(self, options: Options, tools: Tools) -> None:
        self._options = options
        self._place = tools.place
        self._clock = tools.clock
        self._program = find_program(options.binary, "terminator.mosquitto.binary")

    @property
    def addresses(self) -> Sequence[Address]:
        """Return the addresses that serve the certificate."""
        return self._options.connected

    @property
    def tickets(self) -> Tickets:
        """Return what becomes of tickets: their keys live as long as the process does."""
        if self._options.drop_tickets:
            return Tickets(kept=False)
        return Tickets(kept=True, lifetime_seconds=_TICKET_LIFETIME_S)

    @property
    def serves_others(self) -> bool:
        """Return False: a listener has one ``certfile``."""
        return False

    def further_files(self, chain: bytes, key: bytes) -> Mapping[str, bytes]:  # noqa: ARG002 - the protocol's
        """Return nothing: mosquitto reads chain and key from a file each."""
        return {}

    async def run(self) -> None:
        """Remove what an earlier run left, then have nothing to do."""
        await asyncio.to_thread(end_leftovers, self._place.scratch)
        await asyncio.get_running_loop().create_future()

    async def is_alive(self) -> bool:
        """Return whether its process runs; it has nothing to be asked by."""
        try:
            return (await asyncio.to_thread(self._process)).is_running
        except DriverError:
            return False

    async def check(self, folder: Path) -> None:
        """Start another mosquitto with the whole configuration as if ``current`` were ``folder``.

        It has no option that only checks. The other one listens at free ports of 127.0.0.1, has
        neither plugins nor bridges, and is ended as soon as it runs.
        """
        for tries_left in reversed(range(_TRIES)):
            trouble = await self._try_to_start(folder)
            if trouble is None:
                return
            if _IN_USE not in trouble or not tries_left:
                raise DriverError(f"mosquitto would not start with it: {trouble}")

    async def apply(self, folder: Path, *, same_key_kind: bool) -> None:  # noqa: ARG002 - it reads what its configuration names
        """Send SIGHUP, or restart it where that would not do."""
        if self._options.drop_tickets:
            await self._restart()
        elif same_key_kind:
            await self._hang_up()
        elif self._options.restart is None:
            raise DriverError(
                "mosquitto reads a key of another kind only at its start, and goes on serving the"
                " old leaf to some clients otherwise: set terminator.mosquitto.restart"
            )
        else:
            await self._restart()

    async def in_memory(self) -> Fingerprint | None:
        """Return None: mosquitto cannot be asked what it holds."""
        return None

    async def log_handshakes(self, level: DebugLevel, *, on: bool) -> None:
        """Write or remove the agent's file in the ``include_dir`` and send SIGHUP."""
        folder = self._options.handshake_include
        if folder is None:
            if not on:
                return
            raise not_set(
                "terminator.mosquitto.handshake_include",
                "the include_dir of mosquitto's configuration",
            )
        if on:
            await asyncio.to_thread(self._require_include, folder)
        path = folder / _OWN_FILE
        before = await asyncio.to_thread(own_text, path)
        wanted = _log_lines(level) if on else None
        if before is None and wanted is None:
            return
        try:
            await asyncio.to_thread(put, path, wanted)
            # SIGHUP answers nothing, and a configuration with a fault is taken on in part
            await self.check(self._place.current)
            await self._hang_up()
        except DriverError:
            await asyncio.to_thread(put, path, before)
            raise

    @asynccontextmanager
    async def rehearse(self, folder: Path, address: Address) -> AsyncIterator[Address]:
        """Run a second mosquitto, with the operator's listener for the certificate."""
        async with rehearsed(
            lambda where: self._instance(folder, where),
            self._place.scratch,
            address,
            within_s=self._options.timeout,
            clock=self._clock,
        ) as listened_at:
            yield listened_at

    # --- the configuration -----------------------------------------------------------------

    def _load(self) -> tuple[Line, ...]:
        lines = configuration.parsed(read_configuration(self._options.config, "mosquitto"))
        found = list(lines)
        for folder in configuration.includes(lines):
            # in the order of their names, upper case first
            for path in sorted(folder.glob("*.conf")):
                found += configuration.parsed(read_configuration(path, "mosquitto"))
        return tuple(found)

    def _served_from(self, folder: Path) -> tuple[Line, ...]:
        lines = configuration.served_from(self._load(), self._place.current, folder)
        if not configuration.mentions(lines, folder):
            raise names_no_certificate(
                "mosquitto", self._options.config, self._place.current / CHAIN
            )
        return lines

    def _write_check(self, folder: Path) -> Path:
        ports: set[int] = set()

        def anywhere(_number: int) -> str:
            port = free_port(_LOOPBACK)
            while port in ports:
                port = free_port(_LOOPBACK)
            ports.add(port)
            return f"{port} {_LOOPBACK}"

        lines = configuration.alone(self._served_from(folder), anywhere)
        path = empty_folder(self._place.scratch / _CHECK) / "mosquitto.conf"
        write_whole(path, configuration.written(lines))
        return path

    def _instance(self, folder: Path, address: Address) -> Instance:
        lines = self._served_from(folder)
        ours = configuration.certified(lines, folder)

        def listen(number: int) -> str:
            if number == ours:
                return f"{address.port} {address.host}"
            return f"{free_port(_LOOPBACK)} {_LOOPBACK}"

        path = empty_folder(self._place.scratch / FOLDER) / "mosquitto.conf"
        write_whole(path, configuration.written(configuration.alone(lines, listen)))
        return Instance(
            name="mosquitto",
            scratch=self._place.scratch,
            command=(self._program, "-c", path),
            address=address,
            said=sentence_of,
            serves=_runs,
        )

    def _require_include(self, folder: Path) -> None:
        if folder not in configuration.includes(
            configuration.parsed(read_configuration(self._options.config, "mosquitto"))
        ):
            raise DriverError(
                f"mosquitto's configuration has no 'include_dir {folder}', so the agent's file"
                " there would have no effect"
            )

    # --- the process -----------------------------------------------------------------------

    def _process(self) -> Process:
        return process_of(self._options.pid_file, "mosquitto")

    def _process_if_any(self) -> Process | None:
        try:
            return self._process()
        except DriverError:
            return None

    async def _try_to_start(self, folder: Path) -> str | None:
        """Return why a mosquitto with this folder does not start; None: it does."""
        copy = await asyncio.to_thread(self._write_check, folder)
        async with running((self._program, "-c", copy), cwd=copy.parent) as child:
            await self._until_running(child)
            return None if _runs(child.text) else sentence_of(child.text)

    async def _until_running(self, child: Child) -> None:
        def is_over() -> bool:
            return child.has_ended or _runs(child.text)

        if not await until(is_over, within_s=self._options.timeout, clock=self._clock):
            raise DriverError(
                f"mosquitto did not start within {self._options.timeout:g} s:"
                f" {sentence_of(child.text)}"
            )
        if child.has_ended:
            await child.wait()

    async def _hang_up(self) -> None:
        """Send SIGHUP and listen for a while what it says of that, where its log is a file.

        Raises:
            DriverError: it does not run, or says that it did not take it on.
        """
        found = await asyncio.to_thread(self._process)
        lines = await asyncio.to_thread(self._load)
        log = await asyncio.to_thread(LogTail, configuration.log_file(lines))
        await asyncio.to_thread(send, found, signal.SIGHUP, "mosquitto")
        if configuration.log_file(lines) is not None:
            await until(lambda: _RELOADING in log.text(), within_s=_HEARD_S, clock=self._clock)
            # it says what went wrong right afterwards, and nothing when all went well
            await until(
                lambda: _NOT_RELOADED.search(log.text()) is not None,
                within_s=_RIGHT_AFTER_S,
                clock=self._clock,
            )
        trouble = _NOT_RELOADED.search(await asyncio.to_thread(log.text))
        if trouble is not None:
            raise DriverError(f"mosquitto did not take it on: {cut(trouble.group())}")
        if await asyncio.to_thread(process, found.pid) is None:
            raise DriverError(f"mosquitto (process {found.pid}) ended when it was to reload")

    async def _restart(self) -> None:
        """Restart it by the operator's command; it must run and listen afterwards.

        Raises:
            DriverError: the command failed, or no other mosquitto runs after it.
        """
        command = self._options.restart or ()
        before = await asyncio.to_thread(self._process_if_any)
        outcome = await run(command, within_s=self._options.timeout)
        if outcome.code:
            raise DriverError(
                f"{' '.join(command)} ended with {outcome.code}: {sentence_of(outcome.text)}"
            )

        def is_up() -> bool:
            now = self._process_if_any()
            is_new = now is not None and (before is None or now.started != before.started)
            return is_new and all(is_listening(one.port) for one in self.addresses)

        if not await until(is_up, within_s=self._options.timeout, clock=self._clock):
            raise DriverError(
                f"{' '.join(command)} said that all is well, but mosquitto does not listen"
                f" within {self._options.timeout:g} s: {sentence_of(outcome.text)}"
            )


def _runs(text: str) -> bool:
    # it listens before it has read its certificates
    return _RUNNING.search(text) is not None


def sentence_of(text: str) -> str:
    """Return mosquitto's own sentence from what it said; pure."""
    told = "; ".join(found.group() for found in _TROUBLE.finditer(text))
    return cut(told or text[-300:]) or "it did not say why"


def _log_lines(level: DebugLevel) -> str:
    lines = MOSQUITTO_LOG_TYPES
    if level is DebugLevel.VERBOSE:
        lines += "log_type debug\n"
    return f"# written by the gateway agent of fleet-tls-exporter\n{lines}"
