"""Carries out one rollback: intended, sent, proven from outside, devices back; or escalated.

Every step is durable before the next begins. After a crash an intent without an end is taken up
by looking: what is served tells how far it came, and what is sent again carries the same key.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from exporter.clock import Clock
from exporter.gateway.api import Fence, GatewayError, GatewayReason, ManagementApi
from exporter.gateway.messages import (
    CertificateVersion,
    GatewayCertificates,
    OperationStatus,
    RollbackRequest,
)
from exporter.remediation.assemble import chain_of
from exporter.remediation.hands import Hands
from exporter.remediation.intents import Ending, Intent, Stage
from exporter.remediation.leases import LEASE_S
from exporter.remediation.options import Options
from exporter.remediation.records import Records

log = logging.getLogger(__name__)

_PAUSE_S = 1.0
_MOST_TRIES = 5
_NOT_SENT_AFTER = timedelta(minutes=10)
# Whatever is sent again gets the same answer
_FINAL = frozenset(
    {
        GatewayReason.CONFLICT,
        GatewayReason.REFUSED,
        GatewayReason.UNAUTHORIZED,
        GatewayReason.NOT_FOUND,
        GatewayReason.PRECONDITION_FAILED,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a step came to; ``ending`` None: the next step may begin.

    Attributes:
        since: When it came to that, by the word of the management API; None: it does not say.
    """

    ending: Ending | None
    detail: str = ""
    since: datetime | None = None


class CarryOut:
    """Serves the previous version, as one intent says.

    Args:
        options: The limits in force, asked for at each step.
        why_stopped: Says why nothing may be sent, or nothing; read again before each send.
    """

    def __init__(
        self,
        records: Records,
        hands: Hands,
        clock: Clock,
        *,
        options: Callable[[], Options],
        why_stopped: Callable[[Intent], Awaitable[str]],
    ) -> None:
        self._records = records
        self._hands = hands
        self._clock = clock
        self._options = options
        self._why_stopped = why_stopped

    async def serve(self, intent: Intent) -> Intent:
        """Bring ``intent`` from intended to served, or to its end; return it as it is then.

        Begins by looking, so that it may be called after a crash as well.

        Raises:
            StoreError: a step could not be made durable; call again later.
            TakenUpError: another process carries it out now.
        """
        told = await self._served(intent)
        stage = Stage.SERVED if told.ending is None else Stage.ENDED
        return await self.advance(intent, stage, told)

    async def advance(
        self, intent: Intent, stage: Stage, told: Told, facts: Mapping[str, object] | None = None
    ) -> Intent:
        """Make it durable that ``intent`` has come to ``stage``; return it as it is kept."""
        now = self._clock.now()
        # Devices that are quick are back before all looks have proved it, and may then stay on
        # one connection for hours: they count from the switch on
        since = told.since if told.since and intent.intended_at <= told.since <= now else now
        body = {"detail": told.detail, **(facts or {})}
        kept = await self._records.advance(
            intent, stage, at=now, since=since, ending=told.ending, facts=body
        )
        level = logging.ERROR if kept.ending not in {None, Ending.RECOVERED} else logging.WARNING
        detail = told.detail if kept.stage_at == since else "by another process on this store"
        log.log(
            level,
            "remediation of %s: %s %s %s",
            intent.identity.gateway,
            kept.stage,
            kept.ending or "",
            detail,
        )
        return kept

    async def _served(self, intent: Intent) -> Told:
        api = self._hands.api(intent.identity.gateway)
        if api is None:
            return Told(ending=Ending.STOPPED, detail="the gateway has no management API any more")
        for attempt in range(_MOST_TRIES):
            told = await self._look(intent, api)
            if told.ending in {None, Ending.OVERTAKEN}:
                return told
            if told.ending is Ending.NOT_SERVED:  # seen, and nothing has changed yet
                refused = await self._send(intent, api)
                if refused is not None:
                    return await self._after_refusal(intent, api, refused)
                told = await self._prove(intent, api)
                if told.ending in {None, Ending.OVERTAKEN}:
                    return told
            await self._clock.sleep(_PAUSE_S * 2**attempt)
        told = await self._look(intent, api)
        if told.ending is Ending.UNPROVEN and not await self._records.was_sent(intent):
            # Once a person has seen to what is in the way, the same may be intended again
            detail = f"nothing was sent: {told.detail}"
            return Told(ending=Ending.NOT_SERVED, detail=detail)
        return told

    async def _look(self, intent: Intent, api: ManagementApi) -> Told:
        """Say what is served now: the target (go on), what was before, or something else."""
        try:
            certificates = await api.certificates()
        except GatewayError as exc:
            return Told(ending=Ending.UNPROVEN, detail=f"its versions cannot be learned: {exc}")
        target = _target_in(certificates, intent)
        chain = [one.fingerprint_sha256 for one in chain_of(target)]
        looked = await self._hands.look(intent.identity.gateway, chain, intent.fingerprint)
        if not looked.fault:
            return Told(ending=None, since=target.activated_at if target else None)
        if looked.fingerprint == intent.fingerprint or looked.fingerprint is None:
            return Told(ending=Ending.UNPROVEN, detail=looked.fault)
        if looked.fingerprint == intent.rolled_away:
            return Told(ending=Ending.NOT_SERVED, detail="it serves what it served before")
        return Told(
            ending=Ending.OVERTAKEN,
            detail=f"it serves {looked.fingerprint[:16]}, which is neither; somebody changed it",
        )

    async def _send(self, intent: Intent, api: ManagementApi) -> Told | None:
        """Send the request; None: it may have been carried out, so look."""
        stopped = await self._why_stopped(intent)
        if stopped:
            return Told(ending=Ending.STOPPED, detail=stopped)
        now = self._clock.now()
        if now - intent.intended_at > _NOT_SENT_AFTER:
            detail = "its evidence is too old for it to be sent, or sent again"
            return Told(ending=Ending.STOPPED, detail=detail)
        began_s = self._clock.monotonic()
        if not await self._records.sends(intent, at=now):
            return Told(ending=Ending.STOPPED, detail="another process on this store ended it")
        if self._clock.monotonic() - began_s >= LEASE_S:
            return None  # we were stopped: another one may have taken it up, so look and ask again
        fence = Fence(
            idempotency_key=intent.key,
            serving=intent.rolled_away,
            operation_number=intent.operation_number,
        )
        request = RollbackRequest(target_version=intent.identity.target_version)
        try:
            answer = await api.rollback(request, fence)
        except GatewayError as exc:
            await self.note(intent, {"error": str(exc), "reason": exc.reason})
            return _told_of(exc)
        await self.note(intent, {"answer": answer.status, "detail": answer.detail})
        if answer.status is OperationStatus.SUCCESS:
            return None
        return Told(ending=Ending.NOT_SERVED, detail=answer.detail or str(answer.status))

    async def note(self, intent: Intent, facts: Mapping[str, object]) -> None:
        """Make durable what was tried, seen or answered on the way."""
        await self._records.attempt(intent, at=self._clock.now(), facts=facts)

    async def _after_refusal(self, intent: Intent, api: ManagementApi, refused: Told) -> Told:
        """Look once more: what the API says proves nothing, in neither direction."""
        seen = await self._look(intent, api)
        if seen.ending in {None, Ending.OVERTAKEN}:
            return seen
        if seen.ending is Ending.UNPROVEN and refused.ending is not Ending.STOPPED:
            return Told(ending=Ending.UNPROVEN, detail=f"{refused.detail}; {seen.detail}")
        return refused

    async def _prove(self, intent: Intent, api: ManagementApi) -> Told:
        """Look until every way shows the target, for as long as a proof may take."""
        deadline_s = self._clock.monotonic() + self._options().proof_within
        while True:
            told = await self._look(intent, api)
            if told.ending in {None, Ending.OVERTAKEN} or self._clock.monotonic() >= deadline_s:
                return told
            await self._clock.sleep(_PAUSE_S)


def _target_in(certificates: GatewayCertificates, intent: Intent) -> CertificateVersion | None:
    number = intent.identity.target_version
    return next((one for one in certificates.versions if one.version == number), None)


def _told_of(error: GatewayError) -> Told | None:
    """Return the end that an error means; None: whether it was carried out is to be seen."""
    if error.is_outcome_unknown or error.retryable:
        return None
    return Told(ending=Ending.NOT_SERVED, detail=str(error)) if error.reason in _FINAL else None
