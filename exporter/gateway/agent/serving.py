"""``GET /gateway/certificates``: what is served, and which versions there are."""

import asyncio
import logging
from datetime import datetime

from exporter.gateway.agent.core import Core
from exporter.gateway.agent.driver import DriverError
from exporter.gateway.agent.history import previous_of
from exporter.gateway.agent.journal import Record
from exporter.gateway.agent.versions import Version, pem_of
from exporter.gateway.messages import (
    CertificateVersion,
    Fingerprint,
    GatewayCertificates,
    Serving,
    VersionState,
)

log = logging.getLogger(__name__)

_MEMORY_S = 5.0


async def certificates(core: Core) -> GatewayCertificates:
    """Return what is served by a look from outside, and all versions.

    Raises:
        StoreError: the record cannot be read.
    """
    record = await core.journal.record()
    served, held, versions = await asyncio.gather(
        core.served_leaf(), _in_memory(core), core.all_versions()
    )
    current = await asyncio.to_thread(core.versions.pointed_to)
    return GatewayCertificates(
        serving=_serving(served, versions, current),
        memory=_serving(held, versions, current),
        tickets=core.driver.tickets,
        last_operation_number=record.last_operation_number,
        activation_number=record.activations[-1].number if record.activations else 0,
        pending_confirmation=record.pending.id if record.pending else None,
        versions=tuple(_described(one, record, current) for one in versions),
    )


async def _in_memory(core: Core) -> Fingerprint | None:
    try:
        async with asyncio.timeout(_MEMORY_S):
            return await core.driver.in_memory()
    except (DriverError, TimeoutError) as exc:
        log.warning("the terminator does not tell what it holds: %s", exc)
        return None


def _serving(leaf: Fingerprint | None, versions: list[Version], current: int | None) -> Serving:
    numbers = [one.number for one in versions if one.leaf.fingerprint_sha256 == leaf]
    version = current if current in numbers else max(numbers, default=None)
    return Serving(version=version, fingerprint=leaf)


def _described(version: Version, record: Record, current: int | None) -> CertificateVersion:
    state = VersionState.OLD
    if version.number == current:
        state = VersionState.CURRENT
    elif version.number == previous_of(record.activations, record.proven):
        state = VersionState.PREVIOUS
    return CertificateVersion(
        version=version.number,
        state=state,
        fingerprint=version.leaf.fingerprint_sha256,
        not_before=version.leaf.not_before,
        not_after=version.leaf.not_after,
        activated_at=_activated_at(version.number, record),
        proven=version.number in record.proven,
        key_usable=version.is_key_usable,
        chain=pem_of(version.chain),
    )


def _activated_at(version: int, record: Record) -> datetime | None:
    return next((one.at for one in reversed(record.activations) if one.version == version), None)
