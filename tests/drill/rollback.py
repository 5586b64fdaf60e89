"""``make drill-rollback``: an outage is forced, and ends by the alert that it causes."""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp

from exporter.alerts import rules_text
from exporter.clock import SystemClock
from tests.alerting import Inbox, alertmanager, inbox, prometheus
from tests.drill.drill import INTERVAL, VALUES, WAITS
from tests.drill.fleet import DEVICES
from tests.drill.guarded import GuardedFleet, Setting, Told
from tests.drill.scenarios import SCENARIOS, Course, Scenario, until_known
from tests.drill.standing import guarded_fleet
from tests.drill.timeline import Timeline

LIMIT_S = 120.0
SERVED_LIMIT_S = 5.0
SETTING = Setting(
    count=DEVICES,
    interval=INTERVAL,
    contact_s=1.5,
    # Of those whose recovery is asked for, the first has connected by then, and all that can
    reconnect="16s",
    limits={"first_back_within": "8s"},
)
_HEALTHY_WITHIN_S = 90.0
_ENDS_WITHIN_S = 120.0
_POLL_S = 0.1
_SERVED = "attempt served"
_ASKING = 'ALERTS{remediation="rollback"}'
_REFUSED = "FleetTLSRemediationRefused"
_FAILED = "FleetTLSRemediationFailed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drilled:
    """How one outage ended.

    Attributes:
        told: What a person is told of it.
        fault: Why that is not how it must end; empty: it is.
        back: Devices that shook hands in full after the rollback, by their own word.
    """

    scenario: Scenario
    timeline: Timeline
    told: str
    fault: str
    back: int

    @property
    def whole_s(self) -> float:
        """From the bad certificate being served to the last step."""
        return max(self.timeline.seconds(key) for key in self.timeline.steps)

    @property
    def served_s(self) -> float | None:
        """From the webhook to the previous certificate being served and proven."""
        if _SERVED not in self.timeline.steps:
            return None
        return self.timeline.seconds(_SERVED) - self.timeline.seconds("delivery")

    @property
    def is_good(self) -> bool:
        in_time = self.whole_s < LIMIT_S and (self.served_s or 0.0) < SERVED_LIMIT_S
        return in_time and not self.fault

    def lines(self) -> Iterable[str]:
        yield f"{self.scenario.name}"
        yield from self.timeline.lines()
        yield ""
        yield self.told
        if self.served_s is not None:
            yield f"back by their own handshakes: {self.back} of {len(self._names)}"
            limit = f"limit {SERVED_LIMIT_S:g} s"
            yield f"from the webhook to the previous served: {self.served_s:.1f} s ({limit})"
        yield f"from the outage to its end: {self.whole_s:.1f} s (limit {LIMIT_S:g} s)"
        yield f"NOT AS IT MUST BE: {self.fault}" if self.fault else "as it must be"

    @property
    def _names(self) -> range:
        return range(self.scenario.change(SETTING).count)


@dataclass(slots=True, kw_only=True)
class _Watch:
    """Asks everybody, and notes what is new."""

    session: aiohttp.ClientSession
    fleet: GuardedFleet
    prometheus: str
    inbox: Inbox
    timeline: Timeline

    async def query(self, expr: str) -> list[dict[str, Any]]:
        url = f"http://{self.prometheus}/api/v1/query"
        async with self.session.get(url, params={"query": expr}) as answer:
            found: list[dict[str, Any]] = (await answer.json())["data"]["result"]
        return found

    async def is_well(self) -> bool:
        async with self.session.get(f"http://{self.prometheus}/-/ready") as answer:
            if answer.status != 200:
                return False
        if self.fleet.setting.told is Told.LOGS:
            known = 'fleet_tls_handshake_last_success_timestamp_seconds{device!=""} offset 20s'
        else:
            known = "fleet_tls_device_accepts_gateway offset 20s == 1"
        expr = f"count({known}) == {self.fleet.setting.count}"
        return await self.is_quiet() and bool(await self.query(expr))

    async def is_quiet(self) -> bool:
        return not await self.query(_ASKING)

    async def look(self) -> None:
        await self._note_journal()
        await self._note_alerts()
        self._note_devices()
        for one in self.inbox.deliveries:
            for name in one.names & {_REFUSED, _FAILED}:
                text = f"webhook delivered: {one.receiver}, {name}"
                self.timeline.note(f"told {name}", one.at, text)

    async def _note_journal(self) -> None:
        for entry in (await self.fleet.remediation("/journal?limit=1000"))["items"]:
            facts, kind = entry["facts"], entry["kind"]
            said = facts.get("ending") or facts.get("stage") or facts.get("outcome") or ""
            said = said or (f"{facts['sends']}" if "sends" in facts else "")
            at = datetime.fromisoformat(entry["at"])
            if at >= self.timeline.began_at:
                text = f"{kind} {said}".strip()
                self.timeline.note(text, at, f"journal: {text}")

    async def _note_alerts(self) -> None:
        now = SystemClock().now()
        found = await self.query(_ASKING)
        for one in found:
            name, state = one["metric"]["alertname"], one["metric"]["alertstate"]
            self.timeline.note(f"{name} {state}", now, f"{name} {state}")
        if not found and "outcome recovered" in self.timeline.steps:
            self.timeline.note("resolved", now, "no alert asks for a rollback any more")

    def _note_devices(self) -> None:
        steps, count = self.timeline.steps, self.fleet.setting.count
        if _SERVED in steps and len(self.fleet.connected(steps[_SERVED].at)) == count:
            text = f"{count} of {count} devices are back"
            self.timeline.note("back", SystemClock().now(), text)


def _last_steps(scenario: Scenario) -> set[str]:
    """What must have been seen until it is over."""
    ends = scenario.ends
    if ends.refusal:
        return {f"told {_REFUSED}"}
    return {"resolved", "back"} if ends.ending == "recovered" else {f"told {_FAILED}"}


async def run_rollback(directory: Path, scenario: Scenario = SCENARIOS["undone"]) -> Drilled:
    """Force an outage on a healthy fleet, and watch it being ended.

    Raises:
        TimeoutError: the fleet does not become healthy, or it does not end at all.
    """
    (directory / "fleet").mkdir()
    async with (
        inbox() as kept,
        guarded_fleet(directory / "fleet", scenario.change(SETTING)) as fleet,
    ):
        routes, routes_at = alertmanager(
            directory / "alertmanager", inbox_url=kept.url,
            rollback_url=f"http://{fleet.exporter}/webhook/alertmanager",
            token_file=fleet.layout.token_file, waits=WAITS,
        )  # fmt: skip
        rules, rules_at = prometheus(
            directory / "prometheus", rules=rules_text(VALUES), exporter=fleet.exporter,
            alertmanager=routes_at, interval=INTERVAL,
        )  # fmt: skip
        with routes, rules:
            async with aiohttp.ClientSession() as session:
                watch = _Watch(
                    session=session, fleet=fleet, prometheus=rules_at, inbox=kept,
                    timeline=Timeline(began_at=SystemClock().now()),
                )  # fmt: skip
                return await _drilled(watch, scenario)


async def _drilled(watch: _Watch, scenario: Scenario) -> Drilled:
    fleet, clock = watch.fleet, SystemClock()
    await _calm(watch, scenario)
    timeline = watch.timeline = Timeline(began_at=clock.now())
    timeline.note("forced", timeline.began_at, "the outage is forced")
    course = Course(scenario=scenario, fleet=fleet, began_at=timeline.began_at)
    await course.begin()
    timeline.note("out", clock.now(), f"all {fleet.setting.count} devices are out")
    entry, last = None, _last_steps(scenario)
    end_s = clock.monotonic() + _ENDS_WITHIN_S
    while (entry is None or not last <= timeline.steps.keys()) and clock.monotonic() < end_s:
        await watch.look()
        entry = entry or await course.end()
        await clock.sleep(_POLL_S)
    fault = ", ".join(sorted(last - timeline.steps.keys()))
    fault = f"never seen: {fault}" if fault else await _fault(course, entry)
    if scenario.ends.ending == "recovered" and f"told {_REFUSED}" in timeline.steps:
        fault = fault or f"{_REFUSED} sent a person after nothing"
    served = timeline.steps.get(_SERVED)
    return Drilled(
        scenario=scenario,
        timeline=timeline,
        told=course.told(entry) if entry else "",
        fault=fault,
        back=len(fleet.connected(served.at)) if served else 0,
    )


async def _calm(watch: _Watch, scenario: Scenario) -> None:
    """Return when Prometheus has watched a healthy fleet for a while."""
    clock = SystemClock()
    await until_known(watch.fleet)
    async with asyncio.timeout(_HEALTHY_WITHIN_S):
        while not await watch.is_well():
            await clock.sleep(_POLL_S)
    if scenario.prepare is not None:
        await scenario.prepare(watch.fleet)
        async with asyncio.timeout(_HEALTHY_WITHIN_S):
            while not await watch.is_quiet():
                await clock.sleep(_POLL_S)


async def _fault(course: Course, entry: dict[str, Any] | None) -> str:
    if entry is None:
        return f"it did not end: {course.scenario.ends}"
    try:
        if course.scenario.meanwhile is not None:
            await course.scenario.meanwhile(course.fleet)
        await course.check(entry)
    except AssertionError as exc:
        return str(exc) or "an assertion without words"
    return ""


def main() -> int:
    """Run as often as asked; 0 only when each was good."""
    parser = argparse.ArgumentParser(prog="python -m tests.drill.rollback", description=__doc__)
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--scenario", choices=[*SCENARIOS, "all"], default="undone")
    asked = parser.parse_args()
    chosen = list(SCENARIOS) if asked.scenario == "all" else [asked.scenario]
    good_count = 0
    for name in chosen * asked.times:
        with tempfile.TemporaryDirectory(prefix="fleet-tls-drill-") as folder:
            outcome = asyncio.run(run_rollback(Path(folder), SCENARIOS[name]))
        sys.stdout.write("\n".join(outcome.lines()) + "\n\n")
        sys.stdout.flush()
        good_count += outcome.is_good
    whole = len(chosen) * asked.times
    sys.stdout.write(f"{good_count} of {whole} as they must be\n")
    return 0 if good_count == whole else 1


if __name__ == "__main__":
    sys.exit(main())
