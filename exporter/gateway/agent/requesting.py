"""``csr`` and ``validate``: the way to a new certificate, before anything is served."""

import asyncio

from exporter.gateway.agent import kept
from exporter.gateway.agent.answers import RefusedError, Reply, answered
from exporter.gateway.agent.candidates import CSR_KEY
from exporter.gateway.agent.core import Core
from exporter.gateway.agent.devices.acceptance import NEVER_REPORTED
from exporter.gateway.agent.devices.book import TEST_DEVICE
from exporter.gateway.agent.devices.inbox import certificates_in
from exporter.gateway.agent.keys import RequestError, new_key, request_pem
from exporter.gateway.agent.once import Ticket
from exporter.gateway.agent.versions import VersionError
from exporter.gateway.messages import (
    Csr,
    CsrRequest,
    ErrorCode,
    Fingerprint,
    ValidateRequest,
    Validation,
)

_DEFAULT_KEY = "EC P-256"


async def csr(
    core: Core, request: CsrRequest, ticket: Ticket, served: Fingerprint | None
) -> Reply:
    """Make a key of the kind that is served today, and return its request.

    Raises:
        RefusedError: what it should say cannot be said, or the key cannot be written.
        StoreError: it cannot be written down.
    """
    async with core.alone():
        await core.check_served(served)
        current = await core.current()
        like = current.leaf if current else None
        key = await asyncio.to_thread(new_key, like.public_key if like else _DEFAULT_KEY)
        try:
            text = request_pem(
                key, subject=request.subject, dns_names=request.dns_names, like=like
            )
            name = await asyncio.to_thread(core.keys.keep, key)
        except RequestError as exc:
            raise RefusedError(ErrorCode.REFUSED, str(exc)) from exc
        except VersionError as exc:
            raise RefusedError(ErrorCode.UNAVAILABLE, str(exc)) from exc
        reply = answered(Csr(csr=text))
        async with core.journal.store.writing() as connection:
            await ticket.begin(connection)
            await kept.put(connection, CSR_KEY, name)
            await ticket.keep(connection, reply)
        await asyncio.to_thread(core.keys.keep_only, name)
        return reply


async def validate(core: Core, request: ValidateRequest) -> Reply:
    """Return whether a device, or every one that reported its store, would accept a chain.

    Raises:
        RefusedError: it is no chain, or no such device.
    """
    chain = await asyncio.to_thread(certificates_in, request.certificate_chain, "certificateChain")
    if request.device_id != TEST_DEVICE:
        core.devices.check_known(request.device_id)
    answers = await core.devices.ask(chain, only=[request.device_id])
    reasons = dict.fromkeys(reason for one in answers for reason in one.reasons)
    if not answers:  # all of nobody is no yes
        reasons = {NEVER_REPORTED: None}
    return answered(
        Validation(
            valid=bool(answers) and all(one.accepts is True for one in answers),
            reasons=tuple(reasons),
            trusted_by=tuple(dict.fromkeys(one.anchor for one in answers if one.anchor)),
        )
    )
