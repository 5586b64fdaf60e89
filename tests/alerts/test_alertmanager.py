"""The example for Alertmanager, by its own tool and by the real one."""

import asyncio
import re
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from exporter.alerts.book import alerts_of
from exporter.alerts.values import Values
from exporter.clock import SystemClock
from tests.alerting import DOCS, Delivery, Inbox, alertmanager, inbox
from tests.alerts.network_outage import Labels, alerts_of_an_outage
from tests.daemons import need

CONFIG = DOCS / "alertmanager.yml"
QUICK = {"group_wait": "2s", "group_interval": "5s", "repeat_interval": "1h"}

pytestmark = [pytest.mark.slow]


def amtool(*arguments: str) -> str:
    done = subprocess.run(
        [need("amtool"), *arguments], capture_output=True, text=True, check=True, timeout=30
    )
    return done.stdout.strip()


def test_amtool_has_no_complaint() -> None:
    assert "SUCCESS" in amtool("check-config", str(CONFIG))


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        ({"severity": "critical"}, "fleet-tls-page"),
        ({"severity": "critical", "remediation": "rollback"}, "fleet-tls-rollback,fleet-tls-page"),
        ({"severity": "warning"}, "fleet-tls-ticket"),
        ({"severity": "info"}, "fleet-tls-digest"),
    ],
)
def test_an_alert_goes_where_its_severity_says(labels: Labels, receivers: str) -> None:
    named = [f"{key}={value}" for key, value in {"alertname": "FleetTLSX", **labels}.items()]

    assert amtool("config", "routes", "test", f"--config.file={CONFIG}", *named) == receivers


def test_the_inhibitions_speak_of_alerts_that_there_are() -> None:
    config = yaml.safe_load(CONFIG.read_text("utf-8"))
    known = {alert.name for alert in alerts_of(Values())}
    named = set()
    for rule in config["inhibit_rules"]:
        for matcher in (*rule["source_matchers"], *rule["target_matchers"]):
            label, _, pattern = matcher.partition("=")
            if label == "alertname" and "FleetTLS.+" not in pattern:
                named.add(pattern.strip('~"'))

    for pattern in named:
        for part in _alternatives(pattern):
            assert any(re.fullmatch(part, name) for name in known), part


def _alternatives(pattern: str) -> list[str]:
    """The parts of a|b(c|d) between the outer bars."""
    parts, depth = [""], 0
    for sign in pattern:
        depth += (sign == "(") - (sign == ")")
        if sign == "|" and not depth:
            parts.append("")
        else:
            parts[-1] += sign
    return parts


# With the real one


@dataclass(slots=True, kw_only=True)
class Stand:
    session: aiohttp.ClientSession
    inbox: Inbox

    async def fire(self, *alerts: Labels) -> None:
        # No startsAt, so it is Alertmanager's now: with one that is a group's wait ago it would
        # tell of the first alert before it has taken the others
        posted = [{"labels": dict(labels)} for labels in alerts]
        async with self.session.post("/api/v2/alerts", json=posted) as answer:
            assert answer.status == 200, await answer.text()

    async def states(self) -> dict[str, list[str]]:
        """By alert name the states of its alerts: active or suppressed."""
        async with self.session.get("/api/v2/alerts") as answer:
            told: list[dict[str, Any]] = await answer.json()
        found: dict[str, list[str]] = {}
        for one in told:
            found.setdefault(one["labels"]["alertname"], []).append(one["status"]["state"])
        return found

    async def wait(self, condition: Callable[[], object], what: str) -> None:
        clock = SystemClock()
        try:
            async with asyncio.timeout(30):
                while not condition():
                    await clock.sleep(0.05)
        except TimeoutError:
            pytest.fail(f"waited 30 s for {what}; there are {self.inbox.deliveries}")


@asynccontextmanager
async def running(tmp_path: Path) -> AsyncIterator[Stand]:
    token = tmp_path / "token"
    token.write_text("secret-of-the-webhook\n")
    async with inbox() as kept:
        daemon, address = alertmanager(
            tmp_path / "alertmanager", inbox_url=kept.url, rollback_url=f"{kept.url}/rollback",
            token_file=token, waits=QUICK,
        )  # fmt: skip
        with daemon:
            async with aiohttp.ClientSession(f"http://{address}") as session:
                yield Stand(session=session, inbox=kept)


def alert(name: str, severity: str, gateway: str, **more: str) -> Labels:
    common = {"job": "fleet-tls", "severity": severity, "gateway": gateway}
    return {"alertname": f"FleetTLS{name}", **common, **more}


def devices_behind(gateway: str) -> list[str]:
    return [f"{gateway}-dev-{n:02}" for n in range(1, 19)]


async def test_a_network_outage_of_one_gateway_is_one_page_and_not_18(tmp_path: Path) -> None:
    gateways = ("gw-1", "gw-2")
    async with running(tmp_path) as stand:
        await stand.fire(
            *(one for gw in gateways for one in alerts_of_an_outage(gw, devices_behind(gw)))
        )
        await stand.wait(lambda: len(stand.inbox.at("page")) >= len(gateways), "the pages")
        # longer than another group interval: nothing more may come
        await SystemClock().sleep(8)
        states = await stand.states()

    pages = stand.inbox.at("page")
    assert sorted(page.body["groupLabels"]["gateway"] for page in pages) == list(gateways)
    assert {name for page in pages for name in page.names} == {"FleetTLSGatewayUnreachable"}
    assert stand.inbox.at("ticket") == []
    assert set(states["FleetTLSDeviceSilent"]) == {"suppressed"}
    assert len(states["FleetTLSDeviceSilent"]) == 36


async def test_the_outage_pages_once_and_asks_for_a_look_with_the_credential(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as stand:
        asks = {"remediation": "rollback"}
        await stand.fire(
            alert("GatewayNotAccepted", "critical", "gw-1", **asks),
            alert("DevicesRefuseGateway", "critical", "gw-1", **asks),
            alert("ChainNotVerified", "critical", "gw-1", target="gw-1", reason="unknown_ca"),
            alert("GatewayHandshakesFail", "critical", "gw-1"),
            *(
                alert("TrustStoreMismatch", "warning", "gw-1", device=device)
                for device in devices_behind("gw-1")
            ),
        )
        kept = stand.inbox
        await stand.wait(
            lambda: all(kept.at(name) for name in ("page", "ticket", "rollback")), "deliveries"
        )

    (page,), (ticket,), asked = kept.at("page"), kept.at("ticket"), kept.at("rollback")
    assert page.names == {
        "FleetTLSGatewayNotAccepted", "FleetTLSDevicesRefuseGateway", "FleetTLSChainNotVerified",
    }  # fmt: skip
    assert len(ticket.firing("FleetTLSTrustStoreMismatch")) == 18
    assert asked[0].names == {"FleetTLSGatewayNotAccepted", "FleetTLSDevicesRefuseGateway"}
    assert asked[0].authorization == "Bearer secret-of-the-webhook"
    assert asked[0].body["version"] == "4"


async def test_the_nearer_limit_speaks_for_the_farther_ones(tmp_path: Path) -> None:
    def soon(severity: str, target: str) -> Labels:
        return alert("CertificateExpiresSoon", severity, "gw-1", target=target)

    async with running(tmp_path) as stand:
        await stand.fire(
            *(soon(severity, "gw-1") for severity in ("info", "warning", "critical")),
            *(soon(severity, "dev-1") for severity in ("info", "warning")),
            *(soon(severity, "dev-2") for severity in ("info", "warning", "critical")),
            alert("CertificateExpired", "critical", "gw-1", target="dev-2"),
        )
        await stand.wait(lambda: stand.inbox.at("page") and stand.inbox.at("ticket"), "deliveries")

    (page,), (ticket,) = stand.inbox.at("page"), stand.inbox.at("ticket")
    assert told(page) == {
        ("FleetTLSCertificateExpiresSoon", "gw-1", "critical"),
        ("FleetTLSCertificateExpired", "dev-2", "critical"),
    }
    assert told(ticket) == {("FleetTLSCertificateExpiresSoon", "dev-1", "warning")}
    assert stand.inbox.at("digest") == []


def told(delivery: Delivery) -> set[tuple[str, str, str]]:
    return {
        (one["labels"]["alertname"], one["labels"]["target"], one["labels"]["severity"])
        for one in delivery.body["alerts"]
    }


async def test_silence_is_not_told_while_the_log_that_would_break_it_is_not_read(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as stand:
        await stand.fire(
            {
                "alertname": "FleetTLSLogNotRead", "job": "fleet-tls", "severity": "warning",
                "instance": "a", "source": "gw.log",
            },
            alert("GatewayDevicesSilent", "critical", "gw-1"),
            alert("DeviceSilent", "warning", "gw-1", device="dev-1"),
        )  # fmt: skip
        await stand.wait(lambda: stand.inbox.at("ticket"), "the ticket")

    (ticket,) = stand.inbox.at("ticket")
    assert ticket.names == {"FleetTLSLogNotRead"}
    assert stand.inbox.at("page") == []
