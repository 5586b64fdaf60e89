"""An exposition with every metric of the catalogue, so that every panel has something to show."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from exporter.metrics.catalogue import CATALOGUE, Kind, Metric

# Of the first series and of the second; a label that is not here has a value of its own in each
_LABELS: Mapping[str, tuple[str, str]] = {
    "target": ("gw-1", "dev-01"),
    "role": ("gateway", "device"),
    "gateway": ("gw-1", "gw-1"),
    "device": ("dev-01", "dev-02"),
    "position": ("0", "1"),
    "answering": ("yes", "no"),
    "state": ("synced", "stale"),
    "phase": ("overlap", "connect"),
    "mode": ("dry_run", "act"),
    "reason": ("unknown_ca", "expired"),
    "rejected_by": ("device", "gateway"),
}
_WRONG = {
    "fleet_tls_device_accepts_gateway",
    "fleet_tls_chain_verified",
    "fleet_tls_probe_handshake_success",
}
_AHEAD = ("not_after_timestamp_seconds", "until_timestamp_seconds", "end_timestamp_seconds")


def exposition(now: datetime, scrapes: int) -> str:
    """Two series of each metric; counters have grown with every one of the ``scrapes``."""
    lines = [
        line
        for name, metric in CATALOGUE.items()
        for variant in (0, 1) if metric.labels or variant == 0
        for line in _lines(name, metric, variant, now, scrapes)
    ]  # fmt: skip
    process = {"cpu_seconds_total": scrapes, "resident_memory_bytes": 1, "open_fds": 1,
               "max_fds": 9}  # fmt: skip
    lines += [f"process_{name} {value}" for name, value in process.items() if name]
    return "\n".join(dict.fromkeys(lines)) + "\n"


def _lines(name: str, metric: Metric, variant: int, now: datetime, scrapes: int) -> Iterator[str]:
    labels = {
        label: _LABELS.get(label, (f"{label}-0", f"{label}-1"))[variant] for label in metric.labels
    }
    if metric.kind is Kind.HISTOGRAM:
        for bound in ("0.1", "1", "+Inf"):
            yield f"{name}_bucket{_braces({**labels, 'le': bound})} {scrapes}"
        yield f"{name}_sum{_braces(labels)} {scrapes}"
        yield f"{name}_count{_braces(labels)} {scrapes}"
        return
    yield f"{name}{_braces(labels)} {_value(name, metric, now, scrapes)}"


def _value(name: str, metric: Metric, now: datetime, scrapes: int) -> float:
    if metric.kind is Kind.COUNTER:
        return scrapes * 3
    if name == "fleet_tls_remediation_served_version":
        return 2
    if name == "fleet_tls_rotation_phase":  # entered after a while
        return int(scrapes > 3)
    if name.endswith(_AHEAD):
        return (now + timedelta(days=10)).timestamp()
    if name.endswith("timestamp_seconds"):
        return (now - timedelta(hours=1)).timestamp()
    return 0 if name in _WRONG else 1


def _braces(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{key}="{value}"' for key, value in labels.items()) + "}"
