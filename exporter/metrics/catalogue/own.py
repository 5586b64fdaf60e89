"""The metrics about the exporter itself."""

from functools import partial

from exporter.metrics.catalogue.model import PREFIX, Filler, Kind, Metric

_metric = partial(Metric, filler=Filler.OWN)
_OWN = f"{PREFIX}exporter_"

_CONFIG = (
    _metric(
        name=f"{_OWN}build_info",
        kind=Kind.INFO,
        labels=("version", "python_version", "openssl_version"),
        help="The versions that run.",
    ),
    _metric(
        name=f"{_OWN}config_last_reload_successful",
        kind=Kind.GAUGE,
        help="1: the last reading of the configuration was taken over; 0: the one before rules.",
        examples=(("reload failed", "fleet_tls_exporter_config_last_reload_successful == 0"),),
    ),
    _metric(
        name=f"{_OWN}config_last_reload_success_timestamp_seconds",
        kind=Kind.GAUGE,
        unit="seconds",
        help="When the configuration in force was read.",
    ),
    _metric(
        name=f"{_OWN}config_reloads_total",
        kind=Kind.COUNTER,
        labels=("outcome",),
        help="Readings of the configuration; outcome is success or failure.",
    ),
)

_SCRAPE = (
    _metric(
        name=f"{_OWN}scrape_duration_seconds",
        kind=Kind.HISTOGRAM,
        unit="seconds",
        help="Time to render one scrape, without sending it.",
    ),
    _metric(
        name=f"{_OWN}series",
        kind=Kind.GAUGE,
        help="Series of targets and handshakes exposed by the last whole scrape.",
    ),
    _metric(
        name=f"{_OWN}series_budget",
        kind=Kind.GAUGE,
        help="How many such series are exposed at most.",
    ),
    _metric(
        name=f"{_OWN}series_left_out_total",
        kind=Kind.COUNTER,
        help="Series left out because of the budget, added up over whole scrapes.",
        notes="Which go first is said at the top of this page.",
        examples=(("over budget", "increase(fleet_tls_exporter_series_left_out_total[15m]) > 0"),),
    ),
    _metric(
        name=f"{_OWN}duplicate_series_total",
        kind=Kind.COUNTER,
        help="Series dropped because another with the same labels was there already.",
    ),
)

_SCHEDULE = (
    _metric(
        name=f"{_OWN}schedule_lag_seconds",
        kind=Kind.HISTOGRAM,
        labels=("answering",),
        unit="seconds",
        help="How late looks started; by whether the target answered the look before.",
        notes="Looks start in groups of 100 ms. Targets that do not answer give way to those that"
        ' do, so a lag at `answering="no"` is a sign of many dead targets, not of overload.',
        examples=(
            (
                "99th percentile",
                "histogram_quantile(0.99, sum by (le)"
                ' (rate(fleet_tls_exporter_schedule_lag_seconds_bucket{answering="yes"}[5m])))',
            ),
        ),
    ),
    _metric(
        name=f"{_OWN}schedule_lag_max_seconds",
        kind=Kind.GAUGE,
        labels=("answering",),
        unit="seconds",
        help="The largest such delay among the latest 4096 looks and those that still wait.",
    ),
    _metric(
        name=f"{_OWN}missed_intervals_total",
        kind=Kind.COUNTER,
        labels=("answering",),
        help="Looks passed over because the one before had not ended by then.",
    ),
    _metric(
        name=f"{_OWN}looks_total", kind=Kind.COUNTER, help="Looks at targets that were begun."
    ),
    _metric(
        name=f"{_OWN}look_errors_total",
        kind=Kind.COUNTER,
        help="Looks that failed by a fault of this program; the log has the traceback.",
    ),
    _metric(name=f"{_OWN}looks_running", kind=Kind.GAUGE, help="Looks that run at this moment."),
    _metric(
        name=f"{_OWN}looks_waiting",
        kind=Kind.GAUGE,
        help="Looks that are due and wait for a place, overall or at their host.",
    ),
    _metric(
        name=f"{_OWN}targets",
        kind=Kind.GAUGE,
        labels=("pace",),
        help="Targets that are looked at, by pace: normal, fast (failing, near expiry), slow.",
    ),
    _metric(
        name=f"{_OWN}looks_ignored_total",
        kind=Kind.COUNTER,
        help="Looks whose target had left the inventory, or moved, when they ended.",
    ),
)

_REST = (
    _metric(
        name=f"{_OWN}inventory_source_ok",
        kind=Kind.GAUGE,
        labels=("source",),
        help="1: the last reading of the source was taken over; 0: the one before rules.",
    ),
    _metric(
        name=f"{_OWN}inventory_source_last_success_timestamp_seconds",
        kind=Kind.GAUGE,
        labels=("source",),
        unit="seconds",
        help="When the source was last read without fault.",
    ),
    _metric(
        name=f"{_OWN}inventory_entries",
        kind=Kind.GAUGE,
        labels=("source",),
        help="Targets that come from the source.",
    ),
    _metric(
        name=f"{_OWN}inventory_dropped_entries",
        kind=Kind.GAUGE,
        labels=("source",),
        help="Entries of the source that are not taken over; the log names them.",
    ),
    _metric(
        name=f"{_OWN}verdict_cache_hits_total",
        kind=Kind.COUNTER,
        help="Verdicts that were known already.",
    ),
    _metric(
        name=f"{_OWN}verdict_cache_misses_total",
        kind=Kind.COUNTER,
        help="Verdicts that had to be made.",
    ),
    _metric(
        name=f"{_OWN}event_loop_stalls_total",
        kind=Kind.COUNTER,
        help="Times when nothing else could run for more than 50 ms.",
        notes="Measured every 20 ms, so a stall shorter than 70 ms may be missed.",
    ),
    _metric(
        name=f"{_OWN}event_loop_busy_stalls_total",
        kind=Kind.COUNTER,
        help="Those of them in which the exporter itself used more than 50 ms of processor time.",
        notes="In the others it waited: the machine has too few cores for all that runs on it.",
    ),
    _metric(
        name=f"{_OWN}event_loop_stall_max_seconds",
        kind=Kind.GAUGE,
        unit="seconds",
        help="The longest of them within the last 5 to 10 minutes.",
    ),
)

OWN = (*_CONFIG, *_SCRAPE, *_SCHEDULE, *_REST)
