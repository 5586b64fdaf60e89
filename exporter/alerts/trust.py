"""Trust sync: what devices report of their trust stores, beside what is wanted of them."""

from exporter.alerts.model import Alert, Rule, Scope, Severity
from exporter.alerts.pages import FLEET
from exporter.alerts.values import TrustSync
from exporter.durations import format_duration

_CLASS = "{{ if $labels.device_class }}class {{ $labels.device_class }}{{ else }}no class{{ end }}"
_ASKED = "max by (job, api) (fleet_tls_trust_poll_attempts_total)"


def trust_rules(values: TrustSync) -> tuple[Rule, ...]:
    """Return the rules."""
    return (
        _of_class(
            "FleetTLSTrustUpdateFailed",
            _in_state("failed"),
            for_s=values.failed_for,
            summary=f"trust updates have failed on devices of {_CLASS}",
            description="{{ $value }} of the devices of "
            f"{_CLASS} do not hold what is wanted of them, and the platform says that they failed,"
            " or that they are done."
            " fleet_tls_trust_store_synced is 0 for each of them.",
        ),
        _stuck(values),
        _of_class(
            "FleetTLSTrustReportsStale",
            _in_state("stale"),
            for_s=values.stale_for,
            summary=f"devices of {_CLASS} report no more what they trust",
            description="The last report of {{ $value }} of the devices of "
            f"{_CLASS} is too old to say what they trust now.",
        ),
        _of_class(
            "FleetTLSTrustNeverReported",
            f"{_in_state('never_reported')}\nand on (job) count by (job) ({_ASKED})",
            for_s=values.never_reported_for,
            summary=f"devices of {_CLASS} have never reported what they trust",
            description="Of {{ $value }} of the devices of "
            f"{_CLASS} nobody has ever heard what they trust, although a management API is asked."
            " A rotation will wait for them.",
            why="Only where an API is asked for reports at all",
        ),
        _silent_api(values),
    )


def _in_state(state: str) -> str:
    counts = f'fleet_tls_trust_store_class_devices{{state="{state}"}}'
    return f"max by (job, device_class) ({counts}) > 0"


def _of_class(
    name: str, expr: str, *, for_s: float, summary: str, description: str, why: str = ""
) -> Alert:
    return Alert(
        name=name,
        severity=Severity.WARNING,
        scope=Scope.FLEET,
        expr=expr,
        for_s=for_s,
        summary=summary,
        description=description,
        dashboard=FLEET,
        why=why,
    )


def _stuck(values: TrustSync) -> Alert:
    since = "fleet_tls_trust_store_outstanding_since_timestamp_seconds"
    return _of_class(
        "FleetTLSTrustSyncStuck",
        f"""
time() - min by (job, device_class) ({since}) > {values.outstanding:.0f}
and on (job, device_class) {_in_state("pending")}
""",
        for_s=0.0,
        summary=f"devices of {_CLASS} do not get what they should trust",
        description="For {{ $value | humanizeDuration }} something is wanted of devices of"
        f" {_CLASS} that they do not hold yet."
        " fleet_tls_trust_store_synced is 0 for each of them.",
    )


def _silent_api(values: TrustSync) -> Alert:
    last = "max by (job, api) (fleet_tls_trust_poll_last_success_timestamp_seconds)"
    after = format_duration(values.api_silent)
    return Alert(
        name="FleetTLSTrustApiSilent",
        severity=Severity.WARNING,
        scope=Scope.FLEET,
        expr=f"""
time() - {last} > {values.api_silent:.0f}
or
0 * {_ASKED} unless on (job, api) {last}
""",
        for_s=300.0,
        summary="the management API {{ $labels.api }} does not say what devices trust",
        description="{{ if $value }}The last good answer of {{ $labels.api }} is"
        " {{ $value | humanizeDuration }} ago, more than "
        f"{after}."
        "{{ else }}{{ $labels.api }} has not given a good answer yet.{{ end }}"
        " The last reports stay, and grow old; fleet_tls_trust_poll_failures_total has the"
        " reasons.",
        dashboard=FLEET,
    )
