"""Keeps known whether each gateway could be rolled back: looks often, rehearses seldom."""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Collection

from exporter.clock import Clock, every
from exporter.errors import ExporterError, StoreError
from exporter.gateway.api import Fence, GatewayError, ManagementApi
from exporter.gateway.messages import RehearseRequest
from exporter.modes import Mode
from exporter.remediation.assemble import chain_of, previous_in
from exporter.remediation.hands import Hands
from exporter.remediation.model import Evidence, PreviousVersion, VersionsFact
from exporter.remediation.options import Options
from exporter.remediation.readiness import (
    Readiness,
    Rehearsed,
    is_rehearsal_due,
    readiness_of,
    why_not_now,
)
from exporter.remediation.records import Records
from exporter.remediation.stats import RemediationStats

log = logging.getLogger(__name__)

_CHECK_S = 60.0
_AT_ONCE = 8
_SERVED_FOR_S = 60.0
_MOST_CHARS = 400


class NotRehearsedError(ExporterError):
    """Nothing may be rehearsed at this moment, or there is nothing to rehearse."""


class WayBack:
    """Judges each gateway that has a management API, and has its previous version rehearsed.

    A rehearsal changes nothing that devices meet: the version is served on the agent's second
    port by an instance of its own. It is not begun while somebody is at work on the gateway.

    Args:
        evidence: All that is known of a gateway, looked at now.
        gateways: Those of the inventory.
        is_asked_for: Whether an alert about a gateway fires: then nothing may come in the way.
    """

    def __init__(  # noqa: PLR0913 - each is another part of the service
        self,
        hands: Hands,
        records: Records,
        clock: Clock,
        stats: RemediationStats,
        *,
        options: Callable[[], Options],
        evidence: Callable[[str], Awaitable[Evidence]],
        gateways: Callable[[], Collection[str]],
        is_asked_for: Callable[[str], bool],
    ) -> None:
        self._hands = hands
        self._records = records
        self._clock = clock
        self._stats = stats
        self._options = options
        self._evidence = evidence
        self._gateways = gateways
        self._is_asked_for = is_asked_for
        self._locks: dict[str, asyncio.Lock] = {}

    async def run(self) -> None:
        """Look at every gateway again and again, until cancelled."""
        await every(_CHECK_S, self.check_all, self._clock)

    async def check_all(self) -> None:
        """Judge every gateway; rehearse what is due."""
        names = [name for name in self._gateways() if self._hands.api(name) is not None]
        if self._options().mode is Mode.DISABLED:
            names = []  # nothing is asked, so nothing is known
        for name in self._stats.ready.keys() - set(names):
            del self._stats.ready[name]
        turns = asyncio.Semaphore(_AT_ONCE)
        async with asyncio.TaskGroup() as tasks:
            for name in names:
                tasks.create_task(self._in_turn(name, turns))

    async def _in_turn(self, gateway: str, turns: asyncio.Semaphore) -> None:
        async with turns:
            try:
                await self.check(gateway)
            except StoreError as exc:
                # What was judged before may be so no more
                self._stats.ready.pop(gateway, None)
                log.warning("the way back of %s waits for the store: %s", gateway, exc)
            except Exception:
                self._stats.ready.pop(gateway, None)
                log.exception("the way back of %s could not be judged", gateway)

    async def check(self, gateway: str) -> Readiness:
        """Judge one gateway by what is known now; rehearse first where that is due.

        Raises:
            StoreError: the store cannot be used.
        """
        async with self._alone(gateway):
            evidence = await self._evidence(gateway)
            last = await self._records.rehearsed(gateway)
            now = self._clock.now()
            is_due = is_rehearsal_due(evidence, last, self._options(), now=now)
            if is_due and not self._is_asked_for(gateway):
                last = await self._rehearse(evidence)
            return self._keep(evidence, last)

    async def rehearse(self, gateway: str, *, by: str) -> Readiness:
        """Rehearse now, because a person asks.

        Raises:
            NotRehearsedError: it cannot be, or not now; with the reason.
            StoreError: the store cannot be used.
        """
        if self._hands.api(gateway) is None:
            raise NotRehearsedError(f"{gateway} is no gateway with a management API")
        async with self._alone(gateway):
            evidence = await self._evidence(gateway)
            why = why_not_now(evidence, self._options())
            if not why and (evidence.versions is None or evidence.versions.previous is None):
                detail = evidence.versions_detail
                why = detail or "it has no earlier version that was served and proven"
            if why:
                raise NotRehearsedError(f"nothing is rehearsed on {gateway}: {why}")
            return self._keep(evidence, await self._rehearse(evidence, by))

    def _alone(self, gateway: str) -> asyncio.Lock:
        """Return what one rehearsal at a time holds: the next would end the one before."""
        return self._locks.setdefault(gateway, asyncio.Lock())

    def _keep(self, evidence: Evidence, last: Rehearsed | None) -> Readiness:
        told = readiness_of(evidence, last, self._options(), now=self._clock.now())
        before = self._stats.ready.get(told.gateway)
        if before is None or (before.is_ready, before.version) != (told.is_ready, told.version):
            if told.is_ready:
                log.info("%s could go back to version %s", told.gateway, told.version)
            elif told.is_first:
                log.info("%s serves its first version: there is nothing to undo", told.gateway)
            else:
                log.warning("%s could not be rolled back: %s", told.gateway, told.reason)
        self._stats.ready[told.gateway] = told
        return told

    async def _rehearse(self, evidence: Evidence, by: str = "") -> Rehearsed:
        api, versions = self._hands.api(evidence.gateway), evidence.versions
        if api is None or versions is None or versions.previous is None:
            raise ValueError("there is nothing to rehearse")
        fault = await self._fault(evidence.gateway, api, versions, versions.previous)
        told = Rehearsed(
            gateway=evidence.gateway,
            version=versions.previous.number,
            fingerprint=versions.previous.fingerprint,
            at=self._clock.now(),
            fault=fault[:_MOST_CHARS],
        )
        await self._records.note_rehearsal(told, by=by)
        return told

    async def _fault(
        self, gateway: str, api: ManagementApi, versions: VersionsFact, previous: PreviousVersion
    ) -> str:
        """Return why the second port does not show the previous version whole; empty: it does."""
        request = RehearseRequest(target_version=previous.number, seconds=_SERVED_FOR_S)
        fence = Fence(
            idempotency_key=f"rehearsal:{secrets.token_hex(16)}",
            serving=versions.current_fingerprint,
        )
        try:
            target = previous_in(await api.certificates())
            answer = await api.rehearse(request, fence)
        except GatewayError as exc:
            return str(exc)
        chain = [one.fingerprint_sha256 for one in chain_of(target)]
        if chain[:1] != [previous.fingerprint]:
            return "the API does not tell the chain of the previous version"
        met = await self._hands.meet(gateway, answer.address, chain, previous.fingerprint)
        return met.fault and f"on the second port {answer.address}: {met.fault}"
