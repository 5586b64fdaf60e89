"""The metrics of trust sync: what devices reported beside what is wanted of them."""

from functools import partial

from exporter.metrics.catalogue.model import PREFIX, Filler, Kind, Metric, cached

_metric = partial(Metric, filler=Filler.TRUST)
_T = f"{PREFIX}trust_"
_POLLED = "trust_poll_last_success_timestamp_seconds"

TRUST = (
    _metric(
        name=f"{_T}store_devices",
        kind=Kind.GAUGE,
        labels=("state",),
        help="Devices by how their report stands to what is wanted of them.",
        notes="All five states always. `synced`: a fresh report holds every wanted anchor, and"
        " the platform says nothing else. `pending`: the platform says so, or nothing says"
        " anything and it was wanted only lately. `failed`: the platform says so, or it says"
        " COMPLETE and the report is without the anchor. `stale`: the report is too old to say"
        " anything. `never_reported`: there is none.",
        examples=(
            (
                "devices that are not known to trust what they should",
                'sum(fleet_tls_trust_store_devices{state!="synced"})',
            ),
        ),
    ),
    _metric(
        name=f"{_T}store_undefined_devices",
        kind=Kind.GAUGE,
        help="Devices with a fresh report of which nothing is known to be wanted.",
        notes="They are in none of the five states. They, their class or an entry of"
        " `trust_sync.desired` name no trust store, or one that is not there.",
    ),
    _metric(
        name=f"{_T}store_class_devices",
        kind=Kind.GAUGE,
        labels=("device_class", "state"),
        help="Devices of each class by how their report stands to what is wanted of them.",
        notes="All five states for each class that has a device.",
        examples=(
            (
                "the share of each class that is synced",
                'sum by (device_class) (fleet_tls_trust_store_class_devices{state="synced"})'
                " / sum by (device_class) (fleet_tls_trust_store_class_devices)",
            ),
        ),
    ),
    _metric(
        name=f"{_T}store_anchor_devices",
        kind=Kind.GAUGE,
        labels=("device_class", "condition"),
        help="Devices of each class with such an anchor in a report that is not stale.",
        notes="`condition` is `missing` (wanted, not reported), `extra` (reported, not wanted; no"
        " fault by itself), `expired` or `expiring` (`trust_sync.expiring_within`, 30 days by"
        " default). Of an anchor whose certificate is not known no end can be told.",
    ),
    _metric(
        name=f"{_T}store_outstanding_since_timestamp_seconds",
        kind=Kind.GAUGE,
        labels=("device_class",),
        unit="seconds",
        help="Since when something is wanted of a device of the class that is not synced.",
        notes="The earliest such moment; absent when every device of the class is synced. What"
        " was wanted before a device was first seen counts from then.",
        examples=(
            (
                "classes that lag behind for more than a day",
                "time() - fleet_tls_trust_store_outstanding_since_timestamp_seconds > 86400",
            ),
        ),
    ),
    _metric(
        name=f"{_T}poll_last_success_timestamp_seconds",
        kind=Kind.GAUGE,
        labels=("api",),
        unit="seconds",
        help="When the management API last gave a good answer about trust stores.",
        notes="Absent before the first one. Until the next one the last good reports stay, and"
        " grow old.",
        examples=(
            (
                "not answered for ten minutes",
                "time() - fleet_tls_trust_poll_last_success_timestamp_seconds > 600",
            ),
        ),
    ),
    _metric(
        name=f"{_T}poll_attempts_total",
        kind=Kind.COUNTER,
        labels=("api",),
        help="Questions to the management API about trust stores.",
    ),
    _metric(
        name=f"{_T}poll_failures_total",
        kind=Kind.COUNTER,
        labels=("api", "reason"),
        help="Questions without a good answer, by reason.",
        notes="Zeros from the start for each reason. `nonsense`: an answer that is not what the"
        " API's document says.",
        examples=(
            (
                "failures by reason",
                "sum by (reason) (increase(fleet_tls_trust_poll_failures_total[1h]))",
            ),
        ),
    ),
    _metric(
        name=f"{_T}poll_ignored_entries_total",
        kind=Kind.COUNTER,
        labels=("api", "reason"),
        help="Entries of good answers that were not taken, by reason.",
        notes="`unknown_device`: no device of the inventory. `other_api`: a device that another"
        " management API speaks for. `future`: received in the future. `no_time`: neither a"
        " moment of receipt nor a possible one of writing. `too_many_anchors`: over 1,000. What"
        " was known of the device stays.",
    ),
    _metric(
        name=f"{_T}platform_devices",
        kind=Kind.GAUGE,
        labels=("api",),
        help=cached("Devices by the platform's own count.", _POLLED),
    ),
    _metric(
        name=f"{_T}platform_complete_devices",
        kind=Kind.GAUGE,
        labels=("api",),
        help=cached("Devices that are updated by the platform's own word.", _POLLED),
        notes="A word, not a fact: beside it stands what the devices reported.",
        examples=(
            (
                "the platform says more than the devices do",
                "sum(fleet_tls_trust_platform_complete_devices)"
                ' > sum(fleet_tls_trust_store_devices{state="synced"})',
            ),
        ),
    ),
    _metric(
        name=f"{_T}reports_pushed_total",
        kind=Kind.COUNTER,
        labels=("outcome",),
        help="Reports that were pushed by somebody with a credential, by what became of them.",
        notes="`accepted`, `refused` (it can never be taken), `failed` (it was answered to come"
        " again).",
    ),
    _metric(
        name=f"{_T}reports_durable",
        kind=Kind.GAUGE,
        help="1: the store takes the reports; 0: a restart would forget what came since.",
        notes="Absent where nobody reports.",
    ),
)

TRUST_DEVICES = (
    _metric(
        name=f"{_T}store_synced",
        kind=Kind.GAUGE,
        labels=("device",),
        help=cached(
            "1: the device holds what is wanted of it; 0: it reported and does not.",
            "trust_store_report_timestamp_seconds",
        ),
        notes="1 for `synced`, 0 for `pending` and `failed`. Absent when it never reported, when"
        " its report is stale, and when nothing is known to be wanted of it.",
        examples=(("devices that lack something", "fleet_tls_trust_store_synced == 0"),),
    ),
    _metric(
        name=f"{_T}store_report_timestamp_seconds",
        kind=Kind.GAUGE,
        labels=("device",),
        unit="seconds",
        help="When the last good report of the device was received.",
        notes="Stays when the report is stale; absent when it never reported.",
    ),
)
