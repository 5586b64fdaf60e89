"""A gateway that the network lost: which alerts the shipped rules raise for it, and no others."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from exporter.alerts.book import groups_of
from exporter.alerts.values import Values
from exporter.clock import SystemClock
from exporter.metrics.catalogue import CATALOGUE, Kind
from tests.alerts.network_outage import Labels, alerts_of_an_outage
from tests.alerts.test_healthy import (
    MORE,
    MOVING,
    ROOT,
    SCRAPED,
    exposition_of_the_demo,
    promtool_test,
)

GATEWAY = "gw-1"
DEVICES = [f"dev-{number:02}" for number in range(1, 19)]
STEP_S, WELL, AWAY = 60, 60, 120
# Moments that go on while it is away: it is looked at, and what devices report comes otherwise
GOING_ON = ("last_attempt", "observed", "store_report", "poll_last_success")
COUNTED = ("_total", "_bucket", "_count", "_sum")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def series_of(text: str, now_s: float) -> Iterator[dict[str, str]]:
    """What promtool takes: an hour in which all is well, then two in which the gateway is away."""
    seen = set()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            seen.add(sample.name)
            yield _series(sample.name, sample.labels, _drawn(sample.name, sample.value, now_s))
    for name, labels, value in MORE:
        if name not in seen:
            yield _series(name, labels, f"{value}x{WELL + AWAY}")
    for device in DEVICES:  # as for those that have an endpoint of their own
        labels = {"target": device, "address": "127.0.0.1:8883"}
        yield _series("fleet_tls_probe_handshake_success", labels, f"1x{WELL - 1} 0x{AWAY}")


def _series(name: str, labels: dict[str, str], values: str) -> dict[str, str]:
    told = ",".join(f"{key}={json.dumps(value)}" for key, value in (SCRAPED | labels).items())
    return {"series": f"{name}{{{told}}}", "values": values}


def _drawn(name: str, value: float, now_s: float) -> str:
    if name == "fleet_tls_probe_handshake_success":
        return f"1x{WELL - 1} 0x{AWAY}"
    kind = CATALOGUE[name].kind if name in CATALOGUE else None
    if kind is Kind.COUNTER or name.endswith(COUNTED):
        grows = 0 if "handshake" in name else 1
        last = value * WELL
        return f"{value:f}+{value:f}x{WELL - 1} {last:f}+{grows * value:f}x{AWAY}"
    if name.endswith("_timestamp_seconds"):
        begin = value - now_s
        moves = STEP_S if any(word in name for word in MOVING) else 0
        goes_on = STEP_S if any(word in name for word in GOING_ON) else 0
        last = begin + moves * (WELL - 1)
        return f"{begin:f}+{moves}x{WELL - 1} {last:f}+{goes_on}x{AWAY}"
    return f"{value:f}x{WELL + AWAY}"


def _sample(labels: Labels) -> dict[str, object]:
    told = ", ".join(f"{key}={json.dumps(value)}" for key, value in sorted(labels.items()))
    return {"labels": f"{{{told}}}", "value": 1}


async def test_a_gateway_that_is_away_raises_these_alerts_and_no_others(tmp_path: Path) -> None:
    text = await exposition_of_the_demo(tmp_path)
    series = list(series_of(text, SystemClock().now().timestamp()))
    names = "alertname, severity, job, gateway, target, device"
    firing = f'count by ({names}) (ALERTS{{alertstate="firing"}})'
    expected = [_sample(one) for one in alerts_of_an_outage(GATEWAY, DEVICES)]
    test = {
        "rule_files": [str(ROOT / "rules/fleet-tls.rules.yml")],
        "evaluation_interval": "1m",
        "group_eval_order": [group.name for group in groups_of(Values())],
        "tests": [
            {
                "interval": f"{STEP_S}s",
                "input_series": series,
                "promql_expr_test": [
                    {"expr": firing, "eval_time": f"{WELL - 1}m", "exp_samples": []},
                    {"expr": firing, "eval_time": f"{WELL + AWAY - 1}m", "exp_samples": expected},
                ],
            }
        ],
    }
    path = tmp_path / "outage_test.yml"
    path.write_text(yaml.safe_dump(test))

    done = promtool_test(path)

    assert done.returncode == 0, done.stdout + done.stderr
