"""Changes what the terminator serves, one change at a time, and goes back where that fails."""

import asyncio
import logging
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar

from exporter.clock import Clock
from exporter.errors import StoreError
from exporter.gateway.agent.answers import Reply, answered, failed
from exporter.gateway.agent.driver import Driver, DriverError
from exporter.gateway.agent.history import Change, Confirmation, Kind, Step
from exporter.gateway.agent.journal import Journal, finish
from exporter.gateway.agent.looking import Looker
from exporter.gateway.agent.once import keep_answer_of
from exporter.gateway.agent.versions import Content, VersionError, Versions
from exporter.gateway.agent.vetting import kind_of
from exporter.gateway.messages import ErrorCode, Operation, OperationStatus

log = logging.getLogger(__name__)

_CHECK_S = 30.0
_CHECK_AGAIN_S = 10.0
_APPLY_S = 60.0
_Result = TypeVar("_Result")


class Changer:
    """Carries changes out; whoever calls holds ``lock``.

    The order is the safety: an intent is in the store before anything is done; the new version is
    whole on the disk before ``current`` leads to it; success is what was seen from outside.

    Attributes:
        lock: Held while what is served may change.
    """

    def __init__(
        self, driver: Driver, versions: Versions, journal: Journal, looker: Looker, clock: Clock
    ) -> None:
        self.lock = asyncio.Lock()
        self._driver = driver
        self._versions = versions
        self._journal = journal
        self._looker = looker
        self._clock = clock

    async def carry_out(self, change: Change, content: Content | None) -> Reply:
        """Return how an intended change ended, as it is answered.

        Args:
            change: Its intent is durable.
            content: What the new version holds; None: the version is there already.

        Raises:
            StoreError: how it ended could not be written; ``settle`` finds it out later.
        """
        refusal = await self._prepare(change, content)
        if refusal is not None:
            code, why = refusal
            if content is not None:
                await self._discard(change.to_version)
            return await self._end(change, OperationStatus.FAILED, why, code=code)
        change = await self._journal.at_step(change, Step.SWITCHING)
        change = replace(change, switched_at=self._clock.now())
        fault = await self._serve(change.to_version, change)
        if fault is not None:
            return await self._go_back(change, fault)
        return await self._end(change, OperationStatus.SUCCESS, "", proven=change.to_version)

    async def settle(self) -> None:
        """Find out how interrupted changes ended, by looking, and bring them to an end.

        Raises:
            StoreError: the store cannot be used.
        """
        for change in await self._journal.unfinished():
            log.warning(
                "a change was interrupted: looking at what is served id=%s step=%s",
                change.id,
                change.step,
            )
            await self._settle(change)

    async def _settle(self, change: Change) -> Reply:
        pointed_to = await asyncio.to_thread(self._versions.pointed_to)
        if change.step is Step.INTENDED:
            why = "it was interrupted before anything was changed"
            if change.kind is Kind.ROTATE:
                await self._discard(change.to_version)
            return await self._end(change, OperationStatus.FAILED, why)
        if change.step is Step.SWITCHING and pointed_to == change.to_version:
            fault = await self.fault_of(change.to_version)
            if fault is None:
                why = "it was interrupted, and found to be served"
                return await self._end(
                    change, OperationStatus.SUCCESS, why, proven=change.to_version
                )
        return await self._go_back(change, "it was interrupted in the middle of the switch")

    async def fault_of(self, number: int, *, is_passing: bool = False) -> str | None:
        """Return why it is not proved that a version is served; None: it is proved.

        Args:
            number: Of the version.
            is_passing: Look once: nothing was changed.
        """
        try:
            version = await asyncio.to_thread(self._versions.read, number)
        except VersionError as exc:
            return str(exc)
        return await self._looker.fault(
            self._driver.addresses,
            version.chain,
            within_s=0 if is_passing else None,
            of_each_kind=not is_passing and await self._may_show_another_kind(),
        )

    async def _prepare(
        self, change: Change, content: Content | None
    ) -> tuple[ErrorCode, str] | None:
        """Do all that leaves what is served untouched; return why it must not be touched."""
        number, untouched = change.to_version, "; nothing that is served was changed"
        try:
            if content is not None:
                await asyncio.to_thread(self._versions.write, number, content, self._clock.now())
            await self._check(number)
        except VersionError as exc:
            return ErrorCode.GATEWAY_FAILED, f"{exc}{untouched}"
        except DriverError as exc:
            whose = await self._whose_fault(change, str(exc))
            return ErrorCode.REFUSED, f"the terminator refuses it: {exc}{whose}{untouched}"
        return None

    async def _check(self, number: int, *, within_s: float = _CHECK_S) -> None:
        folder = self._versions.folder_of(number)
        await _within(within_s, self._driver.check(folder), "check its configuration")

    async def _whose_fault(self, change: Change, said: str) -> str:
        """Return that the fault is not the certificate's, where what is served is refused too.

        A terminator checks its configuration as a whole, and takes it on as a whole: a fault of
        its operator's in some other place is in the way of every change, the way back as well.
        """
        if change.from_version is None:
            return ""
        try:
            await self._check(change.from_version, within_s=_CHECK_AGAIN_S)
        except DriverError as exc:
            words = "in the same words" if str(exc) == said else f"too: {exc}"
            return (
                f"; it refuses version {change.from_version}, which is served, {words}:"
                " the fault is not in the certificate but in the terminator or its own"
                " configuration; put that right, let the terminator check it, and ask again"
            )
        return ""

    async def _serve(self, number: int, change: Change) -> str | None:
        """Switch to a version; return why it is not proved to be served."""
        try:
            same_key_kind = await asyncio.to_thread(self._has_same_key_kind, change)
            folder = await asyncio.to_thread(self._versions.point_to, number)
            await _within(
                _APPLY_S, self._driver.apply(folder, same_key_kind=same_key_kind), "take it on"
            )
        except (VersionError, DriverError) as exc:
            return str(exc)
        return await self.fault_of(number)

    async def _may_show_another_kind(self) -> bool:
        """Whether a client that cannot use a key of this kind may find an older leaf all the same.

        Where none can, it is not looked as such a client: the terminator would log a refusal.
        """
        if self._driver.serves_others:
            return True
        return len(await asyncio.to_thread(self._kinds)) > 1

    def _kinds(self) -> set[str]:
        kinds = set()
        for number in self._versions.numbers():
            with suppress(VersionError):
                kinds.add(kind_of(self._versions.read(number).leaf))
        return kinds

    def _has_same_key_kind(self, change: Change) -> bool:
        if change.from_version is None:
            return False
        before, after = (
            self._versions.read(number) for number in (change.from_version, change.to_version)
        )
        return kind_of(before.leaf) == kind_of(after.leaf)

    async def _go_back(self, change: Change, why: str) -> Reply:
        log.error("going back id=%s to_version=%s: %s", change.id, change.from_version, why)
        back_to = change.from_version
        if back_to is None:
            why = f"{why}; there is no earlier version to go back to"
            return await self._end(change, OperationStatus.FAILED, why)
        try:
            change = await self._journal.at_step(change, Step.RETURNING)
        except StoreError:
            # Known to be on the way already: going back does not wait for a disk
            log.exception("the way back could not be written down")
        fault = await self._serve(back_to, change)
        if fault is None:
            why = f"{why}; version {change.from_version} is served again"
            return await self._end(
                change, OperationStatus.ROLLED_BACK, why, proven=change.from_version
            )
        why = (
            f"{why}; and version {change.from_version} could not be put back: {fault};"
            " a person must look at what is served now, nothing more is changed"
        )
        log.critical("NEITHER VERSION IS PROVED TO BE SERVED id=%s: %s", change.id, why)
        return await self._end(change, OperationStatus.FAILED, why)

    async def _discard(self, number: int) -> None:
        try:
            await asyncio.to_thread(self._versions.remove, number)
        except VersionError as exc:
            log.info("what was refused stays on the disk: %s", exc)

    async def _end(
        self,
        change: Change,
        status: OperationStatus,
        detail: str,
        *,
        proven: int | None = None,
        code: ErrorCode = ErrorCode.GATEWAY_FAILED,
    ) -> Reply:
        ended_at = self._clock.now()
        is_good = status is OperationStatus.SUCCESS
        awaited_s = change.confirm_within_s if is_good else None
        change = replace(
            change,
            step=Step.DONE,
            status=status,
            detail=detail,
            ended_at=ended_at,
            confirm_by=None if awaited_s is None else ended_at + timedelta(seconds=awaited_s),
            confirmation=None if awaited_s is None else Confirmation.AWAITED,
        )
        operation = operation_of(change)
        reply = answered(operation) if is_good else failed(code, operation, detail)
        async with self._journal.store.writing() as connection:
            await finish(connection, change, proven)
            await keep_answer_of(connection, change.id, reply)
        log.log(
            logging.INFO if is_good else logging.ERROR,
            "%s ended id=%s from_version=%s to_version=%s status=%s: %s",
            change.kind,
            change.id,
            change.from_version,
            change.to_version,
            status,
            detail or "proved",
        )
        return reply


def operation_of(change: Change) -> Operation:
    """Return a change that is over as it is answered."""
    assert change.status is not None  # noqa: S101 - it is over
    return Operation(
        operation_id=change.id,
        from_version=change.from_version,
        to_version=change.to_version,
        status=change.status,
        detail=change.detail,
        confirm_by=change.confirm_by,
    )


async def _within(seconds: float, work: Awaitable[_Result], what: str) -> _Result:
    """Return what ``work`` does; a terminator that takes too long refuses.

    Raises:
        DriverError: as the work, or it took too long.
    """
    try:
        async with asyncio.timeout(seconds):
            return await work
    except TimeoutError as exc:
        raise DriverError(f"the terminator did not {what} within {seconds:g} s") from exc
    except DriverError:
        raise
    except Exception as exc:
        # Whatever it is: the way back must be gone
        log.exception("a driver failed by a fault of its own")
        raise DriverError("a fault of the driver, see the agent's log") from exc
