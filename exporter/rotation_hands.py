"""The hands that a rotation has in the service: looks, answers of management APIs, and logs.

What was looked at is kept for some seconds, since a rotation looks again after each step; of a
gateway whose API was handed out nothing is kept, for it may be another one now.
"""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from exporter.certificates import Certificate
from exporter.clock import Clock
from exporter.control_targets import ControlTargets, Look
from exporter.errors import StoreError
from exporter.fleet import Fleet, FleetSnapshot
from exporter.gateway.api import ManagementApi
from exporter.gateway.messages import GatewayCertificates
from exporter.gateways import Gateways
from exporter.handshake_log.recent import KEEP_S
from exporter.handshake_log.sources import HandshakeLogs
from exporter.probe.model import endpoint_of
from exporter.remediation.assemble import chain_of
from exporter.rotation.assemble import facts_of
from exporter.rotation.gathered import GatewayLook, Gathered, Heard
from exporter.rotation.model import Facts
from exporter.rotation.options import Options
from exporter.rotation.planning import Wish, planned_rotation
from exporter.rotation.records import Rotation
from exporter.rotation.signing import SigningError, signed
from exporter.rotation.what_if import Question, WhatIf, authority_named, fates
from exporter.targets.model import Role
from exporter.trust_store.sync import TrustSync
from exporter.verdicts.cache import Judge
from exporter.ways import Ways

_QUESTION_S = 20.0
_MOST_KEPT_S = 10.0
_AT_ONCE = 32
_MOST_CHAINS = 5_000
_MOST_VERDICTS = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What of the service may change while it runs, asked for anew at each use.

    Attributes:
        look: One look at an endpoint, by the prober and the credentials in force.
        apis: The management APIs, by name.
        options: The section ``rotation``.
        control: ``HOST:PORT`` of each control target.
        stale_s: After how many seconds a report is stale, by the device's contact interval.
        busy: Gateways that remediation is in charge of, or holds.
    """

    look: Look
    apis: Callable[[], Mapping[str, ManagementApi]]
    options: Callable[[], Options]
    control: Callable[[], Sequence[str]]
    stale_s: Callable[[float | None], float]
    busy: Callable[[], Coroutine[None, None, Collection[str]]]


class RotationHands:
    """What ``rotation.hands.Hands`` asks for, by the running service."""

    def __init__(
        self,
        fleet: Fleet,
        logs: HandshakeLogs,
        trust: TrustSync,
        around: Surroundings,
        clock: Clock,
    ) -> None:
        self._fleet = fleet
        self._logs = logs
        self._trust = trust
        self._around = around
        self._clock = clock
        self._gateways = Gateways(fleet, around.apis)
        self._control = ControlTargets(around.look, around.control, clock)
        self._ways = Ways(clock)
        self._judge = Judge(_MOST_VERDICTS)
        self._judging = asyncio.Lock()
        self._at_once = asyncio.Semaphore(_AT_ONCE)
        self._looks: dict[str, tuple[float, GatewayLook]] = {}
        self._asked_s: dict[str, float] = {}
        self._chains: dict[str, tuple[Certificate, ...]] = {}

    # Hands

    def api(self, gateway: str) -> ManagementApi | None:
        """Return the gateway's management API; None: it has none."""
        self._looks.pop(gateway, None)
        return self._gateways.api(gateway)

    async def facts(self, rotation: Rotation) -> Facts:
        """Return all that is known, looked at now; what fails is left unknown."""
        planned = {one.name for one in rotation.plan.gateways}
        gathered = await self.gather(planned)
        options = self._around.options()
        # One at a time: the judge is not made for two threads
        async with self._judging:
            return await asyncio.to_thread(
                facts_of, rotation, gathered, self._judge, options=options
            )

    async def plan(self, wish: Wish) -> Rotation:
        """Return the rotation that would be started; nothing is kept of it.

        Raises:
            PlanError: no plan can be made.
        """
        at, snapshot = self._clock.now(), self._fleet.snapshot()
        async with self._judging:
            return await asyncio.to_thread(
                planned_rotation,
                wish,
                snapshot,
                self._judge,
                options=self._around.options(),
                at=at,
            )

    def leaves(self) -> Mapping[str, Certificate]:
        """Return what each gateway that can be changed is seen to serve."""
        return {
            name: state.chain[0]
            for name, state in self._fleet.snapshot().targets.items()
            if state.is_chain_current and self._gateways.api(name) is not None
        }

    def client_ends_s(self) -> Mapping[str, float]:
        """Return when each device's own certificate ends, seconds since 1970."""
        return self._logs.shown.certificates

    async def fates(self, at: datetime | None, remove: str | None) -> WhatIf:
        """Return who goes dark at a moment, or without a CA; None: now, and none.

        Raises:
            PlanError: no CA is known by that name.
        """
        now, snapshot = self._clock.now(), self._fleet.snapshot()
        removed = authority_named(remove, snapshot) if remove else None
        question = Question(
            at=at or now, removed=removed, clients=set(self._logs.shown.certificates)
        )
        async with self._judging:
            found = await asyncio.to_thread(fates, question, snapshot, self._judge, now=now)
        return WhatIf(question=question, fates=found)

    async def sign(self, gateway: str, request: str) -> str:
        """Return the chain in PEM that the signer gave for a request; not checked yet.

        Raises:
            SigningError: it gave none, or there is no signer.
        """
        signer = self._around.options().signer
        if signer is None:
            raise SigningError(
                "nobody signs; set rotation.signer.command or rotation.signer.folder"
            )
        return await signed(signer, gateway, request)

    async def meets(self, gateway: str, address: str, leaf: str) -> bool:
        """Return whether a full handshake at ``address``, the second port's, shows ``leaf``."""
        target = self._gateways.target(gateway)
        if target is None:
            return False
        for one in await self._ways.to_second_port(target, address):
            seen = await self._around.look(
                replace(endpoint_of(target), host=one.host, port=one.port)
            )
            if seen.handshake and seen.chain and seen.chain[0].fingerprint_sha256 == leaf:
                return True
        return False

    # What it is made of

    @property
    def _kept_s(self) -> float:
        """How long a look is good for; who looks more often wants news each time."""
        return min(_MOST_KEPT_S, self._around.options().interval)

    async def gather(self, planned: Collection[str]) -> Gathered:
        """Return all that facts are made of; the gateways in ``planned`` are looked at anew."""
        names = self._gateways.names()
        async with asyncio.TaskGroup() as tasks:
            controlling = tasks.create_task(self._control.is_good())
            busy = tasks.create_task(self._busy())
            looking = {
                name: tasks.create_task(self._look(name, is_planned=name in planned))
                for name in names
            }
            for api in self._apis_of(planned):
                tasks.create_task(self._ask_devices(api))
        now = self._clock.now()
        snapshot = self._fleet.snapshot()
        since = now - timedelta(seconds=KEEP_S)
        heard: Heard = {name: self._logs.recent(name, since) for name in planned}
        return Gathered(
            at=now,
            snapshot=snapshot,
            looks={name: look.result() for name, look in looking.items()},
            chains=dict(self._chains),
            busy=busy.result(),
            standings=self._trust.standings,
            stale_s=self._stale_s(snapshot),
            heard=heard,
            heard_at_s=self._heard_at_s(),
            clients=set(self._logs.shown.certificates),
            is_control_good=controlling.result(),
        )

    def _apis_of(self, planned: Collection[str]) -> set[str]:
        targets = (self._gateways.target(name) for name in planned)
        return {one.management_api for one in targets if one is not None and one.management_api}

    def _stale_s(self, snapshot: FleetSnapshot) -> Mapping[str, float]:
        return {
            name: self._around.stale_s(state.target.contact_interval_s)
            for name, state in snapshot.targets.items()
            if state.target.role is Role.DEVICE
        }

    def _heard_at_s(self) -> Mapping[str, float]:
        found: dict[str, float] = {}
        for (_, device), tally in self._logs.shown.tallies.items():
            latest_s = max(tally.told_s or 0.0, tally.success_s or 0.0, tally.resumed_s or 0.0)
            found[device] = max(found.get(device, 0.0), latest_s)
        return found

    async def _busy(self) -> Collection[str] | None:
        try:
            return await self._around.busy()
        except StoreError:
            return None

    async def _ask_devices(self, api: str) -> None:
        """Have it told what the devices trust now, and not a minute ago."""
        now_s = self._clock.monotonic()
        if now_s - self._asked_s.get(api, -_MOST_KEPT_S) < self._kept_s:
            return
        self._asked_s[api] = now_s
        try:
            async with asyncio.timeout(_QUESTION_S):
                await self._trust.ask(api)
        except TimeoutError:
            return  # its reports grow old, which is told by themselves

    async def _look(self, name: str, *, is_planned: bool) -> GatewayLook:
        if not is_planned:
            return self._watched(name)
        kept_at_s, kept = self._looks.get(name, (0.0, None))
        now_s = self._clock.monotonic()
        if kept is not None and now_s - kept_at_s < self._kept_s:
            return kept
        async with self._at_once:
            fresh = await self._fresh(name)
        self._looks[name] = (now_s, fresh)
        return fresh

    def _watched(self, name: str) -> GatewayLook:
        """Return what the service's own looks, which go on, say of a gateway."""
        state = self._fleet.snapshot().targets.get(name)
        if state is None or not state.is_chain_current:
            return GatewayLook(detail="it is not seen what it serves")
        return GatewayLook(chain=state.chain, observed_at=state.chain_observed_at)

    async def _fresh(self, name: str) -> GatewayLook:
        target = self._gateways.target(name)
        if target is None or target.host is None:
            return GatewayLook(detail="it has no address, or is no longer in the inventory")
        async with asyncio.TaskGroup() as tasks:
            looking = tasks.create_task(self._around.look(endpoint_of(target)))
            asking = tasks.create_task(self._certificates(name))
        seen, (told, detail) = looking.result(), asking.result()
        self._keep(seen.chain)
        return GatewayLook(
            chain=seen.chain,
            observed_at=seen.observed_at if seen.chain else None,
            certificates=told,
            has_api=self._gateways.api(name) is not None,
            detail=detail or ("" if seen.chain else seen.detail or "it showed no certificate"),
        )

    async def _certificates(self, name: str) -> tuple[GatewayCertificates | None, str]:
        told, why = await self._gateways.certificates(name)
        for version in told.versions if told is not None else ():
            if version.fingerprint not in self._chains:
                self._keep(chain_of(version))
        return told, why

    def _keep(self, chain: Sequence[Certificate]) -> None:
        if not chain:
            return
        self._chains[chain[0].fingerprint_sha256] = tuple(chain)
        if len(self._chains) > _MOST_CHAINS:
            del self._chains[next(iter(self._chains))]
