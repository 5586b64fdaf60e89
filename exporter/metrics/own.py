"""The metrics about the exporter itself, collected from the parts' plain counters at a scrape."""

import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from typing import Protocol

from cryptography.hazmat.backends.openssl import backend
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import Collector

from exporter import __version__
from exporter.fleet.fleet import FleetStats
from exporter.gateway.client import ApiStats
from exporter.metrics import exposition
from exporter.metrics.catalogue import CATALOGUE
from exporter.metrics.catalogue.model import PREFIX, Kind
from exporter.metrics.exposition import ExpositionStats
from exporter.metrics.stalls import Stalls
from exporter.probe import lag
from exporter.probe.lag import Lag
from exporter.probe.pace import Pace
from exporter.probe.schedule import ScheduleStats
from exporter.targets.inventory import InventoryStats

_EOF = b"# EOF\n"

Samples = Iterable[tuple[Sequence[str], float]]
"""Label values in the catalogue's order, and the value."""


@dataclass(slots=True, kw_only=True)
class ReloadStats:
    """How the configuration was read.

    Attributes:
        is_good: The last reading was taken over; None: there was none yet.
        good_at: When the one in force was read.
    """

    is_good: bool | None = None
    good_at: datetime | None = None
    success_count: int = 0
    failure_count: int = 0


class VerdictStats(Protocol):
    """What a judge counts of itself."""

    @property
    def hit_count(self) -> int:
        """Verdicts that were known already."""
        ...

    @property
    def miss_count(self) -> int:
        """Verdicts that had to be made."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Where the counters are asked for at each scrape; a reload may replace a part."""

    reloads: Callable[[], ReloadStats]
    schedule: Callable[[], ScheduleStats]
    fleet: Callable[[], FleetStats]
    inventory: Callable[[], InventoryStats]
    verdicts: Callable[[], VerdictStats]
    exposition: Callable[[], ExpositionStats]
    stalls: Callable[[], Stalls]
    management_apis: Callable[[], Mapping[str, ApiStats]]


class OwnMetrics(Collector):
    """Renders the parts' counters, and the process's, through a registry of its own."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def describe(self) -> Iterable[Metric]:
        """Return nothing: the names are the catalogue's, and the registry need not check them."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Return all families, as they are now."""
        parts = self._parts
        yield _build()
        yield from _reloads(parts.reloads())
        yield from _scrapes(parts.exposition())
        yield from _schedule(parts.schedule())
        yield _family("looks_ignored_total", [((), parts.fleet().ignored_count)])
        yield from _inventory(parts.inventory())
        verdicts = parts.verdicts()
        yield _family("verdict_cache_hits_total", [((), verdicts.hit_count)])
        yield _family("verdict_cache_misses_total", [((), verdicts.miss_count)])
        stalls = parts.stalls()
        yield _family("event_loop_stalls_total", [((), stalls.count)])
        yield _family("event_loop_busy_stalls_total", [((), stalls.busy_count)])
        yield _family("event_loop_stall_max_seconds", [((), max(stalls.longest_s))])
        yield from _management_apis(parts.management_apis())

    def render(self, *, openmetrics: bool) -> bytes:
        """Return whole families with their heads, without OpenMetrics' end mark."""
        if not openmetrics:
            return generate_latest(self._registry)
        rendered: bytes = generate_openmetrics(self._registry)  # type: ignore[no-untyped-call]  # the library's function has no types
        return rendered.removesuffix(_EOF)


def _build() -> Metric:
    metric = CATALOGUE[f"{PREFIX}exporter_build_info"]
    value = {
        "version": __version__,
        "python_version": platform.python_version(),
        "openssl_version": backend.openssl_version_text(),
    }
    return InfoMetricFamily(metric.family, metric.help, value=value)


def _reloads(stats: ReloadStats) -> Iterator[Metric]:
    if stats.is_good is not None:
        yield _family("config_last_reload_successful", [((), int(stats.is_good))])
    if stats.good_at is not None:
        yield _family(
            "config_last_reload_success_timestamp_seconds", [((), stats.good_at.timestamp())]
        )
    yield _family(
        "config_reloads_total",
        [(("success",), stats.success_count), (("failure",), stats.failure_count)],
    )


def _scrapes(stats: ExpositionStats) -> Iterator[Metric]:
    yield _histogram(
        "scrape_duration_seconds",
        exposition.BUCKETS_S,
        [((), stats.duration_counts, stats.duration_sum_s)],
    )
    yield _family("series", [((), stats.series_count)])
    yield _family("series_budget", [((), stats.series_budget)])
    yield _family("series_left_out_total", [((), stats.left_out_count)])
    yield _family("duplicate_series_total", [((), stats.duplicate_count)])


def _schedule(stats: ScheduleStats) -> Iterator[Metric]:
    lags: tuple[tuple[tuple[str], Lag], ...] = (
        (("yes",), stats.live_lag),
        (("no",), stats.suspect_lag),
    )
    yield _histogram(
        "schedule_lag_seconds",
        lag.BUCKETS_S,
        [(labels, of.counts, of.total_s) for labels, of in lags],
    )
    waits = (stats.longest_live_wait_s, stats.longest_suspect_wait_s)
    yield _family(
        "schedule_lag_max_seconds",
        [
            (labels, max(wait_s, of.quantile_s(1.0) or 0.0))
            for (labels, of), wait_s in zip(lags, waits, strict=True)
        ],
    )
    yield _family("missed_intervals_total", [(labels, of.missed_count) for labels, of in lags])
    yield _family("looks_total", [((), stats.look_count)])
    yield _family("look_errors_total", [((), stats.error_count)])
    yield _family("looks_running", [((), stats.running_count)])
    yield _family("looks_waiting", [((), stats.waiting_count)])
    yield _family("targets", [((pace,), stats.pace_counts[pace]) for pace in Pace])


def _inventory(stats: InventoryStats) -> Iterator[Metric]:
    sources = stats.sources
    yield _family("inventory_source_ok", [((of.name,), int(of.ok)) for of in sources])
    yield _family(
        "inventory_source_last_success_timestamp_seconds",
        [
            ((of.name,), of.last_success_at.timestamp())
            for of in sources
            if of.last_success_at is not None
        ],
    )
    yield _family("inventory_entries", [((of.name,), of.entry_count) for of in sources])
    yield _family("inventory_dropped_entries", [((of.name,), of.dropped_count) for of in sources])


def _management_apis(apis: Mapping[str, ApiStats]) -> Iterator[Metric]:
    yield _family(
        "management_api_requests_total",
        [
            ((api, call), count)
            for api, stats in apis.items()
            for call, count in stats.request_counts.items()
        ],
    )
    yield _family(
        "management_api_request_failures_total",
        [
            ((api, call, reason.value), count)
            for api, stats in apis.items()
            for (call, reason), count in stats.failure_counts.items()
        ],
    )
    yield _family(
        "management_api_last_success_timestamp_seconds",
        [
            ((api, call), at.timestamp())
            for api, stats in apis.items()
            for call, at in stats.last_success_at.items()
        ],
    )
    yield _family(
        "management_api_clock_offset_seconds",
        [
            ((api,), stats.clock_offset_s)
            for api, stats in apis.items()
            if stats.clock_offset_s is not None
        ],
    )


def _family(short: str, samples: Samples) -> Metric:
    metric = CATALOGUE[f"{PREFIX}exporter_{short}"]
    made = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
    family = made(metric.family, metric.help, labels=metric.labels, unit=metric.unit)
    # A file may be named twice in the configuration; a series may not
    for labels, value in {tuple(labels): value for labels, value in samples}.items():
        family.add_metric(labels, value)
    return family


def _histogram(
    short: str,
    bounds_s: Sequence[float],
    samples: Iterable[tuple[Sequence[str], Sequence[int], float]],
) -> Metric:
    metric = CATALOGUE[f"{PREFIX}exporter_{short}"]
    family = HistogramMetricFamily(
        metric.family, metric.help, labels=metric.labels, unit=metric.unit
    )
    bounds = [*(str(bound_s) for bound_s in bounds_s), "+Inf"]
    for labels, counts, total_s in samples:
        buckets = list(zip(bounds, accumulate(counts), strict=True))
        family.add_metric(labels, buckets, total_s)
    return family
