"""The same alerts from two real Alertmanagers at once, again later, and forged: one action."""

import asyncio
from pathlib import Path

import pytest

from exporter.clock import SystemClock
from exporter.journal import Kind
from tests.alerting import alertmanager
from tests.response.stand import Ground, Json, Service, alert, delivery, ground_at
from tests.response.test_kill import ACT

ALERTS = 200
_WAITS = {"group_wait": "0s", "group_interval": "1s", "repeat_interval": "1h"}
_TAKEN = 'fleet_tls_webhook_deliveries_total{answer="accepted"} '
_NOBODY = "http://127.0.0.1:9"


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_two_hundred_deliveries_from_two_alertmanagers_make_one_action(
    tmp_path: Path,
) -> None:
    async with ground_at(tmp_path, ACT) as ground:
        senders = [
            alertmanager(
                tmp_path / name, inbox_url=_NOBODY,
                rollback_url=f"{ground.url}/webhook/alertmanager",
                token_file=ground.layout.token_file, waits=_WAITS,
            )
            for name in ("alertmanager-a", "alertmanager-b")
        ]  # fmt: skip
        with senders[0][0], senders[1][0]:
            async with Service(ground):
                await ground.break_gateway()
                await asyncio.gather(*(_post_all(ground, address) for _, address in senders))
                await ground.until_metrics(lambda text: _taken(text) >= 2 * ALERTS)
                await ground.until_ended(1)
                await ground.all_back()

                once = ground.activations()
                kept = ground.rows("SELECT count(*), sum(count) FROM webhook_alert")
                await _replayed_and_forged(ground)

    assert kept == [(ALERTS, 2 * ALERTS)]
    assert once == [(1, "forward"), (2, "forward"), (1, "back")]
    assert ground.activations() == once
    assert [kind for kind, _ in ground.journal()].count(Kind.INTENT) == 1


async def _replayed_and_forged(ground: Ground) -> None:
    """What was sent before is sent again, then what never fired, with the true token."""
    before = ground.journal_length()
    yesterday = ground.rows("SELECT fingerprint, starts_at FROM webhook_alert LIMIT 1")[0]
    again = alert(1) | {"fingerprint": yesterday[0], "startsAt": yesterday[1]}
    assert await ground.post(delivery(again)) == 202
    assert ground.journal_length() == before, "nothing new: no look"

    assert await ground.post(delivery(alert(4711))) == 202
    async with asyncio.timeout(60):
        while not (decisions := _decisions(ground, before)):
            await SystemClock().sleep(0.05)
    assert {one["outcome"] for one in decisions} == {"refused"}
    assert "already_recovered" in decisions[0]["sentence"]


def _decisions(ground: Ground, after: int) -> list[Json]:
    return [facts for kind, facts in ground.journal(after) if kind == Kind.DECISION]


async def _post_all(ground: Ground, address: str) -> None:
    """Have one Alertmanager told of all alerts, each of which is a notification of its own."""
    alerts = [
        {
            "labels": {
                "alertname": "FleetTLSGatewayNotAccepted", "gateway": "gw-1",
                "remediation": "rollback", "job": f"exporter-{number}",
            },
            "startsAt": "2026-11-25T12:00:00Z",
        }
        for number in range(ALERTS)
    ]  # fmt: skip
    async with ground.session.post(f"http://{address}/api/v2/alerts", json=alerts) as answer:
        assert answer.status == 200, await answer.text()


def _taken(metrics: str) -> int:
    return int(metrics.partition(_TAKEN)[2].partition("\n")[0] or 0)
