"""Before the end of certificates: what a target serves, what a device shows."""

from collections.abc import Iterator

from exporter.alerts.model import Alert, Recording, Rule, Scope, Severity
from exporter.alerts.pages import FLEET, OF_DEVICE, OF_TARGET
from exporter.alerts.promql import of_devices, of_targets
from exporter.alerts.values import Expiry

END = "target:fleet_tls_chain_not_after_timestamp_seconds:min"
_SHORT = "target:fleet_tls_certificate_lifetime_seconds:short"
_OWN_END = "device:fleet_tls_client_certificate_not_after_timestamp_seconds:min"
_SENT = "fleet_tls_certificate_not_after_timestamp_seconds"
_LEAF = f'{_SENT}{{position="0"}}'
_WISH = "max by (job, target) (fleet_tls_target_expiry_warning_seconds)"
# An anchor that ended longer ago than this is a leftover, whatever else has expired now
_HELD_S = 30 * 86_400.0


def expiry_rules(values: Expiry) -> tuple[Rule, ...]:
    """Return the rules."""
    return (
        *_recordings(values),
        *_of_targets(values),
        *_of_devices(values),
        *_of_anchors(values),
    )


def _recordings(values: Expiry) -> tuple[Recording, ...]:
    verifies = "fleet_tls_chain_not_after_timestamp_seconds"
    ends = f"""
  clamp_max(
    min by (job, target) (
      {_SENT} and on (job, target) fleet_tls_chain_problem{{reason="expired"}}
    ),
    time()
  )
  or on (job, target)
  min by (job, target) ({verifies})
  or on (job, target)
  min by (job, target) (
    ({END} unless on (job, target) fleet_tls_chain_verified)
    and on (job, target) {_LEAF}
  )
  or on (job, target)
  min by (job, target) ({_LEAF} unless on (job, target) {verifies})
"""
    return (
        Recording(
            name=END,
            labels=("job", "target", "role", "gateway"),
            why="When the chain stops verifying: the path, not strays. It is in the past once\n"
            "something on the path has ended; while nobody can look at the target it stays what\n"
            "it was; where no path was ever verified it is the end of the leaf.",
            expr=of_targets(ends),
        ),
        Recording(
            name=_SHORT,
            labels=("job", "target"),
            why="The lifetime of leaves that live shortly; of the others there is none",
            expr=f"""
max by (job, target) (
  {_LEAF}
  - (
    fleet_tls_certificate_not_before_timestamp_seconds{{position="0"}}
    > {_LEAF} - {values.short_lived.below:.0f}
  )
)
""",
        ),
        Recording(
            name=_OWN_END,
            labels=("job", "device", "gateway"),
            expr=of_devices(
                "min by (job, device) (fleet_tls_client_certificate_not_after_timestamp_seconds)"
            ),
        ),
    )


def _steps(values: Expiry) -> Iterator[tuple[Severity, float, int, str]]:
    """Yield severity, seconds, percent of a short life, and what a target's wish means for it."""
    short = values.short_lived
    yield Severity.INFO, values.info, short.info_percent, _WISH
    yield Severity.WARNING, values.warning, short.warning_percent, _WISH
    nearest = f"clamp_max({_WISH} / 2, {values.critical:.0f})"
    yield Severity.CRITICAL, values.critical, short.critical_percent, nearest


def _of_targets(values: Expiry) -> Iterator[Alert]:
    for severity, seconds, percent, wish in _steps(values):
        yield Alert(
            name="FleetTLSCertificateExpiresSoon",
            severity=severity,
            scope=Scope.FLEET,
            why="The target's own wish, else the share of a short life, else the default",
            expr=f"""
(
  {END} < time() + {seconds:.0f}
  unless on (job, target) ({_WISH} or {_SHORT})
  or
  {END} < on (job, target) group_left () (time() + {wish})
  or
  {END} < on (job, target) group_left () (
    time() + {percent / 100:g} * {_SHORT} unless on (job, target) {_WISH}
  )
) - time()
""",
            for_s=values.pending_for,
            summary="the chain of {{ $labels.target }}"
            " {{ if gt $value 0.0 }}stops verifying in {{ $value | humanizeDuration }}"
            "{{ else }}has stopped verifying{{ end }}",
            description="The first end on the path of {{ $labels.target }} that verifies (leaf,"
            " intermediate or anchor) is {{ if gt $value 0.0 }}{{ $value | humanizeDuration }}"
            " away{{ else }}over{{ end }}. A new leaf helps only where it is the leaf that ends.",
            dashboard=OF_TARGET,
        )
    yield Alert(
        name="FleetTLSCertificateExpired",
        severity=Severity.CRITICAL,
        scope=Scope.FLEET,
        expr=f"{END} <= time()",
        summary="the certificate of {{ $labels.target }} has expired",
        description="Something on the path that {{ $labels.target }} serves ended at"
        " {{ $value | humanizeTimestamp }} or before. Whoever checks it refuses it.",
        dashboard=OF_TARGET,
    )


def _of_devices(values: Expiry) -> Iterator[Alert]:
    renamed = f'label_replace({_WISH}, "device", "$1", "target", "(.*)")'
    wished = f"max by (job, device) ({renamed})"
    for severity, seconds, _, _ in _steps(values):
        wish = wished
        if severity is Severity.CRITICAL:
            wish = f"clamp_max({wished} / 2, {seconds:.0f})"
        yield Alert(
            name="FleetTLSDeviceCertificateExpiresSoon",
            severity=severity,
            scope=Scope.DEVICE,
            expr=f"""
(
  {_OWN_END} < time() + {seconds:.0f}
  unless on (job, device) {wished}
  or
  {_OWN_END} < on (job, device) group_left () (time() + {wish})
) - time()
""",
            for_s=values.pending_for,
            summary="the certificate of device {{ $labels.device }}"
            " {{ if gt $value 0.0 }}ends in {{ $value | humanizeDuration }}"
            "{{ else }}has ended{{ end }}",
            description="{{ $labels.device }} showed {{ $labels.gateway }} a certificate of its"
            " own that {{ if gt $value 0.0 }}ends in {{ $value | humanizeDuration }}"
            "{{ else }}is over{{ end }}. From then on the gateway refuses the device, and a device"
            " that is locked out cannot be given a new one this way.",
            dashboard=OF_DEVICE,
        )
    yield Alert(
        name="FleetTLSDeviceCertificateExpired",
        severity=Severity.CRITICAL,
        scope=Scope.DEVICE,
        expr=f"{_OWN_END} <= time()",
        summary="the certificate of device {{ $labels.device }} has expired",
        description="The certificate that {{ $labels.device }} shows {{ $labels.gateway }} ended"
        " at {{ $value | humanizeTimestamp }}; by the log it has shown no newer one since.",
        dashboard=OF_DEVICE,
    )


def _of_anchors(values: Expiry) -> Iterator[Alert]:
    left = "min by (job, trust_store, anchor) (fleet_tls_trust_anchor_not_after_timestamp_seconds)"
    for severity, seconds, _, _ in _steps(values):
        yield Alert(
            name="FleetTLSTrustAnchorExpiresSoon",
            severity=severity,
            scope=Scope.FLEET,
            why="What nothing hangs on may end. After the end nothing hangs on it any more: then\n"
            "the chains that are told expired speak for it",
            expr=f"""
{left} - time() < {seconds:.0f}
and (
  {left} > time()
  and on (job, anchor) fleet_tls_trust_anchor_dependents > 0
  or
  {left} <= time() > time() - {_HELD_S:.0f}
  and on (job, trust_store) fleet_tls_chain_problem{{reason="expired"}}
)
""",
            for_s=values.pending_for,
            summary="a CA in the trust store {{ $labels.trust_store }}"
            " {{ if gt $value 0.0 }}ends in {{ $value | humanizeDuration }}"
            "{{ else }}has ended{{ end }}",
            description="The anchor {{ $labels.anchor }} of the trust store"
            " {{ $labels.trust_store }}"
            " {{ if gt $value 0.0 }}ends in {{ $value | humanizeDuration }}"
            "{{ else }}has ended{{ end }}, and chains that are served lead to it. A new CA takes"
            " weeks to reach every device; its way begins before anything is rotated.",
            dashboard=FLEET,
        )
