"""``make drill-rollback``: a bad rotation is forced, and undone by the alert that it causes."""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp

from exporter.alerts import rules_text
from exporter.clock import SystemClock
from tests.alerting import alertmanager, inbox, prometheus
from tests.drill.drill import INTERVAL, VALUES, WAITS
from tests.drill.fleet import DEVICES
from tests.drill.guarded import GuardedFleet, guarded_fleet
from tests.drill.timeline import Timeline

LIMIT_S = 120.0
SERVED_LIMIT_S = 5.0
_HEALTHY_WITHIN_S = 90.0
_POLL_S = 0.1
_SERVED = "attempt served"
_ASKING = 'ALERTS{remediation="rollback"}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone:
    """How the drill ended.

    Attributes:
        whole_s: From the bad certificate being served to the alerts being resolved.
        served_s: From the webhook to the previous certificate being served and proven.
        back: Devices that shook hands in full afterwards, by their own word.
        ending: What the journal says of the action.
    """

    timeline: Timeline
    whole_s: float
    served_s: float
    back: int
    ending: str

    @property
    def is_good(self) -> bool:
        in_time = self.whole_s < LIMIT_S and self.served_s < SERVED_LIMIT_S
        return in_time and self.back == DEVICES and self.ending == "recovered"

    def lines(self) -> Iterable[str]:
        yield from self.timeline.lines()
        yield ""
        yield f"ended: {self.ending}; back by their own handshakes: {self.back} of {DEVICES}"
        limit = f"limit {SERVED_LIMIT_S:g} s"
        yield f"from the webhook to the previous served: {self.served_s:.1f} s ({limit})"
        yield f"from the bad certificate to resolved: {self.whole_s:.1f} s (limit {LIMIT_S:g} s)"


@dataclass(slots=True, kw_only=True)
class _Watch:
    """Asks everybody, and notes what is new."""

    session: aiohttp.ClientSession
    fleet: GuardedFleet
    prometheus: str
    timeline: Timeline
    ending: str = ""

    async def query(self, expr: str) -> list[dict[str, Any]]:
        url = f"http://{self.prometheus}/api/v1/query"
        async with self.session.get(url, params={"query": expr}) as answer:
            found: list[dict[str, Any]] = (await answer.json())["data"]["result"]
        return found

    async def is_well(self) -> bool:
        async with self.session.get(f"http://{self.prometheus}/-/ready") as answer:
            if answer.status != 200:
                return False
        accepts = f"count(fleet_tls_device_accepts_gateway offset 20s == 1) == {DEVICES}"
        asks_nothing = not await self.query(_ASKING)
        return asks_nothing and bool(await self.query(accepts))

    async def look(self) -> None:
        await self._note_journal()
        await self._note_alerts()
        self._note_devices()

    async def _note_journal(self) -> None:
        url = f"http://{self.fleet.exporter}/api/v1/remediation/journal"
        headers = {"Authorization": f"Bearer {self.fleet.token}"}
        async with self.session.get(url, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            entries = (await answer.json())["items"]
        for entry in entries:
            facts, kind = entry["facts"], entry["kind"]
            said = facts.get("ending") or facts.get("stage") or facts.get("outcome") or ""
            at = datetime.fromisoformat(entry["at"])
            if at < self.timeline.began_at:
                continue
            self.timeline.note(f"{kind} {said}".strip(), at, f"journal: {kind} {said}".rstrip())
            if kind == "outcome":
                self.ending = str(said)

    async def _note_alerts(self) -> None:
        now = SystemClock().now()
        found = await self.query(_ASKING)
        for one in found:
            name, state = one["metric"]["alertname"], one["metric"]["alertstate"]
            self.timeline.note(f"{name} {state}", now, f"{name} {state}")
        if not found and "outcome " + self.ending in self.timeline.steps:
            self.timeline.note("resolved", now, "no alert asks for a rollback any more")

    def _note_devices(self) -> None:
        now, steps = SystemClock().now(), self.timeline.steps
        if self.fleet.refused(self.timeline.began_at) == DEVICES:
            self.timeline.note("out", now, f"{DEVICES} of {DEVICES} devices are out")
        if "out" in steps and self.fleet.connected(steps["out"].at) == DEVICES:
            self.timeline.note("back", now, f"{DEVICES} of {DEVICES} devices are back")


async def run_rollback(directory: Path) -> Undone:
    """Force a rotation that nobody accepts, and watch it being undone.

    Raises:
        TimeoutError: the fleet does not become healthy, or the alerts do not resolve.
    """
    (directory / "fleet").mkdir()
    async with (
        inbox() as kept,
        guarded_fleet(directory / "fleet", count=DEVICES, interval=INTERVAL) as fleet,
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
                return await _undone(session, fleet, rules_at)


async def _undone(session: aiohttp.ClientSession, fleet: GuardedFleet, rules_at: str) -> Undone:
    clock = SystemClock()
    timeline = Timeline(began_at=clock.now())
    watch = _Watch(session=session, fleet=fleet, prometheus=rules_at, timeline=timeline)
    async with asyncio.timeout(_HEALTHY_WITHIN_S):
        while not await watch.is_well():
            await clock.sleep(_POLL_S)
    timeline.began_at = clock.now()
    timeline.note("forced", timeline.began_at, "a rotation to a CA that nobody trusts is forced")
    await fleet.rotate_to_what_nobody_trusts(session)
    timeline.note("proven", clock.now(), "the agent has proven that it is served")
    async with asyncio.timeout(LIMIT_S):
        await _until(lambda: {"resolved", "back"} <= timeline.steps.keys(), watch.look)
    return Undone(
        timeline=timeline,
        whole_s=timeline.seconds("resolved"),
        served_s=timeline.seconds(_SERVED) - timeline.seconds("delivery"),
        back=fleet.connected(timeline.steps[_SERVED].at),
        ending=watch.ending,
    )


async def _until(condition: Callable[[], bool], look: Callable[[], Awaitable[None]]) -> None:
    while not condition():
        await look()
        await SystemClock().sleep(_POLL_S)


def main() -> int:
    """Run as often as asked; 0 only when each was good."""
    parser = argparse.ArgumentParser(prog="python -m tests.drill.rollback", description=__doc__)
    parser.add_argument("--times", type=int, default=1)
    is_good = True
    for _ in range(parser.parse_args().times):
        with tempfile.TemporaryDirectory(prefix="fleet-tls-drill-") as folder:
            outcome = asyncio.run(run_rollback(Path(folder)))
        sys.stdout.write("\n".join(outcome.lines()) + "\n\n")
        is_good = is_good and outcome.is_good
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
