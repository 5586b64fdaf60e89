"""nginx: checked by ``nginx -t``, told by ``nginx -s reload``, believed by its new workers."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from pydantic import Field

from exporter.gateway.agent.driver import Address, DriverError, Tools
from exporter.gateway.agent.drivers.nginx import configuration, files, handshakes
from exporter.gateway.agent.processes import Process, children_of, process_of
from exporter.gateway.agent.programs import Outcome, cut, run
from exporter.gateway.agent.rehearsing import FOLDER, Instance, end_leftovers, rehearsed
from exporter.gateway.agent.terminator import (
    LogTail,
    PlainPath,
    TerminatorOptions,
    find_program,
    names_no_certificate,
    not_set,
    own_text,
    put,
    until,
)
from exporter.gateway.messages import DebugLevel, Fingerprint, Tickets

log = logging.getLogger(__name__)

_CHECK = "check"
# "nginx: [emerg] …" on standard error, "… [emerg] 12#12: …" in the log
_TROUBLE = re.compile(r"\[(?:emerg|alert|crit|error)\] (?:\d+#\d+: )?(?P<words>.+)")
_WORKER = "worker process"
_LEAVING = "shutting down"


class Options(TerminatorOptions):
    """An nginx on this machine, whose configuration names the agent's ``current/chain.pem``."""

    binary: str = Field("nginx", description="The program, by name or path.")
    config: PlainPath = Field(
        Path("/etc/nginx/nginx.conf"), description="The file that nginx is started with."
    )
    pid_file: PlainPath = Field(
        Path("/run/nginx.pid"), description="Its `pid`, as the configuration says."
    )
    handshake_include: PlainPath | None = Field(
        None,
        description="Folder of the agent's own `http.conf` and `stream.conf`, there while"
        " handshakes are logged; the configuration includes them. Without it `logHandshakes` is"
        " refused.",
    )
    error_log: PlainPath | None = Field(
        None, description="Where failed handshakes are logged; default: nginx's own `error_log`."
    )
    handshakes_log: PlainPath = Field(
        Path("/var/log/nginx/tls.log"), description="Where good handshakes are logged."
    )


class NginxDriver:
    """One nginx; others start and stop it."""

    def __init__(self, options: Options, tools: Tools) -> None:
        self._options = options
        self._place = tools.place
        self._clock = tools.clock
        self._program = find_program(options.binary, "terminator.nginx.binary")
        self._tickets = Tickets()
        self._serves_others = True

    @property
    def addresses(self) -> Sequence[Address]:
        """Return the addresses that serve the certificate."""
        return self._options.connected

    @property
    def tickets(self) -> Tickets:
        """Return what a reload does to tickets, by the configuration as it was last read."""
        return self._tickets

    @property
    def serves_others(self) -> bool:
        """Return whether a server has two certificates, by the configuration as last read."""
        return self._serves_others

    def further_files(self, chain: bytes, key: bytes) -> Mapping[str, bytes]:  # noqa: ARG002 - the protocol's signature
        """Return nothing: nginx reads chain and key from a file each."""
        return {}

    async def run(self) -> None:
        """Remove what an earlier run left, read the configuration, then have nothing to do."""
        await asyncio.to_thread(end_leftovers, self._place.scratch)
        try:
            await self._load()
        except DriverError as exc:
            # the operator may put it right before anything is to be changed
            log.warning("what becomes of session tickets is not known: %s", exc)
        await asyncio.get_running_loop().create_future()

    async def is_alive(self) -> bool:
        """Return whether nginx's master process and a worker of it run."""
        try:
            master = await asyncio.to_thread(self._master)
        except DriverError:
            return False
        return master.is_running and bool(await asyncio.to_thread(_workers_of, master))

    async def check(self, folder: Path) -> None:
        """Run ``nginx -t`` on the whole configuration as if ``current`` were ``folder``."""
        loaded = await self._load()
        copy = await asyncio.to_thread(self._write_check, loaded, folder)
        outcome = await self._nginx("-t", "-c", copy)
        if outcome.code:
            # where the fault is in the operator's own files, nginx's word on those is clearer
            plain = await self._nginx("-t", "-c", self._options.config)
            worst = plain if plain.code else outcome
            raise DriverError(f"nginx -t refuses it: {sentence_of(worst.text)}")

    async def apply(self, folder: Path, *, same_key_kind: bool) -> None:  # noqa: ARG002 - a reload takes any kind of key
        """Reload nginx and return when new workers serve in the place of the old ones."""
        await self._load()
        await self._reload()

    async def in_memory(self) -> Fingerprint | None:
        """Return None: nginx cannot be asked what it holds."""
        return None

    async def log_handshakes(self, level: DebugLevel, *, on: bool) -> None:
        """Write or remove the include files and reload."""
        folder = self._options.handshake_include
        if folder is None:
            if not on:
                return
            raise not_set(
                "terminator.nginx.handshake_include", "the folder of the agent's own include files"
            )
        loaded = await asyncio.to_thread(files.load, self._options.config, leave_out=folder)
        wanted = await asyncio.to_thread(self._wanted, loaded, folder, level) if on else {}
        before = await asyncio.to_thread(_own_files, folder)
        if before or wanted:
            try:
                await asyncio.to_thread(_put, folder, wanted)
                await self._reload()
            except DriverError:
                await asyncio.to_thread(_put, folder, before)
                raise

    @asynccontextmanager
    async def rehearse(self, folder: Path, address: Address) -> AsyncIterator[Address]:
        """Run a second nginx with the operator's own servers for the certificate."""
        loaded = await self._load()
        async with rehearsed(
            lambda where: self._instance(loaded, folder, where),
            self._place.scratch,
            address,
            within_s=self._options.timeout,
            clock=self._clock,
        ) as listened_at:
            yield listened_at

    async def _load(self) -> files.Loaded:
        loaded = await asyncio.to_thread(files.load, self._options.config)
        self._tickets = configuration.tickets_of(loaded.directives)
        self._serves_others = configuration.has_several_certificates(loaded.directives)
        return loaded

    def _write_check(self, loaded: files.Loaded, folder: Path) -> Path:
        directives = configuration.served_from(loaded.directives, self._place.current, folder)
        if not configuration.names_certificate(directives, folder):
            raise names_no_certificate(
                "nginx", self._options.config, self._place.current / "chain.pem"
            )
        scratch = self._place.scratch
        with_pid = files.pid_to(directives, scratch / "check.pid")
        return files.place(with_pid, self._options.config, scratch / _CHECK)

    def _instance(self, loaded: files.Loaded, folder: Path, address: Address) -> Instance:
        scratch = self._place.scratch / FOLDER
        directives = configuration.rehearsal(
            configuration.served_from(loaded.directives, self._place.current, folder),
            folder,
            address=address,
            pid_file=scratch / "agent-nginx.pid",
        )
        copy = files.place(directives, self._options.config, scratch)
        return Instance(
            name="nginx",
            scratch=self._place.scratch,
            command=(self._program, "-c", copy),
            address=address,
            said=sentence_of,
        )

    def _wanted(self, loaded: files.Loaded, folder: Path, level: DebugLevel) -> dict[str, str]:
        handshakes.require_effect(loaded, folder, self._place.current)
        log = self._options.error_log or loaded.error_log
        if log is None:
            raise DriverError(
                "nginx's configuration has no error_log that is a file:"
                " set terminator.nginx.error_log"
            )
        return handshakes.texts(
            loaded, folder, level, error_log=str(log), handshakes_log=self._options.handshakes_log
        )

    async def _nginx(self, *arguments: str | Path) -> Outcome:
        return await run((self._program, *arguments), within_s=self._options.timeout)

    def _master(self) -> Process:
        return process_of(self._options.pid_file, "nginx")

    async def _reload(self) -> None:
        """Reload; an answer of 0 says only that the signal was sent.

        Raises:
            DriverError: nginx does not run, refuses, or goes on with its old workers.
        """
        master = await asyncio.to_thread(self._master)
        # Just after its start a worker has still the master's title: it is an old one all the same
        await until(
            lambda: bool(_workers_of(master)), within_s=self._options.timeout, clock=self._clock
        )
        old = {child.pid for child in await asyncio.to_thread(children_of, master.pid)}
        loaded = await asyncio.to_thread(files.load, self._options.config)
        log = await asyncio.to_thread(LogTail, loaded.error_log)
        outcome = await self._nginx("-s", "reload", "-c", self._options.config)
        if outcome.code:
            raise DriverError(f"nginx -s reload: {sentence_of(outcome.text)}")

        def is_over() -> bool:
            return _took_over(master, old) or _gave_up(log.text())

        await until(is_over, within_s=self._options.timeout, clock=self._clock)
        if not await asyncio.to_thread(_took_over, master, old):
            why = sentence_of(log.text()) if log.text() else "its log does not say why"
            raise DriverError(f"nginx did not reload and goes on as it was: {why}")


def sentence_of(text: str) -> str:
    """Return nginx's own sentence from what it said; pure."""
    found = _TROUBLE.search(text)
    return cut(found["words"] if found else text) or "it did not say why"


def _workers_of(master: Process) -> list[Process]:
    return [child for child in children_of(master.pid) if _WORKER in child.command]


def _took_over(master: Process, old: set[int]) -> bool:
    """Whether new workers serve and no old one takes connections any more."""
    serving = {w.pid for w in _workers_of(master) if _LEAVING not in w.command}
    return bool(serving) and serving.isdisjoint(old)


def _gave_up(log: str) -> bool:
    """Whether the master has said why it stays as it is; it tries a port that is in use again."""
    is_trying = "try again to bind" in log and "still could not bind" not in log
    return "[emerg]" in log and not is_trying


def _own_files(folder: Path) -> dict[str, str]:
    texts = ((one, own_text(_path_of(folder, one))) for one in configuration.CONTEXTS)
    return {context: text for context, text in texts if text is not None}


def _put(folder: Path, wanted: Mapping[str, str]) -> None:
    """Make the include files what is wanted, and nothing more."""
    for context in configuration.CONTEXTS:
        put(_path_of(folder, context), wanted.get(context))


def _path_of(folder: Path, context: str) -> Path:
    return folder / handshakes.file_name(context)
