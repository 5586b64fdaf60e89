"""``rotate``, ``rollback`` and ``confirm``: what else is served, and whether it stays."""

import asyncio
import logging
import secrets
from collections.abc import Sequence
from contextlib import suppress

from exporter.certificates import Certificate
from exporter.errors import StoreError
from exporter.gateway.agent import journal
from exporter.gateway.agent.answers import RefusedError, Reply, answered
from exporter.gateway.agent.candidates import check_chain, check_return, content_of, target_of
from exporter.gateway.agent.changing import operation_of
from exporter.gateway.agent.core import Core
from exporter.gateway.agent.devices.acceptance import objections
from exporter.gateway.agent.devices.inbox import certificates_in
from exporter.gateway.agent.history import Change, Confirmation, Kind, previous_of
from exporter.gateway.agent.once import Ticket
from exporter.gateway.agent.versions import Version, VersionError
from exporter.gateway.messages import (
    ConfirmRequest,
    ErrorCode,
    Fingerprint,
    RollbackRequest,
    RotateRequest,
    ValidationMode,
)

log = logging.getLogger(__name__)

_KEPT_VERSIONS = 20


async def rotate(
    core: Core, request: RotateRequest, ticket: Ticket, served: Fingerprint | None
) -> Reply:
    """Serve a new chain; ``served`` is what must be served at that moment.

    Raises:
        RefusedError: it must not be served; nothing was changed.
        StoreError: it cannot be written down.
    """
    chain = await asyncio.to_thread(certificates_in, request.new_certificate, "newCertificate")
    async with core.alone():
        record = await core.journal.record()
        if record.pending is not None:
            raise RefusedError(
                ErrorCode.IN_PROGRESS,
                f"{record.pending.id} waits for its confirmation until"
                f" {record.pending.confirm_by}; confirm it, or roll back, before another rotation",
            )
        await core.check_served(served)
        key_pem = await check_chain(core, chain)
        if request.validation_mode is ValidationMode.STRICT:
            await _check_devices(core, chain)
        current = await core.current()
        if current is None and request.confirm_within is not None:
            raise RefusedError(
                ErrorCode.REFUSED, "confirmWithin needs an earlier version to go back to"
            )
        number = await _next_version(core)
        change = Change(
            id=_new_id(),
            kind=Kind.ROTATE,
            from_version=current.number if current else None,
            to_version=number,
            started_at=core.clock.now(),
            confirm_within_s=request.confirm_within,
        )
        await intend(core, change, ticket)
        reply = await core.changer.carry_out(change, content_of(core, chain, key_pem))
        with suppress(StoreError):  # it is done and written down
            await _tidy(core)
        return reply


async def rollback(
    core: Core, request: RollbackRequest, ticket: Ticket, served: Fingerprint | None
) -> Reply:
    """Serve an earlier version again; also what nobody confirmed yet may be gone back from.

    Raises:
        RefusedError: it cannot be served; nothing was changed.
        StoreError: it cannot be written down.
    """
    async with core.alone():
        await core.check_served(served)
        current = await core.current()
        target = await target_of(core, request.target_version, await core.journal.record())
        if current is not None and target.number == current.number:
            await _check_not_served(core, target)
        await check_return(core, target)
        change = Change(
            id=_new_id(),
            kind=Kind.ROLLBACK,
            from_version=current.number if current else None,
            to_version=target.number,
            started_at=core.clock.now(),
        )
        await intend(core, change, ticket)
        return await core.changer.carry_out(change, None)


async def confirm(
    core: Core, request: ConfirmRequest, ticket: Ticket, served: Fingerprint | None
) -> Reply:
    """Let a change stay that would be gone back from otherwise.

    Raises:
        RefusedError: it does not wait for it.
        StoreError: it cannot be written down.
    """
    async with core.alone():
        await core.check_served(served)
        change = await core.journal.change(request.operation_id)
        if change is None:
            raise RefusedError(
                ErrorCode.UNKNOWN_OPERATION, f"there is no operation {request.operation_id!r}"
            )
        if change.confirmation in {None, Confirmation.LAPSED}:
            why = "was gone back from, or followed by another" if change.confirmation else "is not"
            raise RefusedError(ErrorCode.REFUSED, f"nothing waits for {change.id}: it {why}")
        reply = answered(operation_of(change))
        async with core.journal.store.writing() as connection:
            await ticket.begin(connection)
            await journal.confirm(connection, change.id)
            await ticket.keep(connection, reply)
        return reply


async def go_back_unconfirmed(core: Core, change: Change) -> None:
    """Go back from a change that nobody confirmed in time; the caller holds the lock.

    Raises:
        StoreError: it cannot be written down.
    """
    assert change.from_version is not None  # noqa: S101 - only such changes wait
    try:
        version = await asyncio.to_thread(core.versions.read, change.from_version)
        await check_return(core, version)
    except (RefusedError, VersionError) as exc:
        log.critical("NOBODY CONFIRMED, and what was before cannot be served: %s", exc)
        async with core.journal.store.writing() as connection:
            await journal.end_other_waits(connection, "")
        return
    back = Change(
        id=_new_id(),
        kind=Kind.UNCONFIRMED,
        from_version=change.to_version,
        to_version=change.from_version,
        started_at=core.clock.now(),
    )
    async with core.journal.store.writing() as connection:
        await journal.end_other_waits(connection, "")
        await journal.intend(connection, back)
    await core.changer.carry_out(back, None)


async def intend(core: Core, change: Change, ticket: Ticket) -> None:
    """Write a change down before it is begun, together with the request for it."""
    async with core.journal.store.writing() as connection:
        await ticket.begin(connection, change.id)
        await journal.intend(connection, change)


async def _check_devices(core: Core, chain: Sequence[Certificate]) -> None:
    against = objections(await core.devices.ask(chain))
    if against is not None:
        sentence, devices = against
        raise RefusedError(ErrorCode.REFUSED, sentence, devices=devices)


async def _check_not_served(core: Core, target: Version) -> None:
    if await core.served_leaf() == target.leaf.fingerprint_sha256:
        raise RefusedError(ErrorCode.REFUSED, f"version {target.number} is served already")


async def _next_version(core: Core) -> int:
    on_disk = await asyncio.to_thread(core.versions.numbers)
    return max([*on_disk, await core.journal.last_version()], default=0) + 1


async def _tidy(core: Core) -> None:
    """Remove the oldest versions that nobody goes back to; what cannot be removed stays."""
    record = await core.journal.record()
    numbers = await asyncio.to_thread(core.versions.numbers)
    wanted = {previous_of(record.activations, record.proven), record.served}
    for number in numbers[:-_KEPT_VERSIONS]:
        if number not in wanted:
            try:
                await asyncio.to_thread(core.versions.remove, number)
            except VersionError as exc:
                log.warning("an old version stays: %s", exc)


def _new_id() -> str:
    return f"op-{secrets.token_hex(8)}"
