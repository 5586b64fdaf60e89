"""Writes docs/metrics.md from the catalogue: ``python -m exporter.metrics.document``."""

import sys
from collections.abc import Iterable

from exporter.metrics.catalogue import CATALOGUE, Filler, Metric

_HEAD = """\
# Metrics

What `GET /metrics` answers, in the text format and in OpenMetrics, by `Accept`. This page is
written from the program's own catalogue: `python -m exporter.metrics.document`.

- **Values are cached.** Targets are looked at in the background; a scrape looks at nothing. How
  old a value is stands in `fleet_tls_probe_last_attempt_timestamp_seconds` and
  `fleet_tls_certificate_observed_timestamp_seconds`.
- **Absent means unknown.** No value stands for "not known", and no last good value is kept as if
  it were new. A certificate's dates stay while the target is in the inventory, beside the moment
  they were observed. Verdicts vanish after three looks in a row without a chain, or three
  intervals without a look.
- **Moments, never "days left"**: `... - time()` is the rest.
- **Counters** of targets begin anew when the exporter does, or when a target's address changes.
- Labels come from the inventory or from a fixed set. Only `*_info` carry text of a certificate:
  escaped, cut to 128 characters. Control characters are shown as U+FFFD.
- **The scrape never fails because of data.** A series that is there already is dropped and
  counted (`fleet_tls_exporter_duplicate_series_total`). Beyond `metrics.series_budget` series
  whole families are left out and counted (`fleet_tls_exporter_series_left_out_total`), the
  details first: {order}. Of the one that is reached by the limit as many targets are shown as
  there is room for, always the same ones.
- `?shard=2/4` answers with a quarter of the targets, always the same. What belongs to no target
  (the exporter's own metrics, trust anchors, handshake logs, trust sync) is in the first shard.
- In OpenMetrics a counter's family is named without `_total`, an info's without `_info`; in
  PromQL both have their suffix.
"""

_SECTIONS = (
    (
        Filler.FLEET,
        "Targets",
        "From looks at endpoints, from verdicts on what they serve, and from the inventory.\n"
        "The judge and the reasons are described in [verdicts](verdicts.md).",
    ),
    (
        Filler.HANDSHAKE_LOG,
        "Handshakes",
        "From the logs of terminators, devices and platforms; see [logging](logging.md).\n"
        "A source that cannot log successes leaves out what it cannot know.",
    ),
    (
        Filler.TRUST,
        "Trust stores",
        "From what devices reported, polled from management APIs or pushed; see\n"
        "[trust sync](trust-sync.md).",
    ),
    (
        Filler.WEBHOOK,
        "Webhook",
        "From Alertmanager's deliveries; see [remediation](remediation.md).",
    ),
    (
        Filler.REMEDIATION,
        "Remediation",
        "From the guarded rollback; see [remediation](remediation.md).",
    ),
    (
        Filler.ROTATION,
        "Rotation",
        "From the phased rotation of a CA; `rotation` is its id. One that has ended stays for a\n"
        "day, or until the exporter is started again.",
    ),
    (
        Filler.OWN,
        "The exporter itself",
        "Beside these there are the usual `process_*` metrics (CPU, memory, file descriptors,\n"
        "start time).",
    ),
)


def metrics_page() -> str:
    """Return docs/metrics.md."""
    order = [name for name, metric in CATALOGUE.items() if metric.filler is not Filler.OWN]
    first = ", ".join(f"`{name}`" for name in reversed(order[-6:]))
    parts = [_HEAD.format(order=f"{first} and so on")]
    for filler, title, text in _SECTIONS:
        metrics = [metric for metric in CATALOGUE.values() if metric.filler is filler]
        parts.append(f"\n## {title}\n\n{text}\n\n")
        parts.append("| metric | type | labels | |\n|---|---|---|---|\n")
        parts.extend(_row(metric) for metric in metrics)
        parts.extend(_more(metrics))
    return "".join(parts)


def _row(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"| `{metric.name}` | {metric.kind} | {labels} | {metric.help} |\n"


def _more(metrics: Iterable[Metric]) -> Iterable[str]:
    for metric in metrics:
        if metric.notes or metric.examples:
            yield f"\n### `{metric.name}`\n"
        if metric.notes:
            yield f"\n{metric.notes}\n"
        for title, query in metric.examples:
            yield f"\n{title[0].upper()}{title[1:]}:\n\n```promql\n{query}\n```\n"


if __name__ == "__main__":
    sys.stdout.write(metrics_page())
