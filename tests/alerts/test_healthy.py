"""A healthy fleet raises nothing: what the demo shows, drawn out over a week."""

from functools import partial
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from exporter.alerts.values import Values
from exporter.clock import SystemClock
from tests.alerts.drawn import (
    MOVING,
    exposition_of_the_demo,
    is_counter,
    promtool_test,
    series_of,
)

STEP_S = 300
STEPS = 7 * 86_400 // STEP_S

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def all_is_well(name: str, value: float, *, now_s: float) -> str:
    if is_counter(name):
        # grows as it has grown since the start; a histogram keeps its shape
        return f"{value:f}+{value:f}x{STEPS}"
    if name.endswith("_timestamp_seconds"):
        step = STEP_S if any(word in name for word in MOVING) else 0
        return f"{value - now_s:f}+{step}x{STEPS}"
    return f"{value:f}x{STEPS}"


def told_of_the_machine(text: str) -> list[dict[str, object]]:
    """The alert that must be there where the demo's machine stood still; else there is none.

    How late looks began stands in one histogram; were it more than one look in a hundred, it would
    be so all week long.
    """
    counts = {
        sample.labels["le"]: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "fleet_tls_exporter_schedule_lag_seconds_bucket"
        and sample.labels["answering"] == "yes"
    }
    limit_s = Values().exporter.schedule_lag
    (in_time,) = (count for le, count in counts.items() if float(le) == limit_s)
    if in_time >= 0.99 * counts["+Inf"]:
        return []
    return [{"labels": '{alertname="FleetTLSScheduleLag"}', "value": 2}]  # pending, then firing


async def test_eighteen_devices_over_a_week_raise_nothing(tmp_path: Path) -> None:
    text = await exposition_of_the_demo(tmp_path)
    drawn = partial(all_is_well, now_s=SystemClock().now().timestamp())
    series = list(series_of(text, drawn, steps=STEPS))
    nothing = {
        "expr": "count by (alertname) (last_over_time(ALERTS[8d]))",
        "exp_samples": told_of_the_machine(text),
    }
    # or the silence would prove nothing
    told = [
        ("count(target:fleet_tls_chain_not_after_timestamp_seconds:min > time())", 7),
        ("count(device:fleet_tls_client_certificate_not_after_timestamp_seconds:min)", 18),
        ("count(device:fleet_tls_handshake_success:ratio == 1)", 18),
        ("sum(gateway:fleet_tls_handshakes:increase) > bool 20", 1),
        ("count(fleet_tls_device_accepts_gateway == 1)", 18),
    ]
    asked = [
        {**nothing, "eval_time": "7d"},
        *(
            {"expr": expr, "eval_time": "7d", "exp_samples": [{"labels": "{}", "value": count}]}
            for expr, count in told
        ),
    ]

    done = promtool_test(tmp_path / "week_test.yml", series, asked, minutes=5)

    assert done.returncode == 0, done.stdout + done.stderr
    assert STEPS == 2016
    assert len(series) > 400
