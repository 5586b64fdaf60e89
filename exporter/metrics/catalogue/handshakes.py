"""The metrics that handshake logs fill."""

from functools import partial

from exporter.metrics.catalogue.model import PREFIX, Filler, Kind, Metric

_metric = partial(Metric, filler=Filler.HANDSHAKE_LOG)

_READING = (
    _metric(
        name=f"{PREFIX}exporter_store_ok",
        kind=Kind.GAUGE,
        help="1: counts can be written to the durable store; 0: no handshake log is read.",
        examples=(("no log is read", "fleet_tls_exporter_store_ok == 0"),),
    ),
    _metric(
        name=f"{PREFIX}exporter_log_source_ok",
        kind=Kind.GAUGE,
        labels=("source",),
        help="1: the handshake log could be read last time; 0: it could not, or is not there.",
        notes="`/api/v1/handshakes` says why. Absent until the first reading.",
        examples=(("a log is not read", "fleet_tls_exporter_log_source_ok == 0"),),
    ),
    _metric(
        name=f"{PREFIX}exporter_log_lines_read_total",
        kind=Kind.COUNTER,
        labels=("source",),
        help="Lines read from the handshake log.",
    ),
    _metric(
        name=f"{PREFIX}exporter_log_lines_matched_total",
        kind=Kind.COUNTER,
        labels=("source",),
        help="Lines that told of a handshake.",
    ),
    _metric(
        name=f"{PREFIX}exporter_log_lines_cut_total",
        kind=Kind.COUNTER,
        labels=("source",),
        help="Lines that were too long and of which only the beginning was read.",
    ),
    _metric(
        name=f"{PREFIX}exporter_log_lines_suspicious_total",
        kind=Kind.COUNTER,
        labels=("source",),
        help="Lines that speak of a TLS error in words that no format knows.",
        notes="The latest distinct ones are in `/api/v1/handshakes`; please report them.",
    ),
    _metric(
        name=f"{PREFIX}exporter_log_lag_seconds",
        kind=Kind.GAUGE,
        labels=("source",),
        unit="seconds",
        help="How far reading is behind writing.",
    ),
)

HANDSHAKES = (
    _metric(
        name=f"{PREFIX}device_failing",
        kind=Kind.GAUGE,
        labels=("gateway", "device", "reason", "rejected_by"),
        help="1 while the latest full handshake of the device, as logged, failed.",
        notes="For alerts on one device: a counter that is born at 1 has no increase.",
        examples=(
            (
                "trust store mismatch",
                'fleet_tls_device_failing{rejected_by="device", reason="unknown_ca"}',
            ),
        ),
    ),
    _metric(
        name=f"{PREFIX}devices_failing",
        kind=Kind.GAUGE,
        labels=("gateway", "reason", "rejected_by"),
        help="Distinct devices whose latest full handshake, as logged, failed.",
    ),
    _metric(
        name=f"{PREFIX}handshakes_total",
        kind=Kind.COUNTER,
        labels=("gateway", "device"),
        help="Full handshakes that a log told of, failed ones included; no device: nobody's.",
        notes='Zeros from the start at `device=""` only. Survives a restart.',
        examples=(
            (
                "share of handshakes that failed",
                "sum by (gateway) (rate(fleet_tls_handshake_failures_total[10m]))"
                " / sum by (gateway) (rate(fleet_tls_handshakes_total[10m]))",
            ),
        ),
    ),
    _metric(
        name=f"{PREFIX}handshake_failures_total",
        kind=Kind.COUNTER,
        labels=("gateway", "device", "reason", "rejected_by"),
        help="Handshakes that failed, as logged, by reason and by who refused.",
        notes='Only `rejected_by="device"` can be a trust store mismatch.',
    ),
    _metric(
        name=f"{PREFIX}handshakes_resumed_total",
        kind=Kind.COUNTER,
        labels=("gateway", "device"),
        help="Resumed sessions that a log told of; they prove nothing about trust.",
    ),
    _metric(
        name=f"{PREFIX}handshake_last_success_timestamp_seconds",
        kind=Kind.GAUGE,
        labels=("gateway", "device"),
        unit="seconds",
        help="When a log last told of a handshake that the device finished.",
    ),
    _metric(
        name=f"{PREFIX}client_certificate_not_after_timestamp_seconds",
        kind=Kind.GAUGE,
        labels=("device",),
        unit="seconds",
        help="End of the certificate that the device showed to its gateway, as logged.",
    ),
    *_READING,
)
