"""What looks at endpoints tell: chains with problems, no handshake, no look, another leaf."""

from dataclasses import replace

from exporter.alerts.model import Alert, Rule, Scope, Severity
from exporter.alerts.pages import FLEET, OF_TARGET
from exporter.alerts.promql import TARGETS, inside, of_role, of_targets
from exporter.alerts.values import Endpoints
from exporter.durations import format_duration

_GATEWAY, _DEVICE = "gateway", "device"
# What a rotation or a rollback has changed is looked at and scraped some time after
_SEEN_AFTER_S = 600.0


def endpoint_rules(values: Endpoints) -> tuple[Rule, ...]:
    """Return the rules."""
    return (
        _not_verified(values, _GATEWAY, Severity.CRITICAL),
        _not_verified(values, _DEVICE, Severity.WARNING),
        _gateway_unreachable(values),
        _device_unreachable(values),
        _not_looked_at(values),
        _never_looked_at(values),
        *_changed(values),
    )


def _not_verified(values: Endpoints, role: str, severity: Severity) -> Alert:
    return Alert(
        name="FleetTLSChainNotVerified",
        severity=severity,
        scope=Scope(role),
        expr=of_role(
            "count by (job, target, reason) (\n"
            "  max by (job, target, trust_store, reason) (fleet_tls_chain_problem)\n"
            ")",
            role,
        ),
        for_s=values.not_verified_for,
        summary="{{ $labels.target }} serves a chain that is not verified: {{ $labels.reason }}",
        description="What {{ $labels.target }} serves is not accepted by {{ $value }} of the trust"
        " stores it is judged by: {{ $labels.reason }}. There is an alert for each reason.",
        dashboard=OF_TARGET,
    )


def _unreachable(role: str) -> str:
    # Seen from one of two places it answers: filtered before anything is joined
    seen = "fleet_tls_probe_handshake_success"
    return of_role(
        f"count by (job, target) ({seen} == 0 unless on (job, target) {seen} == 1)", role
    )


def _gateway_unreachable(values: Endpoints) -> Alert:
    return Alert(
        name="FleetTLSGatewayUnreachable",
        severity=Severity.CRITICAL,
        scope=Scope.GATEWAY,
        expr=_unreachable(_GATEWAY),
        for_s=values.gateway_unreachable_for,
        summary="no TLS handshake with {{ $labels.target }}",
        description="Every look at {{ $labels.target }} for "
        f"{format_duration(values.gateway_unreachable_for)} ended without a handshake."
        " fleet_tls_probe_failures_total of this target counts the reasons.",
        dashboard=OF_TARGET,
    )


def _device_unreachable(values: Endpoints) -> Alert:
    return Alert(
        name="FleetTLSDeviceUnreachable",
        severity=Severity.WARNING,
        scope=Scope.DEVICE,
        expr=_unreachable(_DEVICE),
        for_s=values.device_unreachable_for,
        summary="no TLS handshake with {{ $labels.target }}",
        description="Every look at the endpoint of {{ $labels.target }} for "
        f"{format_duration(values.device_unreachable_for)} ended without a handshake."
        " fleet_tls_probe_failures_total of this target counts the reasons.",
        dashboard=OF_TARGET,
    )


def _not_looked_at(values: Endpoints) -> Alert:
    after = format_duration(values.not_looked_at)
    last, limit = "fleet_tls_probe_last_attempt_timestamp_seconds", f"{values.not_looked_at:.0f}"
    looked = f"""
time() - max by (job, target) (
  {last} < time() - {limit} unless on (job, target) {last} >= time() - {limit}
)
"""
    return Alert(
        name="FleetTLSNotLookedAt",
        severity=Severity.WARNING,
        scope=Scope.FLEET,
        why="Unknown must not look healthy: without looks all else tells of the past",
        expr=of_targets(looked.strip()),
        for_s=0.0,
        summary="{{ $labels.target }} was not looked at for {{ $value | humanizeDuration }}",
        description="The last look at {{ $labels.target }} is {{ $value | humanizeDuration }} ago,"
        f" more than {after}. What its other series say is that old.",
        dashboard=FLEET,
    )


def _never_looked_at(values: Endpoints) -> Alert:
    count = "fleet_tls_probe_attempts_total"
    never = f"{count} == 0 unless on (job, target) {count} > 0"
    return Alert(
        name="FleetTLSNeverLookedAt",
        severity=Severity.WARNING,
        scope=Scope.FLEET,
        expr=of_targets(f"count by (job, target) ({never})"),
        for_s=values.not_looked_at,
        summary="{{ $labels.target }} was never looked at",
        description="{{ $labels.target }} is in the inventory, and since the exporter's start"
        f" {format_duration(values.not_looked_at)} ago or more nobody has looked at it. Nothing is"
        " known of it, and no other alert can speak of it.",
        dashboard=FLEET,
    )


def _changed(values: Endpoints) -> tuple[Alert, Alert]:
    within = format_duration(values.changed_within)
    text = f"The certificate of {{{{ $labels.target }}}} was changed within the last {within}"
    nobody = "and neither a rotation nor a rollback of ours did it."
    same = Alert(
        name="FleetTLSCertificateChanged",
        severity=Severity.INFO,
        scope=Scope.GATEWAY,
        expr=_changed_expr("fingerprint_sha256", values.changed_within),
        summary="{{ $labels.target }} serves another certificate, without a rotation",
        description=f"{text}, {nobody}",
        dashboard=OF_TARGET,
    )
    other = replace(
        same,
        severity=Severity.WARNING,
        why="A new issuer is how the outage begins",
        expr=_changed_expr("issuer_cn", values.changed_within),
        description=f"{text}, its issuer too, {nobody}"
        " Devices that do not trust the new issuer refuse it.",
    )
    return same, other


def _changed_expr(label: str, within_s: float) -> str:
    """Return what tells that ``label`` of a gateway's leaf is not what it was."""
    within = format_duration(within_s)
    leaf = 'fleet_tls_certificate_info{position="0"}'
    # Of gateways alone, before anything is compared: there are far fewer than devices
    now = f'{leaf} and on (job, target) {TARGETS}{{role="{_GATEWAY}"}}'
    before = f"{leaf} offset {within}"
    differs = (
        f"count by (job, target) (\n  ({now})\n  unless on (job, target, {label}) {before}\n)\n"
        f"and on (job, target) {before}"
    )
    ours_s = within_s + _SEEN_AFTER_S
    phases = f'fleet_tls_rotation_phase{{phase=~"canary|rotating"}}[{format_duration(ours_s)}]'
    rotating = f"max by (job) (max_over_time({phases})) == 1"
    acted = "max by (job, gateway) (fleet_tls_remediation_last_action_timestamp_seconds)"
    return (
        f"{inside(of_role(differs, _GATEWAY))}\nunless on (job) ({rotating})"
        f"\nunless on (job, gateway) ({acted} > time() - {ours_s:.0f})"
    )
