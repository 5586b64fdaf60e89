"""Dashboards as plain values: what they show, apart from how Grafana wants it written down."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

Steps = tuple[tuple[float | None, str], ...]
"""From which value on, which colour; the first has no value."""
Says = Mapping[float | str, tuple[str, str]]
"""A value's, or a label's, words and colour."""

PLAIN: Steps = ((None, "text"),)
NONE_IS_GOOD: Steps = ((None, "green"), (1, "red"))
NONE_IS_BETTER: Steps = ((None, "green"), (1, "orange"))
TIME_LEFT: Steps = ((None, "red"), (7 * 86_400, "orange"), (14 * 86_400, "yellow"),
                    (30 * 86_400, "green"))  # fmt: skip
"""The days of the alert rules' defaults."""
RATIO: Steps = ((None, "red"), (0.5, "orange"), (0.95, "green"))

GATHERED = "Nothing was scraped: see the dashboard of the exporter"
"""Of a panel that has data wherever an exporter is scraped and the rules are loaded."""


class Kind(StrEnum):
    """How a panel draws."""

    STAT = "stat"
    SERIES = "timeseries"
    STACKED = "stacked"
    BARS = "bargauge"
    STATES = "state-timeline"
    TABLE = "table"


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One expression of PromQL, and the name of each of its series."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table.

    Attributes:
        name: The label, or ``Value``, with the query's letter where there are several.
        empty: What stands where a row has nothing; without it a value is unknown.
        links: Title and address; ``${__value.raw:percentencode}`` is the cell's value there.
    """

    name: str
    title: str
    unit: str = ""
    steps: Steps = ()
    says: Says = field(default_factory=dict)
    empty: str = ""
    links: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel.

    Attributes:
        says: The description: what it shows, and what to make of it.
        empty: What stands there when there is nothing to show, and why that may be.
        span: Of the 24 columns of the grid.
        columns: Of a table, in this order; no other is shown.
    """

    kind: Kind
    title: str
    says: str
    queries: tuple[Query, ...]
    empty: str = GATHERED
    unit: str = "short"
    steps: Steps = PLAIN
    words: Says = field(default_factory=dict)
    span: int = 12
    height: int = 8
    columns: tuple[Column, ...] = ()
    links: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Panels under one heading."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A choice at the top, of the values of a label."""

    name: str
    label: str
    query: str
    many: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """A mark on the time axis wherever ``expr`` has a value."""

    name: str
    expr: str
    title: str
    colour: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """One dashboard.

    Attributes:
        uid: Never changes: alerts and other dashboards link to it.
    """

    uid: str
    title: str
    says: str
    rows: tuple[Row, ...]
    variables: tuple[Variable, ...] = ()
    annotations: tuple[Annotation, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
