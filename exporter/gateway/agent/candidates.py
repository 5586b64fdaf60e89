"""What may be served: a new chain whose key is here, or a version there is already."""

import asyncio
from collections.abc import Sequence

from exporter.certificates import UNREADABLE, Certificate
from exporter.gateway.agent import kept
from exporter.gateway.agent.answers import RefusedError
from exporter.gateway.agent.core import Core
from exporter.gateway.agent.history import previous_of
from exporter.gateway.agent.journal import Record
from exporter.gateway.agent.keys import key_id
from exporter.gateway.agent.versions import Content, Version, VersionError, pem_of
from exporter.gateway.agent.vetting import Surroundings, faults_at_return, faults_of
from exporter.gateway.messages import ErrorCode

CSR_KEY = "csr_key"
"""Under this name it is kept which key the last certificate request was for."""


async def check_chain(core: Core, chain: Sequence[Certificate]) -> bytes:
    """Return the key of a chain that may be served as far as it goes by itself.

    Raises:
        RefusedError: it must not be, or its key is not here.
    """
    current = await core.current()
    if current is not None and list(chain) == list(current.chain):
        raise RefusedError(
            ErrorCode.REFUSED, f"this very chain is version {current.number}, the current one"
        )
    versions = await core.all_versions()
    around = Surroundings(
        replaced=current.leaf if current else None,
        anchors=await core.devices.anchors(),
        seen=[one for version in versions for one in version.chain[1:]],
    )
    faults = await asyncio.to_thread(faults_of, chain, around, at=core.clock.now())
    if faults:
        raise RefusedError(ErrorCode.REFUSED, "; ".join(faults))
    key_pem = await _key_for(core, chain[0], versions)
    if key_pem is None:
        raise RefusedError(
            ErrorCode.REFUSED,
            "the leaf's key is neither that of the last csr nor of a version: ask for a csr and"
            " let the CA sign that one",
        )
    return key_pem


async def check_return(core: Core, target: Version) -> None:
    """Return when an earlier version may be served again.

    Raises:
        RefusedError: it must not be.
    """
    if not target.is_key_usable:
        raise RefusedError(
            ErrorCode.REFUSED, f"the key of version {target.number} is lost, or another's"
        )
    faults = await asyncio.to_thread(faults_at_return, target.chain, at=core.clock.now())
    if faults:
        raise RefusedError(ErrorCode.REFUSED, f"version {target.number}: {'; '.join(faults)}")


async def target_of(core: Core, wanted: str | int, record: Record) -> Version:
    """Return the version that is meant.

    Raises:
        RefusedError: there is no such one.
    """
    number = wanted if isinstance(wanted, int) else previous_of(record.activations, record.proven)
    if number is None:
        raise RefusedError(
            ErrorCode.UNKNOWN_VERSION,
            "there is no previous version: none before today's was served and proven",
        )
    try:
        return await asyncio.to_thread(core.versions.read, number)
    except VersionError as exc:
        raise RefusedError(ErrorCode.UNKNOWN_VERSION, str(exc)) from exc


def content_of(core: Core, chain: Sequence[Certificate], key_pem: bytes) -> Content:
    """Return what a version's folder holds for ``chain``."""
    chain_pem = pem_of(chain).encode()
    return Content(
        chain_pem=chain_pem,
        key_pem=key_pem,
        further=core.driver.further_files(chain_pem, key_pem),
    )


async def _key_for(core: Core, leaf: Certificate, versions: Sequence[Version]) -> bytes | None:
    try:
        wanted = key_id(leaf.parsed().public_key())
    except UNREADABLE:
        return None
    async with core.journal.store.reading() as connection:
        is_last_request = await kept.get(connection, CSR_KEY) == wanted
    if is_last_request:
        fresh = await asyncio.to_thread(core.keys.pem, wanted)
        if fresh is not None:
            return fresh
    return await asyncio.to_thread(_key_of_a_version, core, wanted, versions)


def _key_of_a_version(core: Core, wanted: str, versions: Sequence[Version]) -> bytes | None:
    for version in reversed(versions):
        if version.is_key_usable and key_id(version.leaf.parsed().public_key()) == wanted:
            return core.versions.key_pem(version.number)
    return None
