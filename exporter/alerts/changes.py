"""What is changed on purpose: the phased rotation and the guarded rollback."""

from exporter.alerts.model import Alert, Rule, Scope, Severity
from exporter.alerts.pages import CHANGES
from exporter.alerts.values import Remediations, Rotations
from exporter.durations import format_duration

_R = "fleet_tls_remediation_"
# Overtaken or stopped before anything was sent is no failure; whatever else there may be is one
_BAD = 'outcome!~"recovered|overtaken|stopped"'
_HELD = f"max by (job, gateway) ({_R}hold_until_timestamp_seconds)"
_OVERLAP = "max by (job, rotation) (fleet_tls_rotation_overlap_end_timestamp_seconds)"
_IN_OVERLAP = 'max by (job, rotation) (fleet_tls_rotation_phase{phase="overlap"}) == 1'


def rotation_rules(values: Rotations) -> tuple[Rule, ...]:
    """Return the rules about rotations."""
    return (
        Alert(
            name="FleetTLSRotationBlocked",
            severity=Severity.WARNING,
            scope=Scope.FLEET,
            expr="sum by (job, rotation) (max by (job, rotation, reason)"
            " (fleet_tls_rotation_blocking_devices)) > 0",
            for_s=values.blocked_for,
            summary="{{ $value }} devices block the rotation {{ $labels.rotation }}",
            description="{{ $value }} devices have kept the next gate of the rotation"
            f" {{{{ $labels.rotation }}}} shut for {format_duration(values.blocked_for)}."
            " `rotation status` names each of them and what would unblock it.",
            dashboard=CHANGES,
        ),
        Alert(
            name="FleetTLSRotationDrift",
            severity=Severity.WARNING,
            scope=Scope.FLEET,
            expr="max by (job, rotation) (fleet_tls_rotation_drift) == 1",
            for_s=values.drift_for,
            summary="the rotation {{ $labels.rotation }} stands: somebody changed things by hand",
            description="What gateways serve and devices trust is not what the journal of the"
            " rotation {{ $labels.rotation }} says. It stands until somebody adopts the facts or"
            " undoes them.",
            dashboard=CHANGES,
        ),
        Alert(
            name="FleetTLSRotationOverlapEnds",
            severity=Severity.INFO,
            scope=Scope.FLEET,
            expr=f"""
{_OVERLAP} - time() < {values.overlap_ends:.0f}
and on (job, rotation) ({_IN_OVERLAP})
""",
            summary="the overlap of the rotation {{ $labels.rotation }}"
            " {{ if gt $value 0.0 }}ends in {{ $value | humanizeDuration }}"
            "{{ else }}is over{{ end }}",
            description="After it the old CA may be removed from the devices. Nothing is removed"
            " by itself: that step has an approval of its own.",
            dashboard=CHANGES,
        ),
        Alert(
            name="FleetTLSRotationOverlapOverdue",
            severity=Severity.WARNING,
            scope=Scope.FLEET,
            expr=f"""
time() - {_OVERLAP} > {values.overlap_overdue:.0f}
and on (job, rotation) ({_IN_OVERLAP})
""",
            summary="the old CA of the rotation {{ $labels.rotation }} is still trusted",
            description="The overlap of the rotation {{ $labels.rotation }} ended"
            " {{ $value | humanizeDuration }} ago, and the old CA is still in the devices' trust"
            " stores. Whoever has its key can still impersonate a gateway.",
            dashboard=CHANGES,
        ),
    )


def remediation_rules(values: Remediations) -> tuple[Rule, ...]:
    """Return the rules about the guarded rollback."""
    return (
        Alert(
            name="FleetTLSRemediationActed",
            severity=Severity.WARNING,
            scope=Scope.GATEWAY,
            expr=f"time() - max by (job, gateway) ({_R}last_action_timestamp_seconds)"
            f" < {values.told_within:.0f}",
            summary="the certificate of {{ $labels.gateway }} was rolled back",
            description="{{ $labels.gateway }} was put back to its certificate before,"
            " {{ $value | humanizeDuration }} ago. Nothing changes it again by itself until a"
            " person releases it, or a day has passed.",
            dashboard=CHANGES,
        ),
        Alert(
            name="FleetTLSRemediationRefused",
            severity=Severity.WARNING,
            scope=Scope.GATEWAY,
            expr=f"max by (job, gateway) ({_R}refused) == 1",
            for_s=values.refused_for,
            summary="a rollback of {{ $labels.gateway }} is asked for and refused",
            description="An alert asks for a rollback of {{ $labels.gateway }}, and the evidence"
            " speaks against it while the fault lasts. A person has to decide."
            " `fleet-tls-exporter remediation status` tells each reason and, where there is"
            " nothing to go back to, the exact `recovery-bundle` command.",
            dashboard=CHANGES,
        ),
        Alert(
            name="FleetTLSRemediationFailed",
            severity=Severity.CRITICAL,
            scope=Scope.GATEWAY,
            why="Until a person releases the gateway, who has seen to it, or its hold is over",
            expr=f"""
max by (job, gateway, outcome) ({_R}last_action_outcome{{{_BAD}}}) == 1
and on (job, gateway)
{_HELD} > time()
""",
            summary="a rollback of {{ $labels.gateway }} did not bring the devices back",
            description="The rollback of {{ $labels.gateway }} ended as {{ $labels.outcome }}."
            " It is not tried again by itself. `fleet-tls-exporter journal --gateway"
            " {{ $labels.gateway }}` tells who is out, and the exact `recovery-bundle` command.",
            dashboard=CHANGES,
        ),
        *_standing(values),
    )


def _standing(values: Remediations) -> tuple[Alert, ...]:
    return (
        Alert(
            name="FleetTLSRemediationHeld",
            severity=Severity.INFO,
            scope=Scope.GATEWAY,
            expr=f"{_HELD} > time()",
            survives_gaps=False,
            summary="{{ $labels.gateway }} is held",
            description="Nothing changes {{ $labels.gateway }} by itself until"
            " {{ $value | humanizeTimestamp }}, or until a person releases it.",
            dashboard=CHANGES,
        ),
        Alert(
            name="FleetTLSRollbackNotReady",
            severity=Severity.WARNING,
            scope=Scope.GATEWAY,
            expr=f"min by (job, gateway) ({_R}rollback_ready) == 0\n"
            f"unless on (job, gateway) {_R}served_version == 1",
            why="With the first version nothing was changed that could be undone",
            for_s=values.not_ready_for,
            summary="there is no way back for {{ $labels.gateway }}",
            description="The certificate that {{ $labels.gateway }} served before could not be"
            " served again: it is gone, ends soon, its key does not match, a trust store does not"
            " accept it, or it was not met on the gateway's second port. If the present one fails,"
            " nothing can be rolled back to. `remediation status` tells which.",
            dashboard=CHANGES,
        ),
        Alert(
            name="FleetTLSRemediationBudgetSpent",
            severity=Severity.WARNING,
            scope=Scope.FLEET,
            expr=f"min by (job) ({_R}budget_remaining) <= 0",
            summary="the hourly budget of automatic rollbacks is spent",
            description="So many rollbacks in one hour have rather a cause of ours, of a rule or"
            " of the CA. From here on rollbacks are only decided and said, not done.",
            dashboard=CHANGES,
        ),
    )
