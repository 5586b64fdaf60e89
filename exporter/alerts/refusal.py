"""The outage: devices that do not accept what their gateway serves, and what goes with it."""

from exporter.alerts.model import Alert, Recording, Rule, Scope, Severity
from exporter.alerts.pages import OF_DEVICE, OF_GATEWAY
from exporter.alerts.promql import MISMATCH, OTHER_FAULTS, OWN_FAULTS, one_of
from exporter.alerts.values import Refusal
from exporter.durations import format_duration

_ACCEPTS = "fleet_tls_device_accepts_gateway"
_PREDICTED = "gateway:fleet_tls_devices_refusing:predicted"
_HEARD = 'fleet_tls_handshakes_total{device!=""}'
_CERTIFICATE = one_of((*MISMATCH, *OTHER_FAULTS))
_FAILING = f'fleet_tls_device_failing{{rejected_by="device", {_CERTIFICATE}}}'
_LOGGED = "gateway:fleet_tls_devices_refusing:logged"
_ASKS = {"remediation": "rollback"}


def refusal_rules(values: Refusal) -> tuple[Rule, ...]:
    """Return the rules."""
    return (*_counts(), *_of_gateways(values), _mismatch(values), _own_certificate(values))


def _counts() -> tuple[Recording, ...]:
    return (
        Recording(
            name=_PREDICTED,
            labels=("job", "gateway"),
            why="Of two exporters the one that says no is believed.",
            expr=f"count by (job, gateway) (count by (job, gateway, device) ({_ACCEPTS} == 0))",
        ),
        Recording(
            name=_LOGGED,
            labels=("job", "gateway"),
            expr=f"""
sum by (job, gateway) (
  max by (job, gateway, reason) (
    fleet_tls_devices_failing{{rejected_by="device", {_CERTIFICATE}}}
  )
)
""",
        ),
    )


def _enough(counted: str, at_least: int, others: str) -> str:
    """Return what holds for enough devices, or for all: there are no ``others``."""
    return f"""
{counted} >= {at_least}
or
{counted} > 0 unless on (job, gateway) (
  {others}
)
"""


def _of_gateways(values: Refusal) -> tuple[Alert, ...]:
    # A gateway whose log tells of no total: nobody knows how many others there are
    logged = f"""{_LOGGED} unless on (job, gateway) {_HEARD}
  or
  {_HEARD} unless on (job, gateway, device) {_FAILING}"""
    return (
        Alert(
            name="FleetTLSGatewayNotAccepted",
            severity=Severity.CRITICAL,
            scope=Scope.GATEWAY,
            more=_ASKS,
            why="The outage before it happens: devices that are still connected count too",
            expr=_enough(_PREDICTED, values.devices, f"{_ACCEPTS} == 1"),
            for_s=values.predicted_for,
            summary="{{ $labels.gateway }} serves what {{ $value }} of its devices"
            " will not accept",
            description="By what they trust, {{ $value }} of"
            f' {{{{ with printf "count(count by (device) ({_ACCEPTS}{{gateway=%q}}))"'
            " $labels.gateway | query }}{{ . | first | value }}{{ end }}"
            " devices behind {{ $labels.gateway }} refuse their next full handshake with it."
            " If its certificate was just changed, change it back before they reconnect.",
            dashboard=OF_GATEWAY,
        ),
        Alert(
            name="FleetTLSDevicesRefuseGateway",
            severity=Severity.CRITICAL,
            scope=Scope.GATEWAY,
            more=_ASKS,
            expr=_enough(_LOGGED, values.devices, logged),
            for_s=values.logged_for,
            summary="the certificate of {{ $labels.gateway }} is refused by"
            " {{ $value }} of its devices",
            description="By the handshake log {{ $value }} of the devices behind"
            " {{ $labels.gateway }} ended their latest full handshake themselves, because of its"
            " certificate. They are offline, or soon will be.",
            dashboard=OF_GATEWAY,
        ),
        _unknown_peers(values),
    )


def _unknown_peers(values: Refusal) -> Alert:
    window = format_duration(values.unknown_peers_window)
    which = f'device="", rejected_by="device", {_CERTIFICATE}'
    return Alert(
        name="FleetTLSUnknownPeersRefuseGateway",
        severity=Severity.WARNING,
        scope=Scope.GATEWAY,
        why="A device that nobody could name must not be lost: the inventory lacks its peers",
        expr=f"""
sum by (job, gateway) (
  max by (job, gateway, reason) (
    increase(fleet_tls_handshake_failures_total{{{which}}}[{window}])
  )
) >= {values.unknown_peers}
""",
        summary="peers that are no device of the inventory refuse {{ $labels.gateway }}",
        description='{{ $value | printf "%.0f" }} handshakes within '
        f"{window} ended because somebody refused the certificate of {{{{ $labels.gateway }}}},"
        " and no device of the inventory has that address or name. If they are yours, the"
        " inventory lacks their `peers`, and no other alert counts them.",
        dashboard=OF_GATEWAY,
    )


def _mismatch(values: Refusal) -> Alert:
    gateway_problem = (
        'label_replace(fleet_tls_chain_problem{%s}, "gateway", "$1", "target", "(.*)")'
    )
    return Alert(
        name="FleetTLSTrustStoreMismatch",
        severity=Severity.WARNING,
        scope=Scope.DEVICE,
        why="1: its own refusal, from a log. 2: predicted, unless the chain is wrong for all\n"
        "(expired, another name ...), which is no matter of trust stores.",
        expr=f"""
max by (job, gateway, device) (
  fleet_tls_device_failing{{rejected_by="device", {one_of(MISMATCH)}}}
)
or
2 * (
  (count by (job, gateway, device) ({_ACCEPTS} == 0) > bool 0)
  unless on (job, gateway) (
    {gateway_problem % one_of(OTHER_FAULTS)}
    unless on (job, gateway)
    {gateway_problem % one_of(MISMATCH)}
  )
)
""",
        for_s=values.mismatch_for,
        summary="Trust store mismatch on device: {{ $labels.device }}",
        description="{{ $labels.device }} {{ if eq $value 1.0 }}refused {{ $labels.gateway }} in"
        " its latest full handshake: it does not trust what the gateway serves.{{ else }}does not"
        " trust what {{ $labels.gateway }} serves now, by what is known of its trust store; its"
        " next full handshake fails.{{ end }}",
        dashboard=OF_DEVICE,
    )


def _own_certificate(values: Refusal) -> Alert:
    return Alert(
        name="FleetTLSDeviceCertificateRefused",
        severity=Severity.WARNING,
        scope=Scope.DEVICE,
        why="The other direction: no trust store of a device, and nothing to roll back",
        expr=f"""
max by (job, gateway, device, reason) (
  fleet_tls_device_failing{{rejected_by="gateway", {one_of(OWN_FAULTS)}}}
)
""",
        for_s=values.device_certificate_for,
        summary="{{ $labels.gateway }} refuses the certificate of device: {{ $labels.device }}",
        description="In the latest full handshake {{ $labels.gateway }} refused the certificate of"
        " {{ $labels.device }}: {{ $labels.reason }}. The gateway's own certificate is not the"
        " cause; rolling it back would not help.",
        dashboard=OF_DEVICE,
    )
