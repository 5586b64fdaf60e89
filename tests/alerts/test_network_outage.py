"""A gateway that the network lost: which alerts the shipped rules raise for it, and no others."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from exporter.clock import SystemClock
from tests.alerts.drawn import (
    MOVING,
    exposition_of_the_demo,
    is_counter,
    named,
    promtool_test,
    series_of,
)
from tests.alerts.network_outage import Labels, alerts_of_an_outage

GATEWAY = "gw-1"
DEVICES = [f"dev-{number:02}" for number in range(1, 19)]
# In minutes, of which each has a value
WELL, AWAY = 60, 120
LOOKS = f"1x{WELL - 1} 0x{AWAY}"
# Moments that go on while it is away: it is looked at, and what devices report comes otherwise
GOING_ON = ("last_attempt", "observed", "store_report", "poll_last_success")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def well_and_away(name: str, value: float, *, now_s: float) -> str:
    """An hour in which all is well, then two in which the gateway is away."""
    if name == "fleet_tls_probe_handshake_success":
        return LOOKS
    if name.startswith("fleet_tls_exporter_schedule_lag_seconds"):
        return f"0x{WELL + AWAY}"  # is of this machine, not of the fleet
    if is_counter(name):
        grows = 0 if "handshake" in name else value
        return f"{value:f}+{value:f}x{WELL - 1} {value * WELL:f}+{grows:f}x{AWAY}"
    if name.endswith("_timestamp_seconds"):
        begin = value - now_s
        moves = 60 if any(word in name for word in MOVING) else 0
        goes_on = 60 if any(word in name for word in GOING_ON) else 0
        return f"{begin:f}+{moves}x{WELL - 1} {begin + moves * (WELL - 1):f}+{goes_on}x{AWAY}"
    return f"{value:f}x{WELL + AWAY}"


def sample(labels: Labels) -> dict[str, object]:
    told = ", ".join(f"{key}={json.dumps(value)}" for key, value in sorted(labels.items()))
    return {"labels": f"{{{told}}}", "value": 1}


async def test_a_gateway_that_is_away_raises_these_alerts_and_no_others(tmp_path: Path) -> None:
    text = await exposition_of_the_demo(tmp_path)
    drawn = partial(well_and_away, now_s=SystemClock().now().timestamp())
    series = list(series_of(text, drawn, steps=WELL + AWAY))
    for device in DEVICES:  # as of those that have an endpoint of their own
        labels = {"target": device, "address": "127.0.0.1:8883"}
        series.append((named("fleet_tls_probe_handshake_success", labels), LOOKS))
    names = "alertname, severity, job, gateway, target, device"
    firing = f'count by ({names}) (ALERTS{{alertstate="firing"}})'
    expected = [sample(one) for one in alerts_of_an_outage(GATEWAY, DEVICES)]
    asked: list[dict[str, Any]] = [
        {"expr": firing, "eval_time": f"{WELL - 1}m", "exp_samples": []},
        {"expr": firing, "eval_time": f"{WELL + AWAY - 1}m", "exp_samples": expected},
    ]

    done = promtool_test(tmp_path / "outage_test.yml", series, asked, minutes=1)

    assert done.returncode == 0, done.stdout + done.stderr
