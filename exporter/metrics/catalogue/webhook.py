"""The metrics that Alertmanager's deliveries fill."""

from functools import partial

from exporter.metrics.catalogue.model import PREFIX, Filler, Kind, Metric

_metric = partial(Metric, filler=Filler.WEBHOOK)

WEBHOOK = (
    _metric(
        name=f"{PREFIX}webhook_deliveries_total",
        kind=Kind.COUNTER,
        labels=("answer",),
        help="Deliveries of Alertmanager, by how they were answered, since the start.",
        notes="`accepted`: durable before it was answered. `invalid` can never become valid."
        " Zeros from the start for each answer.",
        examples=(
            (
                "somebody without the credential",
                "increase(fleet_tls_webhook_deliveries_total"
                '{answer=~"unauthorized|forbidden"}[1h]) > 0',
            ),
        ),
    ),
    _metric(
        name=f"{PREFIX}webhook_alerts_total",
        kind=Kind.COUNTER,
        labels=("outcome",),
        help="Alerts in accepted deliveries: accepted, duplicate or ignored, since the start.",
    ),
    _metric(
        name=f"{PREFIX}webhook_clock_offset_at_most_seconds",
        kind=Kind.GAUGE,
        unit="seconds",
        help="Our clock minus the alerts' is at most this, by the newest moment delivered.",
        notes="By the alerts of the last 15 minutes that ask for a rollback. One may have begun"
        " hours ago, so a value above zero says little; below zero our clock is behind, by at"
        " least so much, or the alert was forged. Beyond `remediation.max_clock_offset` nothing"
        " is rolled back (`cannot_look`), unless the `Date` of the gateway's management API says"
        " that our clock is right.",
        examples=(
            ("our clock is behind", "fleet_tls_webhook_clock_offset_at_most_seconds < -30"),
        ),
    ),
)
