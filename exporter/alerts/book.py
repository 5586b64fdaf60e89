"""All rules in their groups, as the file that Prometheus reads; pure."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from textwrap import indent

from exporter.alerts.changes import remediation_rules, rotation_rules
from exporter.alerts.endpoints import endpoint_rules
from exporter.alerts.expiry import expiry_rules
from exporter.alerts.handshakes import handshake_rules, silence_rules
from exporter.alerts.inventory import INVENTORY
from exporter.alerts.model import Alert, Frame, Group, Rule, group_text
from exporter.alerts.refusal import refusal_rules
from exporter.alerts.service import exporter_rules
from exporter.alerts.trust import trust_rules
from exporter.alerts.values import Values

_HEAD = """\
# Rules of fleet-tls-exporter, for Prometheus 2.42 and newer. Written by a program: change the
# values, not this file. fleet-tls-exporter rules --show-values > values.yml, edit it, then
# fleet-tls-exporter rules --values values.yml --output DIR
groups:
"""


def groups_of(values: Values) -> tuple[Group, ...]:
    """Return all rules; each group begins with what it records for itself and the next ones."""
    groups = (
        Group(name="fleet-tls-inventory", rules=INVENTORY, every_s=values.slow_interval),
        Group(name="fleet-tls-refusal", rules=refusal_rules(values.refusal)),
        Group(name="fleet-tls-endpoints", rules=endpoint_rules(values.endpoints)),
        Group(
            name="fleet-tls-expiry",
            rules=expiry_rules(values.expiry),
            every_s=values.slow_interval,
        ),
        Group(name="fleet-tls-trust", rules=trust_rules(values.trust_sync)),
        Group(name="fleet-tls-handshakes", rules=handshake_rules(values.handshakes)),
        Group(name="fleet-tls-silence", rules=silence_rules(values.silence)),
        Group(name="fleet-tls-rotation", rules=rotation_rules(values.rotation)),
        Group(name="fleet-tls-remediation", rules=remediation_rules(values.remediation)),
        Group(name="fleet-tls-exporter", rules=exporter_rules(values.exporter)),
    )
    return tuple(
        replace(group, rules=tuple(_wanted(group.rules, values)))
        for group in groups
        if any(_wanted(group.rules, values))
    )


def alerts_of(values: Values) -> Iterator[Alert]:
    """Yield the alerts; a name may come several times, once for each severity."""
    for group in groups_of(values):
        for rule in group.rules:
            if isinstance(rule, Alert):
                yield rule


def rules_text(values: Values) -> str:
    """Return the rules file."""
    frame = Frame(
        runbooks=f"{values.links.exporter}/runbooks",
        dashboards=f"{values.links.dashboards}/d",
        keep_firing_for_s=values.keep_firing_for,
    )
    texts = (indent(group_text(group, frame), "  ") for group in groups_of(values))
    return _HEAD + "\n".join(texts)


def _wanted(rules: Iterable[Rule], values: Values) -> Iterator[Rule]:
    for rule in rules:
        if not isinstance(rule, Alert):
            yield rule
        elif rule.name not in values.without:
            yield replace(rule, severity=values.severities.get(rule.name, rule.severity))
