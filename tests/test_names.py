"""Rules and dashboards use only metrics, labels and values that there are."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.alerts.book import groups_of
from exporter.alerts.model import Recording
from exporter.alerts.values import Values
from exporter.metrics.catalogue import CATALOGUE, Kind
from exporter.observations import Reason, RejectedBy
from exporter.remediation.intents import Ending
from exporter.remediation.model import Outcome
from exporter.rotation.model import Phase
from exporter.targets.model import Role
from exporter.trust_store.model import SyncState
from tests.promql import Matcher, Selector, named_in

ROOT = Path(__file__).parents[1]
RULES = sorted((ROOT / "rules").glob("*.rules.yml"))
DASHBOARDS = sorted((ROOT / "dashboards").glob("*.json"))
_SCRAPED = {"job", "instance"}
_PROMETHEUS = {
    "up": _SCRAPED,
    "ALERTS": {
        *("alertname", "alertstate", "severity", "scope", "job", "gateway", "device", "target"),
        *("reason", "source", "rotation"),
    },
    "process_cpu_seconds_total": _SCRAPED,  # of prometheus-client
    "process_resident_memory_bytes": _SCRAPED,
    "process_open_fds": _SCRAPED,
    "process_max_fds": _SCRAPED,
}
# Labels whose values are a closed set
_VALUES: Mapping[str, set[str]] = {
    "reason": {reason.value for reason in Reason},
    "rejected_by": {who.value for who in RejectedBy},
    "role": {role.value for role in Role},
    "answering": {"yes", "no"},
    "mode": {"disabled", "dry_run", "act"},
    "phase": {*(phase.value for phase in Phase), "resolve", "connect", "handshake"},
    "state": {state.value for state in SyncState},
    "position": {"0"},
}
_OF_METRIC = {
    ("fleet_tls_remediation_decisions_total", "outcome"): {outcome.value for outcome in Outcome},
    ("fleet_tls_remediation_actions_total", "outcome"): {ending.value for ending in Ending},
    ("fleet_tls_remediation_last_action_outcome", "outcome"): {ending.value for ending in Ending},
}


def labels_by_metric() -> dict[str, set[str]]:
    known = {name: {*metric.labels, *_SCRAPED} for name, metric in CATALOGUE.items()}
    for name, metric in CATALOGUE.items():
        if metric.kind is Kind.HISTOGRAM:
            known[f"{name}_bucket"] = {*known[name], "le"}
            known[f"{name}_sum"] = known[f"{name}_count"] = known.pop(name)
    for group in groups_of(Values()):
        for rule in group.rules:
            if isinstance(rule, Recording):
                known[rule.name] = set(rule.labels)
    return {**known, **_PROMETHEUS}


KNOWN = labels_by_metric()


def expressions_of_rules() -> Iterator[tuple[str, str]]:
    for path in RULES:
        for group in yaml.safe_load(path.read_text("utf-8"))["groups"]:
            for rule in group["rules"]:
                yield rule.get("alert") or rule["record"], rule["expr"]
                for text in rule.get("annotations", {}).values():
                    # as Prometheus sees it once the template has filled the name in
                    for query in re.findall(r'printf "((?:[^"\\]|\\.)*)"[^|}]*\| query', text):
                        yield rule["alert"], query.replace("%q", '"x"')


def expressions_of_dashboards() -> Iterator[tuple[str, str]]:
    for path in DASHBOARDS:
        for where, text in _queries(json.loads(path.read_text("utf-8")), path.stem):
            yield where, _as_promql(text)


def _queries(node: Any, where: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, list):
        for item in node:
            yield from _queries(item, where)
    elif isinstance(node, dict) and node.get("type") not in {"constant", "datasource"}:
        inside = f"{where} / {node['title']}" if isinstance(node.get("title"), str) else where
        for key, value in node.items():
            if key in {"expr", "query", "definition"} and isinstance(value, str):
                yield inside, value
            yield from _queries(value, inside)


def _as_promql(text: str) -> str:
    """The query as Grafana sends it, in form: variables filled in, its own functions taken off."""
    text = re.sub(r"\$__\w+|\$\{__\w+\}", "5m", text)
    text = re.sub(r"\$\{\w+(?::\w+)?\}|\[\[\w+\]\]|\$\w+", "x", text)
    label_values = re.fullmatch(r"label_values\((?:(.*),)?\s*(\w+)\s*\)", text, re.DOTALL)
    if label_values:
        return f"count by ({label_values[2]}) ({label_values[1] or 'up'})"
    query_result = re.fullmatch(r"query_result\((.*)\)", text, re.DOTALL)
    return query_result[1] if query_result else text


EXPRESSIONS = [*expressions_of_rules(), *expressions_of_dashboards()]


def faults_in(expr: str) -> list[str]:
    """Everything that ``expr`` names and that there is not."""
    found = named_in(expr)
    faults = [f"no metric {one.metric}" for one in found.selectors if one.metric not in KNOWN]
    selectors = [one for one in found.selectors if one.metric in KNOWN]
    there = set(found.made).union(*(KNOWN[one.metric] for one in selectors))
    faults += [f"no label {label} to go by" for label in sorted(found.labels - there)]
    for selector in selectors:
        for matcher in selector.matchers:
            faults += _faults_of(selector, matcher)
    return faults


def _faults_of(selector: Selector, matcher: Matcher) -> Iterator[str]:
    if matcher.label not in KNOWN[selector.metric]:
        yield f"{selector.metric} has no label {matcher.label}"
    values = _OF_METRIC.get((selector.metric, matcher.label)) or _VALUES.get(matcher.label)
    if values is None or not matcher.value or matcher.value == "x":
        return
    wanted = matcher.value.split("|") if "~" in matcher.sign else [matcher.value]
    yield from (
        f"{selector.metric}: {matcher.label} is never {value}"
        for value in wanted
        if value not in values and not re.search(r"[.*+]", value)
    )


@pytest.mark.parametrize(
    ("where", "expr"),
    EXPRESSIONS,
    ids=[f"{n}-{where}" for n, (where, _) in enumerate(EXPRESSIONS)],
)
def test_only_what_there_is_is_asked_for(where: str, expr: str) -> None:
    assert faults_in(expr) == [], where


def test_rules_and_dashboards_are_read_at_all() -> None:
    assert len(list(expressions_of_rules())) > 50
    assert len(list(expressions_of_dashboards())) > 10


@pytest.mark.parametrize(
    ("expr", "fault"),
    [
        ("fleet_tls_probe_succes == 0", "no metric fleet_tls_probe_succes"),
        ("sum by (gatway) (fleet_tls_handshakes_total)", "no label gatway to go by"),
        (
            'fleet_tls_probe_success{gateway="a"}',
            "fleet_tls_probe_success has no label gateway",
        ),
        (
            'fleet_tls_device_failing{reason=~"unknown_ca|unknown"}',
            "fleet_tls_device_failing: reason is never unknown",
        ),
        (
            'fleet_tls_remediation_decisions_total{outcome="refuse"}',
            "fleet_tls_remediation_decisions_total: outcome is never refuse",
        ),
        (
            "rate(fleet_tls_exporter_schedule_lag_seconds[5m])",
            "no metric fleet_tls_exporter_schedule_lag_seconds",
        ),
    ],
)
def test_what_there_is_not_is_noticed(expr: str, fault: str) -> None:
    assert faults_in(expr) == [fault]
