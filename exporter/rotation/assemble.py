"""Makes the facts about one rotation of what was gathered; pure."""

from datetime import datetime

from exporter.certificates import Certificate
from exporter.rotation.authority import faults_of_ca
from exporter.rotation.device_facts import (
    DeviceJudge,
    device_facts,
    holdings_of,
    is_device_of,
    since_of,
)
from exporter.rotation.gateway_facts import authorities, gateway_facts
from exporter.rotation.gathered import Gathered
from exporter.rotation.kin import Judging
from exporter.rotation.model import DeviceFacts, Facts, GatewayFacts
from exporter.rotation.options import Options
from exporter.rotation.phases import needed_until
from exporter.rotation.records import Rotation
from exporter.targets.model import Role


def facts_of(rotation: Rotation, gathered: Gathered, judge: Judging, *, options: Options) -> Facts:
    """Return all that is known about ``rotation``."""
    old, new = authorities(rotation)
    judge.learn((old, new))
    targets = gathered.snapshot.targets
    gateways = {
        name: gateway_facts(name, rotation, gathered, judge, options)
        for name, state in targets.items()
        if state.target.role is Role.GATEWAY
    }
    devices = _devices(rotation, gathered, judge, gateways, (old, new), options)
    absence_s, absent = _longest_absence(rotation, devices, gathered.at)
    return Facts(
        gathered_at=gathered.at,
        gateways=gateways,
        devices=devices,
        ca_faults=_ca_faults(rotation, old, new, gathered.at, options),
        is_control_good=gathered.is_control_good,
        longest_absence_s=absence_s,
        longest_absent=absent,
    )


def _ca_faults(
    rotation: Rotation, old: Certificate, new: Certificate, now: datetime, options: Options
) -> tuple[str, ...]:
    if rotation.plan.is_renewal:
        return ()
    return faults_of_ca(
        new,
        old,
        now=now,
        until=needed_until(rotation.plan, now=now, options=options),
        is_same_meant=rotation.plan.is_same_subject_meant,
    )


def _devices(
    rotation: Rotation,
    gathered: Gathered,
    judge: Judging,
    gateways: dict[str, GatewayFacts],
    known: tuple[Certificate, Certificate],
    options: Options,
) -> dict[str, DeviceFacts]:
    planned = {one.name: one for one in rotation.plan.gateways}
    states = gathered.snapshot.targets
    judging = DeviceJudge(
        rotation=rotation,
        holdings=holdings_of(gathered.snapshot, known),
        judge=judge,
        names={name: states[name].target.checked_name for name in planned if name in states},
        now=gathered.at,
        until=needed_until(rotation.plan, now=gathered.at, options=options),
    )
    since = {
        name: since_of(rotation, gateways.get(name) or GatewayFacts(name=name)) for name in planned
    }
    return {
        name: device_facts(state.target, since[state.target.gateway or ""], gathered, judging)
        for name, state in states.items()
        if is_device_of(state.target, planned)
    }


def _longest_absence(
    rotation: Rotation, devices: dict[str, DeviceFacts], now: datetime
) -> tuple[float, str]:
    """Return how long the device that was not heard of for longest is silent by now, and it."""
    silent = (
        ((now - one.last_seen_at).total_seconds(), name)
        for name, one in devices.items()
        if one.last_seen_at is not None and name not in rotation.marks.excluded
    )
    return max(silent, default=(0.0, ""))
