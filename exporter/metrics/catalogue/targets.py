"""The metrics that looks at targets, verdicts and the inventory fill."""

from functools import partial

from exporter.metrics.catalogue.model import PREFIX, Filler, Kind, Metric, cached

_LOOKED = "probe_last_attempt_timestamp_seconds"
_OBSERVED = "certificate_observed_timestamp_seconds"
_metric = partial(Metric, filler=Filler.FLEET)

_PROBES = (
    _metric(
        name=f"{PREFIX}target_info",
        kind=Kind.INFO,
        labels=(
            "target",
            "role",
            "address",
            "protocol",
            "server_name",
            "device_class",
            "rollout_group",
            "gateway",
        ),
        help="The target as it stands in the inventory; join on target for its other labels.",
        examples=(
            (
                "verification by rollout group",
                "fleet_tls_chain_verified * on (target) group_left (rollout_group)"
                " fleet_tls_target_info",
            ),
        ),
    ),
    _metric(
        name=f"{PREFIX}target_expiry_warning_seconds",
        kind=Kind.GAUGE,
        labels=("target",),
        unit="seconds",
        help="How long before its end the target wants the warning; absent: as the rules say.",
        notes="The key or label `expiry_warning` of the inventory. The alert rules go by it.",
    ),
    _metric(
        name=f"{PREFIX}probe_success",
        kind=Kind.GAUGE,
        labels=("target",),
        help=cached(
            "1: handshake done and chain verified by all trust stores of the target.", _LOOKED
        ),
        notes="0 also when there is no handshake, or one without a chain. Absent when there was"
        " no look for three intervals, and when a handshake was done but nothing could judge the"
        " chain: a target that has no trust store is never 1.",
        examples=(("what is wrong now", "fleet_tls_probe_success == 0"),),
    ),
    _metric(
        name=f"{PREFIX}probe_handshake_success",
        kind=Kind.GAUGE,
        labels=("target",),
        help=cached("1: the handshake was done, whatever the verdict on the chain.", _LOOKED),
        notes="0 too when a TLS 1.3 server refuses us right after its part is done.",
        examples=(
            (
                "shakes hands, and is not verified",
                "fleet_tls_probe_handshake_success == 1 and fleet_tls_probe_success == 0",
            ),
        ),
    ),
    _metric(
        name=f"{PREFIX}chain_verified",
        kind=Kind.GAUGE,
        labels=("target", "trust_store"),
        help=cached("1: the chain that the target serves is accepted by the store.", _OBSERVED),
        notes="One series for each trust store of the target; without one it is judged by the"
        " system's store, `system`. Vanishes after three looks in a row"
        " without a chain, or three intervals without a look.",
        examples=(
            ("refused by any of its stores", "min by (target) (fleet_tls_chain_verified) == 0"),
        ),
    ),
    _metric(
        name=f"{PREFIX}chain_problem",
        kind=Kind.GAUGE,
        labels=("target", "trust_store", "reason"),
        help=cached("1 for each reason why the store does not accept the chain.", _OBSERVED),
        notes="All reasons that hold; none while the chain is verified. The reasons are those of"
        " [verdicts](verdicts.md). Warnings are no reasons and are not here.",
        examples=(("targets by reason", "count by (reason) (fleet_tls_chain_problem)"),),
    ),
    _metric(
        name=f"{PREFIX}device_accepts_gateway",
        kind=Kind.GAUGE,
        labels=("device", "gateway", "basis"),
        help=cached(
            "1: the device is predicted to accept what its gateway serves now.", _OBSERVED
        ),
        notes="The gateway's chain and name, judged by all that the device `holds` together;"
        " `basis` says where that is known from (`inventory`, or `reported` by the device itself)."
        " Absent when the device holds nothing we know of, or the gateway's chain is not known"
        " now. Read the age at the gateway.",
        examples=(
            (
                "the outage: devices that would refuse, by gateway",
                "count by (gateway) (fleet_tls_device_accepts_gateway == 0)",
            ),
        ),
    ),
)

_DATES = (
    _metric(
        name=f"{PREFIX}certificate_not_after_timestamp_seconds",
        kind=Kind.GAUGE,
        labels=("target", "position"),
        unit="seconds",
        help=cached("End of each certificate that was sent; 0 is the leaf.", _OBSERVED),
        notes="Everything that was sent, also what is on no path. Stays while the target is in"
        " the inventory, whatever the verdict and also while it cannot be reached.",
        examples=(
            (
                "leaves that end within 14 days",
                'fleet_tls_certificate_not_after_timestamp_seconds{position="0"} - time()'
                " < 14 * 86400",
            ),
        ),
    ),
    _metric(
        name=f"{PREFIX}certificate_not_before_timestamp_seconds",
        kind=Kind.GAUGE,
        labels=("target", "position"),
        unit="seconds",
        help=cached("Begin of each certificate that was sent; 0 is the leaf.", _OBSERVED),
    ),
    _metric(
        name=f"{PREFIX}certificate_observed_timestamp_seconds",
        kind=Kind.GAUGE,
        labels=("target",),
        unit="seconds",
        help="When a chain was last received from the target.",
        examples=(
            (
                "dates older than an hour",
                "time() - fleet_tls_certificate_observed_timestamp_seconds > 3600",
            ),
        ),
    ),
    _metric(
        name=f"{PREFIX}chain_not_after_timestamp_seconds",
        kind=Kind.GAUGE,
        labels=("target", "trust_store"),
        unit="seconds",
        help=cached("When the chain stops being verified by the store.", _OBSERVED),
        notes="The earliest end on the *path* that verifies, its anchor included; a stray"
        " certificate beside the path does not count. Absent while the chain is not verified.",
    ),
    _metric(
        name=f"{PREFIX}trust_anchor_not_after_timestamp_seconds",
        kind=Kind.GAUGE,
        labels=("trust_store", "anchor"),
        unit="seconds",
        help="End of each anchor of the trust store; anchor is the SHA-256 of its DER.",
    ),
    _metric(
        name=f"{PREFIX}trust_anchor_dependents",
        kind=Kind.GAUGE,
        labels=("anchor",),
        help="Targets whose verified path ends at the anchor, and devices that accept by it.",
        notes="A target or device counts once for each anchor. An anchor that nothing hangs on"
        " now is absent, wherever it is trusted.",
        examples=(
            (
                "anchors in use that end within 90 days",
                "fleet_tls_trust_anchor_not_after_timestamp_seconds - time() < 90 * 86400"
                " and on (anchor) fleet_tls_trust_anchor_dependents",
            ),
        ),
    ),
    _metric(
        name=f"{PREFIX}probe_last_attempt_timestamp_seconds",
        kind=Kind.GAUGE,
        labels=("target",),
        unit="seconds",
        help="When the target was last looked at.",
        examples=(
            (
                "not looked at for five minutes",
                "time() - fleet_tls_probe_last_attempt_timestamp_seconds > 300",
            ),
        ),
    ),
    _metric(
        name=f"{PREFIX}probe_last_handshake_timestamp_seconds",
        kind=Kind.GAUGE,
        labels=("target",),
        unit="seconds",
        help="When a look last finished its handshake.",
    ),
)

DETAILS = (
    _metric(
        name=f"{PREFIX}probe_attempts_total",
        kind=Kind.COUNTER,
        labels=("target",),
        help="Looks at the target.",
        notes="0 from the start for each target with an address.",
    ),
    _metric(
        name=f"{PREFIX}probe_failures_total",
        kind=Kind.COUNTER,
        labels=("target", "reason"),
        help="Looks without a handshake, by reason; a bad verdict is none.",
        notes="A reason's series begins with its first failure, at 1: for alerts use"
        " `fleet_tls_probe_handshake_success`.",
        examples=(
            (
                "failures by reason",
                "sum by (reason) (increase(fleet_tls_probe_failures_total[1h]))",
            ),
        ),
    ),
    _metric(
        name=f"{PREFIX}device_contact_interval_seconds",
        kind=Kind.GAUGE,
        labels=("device",),
        unit="seconds",
        help="How often the device is expected to be heard of, by the inventory.",
        examples=(
            (
                "silent beyond its interval",
                "time() - max by (device) (fleet_tls_handshake_last_success_timestamp_seconds)"
                " > on (device) 2 * fleet_tls_device_contact_interval_seconds",
            ),
        ),
    ),
    _metric(
        name=f"{PREFIX}certificate_info",
        kind=Kind.INFO,
        labels=(
            "target", "position", "subject_cn", "issuer_cn", "serial_number",
            "fingerprint_sha256", "public_key",
        ),
        help=cached("The certificates of the chain that the target serves.", _OBSERVED),
        notes="The current chain only: vanishes with the verdicts. Texts are those of the"
        " certificate: untrusted, cut to 128 characters.",
    ),
    _metric(
        name=f"{PREFIX}probe_duration_seconds",
        kind=Kind.GAUGE,
        labels=("target", "phase"),
        unit="seconds",
        help=cached("Duration of each phase that the last look reached.", _LOOKED),
        notes="`phase` is `resolve`, `connect` or `handshake`.",
    ),
    _metric(
        name=f"{PREFIX}session_info",
        kind=Kind.INFO,
        labels=("target", "tls_version", "cipher"),
        help=cached("What was negotiated by the last look, when its handshake was done.", _LOOKED),
        examples=(("targets by version", "count by (tls_version) (fleet_tls_session_info)"),),
    ),
)  # fmt: skip

TARGETS = (*_PROBES, *_DATES)
