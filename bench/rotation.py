"""A rotation of a large fleet: its plan, its status, and what each look costs, in each phase.

    python -m bench.rotation                  # 10,000 devices in 20 classes behind 200 gateways
    python -m bench.rotation --devices 1000

Printed beside the limits: a plan in 5 s, a status in 200 ms, both to the last byte of the answer.
Certificates, reports and chains are real; the looks over the network that bring them are not
part of it. CPU beside the time: on a machine that does other things it says more.
"""

import argparse
import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar

from bench.rotation_fleet import NOW, described, fleet_of
from exporter.modes import Mode
from exporter.rotation.assemble import facts_of as facts_from
from exporter.rotation.gate import gate_of
from exporter.rotation.gathered import Gathered
from exporter.rotation.model import (
    DeviceFacts,
    DeviceMark,
    Facts,
    GatewayFacts,
    GatewayMark,
    Marks,
    Plan,
    PlannedGateway,
)
from exporter.rotation.options import Options
from exporter.rotation.planning import Wish, planned_rotation
from exporter.rotation.records import Rotation
from exporter.rotation.seen import seen_of
from exporter.rotation.steps import next_action
from exporter.rotation.view import View, view_of
from exporter.verdicts.cache import Judge
from exporter.web.rotation_json import plan_json, status_json

_T = TypeVar("_T")
_DAY = timedelta(days=1)
_PLAN_LIMIT_S, _STATUS_LIMIT_S = 5.0, 0.2
_ROUNDS = 5


def leaf(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def plan_of(gateways: int) -> Plan:
    return Plan(
        id="bench",
        old_ca=leaf("old CA"),
        new_ca=leaf("new CA"),
        gateways=tuple(
            PlannedGateway(name=f"gw-{n}", before=leaf(f"gw-{n} old"), is_canary=n == 0)
            for n in range(gateways)
        ),
        overlap_s=7 * 86_400.0,
    )


def facts_of(plan: Plan, devices: int, on_new: int) -> Facts:
    """Return a fleet of which the first ``on_new`` gateways serve their new chain."""
    gateways = {
        one.name: GatewayFacts(
            name=one.name,
            served=leaf(f"{one.name} new") if place < on_new else one.before,
            observed_at=NOW,
            needs_old=place >= on_new,
            is_ready=True,
            before_not_after=NOW + 300 * _DAY,
            candidate_faults=(),
        )
        for place, one in enumerate(plan.gateways)
    }
    return Facts(gathered_at=NOW, gateways=gateways, devices=_devices(plan, devices))


def _devices(plan: Plan, count: int) -> Mapping[str, DeviceFacts]:
    names = [one.name for one in plan.gateways]
    return {
        f"dev-{n}": DeviceFacts(
            name=f"dev-{n}",
            gateway=names[n % len(names)],
            device_class=f"class-{n % 20}",
            contact_interval_s=3_600.0,
            last_seen_at=NOW,
            reported_at=NOW,
            fresh_until=NOW + _DAY,
            trusts_new=True,
            trusts_old=True,
            accepts_candidate=True,
            full_at=NOW,
        )
        for n in range(count)
    }


def marks_of(plan: Plan, facts: Facts, on_new: int, *, is_begun: bool) -> Marks:
    gateways = {
        one.name: GatewayMark(
            candidate=leaf(f"{one.name} new"),
            rotated_at=NOW - 9 * _DAY if place < on_new else None,
            is_confirmed=place < on_new,
        )
        for place, one in enumerate(plan.gateways)
    }
    devices = {
        one.name: DeviceMark(validated=leaf(f"{one.gateway} new"), validated_at=NOW, is_valid=True)
        for one in facts.devices.values()
    }
    return Marks(gateways=gateways, devices=devices, begun_at=NOW if is_begun else None)


def measure(facts: Facts, marks: Marks, plan: Plan) -> tuple[str, float]:
    """Return the phase, and the seconds of the fastest of some rounds."""
    best, phase = float("inf"), ""
    for _ in range(_ROUNDS):
        started = time.perf_counter()
        view = view_of(plan, facts, marks, now=NOW, options=Options())
        gate_of(view)
        next_action(view)
        best, phase = min(best, time.perf_counter() - started), view.phase
    return phase, best


def timed(what: str, limit_s: float | None, work: Callable[[], _T], rounds: int = 1) -> _T:
    """Print what ``work`` costs, the fastest of some rounds, and return what it made."""
    best_s, cpu_s = float("inf"), 0.0
    found: list[_T] = []
    for _ in range(rounds):
        started_s, started_cpu_s = time.perf_counter(), time.process_time()
        found = [work()]
        took_s = time.perf_counter() - started_s
        if took_s < best_s:
            best_s, cpu_s = took_s, time.process_time() - started_cpu_s
    limit = "" if limit_s is None else f"   limit {limit_s * 1000:.0f} ms"
    print(f"{what:34} {best_s * 1000:8.1f} ms, {cpu_s * 1000:.1f} ms of CPU{limit}")
    return found[0]


def whole(devices: int, gateways: int) -> None:
    """Measure a plan, a look, and a status with a blocker for each device."""
    fleet = fleet_of(devices, gateways)
    judge, options = Judge(), Options()
    new = described(fleet.new)

    def planned() -> Rotation:
        snapshot = fleet.gathered.snapshot
        made = planned_rotation(Wish(new_ca=new), snapshot, judge, options=options, at=NOW)
        seen = seen_of(made, _view(made, fleet.gathered, judge))
        json.dumps(plan_json(seen, mode=Mode.ACT))
        return made

    rotation = timed("plan", _PLAN_LIMIT_S, planned)
    marks = Marks(
        gateways={name: GatewayMark(candidate=one) for name, one in fleet.candidates.items()},
        begun_at=NOW - _DAY,
    )
    adding = replace(rotation, orders=fleet.orders, marks=marks)
    view = timed("a look", None, lambda: _view(adding, fleet.gathered, judge), 3)
    seen = timed("its gate and next step", None, lambda: seen_of(adding, view), 3)
    blocked = len(seen.gate.blockers)
    said = f"status, {blocked} blockers"
    timed(said, _STATUS_LIMIT_S, lambda: json.dumps(status_json(seen, mode=Mode.ACT)), 3)


def _view(rotation: Rotation, gathered: Gathered, judge: Judge) -> View:
    facts = facts_from(rotation, gathered, judge, options=Options())
    return view_of(rotation.plan, facts, rotation.marks, now=NOW, options=Options())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=10_000)
    parser.add_argument("--gateways", type=int, default=200)
    asked = parser.parse_args()
    plan = plan_of(asked.gateways)
    print(f"{asked.devices} devices behind {asked.gateways} gateways")
    whole(asked.devices, asked.gateways)
    half, all_of_them = asked.gateways // 2, asked.gateways
    for on_new, is_begun in ((0, False), (0, True), (half, True), (all_of_them, True)):
        facts = facts_of(plan, asked.devices, on_new)
        marks = marks_of(plan, facts, on_new, is_begun=is_begun)
        phase, took_s = measure(facts, marks, plan)
        limit_s = _PLAN_LIMIT_S if phase == "planned" else _STATUS_LIMIT_S
        print(f"{'judging, ' + phase:34} {took_s * 1000:8.1f} ms   limit {limit_s * 1000:.0f} ms")


if __name__ == "__main__":
    main()
