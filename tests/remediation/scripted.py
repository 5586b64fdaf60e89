"""A gateway and its devices as a script says; what is durable is durable in a real store."""

import asyncio
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from datetime import datetime, timedelta
from typing import TypeVar, cast

from exporter.gateway.api import Fence, GatewayError, GatewayReason, ManagementApi
from exporter.gateway.messages import (
    CertificateVersion,
    GatewayCertificates,
    Operation,
    OperationStatus,
    Recovery,
    RecoveryRequest,
    Rehearsal,
    RehearseRequest,
    RollbackRequest,
    Serving,
    VersionState,
)
from exporter.remediation.hands import Looked, Returned
from exporter.remediation.model import AlertState, Evidence
from tests.fake_clock import FakeClock
from tests.remediation.cases import INCIDENT, NEW, NOW, OLD

OTHER = "e" * 64
_T = TypeVar("_T")


class HastyClock(FakeClock):
    """Whoever sleeps on it has slept at once, except for ever; time passes by nothing else."""

    async def sleep(self, seconds: float) -> None:
        if seconds == math.inf:
            await asyncio.Event().wait()
        self._now += timedelta(seconds=max(0.0, seconds))
        self._monotonic += max(0.0, seconds)
        await super().sleep(0)


TIMED_OUT = GatewayError(
    GatewayReason.TIMEOUT, "no answer", retryable=False, is_outcome_unknown=True
)


def shifted(value: _T, by: timedelta) -> _T:
    """The same facts, all observed so much later."""
    if isinstance(value, datetime):
        return cast(_T, value + by)
    if isinstance(value, tuple):
        return cast(_T, tuple(shifted(one, by) for one in value))
    if is_dataclass(value) and not isinstance(value, type):
        moved = {one.name: shifted(getattr(value, one.name), by) for one in fields(value)}
        return replace(value, **moved)
    return value


@dataclass
class ScriptedApi:
    """Serves a fingerprint; each rollback is answered by the next entry of ``script``.

    An entry is an answer's status or an error, and whether the rollback was really done.
    """

    script: list[tuple[OperationStatus | GatewayError, bool]] = field(default_factory=list)
    serving: str = NEW
    activated_at: datetime | None = None
    is_reachable: bool = True
    recovery: Recovery | GatewayError | None = None
    sent: list[tuple[str, str | None, int | None]] = field(default_factory=list)
    asked: list[tuple[str, ...]] = field(default_factory=list)
    rehearsed: list[tuple[object, str | None]] = field(default_factory=list)
    rehearsal_fault: GatewayError | None = None
    chain: str = ""
    previous: str = OLD
    name: str = "site-a"
    clock_offset_s: float | None = 0.0

    async def certificates(self) -> GatewayCertificates:
        if not self.is_reachable:
            raise GatewayError(GatewayReason.UNREACHABLE, "connection refused", retryable=True)
        return GatewayCertificates(
            serving=Serving(version=4, fingerprint=self.serving),
            versions=(
                CertificateVersion(
                    version=3,
                    state=VersionState.PREVIOUS,
                    fingerprint=self.previous,
                    not_before=NOW - timedelta(days=300),
                    not_after=NOW + timedelta(days=40),
                    activated_at=self.activated_at,
                    chain=self.chain,
                ),
            ),
        )

    async def rollback(self, request: RollbackRequest, fence: Fence) -> Operation:
        self.sent.append((fence.idempotency_key, fence.serving, fence.operation_number))
        said, is_done = self.script.pop(0)
        if is_done:
            self.serving = OLD
        if isinstance(said, GatewayError):
            raise said
        return Operation(operation_id="op-1", from_version=4, to_version=3, status=said)

    async def rehearse(self, request: RehearseRequest, fence: Fence) -> Rehearsal:
        self.rehearsed.append((request.target_version, fence.serving))
        if self.rehearsal_fault is not None:
            raise self.rehearsal_fault
        return Rehearsal(address="127.0.0.1:8444", version=3, fingerprint=OLD, until=NOW)

    async def recover(self, request: RecoveryRequest, fence: Fence) -> Recovery:
        self.asked.append(request.device_ids)
        if isinstance(self.recovery, GatewayError):
            raise self.recovery
        assert self.recovery is not None
        return self.recovery


@dataclass
class ScriptedHands:
    """Looks show what the API serves, unless ``shown`` says otherwise."""

    scripted: ScriptedApi
    clock: FakeClock
    shown: Callable[[], Looked] | None = None
    back: Callable[[datetime], Collection[str]] = lambda _: ()
    by_ticket: Collection[str] = ()
    refusing: Collection[str] = ()
    reconnect: float | None = None
    failing: Sequence[str] = ()
    has_api: bool = True
    evidence: Evidence = INCIDENT
    met: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    met_fault: str = ""
    stores: Mapping[str, str] = field(default_factory=dict)

    def api(self, gateway: str) -> ManagementApi | None:
        return cast(ManagementApi, self.scripted) if self.has_api else None

    async def gather(self, gateway: str, alert: AlertState) -> Evidence:
        moved = shifted(self.evidence, self.clock.now() - NOW)
        return replace(moved, gateway=gateway, alert=alert)

    async def look(self, gateway: str, chain: Sequence[str], leaf: str) -> Looked:
        if self.shown is not None:
            return self.shown()
        served = self.scripted.serving
        fault = "" if served == leaf else f"{served[:8]} is shown"
        return Looked(fingerprint=served, fault=fault)

    async def meet(self, gateway: str, address: str, chain: Sequence[str], leaf: str) -> Looked:
        self.met.append((address, tuple(chain)))
        return Looked(fingerprint=leaf, fault=self.met_fault)

    def returned(self, gateway: str, since: datetime) -> Returned:
        return Returned(
            back=self.back(self.clock.now()), by_ticket=self.by_ticket, refusing=self.refusing
        )

    def store_files(self, gateway: str) -> Mapping[str, str]:
        return self.stores

    def refused(self) -> Sequence[str]:
        return self.failing

    def reconnect_s(self, device: str) -> float | None:
        return self.reconnect
