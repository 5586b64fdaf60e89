"""What the agent does by itself: settle, prove, go back when nobody confirms, forget."""

import asyncio
import logging
import math

from exporter.errors import StoreError
from exporter.gateway.agent.core import Core
from exporter.gateway.agent.driver import DriverError
from exporter.gateway.agent.history import Way
from exporter.gateway.agent.journal import Record
from exporter.gateway.agent.once import Once
from exporter.gateway.agent.switching import go_back_unconfirmed
from exporter.gateway.agent.versions import Version, VersionError

log = logging.getLogger(__name__)

_WAITING_S = 0.5
_ALIVE_S = 5.0
_SETTLE_EVERY_S = 2.0
_LOOK_EVERY_S = 30.0
_FORGET_EVERY_S = 3_600.0


async def restore_current(core: Core) -> None:
    """Let ``current`` lead to what was served last, where it leads nowhere.

    A terminator that starts before the agent has looked would find nothing to serve.

    Raises:
        StoreError: nobody can say what was served.
        VersionError: it cannot be done.
    """
    record = await core.journal.record()
    pointed_to = await asyncio.to_thread(core.versions.pointed_to)
    if pointed_to is None and record.served is not None:
        log.error("current was lost; it leads to version %s again", record.served)
        await asyncio.to_thread(core.versions.point_to, record.served)


async def wait_for_confirmation(core: Core) -> None:
    """Go back from what nobody confirms in time, until cancelled."""
    while True:
        try:
            await _go_back_when_due(core)
        except StoreError as exc:
            log.warning("nobody can say what waits for a confirmation: %s", exc)
        await core.clock.sleep(_WAITING_S)


async def _go_back_when_due(core: Core) -> None:
    change = (await core.journal.record()).pending
    if change is None or change.confirm_by is None or core.clock.now() < change.confirm_by:
        return
    async with core.changer.lock:
        pending = (await core.journal.record()).pending
        if pending is None or pending.id != change.id:
            return  # confirmed, or followed by another, while we waited for our turn
        await core.changer.settle()
        log.error("nobody confirmed in time: going back id=%s", change.id)
        await go_back_unconfirmed(core, change)


async def look_after(core: Core, once: Once) -> None:
    """Settle what was interrupted, and keep the record true, until cancelled."""
    look_at, unknown_s, is_known = -math.inf, _SETTLE_EVERY_S, False
    forgotten_at = core.clock.monotonic()
    while True:
        now = core.clock.monotonic()
        try:
            if now >= look_at or (is_known and await _is_changed_by_hand(core)):
                # Whoever changes something by hand, or starts the terminator after us, is about
                # to: soon again, and more and more seldom
                unknown_s = _SETTLE_EVERY_S if is_known else min(2 * unknown_s, _LOOK_EVERY_S)
                is_known, look_at = False, now + unknown_s
                is_known = await _look(core)
                look_at = now + _LOOK_EVERY_S if is_known else look_at
            else:
                await _settle_interrupted(core)
            if now >= forgotten_at + _FORGET_EVERY_S:
                forgotten_at = now
                await once.forget()
        except (StoreError, VersionError) as exc:
            log.warning("the agent cannot look after its gateway: %s", exc)
        await core.clock.sleep(_SETTLE_EVERY_S)


async def _settle_interrupted(core: Core) -> None:
    """Whoever asks with the same key again is answered only once this has looked."""
    if not core.changer.lock.locked() and await core.journal.unfinished():
        async with core.changer.lock:
            await core.changer.settle()


async def _is_changed_by_hand(core: Core) -> bool:
    served = (await core.journal.record()).served
    return await asyncio.to_thread(core.versions.pointed_to) != served


async def _look(core: Core) -> bool:
    """Return whether it is known that what is current is served."""
    if core.changer.lock.locked():
        return False
    if not await _is_alive(core):
        log.warning("the terminator does not run, or does not answer")
    async with core.changer.lock:
        await core.changer.settle()
    record, current = await core.journal.record(), await core.current()
    if current is None:
        return False
    if current.number == record.served and current.number in record.proven:
        return True
    # Without the lock: whoever wants to roll back now must not wait for a look
    fault = await core.changer.fault_of(current.number, is_passing=True)
    if fault is not None:
        log.warning("version %s is current, but not proved: %s", current.number, fault)
        return False
    async with core.changer.lock:
        is_as_seen = await core.journal.record() == record and await core.current() == current
        if is_as_seen:
            await _note_served(core, record, current)
    return is_as_seen


async def _is_alive(core: Core) -> bool:
    try:
        async with asyncio.timeout(_ALIVE_S):
            return await core.driver.is_alive()
    except (DriverError, TimeoutError):
        return False


async def _note_served(core: Core, record: Record, current: Version) -> None:
    now = core.clock.now()
    if current.number != record.served:
        log.warning("version %s is served; somebody changed it by hand", current.number)
        await core.journal.activated(current.number, Way.FORWARD, now)
    await core.journal.proved(current.number, now)
