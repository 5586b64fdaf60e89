"""The dashboard *Exporter*: whether what the other dashboards show can be relied on."""

from tools.dashboards.model import NONE_IS_GOOD, Board, Column, Kind, Panel, Row, Variable
from tools.dashboards.terms import EXPORTER, JOB, YES, drawn, lines, listed, of_job, one

_E = "fleet_tls_exporter_"
_I = 'instance=~"$instance"'
_BINARY = ((None, "red"), (1, "green"))
_NO_LOG = "No handshake log is configured"
_NO_API = "No management API is configured"


def _of(metric: str, *matchers: str) -> str:
    return of_job(metric, _I, *matchers)


def _now() -> tuple[Panel, ...]:
    return (
        one("Scraped", "Whether Prometheus gets an answer from every exporter chosen.",
            f"min({_of('up')})", words=YES, steps=_BINARY, span=3),
        one("Configuration", "Whether the last reading was taken over; if not, the one before"
            " rules. `check-config` names every fault.",
            f"min({_of(_E + 'config_last_reload_successful')})",
            words={0: ("refused", "red"), 1: ("in force", "green")}, steps=_BINARY, span=3),
        one("Store", "Whether counts can be written to the durable store; if not, no handshake"
            " log is read.", f"min({_of(_E + 'store_ok')})",
            empty="No handshake log is configured, or nothing was scraped",
            words=YES, steps=_BINARY, span=3),
        one("Sources of targets", "Whether each could be read last time.",
            f"min({_of(_E + 'inventory_source_ok')})", words=YES, steps=_BINARY, span=3),
        one("Entries not taken over", "Of all sources of targets; the log names them.",
            f"sum({_of(_E + 'inventory_dropped_entries')})", steps=NONE_IS_GOOD, span=3),
        one("Handshake logs", "Whether each could be read last time.",
            f"min({_of(_E + 'log_source_ok')})", empty=_NO_LOG, words=YES, steps=_BINARY,
            span=3),
        one("Series budget used", "At 100 % whole families of series are left out.",
            f"max({_of(_E + 'series')} / {_of(_E + 'series_budget')})", unit="percentunit",
            steps=((None, "green"), (0.75, "yellow"), (0.9, "red")), span=3),
        one("Looks that failed by our fault", "Within the last hour; the log has the traceback.",
            f"sum(increase({_of(_E + 'look_errors_total')}[1h]))", steps=NONE_IS_GOOD, span=3),
        listed(
            "Versions",
            "What runs.",
            "max by (instance, version, python_version, openssl_version)"
            f" ({_of(_E + 'build_info')})",
            columns=(
                Column(name="instance", title="Instance"),
                Column(name="version", title="Version"),
                Column(name="python_version", title="Python"),
                Column(name="openssl_version", title="OpenSSL"),
            ),
            span=24,
            height=4,
        ),
    )  # fmt: skip


def _looks() -> tuple[Panel, ...]:
    lag = _of(_E + "schedule_lag_seconds_bucket")
    per = "sum by (instance) (rate({}[$__rate_interval]))"
    hits = per.format(_of(_E + "verdict_cache_hits_total"))
    misses = per.format(_of(_E + "verdict_cache_misses_total"))
    return (
        lines("Looks", "That were begun.",
              (f"sum by (instance) (rate({_of(_E + 'looks_total')}[$__rate_interval]))",
               "{{instance}}"), unit="reqps", span=8),
        lines("Looks that start late", "How late the latest 1 % start; targets that do not answer"
              " give way to those that do.",
              ("histogram_quantile(0.99, sum by (instance, answering, le)"
               f" (rate({lag}[$__rate_interval]))) >= 0",
               "{{instance}}, answering: {{answering}}"),
              unit="s", empty="No look was begun in this time",
              steps=((None, "green"), (10, "red")), span=8),
        lines("Looks running and waiting", "Waiting: due, and without a place.",
              (f"max by (instance) ({_of(_E + 'looks_running')})", "{{instance}} running"),
              (f"max by (instance) ({_of(_E + 'looks_waiting')})", "{{instance}} waiting"),
              span=8),
        drawn(Kind.STACKED, "Targets by pace", "Fast: failing, or near their end.",
              (f"sum by (pace) (max by (job, pace) ({_of(_E + 'targets')}))", "{{pace}}"),
              span=8),
        lines("Looks passed over", "Because the one before had not ended by then.",
              ("sum by (instance, answering)"
               f" (increase({_of(_E + 'missed_intervals_total')}[$__rate_interval]))",
               "{{instance}}, answering: {{answering}}"), span=8),
        lines("Verdicts that were known already", "The share that the cache could answer.",
              (f"{hits} / ({hits} + {misses} > 0)",
               "{{instance}}"),
              unit="percentunit", empty="No verdict was asked for in this time", span=8),
    )  # fmt: skip


def _logs() -> tuple[Panel, ...]:
    def rate(name: str) -> str:
        return f"sum by (source) (rate({_of(_E + name)}[$__rate_interval]))"

    return (
        lines("Behind the logs", "How far reading is behind writing.",
              (f"max by (source) ({_of(_E + 'log_lag_seconds')})", "{{source}}"),
              empty=_NO_LOG, unit="s", steps=((None, "green"), (120, "red"))),
        lines("Lines", "Read, and those that told of a handshake.",
              (rate("log_lines_read_total"), "{{source}} read"),
              (rate("log_lines_matched_total"), "{{source}} told of a handshake"),
              empty=_NO_LOG, unit="cps"),
        lines("Lines that nobody understands", "They speak of a TLS error in words that no format"
              " knows, or were too long. `logs classify` shows what becomes of a line.",
              (rate("log_lines_suspicious_total"), "{{source}} suspicious"),
              (rate("log_lines_cut_total"), "{{source}} cut"),
              empty=_NO_LOG, unit="cps"),
        listed(
            "Sources",
            "Whether each handshake log and each source of targets could be read last time.",
            "min by (source)"
            f" ({_of(_E + 'log_source_ok')} or {_of(_E + 'inventory_source_ok')})",
            columns=(Column(name="source", title="Source"),
                     Column(name="Value", title="Read", says=YES)),
        ),
    )  # fmt: skip


def _apis() -> tuple[Panel, ...]:
    asked = _of(_E + "management_api_requests_total")
    failed = _of(_E + "management_api_request_failures_total")
    return (
        lines("Requests to management APIs", "By call; repeated ones count each time.",
              ("sum by (api, call)"
               f" (rate({asked}[$__rate_interval]))", "{{api}} {{call}}"),
              empty=_NO_API, unit="reqps"),
        lines("Requests without a good answer", "By reason.",
              (f"sum by (api, reason) (increase({failed}[$__rate_interval])) > 0",
               "{{api}}: {{reason}}"),
              empty="Every request was answered, or no management API is configured"),
        lines("Since the last good answer", "Of each management API, by call.",
              ("time() - max by (api, call)"
               f" ({_of(_E + 'management_api_last_success_timestamp_seconds')})",
               "{{api}} {{call}}"), empty=_NO_API, unit="s"),
        lines("Clock offset", "The exporter's clock minus the API's, to a second at best.",
              (f"max by (api) ({_of(_E + 'management_api_clock_offset_seconds')})", "{{api}}"),
              empty=_NO_API, unit="s"),
    )  # fmt: skip


def _process() -> tuple[Panel, ...]:
    duration = _of(_E + "scrape_duration_seconds_bucket")
    return (
        lines("CPU", "Of one core.",
              (f"rate({_of('process_cpu_seconds_total')}[$__rate_interval])"
               f" and on (job, instance) {_of(_E + 'build_info')}", "{{instance}}"),
              unit="percentunit", span=8),
        lines("Memory", "Resident, of each exporter.",
              (f"{_of('process_resident_memory_bytes')}"
               f" and on (job, instance) {_of(_E + 'build_info')}", "{{instance}}"),
              unit="bytes", span=8),
        lines("Open files", "Beside how many are allowed.",
              (f"{_of('process_open_fds')} / {_of('process_max_fds')}"
               f" and on (job, instance) {_of(_E + 'build_info')}", "{{instance}}"),
              unit="percentunit", steps=((None, "green"), (0.8, "red")), span=8),
        lines("Time to render a scrape", "The slowest 1 %.",
              ("histogram_quantile(0.99, sum by (instance, le)"
               f" (rate({duration}[$__rate_interval]))) >= 0", "{{instance}}"),
              unit="s", empty="No scrape in this time", span=8),
        lines("Series", "Of targets and handshakes, as the last whole scrape had them.",
              (f"max by (instance) ({_of(_E + 'series')})", "{{instance}}"), span=8),
        lines("Series left out or dropped", "Because of the budget; because another with the same"
              " labels was there.",
              ("sum by (instance)"
               f" (increase({_of(_E + 'series_left_out_total')}[$__rate_interval]))",
               "{{instance}} left out"),
              ("sum by (instance)"
               f" (increase({_of(_E + 'duplicate_series_total')}[$__rate_interval]))",
               "{{instance}} duplicates"), steps=NONE_IS_GOOD, span=8),
        lines("Stalls of the event loop", "Times when nothing else could run for over 50 ms.",
              ("sum by (instance)"
               f" (increase({_of(_E + 'event_loop_stalls_total')}[$__rate_interval]))",
               "{{instance}}"), span=12),
        lines("Longest stall", "Within the last 5 to 10 minutes.",
              (f"max by (instance) ({_of(_E + 'event_loop_stall_max_seconds')})",
               "{{instance}}"), unit="s", span=12),
    )  # fmt: skip


EXPORTER_BOARD = Board(
    uid=EXPORTER,
    title="Fleet TLS / Exporter",
    says="Whether what the other dashboards show can be relied on: looks, logs, sources, APIs.",
    variables=(
        Variable(
            name="instance",
            label="Instance",
            query=f"label_values(fleet_tls_exporter_build_info{{{JOB}}}, instance)",
            many=True,
        ),
    ),
    rows=(
        Row(title="Now", panels=_now()),
        Row(title="Looks", panels=_looks()),
        Row(title="Handshake logs and targets", panels=_logs()),
        Row(title="Management APIs", panels=_apis()),
        Row(title="Process and scrapes", panels=_process()),
    ),
)
