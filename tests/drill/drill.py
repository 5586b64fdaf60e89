"""Real Prometheus, Alertmanager, exporter and fleet on loopback, from the templates that ship."""

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp

from exporter.alerts import Values, rules_text
from exporter.alerts.values import Endpoints, Handshakes, Refusal, Remediations
from exporter.clock import SystemClock
from tests.alerting import DOCS, Inbox, alertmanager, inbox, prometheus
from tests.drill.fleet import DEVICES, watched_fleet
from tests.drill.timeline import Outcome, Timeline

INTERVAL = "5s"
LIMIT_S = 45.0
VALUES = Values(
    slow_interval=5.0,
    keep_firing_for=15.0,
    refusal=Refusal(logged_for=5.0, device_certificate_for=5.0),
    endpoints=Endpoints(not_verified_for=5.0, gateway_unreachable_for=5.0, changed_within=15.0),
    handshakes=Handshakes(window=30.0, ratio_for=5.0),
    remediation=Remediations(refused_for=5.0),
)
"""What differs from the values that ship: an outage in seconds."""
WAITS = {"group_wait": "1s", "group_interval": "5s", "repeat_interval": "1m"}
OUTAGE = "FleetTLSGatewayNotAccepted"
LOGGED = "FleetTLSDevicesRefuseGateway"
MISMATCH = "FleetTLSTrustStoreMismatch"
_HEALTHY_WITHIN_S = 90.0
_DELIVERED_WITHIN_S = 90.0
# After the page: whatever else is said of the outage has been said by then, on a machine that is
# not busy; what has to be said is waited for
_WATCHED_S, _SAID_WITHIN_S = 15.0, 60.0
_EACH = {f"Trust store mismatch on device: dev-{number:02d}" for number in range(1, DEVICES + 1)}
_SHOWN = {"metric", "webhook accepted", f"{LOGGED} critical firing"}
_POLL_S = 0.1


def _counts_of(metric: str, label: str) -> re.Pattern[str]:
    return re.compile(rf'^fleet_tls_{metric}\{{{label}="(\w+)"\}} (\S+)$', re.MULTILINE)


_DELIVERIES = _counts_of("webhook_deliveries_total", "answer")
_DECISIONS = _counts_of("remediation_decisions_total", "outcome")
_REFUSES = re.compile(r"^fleet_tls_device_accepts_gateway\{[^}]*\} 0$", re.MULTILINE)


def foreseen() -> frozenset[str]:
    """The alerts that the runbook of the outage names."""
    text = (DOCS / "runbooks" / f"{OUTAGE}.md").read_text("utf-8")
    section = re.search(r"## What comes with it\n(.*?)\n## ", text, re.DOTALL)
    assert section is not None
    return frozenset({OUTAGE, *re.findall(r"FleetTLS\w+", section[1])})


@dataclass(slots=True, kw_only=True)
class _Watch:
    """Asks everybody what they see."""

    session: aiohttp.ClientSession
    exporter: str
    prometheus: str
    inbox: Inbox

    async def metrics(self) -> str:
        async with self.session.get(f"http://{self.exporter}/metrics") as answer:
            return await answer.text()

    async def is_ready(self) -> bool:
        async with self.session.get(f"http://{self.prometheus}/-/ready") as answer:
            return answer.status == 200

    async def query(self, expr: str) -> list[dict[str, Any]]:
        url = f"http://{self.prometheus}/api/v1/query"
        async with self.session.get(url, params={"query": expr}) as answer:
            body = await answer.json()
        assert body["status"] == "success", body
        found: list[dict[str, Any]] = body["data"]["result"]
        return found

    async def is_quiet(self) -> bool:
        """Whether no alert is about to fire, as one is for a rule's turn after it is well."""
        return await self.alerts() == await self.query("ALERTS") == []

    async def alerts(self) -> list[dict[str, Any]]:
        async with self.session.get(f"http://{self.prometheus}/api/v1/alerts") as answer:
            found: list[dict[str, Any]] = (await answer.json())["data"]["alerts"]
        return found


async def run_drill(directory: Path) -> Outcome:
    """Break a healthy fleet, wait for the page, and look what else was said.

    Raises:
        TimeoutError: the fleet does not become healthy, or the page does not come at all.
        AssertionError: an alert was there before the fleet was broken, or what came is wrong.
    """
    (directory / "fleet").mkdir()
    async with inbox() as kept, watched_fleet(directory / "fleet", interval=INTERVAL) as fleet:
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
                    session=session, exporter=fleet.exporter, prometheus=rules_at, inbox=kept
                )
                await _all_is_well(watch)
                timeline = Timeline(began_at=SystemClock().now())
                timeline.note("asked", timeline.began_at, "a rotation to the new CA is asked for")
                served_at = await fleet.serve_what_nobody_trusts()
                timeline.note("served", served_at, "gw-1 serves it, the platform says SUCCESS")
                outcome = await _outage(watch, timeline)
            assert rules.text() == ""  # warnings and errors would stand here
    _check_delivered(kept)
    answers = {key for key in outcome.timeline.steps if key.startswith("webhook ")}
    assert answers == {"webhook accepted"}
    return outcome


async def _all_is_well(watch: _Watch) -> None:
    """Return once Prometheus has watched a healthy fleet for long enough to tell a change."""
    since = VALUES.endpoints.changed_within + 5
    settled = f"count(fleet_tls_device_accepts_gateway offset {since:.0f}s == 1) == {DEVICES}"
    ratio = "gateway:fleet_tls_handshake_success:ratio == 1"
    async with asyncio.timeout(_HEALTHY_WITHIN_S):
        while not await watch.is_ready():
            await SystemClock().sleep(_POLL_S)
        while not (
            await watch.query(settled) and await watch.query(ratio) and await watch.is_quiet()
        ):
            await SystemClock().sleep(_POLL_S)
    assert watch.inbox.deliveries == []


async def _outage(watch: _Watch, timeline: Timeline) -> Outcome:
    clock = SystemClock()
    alerts: Counter[str] = Counter()

    async def look() -> None:
        _note_metrics(timeline, await watch.metrics(), clock.now())
        told = await watch.alerts()
        for name, count in Counter(one["labels"]["alertname"] for one in told).items():
            alerts[name] = max(alerts[name], count)
        _note_alerts(timeline, told, clock.now())
        _note_deliveries(timeline, watch.inbox)

    async with asyncio.timeout(_DELIVERED_WITHIN_S):
        await _until(lambda: {f"page {OUTAGE}", f"page {LOGGED}"} <= timeline.steps.keys(), look)
    ends_s = clock.monotonic() + _WATCHED_S

    def is_all_said() -> bool:
        is_known = alerts[MISMATCH] == DEVICES and timeline.steps.keys() >= _SHOWN
        return is_known and _summaries(watch.inbox) >= _EACH and clock.monotonic() > ends_s

    with suppress(TimeoutError):  # what is missing then is told by whoever misses it
        async with asyncio.timeout(_SAID_WITHIN_S):
            await _until(is_all_said, look)
    delivered = {name for one in watch.inbox.deliveries for name in one.names}
    return Outcome(
        timeline=timeline,
        delivered_s=timeline.seconds(f"page {OUTAGE}"),
        unforeseen=frozenset({*alerts, *delivered} - foreseen()),
        alerts=alerts,
        limit_s=LIMIT_S,
    )


async def _until(condition: Callable[[], bool], look: Callable[[], Awaitable[None]]) -> None:
    while not condition():
        await look()
        await SystemClock().sleep(_POLL_S)


def _note_metrics(timeline: Timeline, exposition: str, now: datetime) -> None:
    if len(_REFUSES.findall(exposition)) == DEVICES:
        text = f"metric: {DEVICES} of {DEVICES} devices will not accept it"
        timeline.note("metric", now, text)
    for answer, count in _DELIVERIES.findall(exposition):
        if float(count):
            timeline.note(f"webhook {answer}", now, f"webhook delivered: exporter, {answer}")
    for outcome, count in _DECISIONS.findall(exposition):
        if float(count):
            timeline.note(f"decision {outcome}", now, f"the exporter decided (dry_run): {outcome}")


def _note_alerts(timeline: Timeline, told: list[dict[str, Any]], now: datetime) -> None:
    for one in told:
        name, state = one["labels"]["alertname"], one["state"]
        if name == MISMATCH:
            all_of_them = sum(other["labels"]["alertname"] == MISMATCH for other in told)
            if all_of_them == DEVICES:
                timeline.note(name, now, f"{name} {state} on {DEVICES} devices")
        else:
            severity = one["labels"]["severity"]
            timeline.note(f"{name} {severity} {state}", now, f"{name} {state} ({severity})")


def _note_deliveries(timeline: Timeline, inbox: Inbox) -> None:
    for one in inbox.deliveries:
        for name in sorted(one.names):
            text = f"webhook delivered: {one.receiver}, {name}"
            timeline.note(f"{one.receiver} {name}", one.at, text)


def _check_delivered(kept: Inbox) -> None:
    """What came is what was meant: one group, and 18 devices by name."""
    pages = kept.at("page")
    assert {one.body["groupLabels"]["gateway"] for one in pages} == {"gw-1"}
    assert _summaries(kept) == _EACH


def _summaries(kept: Inbox) -> set[str]:
    """What the tickets say of the devices."""
    return {
        alert["annotations"]["summary"]
        for one in kept.at("ticket")
        for alert in one.firing(MISMATCH)
    }
