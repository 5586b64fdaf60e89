"""From the handshake logs: how many succeed, and who is not heard of any more."""

from exporter.alerts.model import Alert, Recording, Rule, Scope, Severity
from exporter.alerts.pages import OF_DEVICE, OF_GATEWAY
from exporter.alerts.promql import of_devices
from exporter.alerts.values import Handshakes, Silence
from exporter.durations import format_duration

_TOTAL = "fleet_tls_handshakes_total"
_FAILED = 'fleet_tls_handshake_failures_total{device!=""}'
_LAST = 'fleet_tls_handshake_last_success_timestamp_seconds{device!=""}'
_EVERY = "fleet_tls_device_contact_interval_seconds"
_SILENT = "device:fleet_tls_silence_seconds:overdue"
_RATIO = "%s:fleet_tls_handshake_success:ratio"
_ALL = "%s:fleet_tls_handshakes:increase"
_LOST = "%s:fleet_tls_handshake_failures:increase"


def handshake_rules(values: Handshakes) -> tuple[Rule, ...]:
    """Return the rules about success ratios."""
    return (*_counts(values), *_of_gateways(values), _of_devices(values))


def _counts(values: Handshakes) -> tuple[Recording, ...]:
    window = format_duration(values.window)
    by = "job, gateway, device"
    lost = f"""
sum by ({by}) (
  max by ({by}, reason, rejected_by) (
    (
      {_FAILED} unless {_FAILED} offset {window}
      and on ({by}) {_TOTAL} offset {window}
    )
    or increase({_FAILED}[{window}])
  )
)
"""
    whole = [
        Recording(
            name=_ALL % "device",
            labels=("job", "gateway", "device"),
            why="Of nobody's handshakes (scanners) nothing is to be expected: they do not count",
            expr=f'max by ({by}) (increase({_TOTAL}{{device!=""}}[{window}]))',
        ),
        Recording(
            name=_LOST % "device",
            labels=("job", "gateway", "device"),
            why="A counter born at 1 has no increase: where the device itself was known before,\n"
            "all that a new reason counts is new",
            expr=lost,
        ),
    ]
    for level in ("device", "gateway"):
        if level == "gateway":
            whole += [
                Recording(
                    name=name % level,
                    labels=("job", "gateway"),
                    expr=f"sum by (job, gateway) ({name % 'device'})",
                )
                for name in (_ALL, _LOST)
            ]
        whole.append(_ratio(level))
    return tuple(whole)


def _ratio(level: str) -> Recording:
    total, lost = _ALL % level, _LOST % level
    labels = ("job", "gateway") if level == "gateway" else ("job", "gateway", "device")
    return Recording(
        name=_RATIO % level,
        labels=labels,
        expr=f"clamp_min(1 - ({lost} or 0 * {total}) / ({total} > 0), 0)",
    )


def _of_gateways(values: Handshakes) -> tuple[Alert, ...]:
    limits = (
        (Severity.WARNING, values.gateway_warning_percent),
        (Severity.CRITICAL, values.gateway_critical_percent),
    )
    return tuple(
        Alert(
            name="FleetTLSGatewayHandshakesFail",
            severity=severity,
            scope=Scope.GATEWAY,
            expr=f"""
{_RATIO % "gateway"} < {percent / 100:g}
and {_ALL % "gateway"} >= {values.gateway_minimum}
""",
            for_s=values.ratio_for,
            summary="{{ $value | humanizePercentage }} of the handshakes at"
            " {{ $labels.gateway }} succeed",
            description="Of the devices' full handshakes with {{ $labels.gateway }} within"
            f" {format_duration(values.window)} only {{{{ $value | humanizePercentage }}}}"
            f" succeeded; less than {percent}% is too few."
            " fleet_tls_handshake_failures_total has the reasons and who refused.",
            dashboard=OF_GATEWAY,
        )
        for severity, percent in limits
    )


def _of_devices(values: Handshakes) -> Alert:
    return Alert(
        name="FleetTLSDeviceHandshakesFail",
        severity=Severity.WARNING,
        scope=Scope.DEVICE,
        expr=f"""
{_RATIO % "device"} < {values.device_percent / 100:g}
and {_ALL % "device"} >= {values.device_minimum}
""",
        for_s=values.ratio_for,
        summary="{{ $value | humanizePercentage }} of the handshakes of {{ $labels.device }}"
        " succeed",
        description="Of the full handshakes of {{ $labels.device }} with {{ $labels.gateway }}"
        f" within {format_duration(values.window)} only {{{{ $value | humanizePercentage }}}}"
        f" succeeded; less than {values.device_percent}% is too few.",
        dashboard=OF_DEVICE,
    )


def silence_rules(values: Silence) -> tuple[Rule, ...]:
    """Return the rules about devices that are not heard of."""
    return (
        Recording(
            name=_SILENT,
            labels=("job", "device", "gateway"),
            why="Seconds since the last good handshake of each device that should have had one",
            expr=of_devices(f"""
  time() - (
    max by (job, device) ({_LAST} < time() - {values.at_least:.0f})
    < on (job, device) (time() - {values.intervals} * max by (job, device) ({_EVERY}))
    unless on (job, device) {_LAST} >= time() - {values.at_least:.0f}
  )
"""),
        ),
        _silent_gateway(values),
        _silent_device(values),
        _never_seen(values),
    )


def _silent_gateway(values: Silence) -> Alert:
    silent = f"count by (job, gateway) ({_SILENT})"
    heard = f"count by (job, gateway) (count by (job, gateway, device) ({_LAST}))"
    return Alert(
        name="FleetTLSGatewayDevicesSilent",
        severity=Severity.CRITICAL,
        scope=Scope.GATEWAY,
        why="A network outage is one page, and not one for each device",
        expr=f"""
{silent} >= {values.gateway_devices}
and
{silent} / {heard} >= {values.gateway_percent / 100:g}
""",
        for_s=values.silent_for,
        summary="{{ $value }} devices behind {{ $labels.gateway }} are silent",
        description="{{ $value }} devices behind {{ $labels.gateway }} have had no good handshake"
        f" for more than {values.intervals} of their contact intervals, which is"
        f" {values.gateway_percent}% or more of those that were ever heard.",
        dashboard=OF_GATEWAY,
    )


def _silent_device(values: Silence) -> Alert:
    return Alert(
        name="FleetTLSDeviceSilent",
        severity=Severity.WARNING,
        scope=Scope.DEVICE,
        expr=_SILENT,
        for_s=values.silent_for,
        summary="{{ $labels.device }} was not heard of for {{ $value | humanizeDuration }}",
        description="The last good handshake of {{ $labels.device }} with {{ $labels.gateway }} is"
        " {{ $value | humanizeDuration }} ago, more than"
        f" {values.intervals} of its contact intervals.",
        dashboard=OF_DEVICE,
    )


def _never_seen(values: Silence) -> Alert:
    gateways = f"count by (job, gateway) ({_LAST})"
    return Alert(
        name="FleetTLSDeviceNeverSeen",
        severity=Severity.INFO,
        scope=Scope.DEVICE,
        why="Only behind gateways whose logs tell of good handshakes at all",
        expr=of_devices(f"max by (job, device) ({_EVERY} unless on (job, device) {_LAST})")
        + f"\nand on (job, gateway) {gateways}",
        for_s=values.never_seen_for,
        summary="no log has ever told of a good handshake of {{ $labels.device }}",
        description="{{ $labels.device }} should connect to {{ $labels.gateway }} every"
        " {{ $value | humanizeDuration }}, other devices behind it do, and it never did: not"
        " installed yet, unknown by that address or name, or refused from the start.",
        dashboard=OF_DEVICE,
    )
