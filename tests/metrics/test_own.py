import subprocess
from dataclasses import dataclass

import pytest

from exporter import __version__
from exporter.fleet.fleet import FleetStats
from exporter.gateway.api import GatewayReason
from exporter.gateway.client import ApiStats
from exporter.metrics.catalogue import CATALOGUE, Filler
from exporter.metrics.exposition import Exposition, ExpositionStats
from exporter.metrics.own import OwnMetrics, Parts, ReloadStats
from exporter.metrics.stalls import Stalls
from exporter.probe.pace import Pace
from exporter.probe.schedule import ScheduleStats
from exporter.targets.inventory import InventoryStats
from exporter.targets.source import SourceStats
from tests.fake_clock import FakeClock
from tests.fleet.stand import gateway, make_fleet
from tests.metrics.reading import joined, series_of, values
from tests.pki import utc

AT = utc("2026-11-24T12:00:00")


@dataclass
class Verdicts:
    hit_count: int = 7
    miss_count: int = 2


def source(name: str, *, ok: bool = True) -> SourceStats:
    return SourceStats(
        name=name,
        ok=ok,
        last_success_at=AT if ok else None,
        entry_count=3,
        dropped_count=1,
        problem="" if ok else "it cannot be read",
    )


def own_metrics(
    *,
    reloads: ReloadStats | None = None,
    schedule: ScheduleStats | None = None,
    inventory: InventoryStats | None = None,
) -> OwnMetrics:
    busy = schedule or ScheduleStats()
    good = ReloadStats(is_good=True, good_at=AT, success_count=1)
    listed = InventoryStats(sources=(source("static"),))
    asked = ApiStats(clock_offset_s=-1.5, last_success_at={"certificates": AT})
    asked.request_counts["certificates"] = 3
    asked.failure_counts["certificates", GatewayReason.TIMEOUT] = 1
    return OwnMetrics(
        Parts(
            reloads=lambda: reloads or good,
            schedule=lambda: busy,
            fleet=lambda: FleetStats(ignored_count=4),
            inventory=lambda: inventory or listed,
            verdicts=Verdicts,
            exposition=lambda: ExpositionStats(series_count=12, left_out_count=5),
            stalls=lambda: Stalls(count=2, busy_count=1, longest_s=[0.0, 0.25]),
            management_apis=lambda: {"site-a": asked, "site-b": ApiStats()},
        )
    )


def read(own: OwnMetrics) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    text = series_of(own.render(openmetrics=False))
    openmetrics = series_of(own.render(openmetrics=True) + b"# EOF\n", openmetrics=True)
    ours = {name: found for name, found in text.items() if name.startswith("fleet_tls_")}
    assert ours == {name: openmetrics[name] for name in ours}
    return text


def test_everything_in_the_catalogue_is_there_and_nothing_else_but_the_process() -> None:
    series = read(own_metrics())

    families = {
        name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count")
        for name in series
        if not name.startswith("process_")
    }
    assert families == {name for name, metric in CATALOGUE.items() if metric.filler is Filler.OWN}
    assert "process_cpu_seconds_total" in series


def test_the_labels_are_those_of_the_catalogue() -> None:
    for name, samples in read(own_metrics()).items():
        if name in CATALOGUE:
            for labels in samples:
                assert {key for key, _ in labels} == set(CATALOGUE[name].labels)


def test_what_a_management_api_never_did_is_absent() -> None:
    series = read(own_metrics())

    api = "fleet_tls_exporter_management_api"
    assert series[f"{api}_requests_total"] == {
        (("api", "site-a"), ("call", "certificates")): 3,
    }
    assert series[f"{api}_request_failures_total"] == {
        (("api", "site-a"), ("call", "certificates"), ("reason", "timeout")): 1,
    }
    assert series[f"{api}_last_success_timestamp_seconds"] == {
        (("api", "site-a"), ("call", "certificates")): AT.timestamp(),
    }
    assert series[f"{api}_clock_offset_seconds"] == {(("api", "site-a"),): -1.5}


def test_the_version_is_told() -> None:
    series = read(own_metrics())

    assert values(series, "exporter_build_info", "version") == {__version__: 1}


def test_a_failed_reload_is_told_with_the_moment_of_the_good_one() -> None:
    failed = ReloadStats(is_good=False, good_at=AT, success_count=1, failure_count=3)
    series = read(own_metrics(reloads=failed))

    assert values(series, "exporter_config_last_reload_successful") == {(): 0}
    moment = values(series, "exporter_config_last_reload_success_timestamp_seconds")
    assert moment == {(): AT.timestamp()}
    assert values(series, "exporter_config_reloads_total", "outcome") == {
        "success": 1,
        "failure": 3,
    }


def test_what_has_not_been_is_absent() -> None:
    series = read(own_metrics(reloads=ReloadStats()))

    assert "fleet_tls_exporter_config_last_reload_successful" not in series
    assert "fleet_tls_exporter_config_last_reload_success_timestamp_seconds" not in series


def test_the_schedules_lag_is_a_histogram_and_a_maximum_with_those_that_wait() -> None:
    schedule = ScheduleStats(longest_suspect_wait_s=40.0, waiting_count=9)
    for lag_s in (0.05, 0.2, 7.0):
        schedule.live_lag.add(lag_s)
    schedule.suspect_lag.add(2.0)
    schedule.pace_counts[Pace.SLOW] = 3
    series = read(own_metrics(schedule=schedule))

    buckets = values(series, "exporter_schedule_lag_seconds_bucket", "answering", "le")
    assert [buckets["yes", le] for le in ("0.1", "0.25", "5.0", "10.0", "+Inf")] == [1, 2, 2, 3, 3]
    assert values(series, "exporter_schedule_lag_max_seconds", "answering") == {
        "yes": 7,
        "no": 40,
    }
    assert values(series, "exporter_looks_waiting") == {(): 9}
    assert values(series, "exporter_targets", "pace") == {"normal": 0, "fast": 0, "slow": 3}


def test_a_source_that_fails_is_told_and_one_named_twice_is_told_once() -> None:
    listed = InventoryStats(
        sources=(source("static"), source("a.json", ok=False), source("static"))
    )
    series = read(own_metrics(inventory=listed))

    assert values(series, "exporter_inventory_source_ok", "source") == {"static": 1, "a.json": 0}
    assert values(series, "exporter_inventory_dropped_entries", "source") == {
        "static": 1,
        "a.json": 1,
    }
    moments = values(series, "exporter_inventory_source_last_success_timestamp_seconds", "source")
    assert moments == {"static": AT.timestamp()}


def test_the_longest_stall_of_both_windows_is_told() -> None:
    series = read(own_metrics())

    assert values(series, "exporter_event_loop_stalls_total") == {(): 2}
    assert values(series, "exporter_event_loop_busy_stalls_total") == {(): 1}
    assert values(series, "exporter_event_loop_stall_max_seconds") == {(): 0.25}


@pytest.mark.slow
def test_the_whole_scrape_is_parsed_by_both_parsers_and_by_promtool() -> None:
    clock = FakeClock()
    fleet, _ = make_fleet(clock, gateway())
    exposition = Exposition(fleet, clock)
    exposition.expose(own_metrics())

    text = joined(exposition.render(openmetrics=False))
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, check=False, timeout=30
    )

    assert "fleet_tls_target_info" in series_of(text)
    assert series_of(joined(exposition.render(openmetrics=True)), openmetrics=True)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
