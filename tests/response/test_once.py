"""The same alerts from two real Alertmanagers at once, again later, and forged: one action."""

import asyncio
from pathlib import Path

import pytest

from exporter.journal import Kind
from tests.alerting import alertmanager
from tests.response.stand import Ground, Json, Service, alert, began, ground_at, until
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
                # Whoever is not answered in time sends again, and that counts as well
                await until(lambda: _kept(ground) == [(ALERTS, True)])
                await ground.until_ended(1)
                await ground.all_back()

                once = ground.activations()
                await _replayed_and_forged(ground)

    assert once == [(1, "forward"), (2, "forward"), (1, "back")]
    assert ground.activations() == once
    assert [kind for kind, _ in ground.journal()].count(Kind.INTENT) == 1


async def _replayed_and_forged(ground: Ground) -> None:
    """What was sent before is sent again, then what never fired, with the true token."""
    await until(lambda: _to_be_looked_at(ground) == 0)
    before = ground.journal_length()
    yesterday = ground.rows("SELECT fingerprint, starts_at FROM webhook_alert LIMIT 1")[0]
    again = alert(1) | {"fingerprint": yesterday[0], "startsAt": yesterday[1]}
    await ground.deliver(again)
    assert _to_be_looked_at(ground) == 0, "nothing new: no look"
    assert Kind.DELIVERY not in [kind for kind, _ in ground.journal(before)]

    await ground.deliver(alert(4711))
    await until(lambda: _to_be_looked_at(ground) == 0)
    # While alerts fire it is looked at again now and then, and only what differs is kept: so the
    # latest one is what this look came to, whoever came to it first
    decisions = _decisions(ground)
    outcomes = [one["outcome"] for one in decisions]
    assert outcomes.count("rollback") == 1
    assert set(outcomes) == {"rollback", "refused"}
    assert "already_recovered" in decisions[-1]["sentence"]


def _kept(ground: Ground) -> list[tuple[object, ...]]:
    """How many alerts there are, and whether both told of each."""
    return [
        (count, bool(least and least >= 2))
        for count, least in ground.rows("SELECT count(*), min(count) FROM webhook_alert")
    ]


def _to_be_looked_at(ground: Ground) -> int:
    query = "SELECT count(*) FROM webhook_alert WHERE ignored = '' AND handled <> state"
    return int(ground.rows(query)[0][0])


def _decisions(ground: Ground) -> list[Json]:
    return [facts for kind, facts in ground.journal() if kind == Kind.DECISION]


async def _post_all(ground: Ground, address: str) -> None:
    """Have one Alertmanager told of all alerts, each of which is a notification of its own."""
    alerts = [
        {
            "labels": {
                "alertname": "FleetTLSGatewayNotAccepted", "gateway": "gw-1",
                "remediation": "rollback", "job": f"exporter-{number}",
            },
            "startsAt": began(0),
        }
        for number in range(ALERTS)
    ]  # fmt: skip
    async with ground.session.post(f"http://{address}/api/v2/alerts", json=alerts) as answer:
        assert answer.status == 200, await answer.text()


def _taken(metrics: str) -> int:
    return int(metrics.partition(_TAKEN)[2].partition("\n")[0] or 0)
