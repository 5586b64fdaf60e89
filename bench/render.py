"""Rendering a scrape of many targets, beside ``prometheus_client.generate_latest``.

Both render the same series of the same state, in one process and one run. The peer's collector
does what a collector usually does: it builds metric families from the state at each scrape.

    python -m bench.render                # 10,000 targets
    python -m bench.render --targets 1000
"""

import argparse
import asyncio
import gzip
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from bench.fleet import BenchFleet, make_certificates, read_fleet
from exporter.certificates import CertificateCache
from exporter.clock import SystemClock
from exporter.fleet import Fleet, TargetState
from exporter.metrics.catalogue import CATALOGUE, Kind
from exporter.metrics.dependents import anchors_of
from exporter.metrics.exposition import Exposition
from exporter.verdicts.cache import Judge

_ROUNDS = 7
Add = Callable[..., None]


class Peer(Collector):
    """The same series by prometheus-client's own means."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def collect(self) -> Iterator[Metric]:
        """Return all families, made anew."""
        snapshot = self._fleet.snapshot()
        families: dict[str, GaugeMetricFamily | CounterMetricFamily] = {}

        def add(short: str, value: float, *labels: str) -> None:
            name = f"fleet_tls_{short}"
            if name not in families:
                metric = CATALOGUE[name]
                made = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
                families[name] = made(name, metric.help, labels=metric.labels)
            families[name].add_metric(labels, value)

        for store in snapshot.stores.values():
            for anchor in store.anchors:
                end_s = anchor.not_after.timestamp()
                add(
                    "trust_anchor_not_after_timestamp_seconds",
                    end_s,
                    store.name,
                    anchor.fingerprint_sha256,
                )
        dependents = Counter(
            anchor for state in snapshot.targets.values() for anchor in anchors_of(state)
        )
        for fingerprint, count in dependents.items():
            add("trust_anchor_dependents", count, fingerprint)
        for state in snapshot.targets.values():
            _add_look(add, state)
            _add_chain(add, state)
        return iter(families.values())


def _add_look(add: Add, state: TargetState) -> None:
    target, look = state.target, state.observation
    name = target.name
    add(
        "target_info", 1, name, target.role, target.address, target.protocol,
        target.checked_name or "", target.device_class, target.rollout_group, target.gateway or "",
    )  # fmt: skip
    add("probe_attempts_total", state.attempt_count, name)
    if look is None or state.chain_observed_at is None or state.last_handshake_at is None:
        return
    add("probe_success", int(bool(state.is_success)), name)
    add("probe_handshake_success", int(look.handshake), name)
    # to the millisecond and microsecond, as ours, so that both have as many digits to write
    add("probe_last_attempt_timestamp_seconds", round(look.observed_at.timestamp(), 3), name)
    last_s = round(state.last_handshake_at.timestamp(), 3)
    add("probe_last_handshake_timestamp_seconds", last_s, name)
    seen_s = round(state.chain_observed_at.timestamp(), 3)
    add("certificate_observed_timestamp_seconds", seen_s, name)
    for phase in ("resolve", "connect", "handshake"):
        add("probe_duration_seconds", round(getattr(look.durations_s, phase), 6), name, phase)
    add("session_info", 1, name, look.tls_version, look.cipher)


def _add_chain(add: Add, state: TargetState) -> None:
    name = state.target.name
    for number, certificate in enumerate(state.chain):
        position = str(number)
        end_s, begin_s = certificate.not_after.timestamp(), certificate.not_before.timestamp()
        add("certificate_not_after_timestamp_seconds", end_s, name, position)
        add("certificate_not_before_timestamp_seconds", begin_s, name, position)
        add(
            "certificate_info", 1, name, position, certificate.subject_cn, certificate.issuer_cn,
            certificate.serial_number, certificate.fingerprint_sha256, certificate.public_key,
        )  # fmt: skip
    for store, verdict in state.verdicts.items():
        add("chain_verified", int(verdict.verified), name, store)
        if verdict.not_after is not None:
            end_s = verdict.not_after.timestamp()
            add("chain_not_after_timestamp_seconds", end_s, name, store)


def samples_of(text: bytes) -> set[tuple[object, ...]]:
    return {
        (sample.name, tuple(sorted(sample.labels.items())), sample.value)
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def look_at(fleet: Fleet, bench: BenchFleet, step: int = 1) -> float:
    """Record a look at every ``step``-th target; return the seconds of one."""
    now = datetime.now(UTC)
    numbers = range(0, len(bench.chains), step)
    looks = [bench.look(n, now + timedelta(milliseconds=6 * n)) for n in numbers]
    began_s = time.perf_counter()
    for look in looks:
        fleet.record(look)
    return (time.perf_counter() - began_s) / len(looks)


def median_ms(prepare: Callable[[], object], work: Callable[[], object]) -> float:
    taken = []
    for _ in range(_ROUNDS):
        prepare()
        began_s = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began_s)
    return statistics.median(taken) * 1000


def start(bench: BenchFleet) -> tuple[Fleet, Exposition, CollectorRegistry]:
    fleet = Fleet(Judge(), SystemClock())
    fleet.use(bench.inventory, bench.stores)
    registry = CollectorRegistry()
    registry.register(Peer(fleet))
    return fleet, Exposition(fleet, SystemClock()), registry


def check_same(bench: BenchFleet) -> None:
    """Fail when the two do not say the same of the same state."""
    fleet, exposition, registry = start(bench)
    look_at(fleet, bench)
    ours = samples_of(b"".join(exposition.render(openmetrics=False)))
    theirs = samples_of(generate_latest(registry))
    if ours != theirs:
        raise SystemExit(f"not the same series: {sorted(map(str, ours ^ theirs))[:4]}")


def measure(bench: BenchFleet) -> None:
    fleet, exposition, registry = start(bench)
    count = len(bench.chains)
    look_at(fleet, bench)
    loop = asyncio.new_event_loop()

    def plain() -> bytes:
        return b"".join(exposition.render(openmetrics=False))

    def packed() -> bytes:
        return b"".join(loop.run_until_complete(exposition.render_gzip(openmetrics=False)))

    def nothing() -> None:
        pass

    look_s = min(look_at(fleet, bench) for _ in range(5))
    peer_ms = median_ms(lambda: look_at(fleet, bench), lambda: generate_latest(registry))
    all_ms = median_ms(lambda: look_at(fleet, bench), lambda: exposition.render(openmetrics=False))
    same_ms = median_ms(nothing, lambda: exposition.render(openmetrics=False))
    packed()  # the first one compresses all
    same_gzip_ms = median_ms(nothing, packed)
    all_gzip_ms = median_ms(lambda: look_at(fleet, bench), packed)
    quarter_gzip_ms = median_ms(lambda: look_at(fleet, bench, 4), packed)
    text, small = plain(), packed()
    if gzip.decompress(small) != text:
        raise SystemExit("gzip does not say the same")
    loop.close()
    series = exposition.stats.series_count
    lines_ms = look_s * 1000 * count
    rows = (
        ("targets, series", f"{count}, {series} ({series / count:.1f} a target)", ""),
        ("generate_latest", f"{peer_ms:.0f} ms", ""),
        ("scrape, every target looked at since", f"{all_ms:.1f} ms", "limit 150, aim 40"),
        ("  generate_latest / ours", f"{peer_ms / all_ms:.0f} x", "aim 50"),
        ("scrape, nothing changed", f"{same_ms:.1f} ms", "limit 25"),
        ("  generate_latest / ours", f"{peer_ms / same_ms:.0f} x", ""),
        ("a look recorded, judged and rendered", f"{look_s * 1e6:.1f} us", ""),
        (
            "  generate_latest / (scrape and all looks)",
            f"{peer_ms / (all_ms + lines_ms):.1f} x",
            "",
        ),
        ("scrape with gzip, every target looked at", f"{all_gzip_ms:.0f} ms", ""),
        ("scrape with gzip, every fourth", f"{quarter_gzip_ms:.0f} ms", ""),
        ("scrape with gzip, nothing changed", f"{same_gzip_ms:.1f} ms", ""),
        ("bytes per target, plain", f"{len(text) / count:.0f}", "limit 3000"),
        ("bytes per target, gzip", f"{len(small) / count:.0f}", "limit 250"),
    )
    for name, value, limit in rows:
        print(f"{name:45} {value:>30}   {limit}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--targets", type=int, default=10_000)
    count = parser.parse_args().targets
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "certificates"
        make_certificates(100, path)
        check_same(read_fleet(path, CertificateCache()))
        make_certificates(count, path)
        measure(read_fleet(path, CertificateCache()))


if __name__ == "__main__":
    main()
