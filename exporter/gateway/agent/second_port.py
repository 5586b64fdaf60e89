"""``rehearse``: a version or a candidate on the second port, for a while."""

import asyncio
import logging
import secrets
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from exporter.certificates import Certificate
from exporter.gateway.agent.answers import RefusedError, Reply, answered
from exporter.gateway.agent.candidates import check_chain, check_return, content_of, target_of
from exporter.gateway.agent.core import Core
from exporter.gateway.agent.devices.inbox import certificates_in
from exporter.gateway.agent.driver import CHAIN, KEY, Address, DriverError
from exporter.gateway.agent.once import Ticket
from exporter.gateway.agent.versions import Content, write_private
from exporter.gateway.messages import ErrorCode, Fingerprint, Rehearsal, RehearseRequest

log = logging.getLogger(__name__)

_PREFIX = "candidate-"
_START_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Play:
    """What is rehearsed; ``folder`` is ours to remove where it is no version's."""

    chain: tuple[Certificate, ...]
    folder: Path
    version: int | None


class Rehearsals:
    """At most one at a time: the next ends the one before.

    Args:
        address: Of the second port; None: there is none.
        scratch: Where candidates are kept while they are served; beside the driver's own files.
    """

    def __init__(self, address: Address | None, scratch: Path, tasks: asyncio.TaskGroup) -> None:
        self._address = address
        self._scratch = scratch
        self._tasks = tasks
        self._running: asyncio.Task[None] | None = None

    def prepare(self) -> None:
        """Remove what an earlier run left; blocks."""
        for folder in self._scratch.glob(f"{_PREFIX}*"):
            shutil.rmtree(folder, ignore_errors=True)

    async def rehearse(
        self, core: Core, request: RehearseRequest, ticket: Ticket, served: Fingerprint | None
    ) -> Reply:
        """Serve what is asked for on the second port; answered after proof.

        Raises:
            RefusedError: there is no such port, or it must not be served there.
            StoreError: it cannot be written down.
        """
        address = self._address
        if address is None:
            raise RefusedError(
                ErrorCode.REFUSED, "this agent has no second port; set second_port: HOST:PORT"
            )
        async with core.alone():
            await core.check_served(served)
            play = await self._play(core, request)
            async with core.journal.store.writing() as connection:
                await ticket.begin(connection)
            try:
                reply = answered(await self._start(core, play, address, request.seconds))
            except RefusedError as exc:
                reply = exc.reply
            async with core.journal.store.writing() as connection:
                await ticket.keep(connection, reply)
            return reply

    async def _play(self, core: Core, request: RehearseRequest) -> _Play:
        if request.new_certificate is None:
            wanted = request.target_version or "previous"
            version = await target_of(core, wanted, await core.journal.record())
            await check_return(core, version)
            return _Play(chain=version.chain, folder=version.folder, version=version.number)
        chain = await asyncio.to_thread(certificates_in, request.new_certificate, "newCertificate")
        key_pem = await check_chain(core, chain)
        folder = self._scratch / f"{_PREFIX}{secrets.token_hex(4)}"
        try:
            await asyncio.to_thread(_write, folder, content_of(core, chain, key_pem))
        except OSError as exc:
            raise RefusedError(
                ErrorCode.UNAVAILABLE, f"the candidate cannot be written: {exc.strerror}"
            ) from exc
        return _Play(chain=tuple(chain), folder=folder, version=None)

    async def _start(self, core: Core, play: _Play, address: Address, seconds: float) -> Rehearsal:
        await self.stop()
        ready: asyncio.Future[Address] = asyncio.get_running_loop().create_future()
        proved: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def last() -> None:
            await proved  # the time of the proof is not taken off
            await core.clock.sleep(seconds)

        self._running = self._tasks.create_task(self._hold(core, play, address, ready, last))
        try:
            async with asyncio.timeout(_START_S):
                where = await ready
        except (DriverError, TimeoutError) as exc:
            await self.stop()
            why = str(exc) or f"not within {_START_S:g} s"
            raise RefusedError(
                ErrorCode.GATEWAY_FAILED, f"it is not served on the second port: {why}"
            ) from exc
        fault = await core.looker.fault(
            [where], play.chain, of_each_kind=core.driver.serves_others
        )
        if fault is not None:
            await self.stop()
            raise RefusedError(
                ErrorCode.GATEWAY_FAILED, f"it is not served on the second port: {fault}"
            )
        proved.set_result(None)
        return Rehearsal(
            address=str(where),
            version=play.version,
            fingerprint=play.chain[0].fingerprint_sha256,
            until=core.clock.now() + timedelta(seconds=seconds),
        )

    async def _hold(
        self,
        core: Core,
        play: _Play,
        address: Address,
        ready: asyncio.Future[Address],
        last: Callable[[], Awaitable[None]],
    ) -> None:
        try:
            # The terminator takes on its configuration as a whole: a fault in some other part of
            # it is in the way of the switch, and is found here before that counts
            await core.driver.check(play.folder)
            async with core.driver.rehearse(play.folder, address) as where:
                if not ready.done():
                    ready.set_result(where)
                await last()
        except DriverError as exc:
            if ready.done():
                log.warning("the rehearsal ended badly: %s", exc)
            else:
                ready.set_exception(exc)
        except Exception:
            log.exception("a driver failed by a fault of its own")
            if not ready.done():
                ready.set_exception(DriverError("a fault of the driver, see the agent's log"))
        finally:
            if play.version is None:
                shutil.rmtree(play.folder, ignore_errors=True)

    async def stop(self) -> None:
        """End the rehearsal that runs, if one does; its port is free afterwards."""
        running, self._running = self._running, None
        if running is not None and not running.done():
            running.cancel()
            await asyncio.wait([running])


def _write(folder: Path, content: Content) -> None:
    folder.mkdir(mode=0o700)
    try:
        files = {**content.further, CHAIN: content.chain_pem, KEY: content.key_pem}
        for name, data in files.items():
            write_private(folder / name, data)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
