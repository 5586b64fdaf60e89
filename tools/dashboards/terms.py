"""What the expressions and links of several dashboards have in common."""

from typing import TypedDict, Unpack

from tools.dashboards.model import (
    TIME_LEFT,
    Column,
    Kind,
    Panel,
    Query,
    Says,
    Steps,
    Variable,
)

FLEET = "fleet-tls"
GATEWAY = "fleet-tls-gateway"
DEVICE = "fleet-tls-device"
CHANGES = "fleet-tls-changes"
EXPORTER = "fleet-tls-exporter"

JOB = 'job=~"$job"'
KEEP = "${datasource:queryparam}&${job:queryparam}&${__url_time_range}"
CELL = "${__value.raw:percentencode}"

TO_GATEWAY = ("This gateway", f"/d/{GATEWAY}?var-gateway={CELL}&{KEEP}")
TO_DEVICE = ("This device", f"/d/{DEVICE}?var-device={CELL}&{KEEP}")
TO_RUNBOOK = ("What to do", "${exporter:raw}/runbooks/" + CELL)
TO_PAGE = ("Its page at the exporter", "${exporter:raw}/targets/" + CELL)

GATEWAYS = Variable(
    name="gateway",
    label="Gateway",
    query=f'label_values(fleet_tls_target_info{{{JOB}, role="gateway"}}, target)',
)

YES: Says = {0: ("no", "red"), 1: ("yes", "green")}
DONE: Says = {0: ("fails", "red"), 1: ("done", "green")}
VERIFIED: Says = {0: ("not verified", "red"), 1: ("verified", "green")}
ACCEPTED: Says = {0: ("refuses", "red"), 1: ("accepts", "green")}
SYNCED: Says = {0: ("lacks something", "red"), 1: ("synced", "green")}
FAILING: Says = {1: ("refused", "red")}

ENDS = "target:fleet_tls_chain_not_after_timestamp_seconds:min"
PREDICTED = "gateway:fleet_tls_devices_refusing:predicted"
LOGGED = "gateway:fleet_tls_devices_refusing:logged"
OVERDUE = "device:fleet_tls_silence_seconds:overdue"


def of_job(metric: str, *matchers: str) -> str:
    """Return the selector of ``metric`` in the chosen jobs."""
    return f"{metric}{{{', '.join((JOB, *matchers))}}}"


def or_none(counted: str, known: str) -> str:
    """Return ``counted``, 0 where there is nothing to count, and nothing where none is known."""
    return f"({counted}) or 0 * count({known})"


class More(TypedDict, total=False):
    """What may be said of a panel beside what it must have."""

    empty: str
    unit: str
    steps: Steps
    words: Says
    span: int
    height: int
    links: tuple[tuple[str, str], ...]


_SMALL: More = {"span": 4, "height": 4}


def one(title: str, says: str, expr: str, **more: Unpack[More]) -> Panel:
    """Return a panel with one number."""
    fitting: More = {**_SMALL, **more}
    queries = (Query(expr=expr),)
    return Panel(kind=Kind.STAT, title=title, says=says, queries=queries, **fitting)


def drawn(
    kind: Kind, title: str, says: str, *queries: tuple[str, str], **more: Unpack[More]
) -> Panel:
    """Return a panel of several series; each query is an expression and a legend."""
    asked = tuple(Query(expr=expr, legend=legend) for expr, legend in queries)
    return Panel(kind=kind, title=title, says=says, queries=asked, **more)


def lines(title: str, says: str, *queries: tuple[str, str], **more: Unpack[More]) -> Panel:
    """Return a panel with lines over time."""
    return drawn(Kind.SERIES, title, says, *queries, **more)


def listed(
    title: str, says: str, *queries: str, columns: tuple[Column, ...], **more: Unpack[More]
) -> Panel:
    """Return a table of what is now."""
    asked = tuple(Query(expr=expr) for expr in queries)
    return Panel(kind=Kind.TABLE, title=title, says=says, queries=asked, columns=columns, **more)


def left(*, name: str = "Value", title: str = "Left") -> Column:
    """Return the column of how long something still lasts."""
    return Column(name=name, title=title, unit="dtdurations", steps=TIME_LEFT)
