"""A healthy fleet raises nothing: what the demo shows, drawn out over a week."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from exporter.alerts.book import groups_of
from exporter.alerts.values import Values
from exporter.clock import SystemClock
from exporter.metrics.catalogue import CATALOGUE, Kind
from tests.daemons import Daemon, need

ROOT = Path(__file__).parents[2]
STEP_S = 300
STEPS = 7 * 86_400 // STEP_S
SCRAPED = {"job": "fleet-tls", "instance": "tls:9883"}
# Moments that follow the clock while all is well; the others stay where they are
MOVING = ("last_attempt", "last_handshake", "observed", "last_success", "store_report")
# What a fleet has beyond the demo's, and what is well with it
MORE = (
    ("up", {}, "1"),
    ("fleet_tls_remediation_mode", {"mode": "dry_run"}, "1"),
    ("fleet_tls_remediation_rollback_ready", {"gateway": "gw-1"}, "1"),
    ("fleet_tls_remediation_decisions_total", {"outcome": "refused"}, "3"),
    ("fleet_tls_remediation_actions_total", {"outcome": "not_back"}, "1"),
    ("fleet_tls_remediation_last_action_timestamp_seconds", {"gateway": "gw-1"}, "-90000"),
    ("fleet_tls_remediation_hold_until_timestamp_seconds", {"gateway": "gw-1"}, "-3600"),
    ("fleet_tls_remediation_budget_remaining", {}, "3"),
    ("fleet_tls_rotation_phase", {"rotation": "r0", "phase": "done"}, "1"),
    ("fleet_tls_rotation_blocking_devices", {"rotation": "r0", "reason": "pending"}, "0"),
    ("fleet_tls_rotation_drift", {"rotation": "r0"}, "0"),
    ("fleet_tls_rotation_overlap_end_timestamp_seconds", {"rotation": "r0"}, "-999999"),
    *(
        (
            "fleet_tls_client_certificate_not_after_timestamp_seconds",
            {"device": f"dev-{n:02}"},
            str(90 * 86_400),
        )
        for n in range(1, 19)
    ),
    *(
        (
            "fleet_tls_trust_store_class_devices",
            {"device_class": "sensor", "state": state},
            "6" if state == "synced" else "0",
        )
        for state in ("synced", "pending", "failed", "stale", "never_reported")
    ),
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def is_all_told(text: str) -> bool:
    """Whether each latest look was good, and each device is told of by its log and its report."""
    # A look that the machine held up for longer than it may take is a bad one, until the next
    looks = re.findall(r"^fleet_tls_probe_handshake_success\{.*\} (\S+)$", text, re.MULTILINE)
    connected = text.count("fleet_tls_handshake_last_success_timestamp_seconds{") >= 18
    is_synced = 'fleet_tls_trust_store_devices{state="synced"} 18' in text
    return connected and is_synced and list(map(float, looks)) == [1.0] * 7


async def exposition_of_the_demo(tmp_path: Path) -> str:
    command = (sys.executable, "-m", "exporter", "demo", "--port", "0", "--json")
    with Daemon(command, directory=tmp_path / "demo") as running:
        running.wait_for_line("}", within_s=90)
        url = json.loads(running.lines()[-1])["exporter"]
        async with aiohttp.ClientSession() as session:
            for _ in range(300):
                async with session.get(f"{url}/metrics") as answer:
                    text = await answer.text()
                if is_all_told(text):
                    return text
                await SystemClock().sleep(0.1)
    pytest.fail("not each target was reached, and each device told of by a handshake and a report")


def series_of(text: str, now_s: float) -> Iterator[tuple[str, str]]:
    """What promtool takes: each series, and its values step by step."""
    seen = set()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            seen.add(sample.name)
            yield _named(sample.name, sample.labels), _drawn(sample.name, sample.value, now_s)
    for name, labels, value in MORE:
        if name not in seen:
            yield _named(name, labels), f"{value}x{STEPS}"


def _named(name: str, labels: dict[str, str]) -> str:
    return f"{name}{{{','.join(f'{k}={json.dumps(v)}' for k, v in (SCRAPED | labels).items())}}}"


def _drawn(name: str, value: float, now_s: float) -> str:
    kind = CATALOGUE[name].kind if name in CATALOGUE else None
    if kind is Kind.COUNTER or name.endswith(("_total", "_bucket", "_count", "_sum")):
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


def promtool_test(path: Path) -> subprocess.CompletedProcess[str]:
    command = [need("promtool"), "test", "rules", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)


async def test_eighteen_devices_over_a_week_raise_nothing(tmp_path: Path) -> None:
    text = await exposition_of_the_demo(tmp_path)
    series = list(series_of(text, SystemClock().now().timestamp()))
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
    test = {
        "rule_files": [str(ROOT / "rules/fleet-tls.rules.yml")],
        "evaluation_interval": "5m",
        "group_eval_order": [group.name for group in groups_of(Values())],
        "tests": [
            {
                "interval": "5m",
                "input_series": [{"series": name, "values": value} for name, value in series],
                "promql_expr_test": [
                    {**nothing, "eval_time": "7d"},
                    *(
                        {
                            "expr": expr,
                            "eval_time": "7d",
                            "exp_samples": [{"labels": "{}", "value": count}],
                        }
                        for expr, count in told
                    ),
                ],
            }
        ],
    }
    path = tmp_path / "week_test.yml"
    path.write_text(yaml.safe_dump(test))

    done = promtool_test(path)

    assert done.returncode == 0, done.stdout + done.stderr
    assert STEPS == 2016
    assert len(series) > 400
