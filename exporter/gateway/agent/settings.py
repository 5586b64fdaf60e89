"""``PUT /gateway/config``: how much is logged of handshakes, and when that ends by itself."""

import asyncio
import logging
from datetime import timedelta

from exporter.clock import Clock
from exporter.errors import StoreError
from exporter.gateway.agent import kept
from exporter.gateway.agent.answers import RefusedError, Reply, answered
from exporter.gateway.agent.core import Core
from exporter.gateway.agent.driver import DriverError
from exporter.gateway.agent.once import Ticket
from exporter.gateway.messages import (
    DebugLevel,
    ErrorCode,
    Fingerprint,
    Settings,
    SettingsRequest,
)
from exporter.store import Store
from exporter.transaction import Transaction

log = logging.getLogger(__name__)

_NAME = "settings"
_USUAL = Settings(debug_level=DebugLevel.NORMAL, log_handshakes=False)
_DRIVER_S = 30.0
_LOOK_EVERY_S = 1.0


class SettingsKeeper:
    """Keeps the settings in force, also over a restart of either side.

    Args:
        verbose_s: For how long verbose logging stays on.
    """

    def __init__(self, store: Store, clock: Clock, *, verbose_s: float) -> None:
        self._store = store
        self._clock = clock
        self._verbose_s = verbose_s
        self._is_in_force = False

    async def configure(
        self, core: Core, request: SettingsRequest, ticket: Ticket, served: Fingerprint | None
    ) -> Reply:
        """Change settings; what is not said stays.

        Raises:
            RefusedError: the terminator does not take them on; the last ones stay.
            StoreError: they cannot be written down.
        """
        async with core.alone():
            await core.check_served(served)
            before = await self._kept()
            wanted = self._changed(before, request)
            async with self._store.writing() as connection:
                await ticket.begin(connection)
                await _keep(connection, wanted)
            self._is_in_force = False
            try:
                await self._apply(core, wanted)
                reply, in_force = answered(wanted), wanted
            except DriverError as exc:
                refusal = RefusedError(
                    ErrorCode.GATEWAY_FAILED, f"the terminator does not take it on: {exc}"
                )
                reply, in_force = refusal.reply, before
            async with self._store.writing() as connection:
                await _keep(connection, in_force)
                await ticket.keep(connection, reply)
            return reply

    async def run(self, core: Core) -> None:
        """Bring the kept settings into force, and end what is over, until cancelled."""
        while True:
            try:
                await self._look_after(core)
            except (DriverError, StoreError) as exc:
                log.warning("the settings are not in force: %s", exc)
            await self._clock.sleep(_LOOK_EVERY_S)

    async def _look_after(self, core: Core) -> None:
        settings = await self._kept()
        until = settings.verbose_until
        is_over = until is not None and self._clock.now() >= until
        if (self._is_in_force and not is_over) or core.changer.lock.locked():
            return
        async with core.changer.lock:
            settings = await self._kept()
            if is_over and settings.verbose_until == until:
                settings = _USUAL.model_copy(update={"log_handshakes": settings.log_handshakes})
                log.info("verbose logging ends: its time is over")
            await self._apply(core, settings)
            async with self._store.writing() as connection:
                await _keep(connection, settings)

    def _changed(self, before: Settings, request: SettingsRequest) -> Settings:
        level = before.debug_level if request.debug_level is None else request.debug_level
        until = before.verbose_until
        if request.debug_level is DebugLevel.VERBOSE:
            until = self._clock.now() + timedelta(seconds=self._verbose_s)
        return Settings(
            debug_level=level,
            log_handshakes=(
                before.log_handshakes if request.log_handshakes is None else request.log_handshakes
            ),
            verbose_until=until if level is DebugLevel.VERBOSE else None,
        )

    async def _apply(self, core: Core, settings: Settings) -> None:
        try:
            async with asyncio.timeout(_DRIVER_S):
                await core.driver.log_handshakes(settings.debug_level, on=settings.log_handshakes)
        except TimeoutError as exc:
            raise DriverError(f"not within {_DRIVER_S:g} s") from exc
        self._is_in_force = True

    async def _kept(self) -> Settings:
        async with self._store.reading() as connection:
            text = await kept.get(connection, _NAME)
        return _USUAL if text is None else Settings.model_validate_json(text)


async def _keep(connection: Transaction, settings: Settings) -> None:
    await kept.put(connection, _NAME, settings.model_dump_json(by_alias=True))
