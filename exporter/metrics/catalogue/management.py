"""The metrics about what management APIs were asked."""

from functools import partial

from exporter.metrics.catalogue.model import PREFIX, Filler, Kind, Metric

_metric = partial(Metric, filler=Filler.OWN)
_API = f"{PREFIX}exporter_management_api_"

MANAGEMENT = (
    _metric(
        name=f"{_API}requests_total",
        kind=Kind.COUNTER,
        labels=("api", "call"),
        help="Requests to the management API, by call; repeated ones count each time.",
        notes="`api` is the name in `management_apis`. Survives a reload, not a restart.",
    ),
    _metric(
        name=f"{_API}request_failures_total",
        kind=Kind.COUNTER,
        labels=("api", "call", "reason"),
        help="Those that brought no good answer, by reason.",
        notes="The reasons are those of [the management API](management-api.md). A reason's"
        " series begins with its first failure, at 1: for alerts use the time of the last"
        " success.",
        examples=(
            (
                "failures by reason",
                "sum by (api, reason)"
                " (increase(fleet_tls_exporter_management_api_request_failures_total[1h]))",
            ),
        ),
    ),
    _metric(
        name=f"{_API}last_success_timestamp_seconds",
        kind=Kind.GAUGE,
        labels=("api", "call"),
        unit="seconds",
        help="When the management API last gave a good answer to the call.",
        notes="Absent until the first one.",
        examples=(
            (
                "what devices trust is not told for five minutes",
                "time() - fleet_tls_exporter_management_api_last_success_timestamp_seconds"
                '{call="trust_status"} > 300',
            ),
        ),
    ),
    _metric(
        name=f"{_API}clock_offset_seconds",
        kind=Kind.GAUGE,
        labels=("api",),
        unit="seconds",
        help="The exporter's clock minus the API's, by the Date of its latest answer.",
        notes="A second at best: that is how exact a `Date` is.",
        examples=(
            (
                "one of both clocks is wrong",
                "abs(fleet_tls_exporter_management_api_clock_offset_seconds) > 30",
            ),
        ),
    ),
)
