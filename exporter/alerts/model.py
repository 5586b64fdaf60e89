"""Rules as plain values, and the YAML that Prometheus reads; pure."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from textwrap import dedent, indent

from exporter.durations import format_duration


class Severity(StrEnum):
    """How bad: to be seen some day, to be done today, to be woken for."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class Scope(StrEnum):
    """What an alert is about; Alertmanager's inhibition goes by it."""

    GATEWAY = "gateway"
    DEVICE = "device"
    FLEET = "fleet"
    EXPORTER = "exporter"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A recording rule.

    Attributes:
        name: ``level:metric:operation``.
        labels: What its series carry beside the name.
        why: A comment for those who read the file.
    """

    name: str
    labels: tuple[str, ...]
    expr: str
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """An alerting rule.

    Attributes:
        expr: PromQL; its value is what ``$value`` is in the texts.
        for_s: How long it has to hold.
        summary: One line, with the name of what it is about.
        description: The numbers, and what they mean.
        dashboard: Path and query of the page in Grafana, below its root.
        more: Labels beside ``severity`` and ``scope``.
        survives_gaps: It goes on over a short gap in the data. Not for those that tell of gaps.
    """

    name: str
    severity: Severity
    scope: Scope
    expr: str
    for_s: float = 0.0
    summary: str
    description: str
    dashboard: str
    more: Mapping[str, str] = field(default_factory=dict)
    survives_gaps: bool = True
    why: str = ""


Rule = Recording | Alert


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Rules that are evaluated one after the other, at the same moment.

    Attributes:
        every_s: How often; None: as often as Prometheus evaluates by default.
    """

    name: str
    rules: tuple[Rule, ...]
    every_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What all alerts have in common."""

    runbooks: str
    dashboards: str
    keep_firing_for_s: float


def group_text(group: Group, frame: Frame) -> str:
    """Return the YAML of ``group``, an item of ``groups``."""
    interval = f"  interval: {format_duration(group.every_s)}\n" if group.every_s else ""
    head = f"- name: {group.name}\n{interval}  rules:\n"
    return head + "\n".join(indent(_rule_text(rule, frame), "    ") for rule in group.rules)


def _rule_text(rule: Rule, frame: Frame) -> str:
    lines = [f"# {line}" for line in rule.why.splitlines()]
    if isinstance(rule, Recording):
        lines += [f"- record: {rule.name}", *_expr(rule.expr)]
    else:
        lines += [f"- alert: {rule.name}", *_expr(rule.expr), *_alert_lines(rule, frame)]
    return "\n".join(lines) + "\n"


def _alert_lines(alert: Alert, frame: Frame) -> Iterable[str]:
    if alert.for_s:
        yield f"  for: {format_duration(alert.for_s)}"
    if alert.survives_gaps and frame.keep_firing_for_s:
        yield f"  keep_firing_for: {format_duration(frame.keep_firing_for_s)}"
    labels = {"severity": alert.severity.value, "scope": alert.scope.value, **alert.more}
    yield f"  labels: {{{', '.join(f'{key}: {value}' for key, value in labels.items())}}}"
    yield "  annotations:"
    annotations = {
        "summary": alert.summary,
        "description": alert.description,
        "runbook_url": f"{frame.runbooks}/{alert.name}",
        "dashboard": f"{frame.dashboards}/{alert.dashboard}",
    }
    for key, text in annotations.items():
        # A JSON string is a YAML one
        yield f"    {key}: {json.dumps(text, ensure_ascii=False)}"


def _expr(text: str) -> Iterable[str]:
    yield "  expr: |-"
    for line in dedent(text).strip().splitlines():
        yield f"    {line}".rstrip()
