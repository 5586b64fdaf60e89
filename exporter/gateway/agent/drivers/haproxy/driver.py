"""HAProxy: checked by ``haproxy -c``, told over its control socket or by its master's reload."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from exporter.certificates import fingerprint_of
from exporter.gateway.agent.driver import CHAIN, Address, DriverError, Tools
from exporter.gateway.agent.drivers.haproxy import configuration, control, files
from exporter.gateway.agent.programs import Outcome, cut, run
from exporter.gateway.agent.rehearsing import FOLDER, Instance, end_leftovers, rehearsed
from exporter.gateway.agent.terminator import (
    PlainPath,
    TerminatorOptions,
    find_program,
    leaf_in,
    not_set,
    read_configuration,
    rewrite,
)
from exporter.gateway.messages import DebugLevel, Fingerprint, Tickets
from exporter.handshake_log.advice import HAPROXY_FORMATS

COMBINED = "haproxy.pem"
"""In a version's folder: chain and key in one file, as a ``bind`` line's ``crt`` wants them."""
log = logging.getLogger(__name__)

_CHECK = "check"
_POLL_S = 0.05
_TROUBLE = re.compile(r"\[ALERT\]\s+\(\d+\) : (?P<words>.+)")


class How(StrEnum):
    """How HAProxy is told of another certificate."""

    RUNTIME = "runtime"
    RELOAD = "reload"


class Options(TerminatorOptions):
    """A HAProxy on this machine, a ``bind`` line of which names ``current/haproxy.pem``."""

    binary: str = Field("haproxy", description="The program, by name or path.")
    config: tuple[PlainPath, ...] = Field(
        (Path("/etc/haproxy/haproxy.cfg"),),
        min_length=1,
        description="Files or folders that HAProxy is started with (`-f`), in that order.",
    )
    apply: How = Field(
        How.RUNTIME,
        description="`runtime`: set and commit over the control socket; no connection is touched,"
        " session tickets are kept. `reload`: by the master; tickets are dropped.",
    )
    control_socket: PlainPath | None = Field(
        None, description="`stats socket` of the configuration, with `level admin`."
    )
    master_socket: PlainPath | None = Field(
        None,
        description="Socket of the master process (`-S`); needed to reload and to log handshakes.",
    )
    handshake_include: PlainPath | None = Field(
        None,
        description="One of the configuration's files whose last section is a `defaults`: there"
        " the agent puts log formats, between two marked lines, while handshakes are logged.",
    )

    @model_validator(mode="after")
    def _sockets(self) -> Self:
        if self.apply is How.RUNTIME and self.control_socket is None:
            raise ValueError("apply: runtime needs control_socket")
        if self.apply is How.RELOAD and self.master_socket is None:
            raise ValueError("apply: reload needs master_socket")
        return self


class HaproxyDriver:
    """One HAProxy; others start and stop it."""

    def __init__(self, options: Options, tools: Tools) -> None:
        self._options = options
        self._place = tools.place
        self._clock = tools.clock
        self._program = find_program(options.binary, "terminator.haproxy.binary")
        self._tickets = Tickets()
        self._serves_others = True
        self._name = str(tools.place.current / COMBINED)
        self._control, self._master = (
            None if path is None else control.Control(path, what, tools.clock)
            for path, what in (
                (options.control_socket, "control socket"),
                (options.master_socket, "master socket"),
            )
        )

    @property
    def addresses(self) -> Sequence[Address]:
        """Return the addresses that serve the certificate."""
        return self._options.connected

    @property
    def tickets(self) -> Tickets:
        """Return what becomes of tickets, by the configuration as it was last read."""
        return self._tickets

    @property
    def serves_others(self) -> bool:
        """Return whether a ``bind`` line has more certificates than one, as last read."""
        return self._serves_others

    def further_files(self, chain: bytes, key: bytes) -> Mapping[str, bytes]:
        """Return chain and key in one file."""
        return {COMBINED: chain.rstrip(b"\n") + b"\n" + key}

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
        """Return whether HAProxy answers on its socket."""
        try:
            if self._control is not None:
                return "Name: HAProxy" in await self._control.show("show info")
            return bool((await control.processes(self._the_master())).workers)
        except DriverError:
            return False

    async def check(self, folder: Path) -> None:
        """Run ``haproxy -c`` on the whole configuration as if ``current`` were ``folder``."""
        sections = await self._load()
        copy = await asyncio.to_thread(self._write_check, sections, folder)
        outcome = await self._haproxy("-c", "-f", copy)
        if outcome.code:
            # where the fault is in the operator's own files, HAProxy's word on those is clearer
            plain = await self._haproxy("-c", *self._own_files)
            worst = plain if plain.code else outcome
            raise DriverError(f"haproxy -c refuses it: {sentence_of(worst.text)}")

    async def apply(self, folder: Path, *, same_key_kind: bool) -> None:  # noqa: ARG002 - either way takes any kind of key
        """Commit the pair over the control socket, or reload, and see that HAProxy holds it."""
        await self._load()
        if self._options.apply is How.RELOAD or self._control is None:
            await self._reload()
        else:
            pem = await asyncio.to_thread(read_configuration, folder / COMBINED, "HAProxy")
            await control.replace_certificate(self._control, self._name, pem)
        leaf = await asyncio.to_thread(leaf_in, folder / CHAIN)
        held = await self._held()
        if held is not None and held != control.sha1_of(leaf):
            raise DriverError(f"HAProxy says it took the certificate, but holds SHA-1 {held}")

    async def in_memory(self) -> Fingerprint | None:
        """Return the version's leaf that HAProxy holds; None: it holds none of ours."""
        held = await self._held()
        if held is None:
            return None
        return await asyncio.to_thread(self._version_with, held)

    async def log_handshakes(self, level: DebugLevel, *, on: bool) -> None:  # noqa: ARG002 - HAProxy tells all it knows at once
        """Put the log formats into the ``defaults`` section or take them out, and reload."""
        path = self._options.handshake_include
        if path is None:
            if not on:
                return
            raise not_set(
                "terminator.haproxy.handshake_include",
                "a file of the configuration whose last section is a defaults section",
            )
        before = await asyncio.to_thread(read_configuration, path, "HAProxy")
        wanted = configuration.without_ours(before)
        if on:
            await asyncio.to_thread(files.require_effect, await self._load(), self._place.current)
            wanted = configuration.with_ours(before, HAPROXY_FORMATS)
        elif wanted == before:
            return
        try:
            await asyncio.to_thread(rewrite, path, wanted)
            await self._reload()
        except DriverError:
            await asyncio.to_thread(rewrite, path, before)
            raise

    @asynccontextmanager
    async def rehearse(self, folder: Path, address: Address) -> AsyncIterator[Address]:
        """Run a second HAProxy with the operator's own frontend for the certificate."""
        sections = await self._load()
        async with rehearsed(
            lambda where: self._instance(sections, folder, where),
            self._place.scratch,
            address,
            within_s=self._options.timeout,
            clock=self._clock,
        ) as listened_at:
            yield listened_at

    async def _load(self) -> tuple[configuration.Section, ...]:
        sections = await asyncio.to_thread(files.load, self._options.config)
        self._tickets = configuration.tickets_of(
            sections, by_reload=self._options.apply is How.RELOAD
        )
        self._serves_others = configuration.has_several_certificates(
            sections, self._place.current / COMBINED
        )
        return sections

    def _write_check(self, sections: Sequence[configuration.Section], folder: Path) -> Path:
        scratch = self._place.scratch / _CHECK
        return files.place(self._copied(sections, folder, scratch).sections, scratch)

    def _instance(
        self, sections: Sequence[configuration.Section], folder: Path, address: Address
    ) -> Instance:
        scratch = self._place.scratch / FOLDER
        copy = self._copied(sections, folder, scratch)
        path = files.place(configuration.rehearsal(copy.sections, copy.places, address), scratch)
        return Instance(
            name="HAProxy",
            scratch=self._place.scratch,
            command=(self._program, "-db", "-f", path),
            address=address,
            said=sentence_of,
        )

    def _copied(
        self, sections: Sequence[configuration.Section], folder: Path, into: Path
    ) -> files.Copy:
        return files.copied(
            sections,
            current=self._place.current,
            folder=folder,
            into=into,
            config=self._options.config[0],
        )

    @property
    def _own_files(self) -> list[str | Path]:
        return [word for config in self._options.config for word in ("-f", config)]

    async def _haproxy(self, *arguments: str | Path) -> Outcome:
        return await run((self._program, *arguments), within_s=self._options.timeout)

    def _the_master(self) -> control.Control:
        if self._master is None:
            raise DriverError(
                "HAProxy can only be reloaded by its master: set terminator.haproxy.master_socket"
            )
        return self._master

    async def _held(self) -> str | None:
        """Return the SHA-1 of the leaf that HAProxy holds."""
        if self._control is not None:
            return await control.held_certificate(self._control, self._name)
        return await control.held_certificate(self._the_master(), self._name, "@1 ")

    def _version_with(self, sha1: str) -> Fingerprint | None:
        """Return the SHA-256 of the leaf with this SHA-1, of those that are on disk."""
        versions = self._place.current.resolve().parent
        for path in (self._place.current / CHAIN, *versions.glob(f"*/{CHAIN}")):
            with suppress(DriverError):  # one that is being removed, or was never finished
                leaf = leaf_in(path)
                if control.sha1_of(leaf) == sha1:
                    return fingerprint_of(leaf)
        return None

    async def _reload(self) -> None:
        """Have the master start a new worker from the files, and see that it serves.

        Raises:
            DriverError: it does not answer, or goes on with the old worker.
        """
        master = self._the_master()
        before = await control.processes(master)
        # the answer ends by an execve, and so by a reset as well as in order
        with suppress(DriverError):
            await master.order("reload")
        now = await self._reloaded(master, before)
        if now.failed or now.workers <= before.workers:
            plain = await self._haproxy("-c", *self._own_files)
            why = (
                sentence_of(plain.text)
                if plain.code
                else "its files pass the check, so its own log has the reason"
            )
            raise DriverError(f"HAProxy did not reload and goes on as it was: {why}")

    async def _reloaded(
        self, master: control.Control, before: control.Processes
    ) -> control.Processes:
        """Return the processes once the master has counted another reload."""
        end = self._clock.monotonic() + self._options.timeout
        while self._clock.monotonic() < end:
            await self._clock.sleep(_POLL_S)
            # between two of its lives the master's socket answers nobody
            with suppress(DriverError):
                now = await control.processes(master)
                if now.reloads != before.reloads:
                    return now
        raise DriverError(f"HAProxy's master did not reload within {self._options.timeout:g} s")


def sentence_of(text: str) -> str:
    """Return HAProxy's own sentence from what it said; pure."""
    found = _TROUBLE.search(text)
    return cut(found["words"] if found else text) or "it did not say why"
