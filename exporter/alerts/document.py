"""Writes rules/ and docs/alerts.md anew: ``python -m exporter.alerts.document``."""

import re
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path

from exporter.alerts.book import alerts_of, groups_of, rules_text
from exporter.alerts.model import Alert, Recording
from exporter.alerts.values import Values
from exporter.alerts.values_text import values_text
from exporter.durations import format_duration

_HEAD = """\
# Alerts

What `fleet-tls-exporter rules --output DIR` writes for Prometheus 2.42 or newer. This page, the
rules and the file of values are written by a program: `python -m exporter.alerts.document`.

Every threshold, wait and window is a value: `fleet-tls-exporter rules --show-values >
values.yml`, keep what you change, then `rules --values values.yml --output DIR`. A target's own
`expiry_warning` (a key of the inventory, or a label in file_sd and http_sd) goes before the
days in that file. Names of alerts that you do not want go into `without`, another severity into
`severities`; `links` says where the exporter and Grafana are for a person's browser.

- `severity` is `info` (to be seen some day), `warning` (to be done today) or `critical`
  (somebody is woken).
- `scope` is `gateway`, `device`, `fleet` or `exporter`. All alerts that have to do with a
  gateway or with a device behind it carry `gateway`: group by it. Two exporters side by side
  under one `job` are one alert.
- `remediation="rollback"` stands on the two alerts that may ask for a rollback.
- `runbook_url` leads to the exporter, which serves [the
  runbooks](runbooks/FleetTLSGatewayNotAccepted.md); `dashboard` to Grafana.
- An alert goes on over a gap in the data of five minutes. When nothing is scraped, that is the
  alert.

[alertmanager.yml](alertmanager.yml) is a complete example: one notification for each gateway,
the nearer limit speaks for the farther one, a gateway that is away explains its silent devices,
and what asks for a rollback goes to the exporter's webhook with a credential from a file.
[prometheus.yml](prometheus.yml) goes with it.
"""


def committed() -> Mapping[str, str]:
    """Return the texts that are kept in the repository, by path."""
    return {
        "rules/fleet-tls.rules.yml": rules_text(Values()),
        "rules/values.yml": values_text(),
        "docs/alerts.md": _page(),
    }


def _page() -> str:
    return "".join([_HEAD, *_alerts(), *_recordings()])


def _alerts() -> Iterator[str]:
    yield "\n## Each alert\n\n| alert | severity | for | says |\n|---|---|---|---|\n"
    for name, rules in groupby(alerts_of(Values()), key=lambda alert: alert.name):
        same = list(rules)
        severities = ", ".join(dict.fromkeys(alert.severity.value for alert in same))
        waits = dict.fromkeys(format_duration(alert.for_s) for alert in same)
        yield (
            f"| [{name}](runbooks/{name}.md) | {severities} | {', '.join(waits)}"
            f" | {_said(same[-1])} |\n"
        )


def _said(alert: Alert) -> str:
    """Return the summary as it mostly reads, with a word in place of each value."""
    text = re.sub(r"{{ if [^}]+ }}(.*?){{ else }}.*?{{ end }}", r"\1", alert.summary)
    for shown, word in (
        ("{{ $value | humanizeDuration }}", "…"),
        ("{{ $value | humanizePercentage }}", "…%"),
        ("{{ $value }}", "*n*"),
    ):
        text = text.replace(shown, word)
    return re.sub(r"{{ \$labels\.(\w+) }}", r"*\1*", text)


def _recordings() -> Iterator[str]:
    yield "\n## What is recorded\n\n| series | labels |\n|---|---|\n"
    for group in groups_of(Values()):
        for rule in group.rules:
            if isinstance(rule, Recording):
                yield f"| `{rule.name}` | {', '.join(f'`{label}`' for label in rule.labels)} |\n"


if __name__ == "__main__":  # pragma: no cover - a test compares committed() with the files
    for path, text in committed().items():
        Path(path).write_text(text, encoding="utf-8")
