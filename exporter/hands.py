"""The hands that remediation has in the service: looks, questions to management APIs, and logs."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from exporter.clock import Clock
from exporter.control_targets import ControlTargets, Look
from exporter.fleet import Fleet
from exporter.fleet.model import TargetState
from exporter.gateway.agent.driver import Address
from exporter.gateway.agent.looking import Looker, Thoroughness
from exporter.gateway.agent.proof import fault_of, kinds_beside, leaf_of
from exporter.gateway.api import ManagementApi
from exporter.gateway.messages import GatewayCertificates
from exporter.gateways import Gateways
from exporter.handshake_log.recent import Recent
from exporter.handshake_log.sources import HandshakeLogs
from exporter.probe.model import endpoint_of
from exporter.remediation.assemble import (
    chain_of,
    change_of,
    devices_of,
    previous_in,
    served_of,
    versions_of,
)
from exporter.remediation.hands import Looked, Returned
from exporter.remediation.model import AlertState, Evidence
from exporter.remediation.options import Options
from exporter.rotation.kin import leads_to_any
from exporter.targets.model import Role, Target
from exporter.ways import Ways

_NO_WAY = "the gateway has no address, or its name was not resolved"
_ONLY_THERE = (
    "the exporter cannot reach that address; set the agent's second_port to one that it can"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What of the service may change while it runs, asked for anew at each use.

    Attributes:
        look: One look at an endpoint, by the prober and the credentials in force.
        apis: The management APIs, by name.
        options: The section ``remediation``.
        control: ``HOST:PORT`` of each control target.
        reconnect_s: By device class.
        in_charge: Whether a rotation is in charge of a gateway; None: it is not known.
        removing: CAs that are being, or were, removed from devices, as PEM; None: not known.
        store_files: By the trust store's name.
    """

    look: Look
    apis: Callable[[], Mapping[str, ManagementApi]]
    options: Callable[[], Options]
    control: Callable[[], Sequence[str]]
    reconnect_s: Callable[[], Mapping[str, float]]
    in_charge: Callable[[str], bool | None]
    removing: Callable[[], Mapping[str, str] | None]
    store_files: Callable[[], Mapping[str, Path]]


class ServiceHands:
    """What ``remediation.hands.Hands`` asks for, by the running service."""

    def __init__(self, fleet: Fleet, logs: HandshakeLogs, around: Around, clock: Clock) -> None:
        self._fleet = fleet
        self._logs = logs
        self._around = around
        self._clock = clock
        self._gateways = Gateways(fleet, around.apis)
        self._control = ControlTargets(around.look, around.control, clock)
        self._ways = Ways(clock)

    # Hands

    def api(self, gateway: str) -> ManagementApi | None:
        """Return the gateway's management API; None: it has none."""
        return self._gateways.api(gateway)

    def store_files(self, gateway: str) -> Mapping[str, str]:
        """Return the file of each trust store that devices behind ``gateway`` hold, by name."""
        states, files = self._fleet.snapshot().targets.values(), self._around.store_files()
        held = {
            name for one in states if one.target.gateway == gateway for name in one.target.holds
        }
        return {name: str(files[name]) for name in sorted(held & files.keys())}

    def refused(self) -> Sequence[str]:
        """Return the gateways at which some device fails lately, by what the logs tell."""
        since = self._clock.now() - timedelta(seconds=self._around.options().window)
        states = self._fleet.snapshot().targets.values()
        return [
            state.target.name
            for state in states
            if state.target.role is Role.GATEWAY
            and any(
                one.failing_since(since) is not None
                for one in self._logs.recent(state.target.name, since).values()
            )
        ]

    def reconnect_s(self, device: str) -> float | None:
        """Return within which time the device's class reconnects; None: nobody says."""
        state = self._fleet.snapshot().targets.get(device)
        return (
            self._around.reconnect_s().get(state.target.device_class)
            if state is not None
            else None
        )

    def returned(self, gateway: str, since: datetime) -> Returned:
        """Return who came back to ``gateway`` since then."""
        recent = self._logs.recent(gateway, since)
        back = {name for name, one in recent.items() if one.full_since(since) is not None}
        by_ticket = {name for name, one in recent.items() if one.resumed_since(since)}
        refusing = {name for name, one in recent.items() if _refuses(one, since)}
        return Returned(back=back, by_ticket=by_ticket - back, refusing=refusing)

    async def look(self, gateway: str, chain: Sequence[str], leaf: str) -> Looked:
        """Look by every way: each address, version, signature, with and without a name.

        By each way several times, to meet each worker, as long as what is meant is shown.
        """
        target = self._gateways.target(gateway)
        addresses = await self._ways.to(target) if target is not None else ()
        if target is None or not addresses:
            return Looked(fingerprint=None, fault=_NO_WAY)
        return await self._seen(target, addresses, chain or (leaf,))

    async def meet(self, gateway: str, address: str, chain: Sequence[str], leaf: str) -> Looked:
        """Look likewise at the gateway's second port, which its API said is ``address``."""
        target = self._gateways.target(gateway)
        own = await self._ways.to(target) if target is not None else ()
        if target is None or not own:
            return Looked(fingerprint=None, fault=_NO_WAY)
        addresses = await self._ways.to_second_port(target, address)
        if not addresses:
            return Looked(fingerprint=None, fault=_ONLY_THERE)
        return await self._seen(target, addresses, chain or (leaf,))

    async def _seen(
        self, target: Target, addresses: Sequence[Address], chain: Sequence[str]
    ) -> Looked:
        name = endpoint_of(target).server_name
        looker = Looker(self._clock, Thoroughness(server_names=(name,) if name else ()))
        seen = await looker.rounds(addresses, chain)
        fault = fault_of(seen, chain)
        said = "; ".join(filter(None, (fault, kinds_beside(seen)))) if fault else ""
        return Looked(fingerprint=leaf_of(seen), fault=said)

    async def gather(self, gateway: str, alert: AlertState) -> Evidence:
        """Return all evidence about ``gateway``, looked at now; what fails is left unknown."""
        now = self._clock.now()
        target = self._gateways.target(gateway)
        bare = Evidence(
            gateway=gateway, gathered_at=now, is_in_inventory=target is not None, alert=alert
        )
        if target is None or target.host is None:
            return replace(bare, served_detail=_NO_WAY)
        async with asyncio.TaskGroup() as tasks:
            looking = tasks.create_task(self._around.look(endpoint_of(target)))
            asking = tasks.create_task(self._gateways.certificates(gateway))
            controlling = tasks.create_task(self._control.is_good())
        observation, (certificates, detail) = looking.result(), asking.result()
        api = self.api(gateway)
        seen = replace(
            bare,
            is_control_good=controlling.result(),
            clock_offset_s=api.clock_offset_s if api is not None else None,
            served=served_of(observation),
            served_detail=observation.detail,
            versions_detail=detail,
            is_rotation_in_charge=self._around.in_charge(gateway),
            is_removing=self._is_removing(certificates),
            stores=tuple(f"{name}={file}" for name, file in self.store_files(gateway).items()),
        )
        return self._with_versions(seen, target, certificates) if certificates else seen

    # What it is made of

    def _with_versions(
        self, evidence: Evidence, target: Target, certificates: GatewayCertificates
    ) -> Evidence:
        now, options = self._clock.now(), self._around.options()
        change = change_of(certificates, now)
        states = self._fleet.snapshot().targets
        changed_at = change.changed_at if change and change.changed_at else now
        look_back = timedelta(seconds=options.look_back)
        previous = self._fleet.would_accept(
            chain_of(previous_in(certificates)),
            name=target.checked_name,
            at=now,
            gateway=target.name,
        )
        return replace(
            evidence,
            versions=versions_of(certificates, compromised=options.compromised, now=now),
            change=change,
            devices=devices_of(
                states,
                target.name,
                self._logs.recent(target.name, changed_at - look_back - _longest(states)),
                previous,
                changed_at=changed_at,
                look_back_s=options.look_back,
            ),
        )

    def _is_removing(self, certificates: GatewayCertificates | None) -> bool | None:
        """Return whether a CA that the previous chain needs is being, or was, removed."""
        gone = self._around.removing()
        if gone is None or certificates is None:
            return None
        if not gone:
            return False
        chain = chain_of(previous_in(certificates))
        return leads_to_any(chain, gone.values(), at=self._clock.now()) if chain else None


def _longest(states: Mapping[str, TargetState]) -> timedelta:
    """Return the longest contact interval: so much earlier a device may have been heard of."""
    known = (state.target.contact_interval_s or 0.0 for state in states.values())
    return timedelta(seconds=max(known, default=0.0))


def _refuses(heard: Recent, since: datetime) -> bool:
    failing = heard.failing_since(since)
    return failing is not None and failing.proves_distrust
