"""What a real demo shows, as series of ``promtool test rules`` that go on from there."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from exporter.alerts.book import groups_of
from exporter.alerts.values import Values
from exporter.clock import SystemClock
from exporter.metrics.catalogue import CATALOGUE, Kind
from tests.daemons import Daemon, need

RULES = Path(__file__).parents[2] / "rules/fleet-tls.rules.yml"
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


def series_of(
    text: str, drawn: Callable[[str, float], str], *, steps: int
) -> Iterator[tuple[str, str]]:
    """Each series of the exposition, and its values step by step; then what is in ``MORE``."""
    seen = set()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            seen.add(sample.name)
            yield named(sample.name, sample.labels), drawn(sample.name, sample.value)
    for name, labels, value in MORE:
        if name not in seen:
            yield named(name, labels), f"{value}x{steps}"


def named(name: str, labels: dict[str, str]) -> str:
    return f"{name}{{{','.join(f'{k}={json.dumps(v)}' for k, v in (SCRAPED | labels).items())}}}"


def is_counter(name: str) -> bool:
    kind = CATALOGUE[name].kind if name in CATALOGUE else None
    return kind is Kind.COUNTER or name.endswith(("_total", "_bucket", "_count", "_sum"))


def promtool_test(
    path: Path, series: Sequence[tuple[str, str]], asked: Sequence[dict[str, Any]], *, minutes: int
) -> subprocess.CompletedProcess[str]:
    """Let promtool evaluate the rules that ship over ``series``, a value in each so many minutes.

    Args:
        path: Where the test is written.
        asked: As in ``promql_expr_test``.
    """
    test = {
        "rule_files": [str(RULES)],
        "evaluation_interval": f"{minutes}m",
        "group_eval_order": [group.name for group in groups_of(Values())],
        "tests": [
            {
                "interval": f"{minutes}m",
                "input_series": [{"series": name, "values": value} for name, value in series],
                "promql_expr_test": list(asked),
            }
        ],
    }
    path.write_text(yaml.safe_dump(test))
    command = [need("promtool"), "test", "rules", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
