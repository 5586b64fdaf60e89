"""A dashboard as Grafana's JSON, by the foundation SDK."""

import json
from collections.abc import Iterable
from typing import TypeVar

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    dashboard,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as styles
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from exporter.alerts.values import Links
from tools.dashboards.model import Annotation, Board, Column, Kind, Panel, Says, Steps, Variable

SOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
_TAG = "fleet-tls"
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_P = TypeVar("_P", stat.Panel, timeseries.Panel, bargauge.Panel, statetimeline.Panel, table.Panel)
_Drawn = stat.Panel | timeseries.Panel | bargauge.Panel | statetimeline.Panel | table.Panel
_Variable = dashboard.DatasourceVariable | dashboard.QueryVariable | dashboard.ConstantVariable


def text_of(board: Board) -> str:
    """Return the JSON file of ``board``."""
    return json.dumps(_drawn(board), cls=JSONEncoder, indent=1, ensure_ascii=False) + "\n"


def _drawn(board: Board) -> model.Dashboard:
    drawn = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .description(board.says)
        .tags([_TAG])
        .timezone("browser")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .time("now-6h", "now")
        .refresh("1m")
        .variables(list(_variables(board.variables)))
        .annotations([_annotation(one) for one in board.annotations])
        .links(list(_links(board)))
    )
    number = 0
    for row in board.rows:
        number += 1
        drawn.with_row(dashboard.Row(row.title).id(number))
        for panel in row.panels:
            number += 1
            drawn.with_panel(_panel(panel, number))
    return drawn.build()


def _variables(asked: Iterable[Variable]) -> Iterable[_Variable]:
    yield dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus")
    jobs = Variable(
        name="job",
        label="Job",
        query="label_values(fleet_tls_exporter_build_info, job)",
        many=True,
    )
    for variable in (jobs, *asked):
        yield _queried(variable)
    # Where a browser reaches the exporter; a constant, so that it can be changed in Grafana
    yield dashboard.ConstantVariable("exporter").value(Links().exporter)


def _queried(variable: Variable) -> dashboard.QueryVariable:
    drawn = (
        dashboard.QueryVariable(variable.name)
        .label(variable.label)
        .datasource(SOURCE)
        .query({"qryType": 1, "query": variable.query, "refId": variable.name})
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.NATURAL_ASC)
    )
    if variable.many:
        drawn.multi(multi=True).include_all(include_all=True).all_value(".*")
        drawn.current(model.VariableOption(selected=True, text=["All"], value=["$__all"]))
    return drawn


class _Marked(model.AnnotationQuery):
    """An annotation by Prometheus; the SDK knows no fields of single data sources."""

    def __init__(self, asked: Annotation) -> None:
        super().__init__(
            name=asked.name,
            datasource=SOURCE,
            enable=True,
            icon_color=asked.colour,
            expr=asked.expr,
        )
        self._title = asked.title

    def to_json(self) -> dict[str, object]:
        return {**super().to_json(), "step": "60s", "titleFormat": self._title}


class _Annotation(dashboard.AnnotationQuery):
    def __init__(self, asked: Annotation) -> None:
        super().__init__()
        self._internal = _Marked(asked)


def _annotation(asked: Annotation) -> _Annotation:
    return _Annotation(asked)


def _links(board: Board) -> Iterable[dashboard.DashboardLink]:
    yield (
        dashboard.DashboardLink("Fleet TLS")
        .type(model.DashboardLinkType.DASHBOARDS)
        .tags([_TAG])
        .keep_time(keep_time=True)
        .include_vars(include_vars=True)
    )
    pages = (("Fleet page", "${exporter:raw}/fleet"), ("Runbooks", "${exporter:raw}/runbooks"))
    for title, url in (*board.links, *pages):
        yield (
            dashboard.DashboardLink(title)
            .type(model.DashboardLinkType.LINK)
            .icon("external link")
            .url(url)
            .target_blank(target_blank=True)
        )


def _panel(panel: Panel, number: int) -> _Drawn:
    match panel.kind:
        case Kind.STAT:
            return _common(_stat(), panel, number)
        case Kind.SERIES:
            return _common(_series(panel), panel, number)
        case Kind.STACKED:
            return _common(_stacked(panel), panel, number)
        case Kind.BARS:
            return _common(_bars(), panel, number)
        case Kind.STATES:
            return _common(statetimeline.Panel().show_value(styles.VisibilityMode.AUTO)
                           .row_height(0.8).fill_opacity(70), panel, number)  # fmt: skip
        case Kind.TABLE:
            return _columns(_common(table.Panel(), panel, number), panel)


def _stat() -> stat.Panel:
    return (
        stat.Panel()
        .color_mode(styles.BigValueColorMode.BACKGROUND_SOLID)
        .graph_mode(styles.BigValueGraphMode.NONE)
        .reduce_options(_last())
    )


def _bars() -> bargauge.Panel:
    return (
        bargauge.Panel()
        .display_mode(styles.BarGaugeDisplayMode.BASIC)
        .orientation(styles.VizOrientation.HORIZONTAL)
        .min(0)
        .reduce_options(_last())
    )


def _last() -> common.ReduceDataOptions:
    return common.ReduceDataOptions().calcs(["lastNotNull"]).values(values=False)


def _series(panel: Panel) -> timeseries.Panel:
    drawn = (
        timeseries.Panel()
        .axis_soft_min(0)
        .fill_opacity(10)
        .show_points(styles.VisibilityMode.AUTO)
        .legend(
            common.VizLegendOptions()
            .display_mode(styles.LegendDisplayMode.TABLE)
            .placement(styles.LegendPlacement.BOTTOM)
            .show_legend(show_legend=True)
            .calcs(["lastNotNull", "max"])
        )
        .tooltip(common.VizTooltipOptions().mode(styles.TooltipDisplayMode.MULTI))
    )
    if panel.steps and len(panel.steps) > 1:
        drawn.thresholds_style(
            common.GraphThresholdsStyleConfig().mode(styles.GraphThresholdsStyleMode.DASHED)
        )
    return drawn


def _stacked(panel: Panel) -> timeseries.Panel:
    stacking = common.StackingConfig().mode(styles.StackingMode.NORMAL)
    return _series(panel).stacking(stacking).fill_opacity(40)


def _common(drawn: _P, panel: Panel, number: int) -> _P:
    drawn.id(number).title(panel.title).description(panel.says).datasource(SOURCE)
    drawn.span(panel.span).height(panel.height).unit(panel.unit).no_value(panel.empty)
    drawn.thresholds(_thresholds(panel.steps)).mappings(_mappings(panel.words))
    if panel.links:
        drawn.data_links([dashboard.DashboardLink(title).url(url) for title, url in panel.links])
    for letter, query in zip(_LETTERS, panel.queries, strict=False):
        asked = prometheus.Dataquery().ref_id(letter).expr(query.expr).datasource(SOURCE)
        asked.legend_format(query.legend or "__auto")
        if panel.kind in {Kind.STAT, Kind.BARS, Kind.TABLE}:
            asked.instant()
        else:
            asked.range()
        if panel.kind is Kind.TABLE:
            asked.format(PromQueryFormat.TABLE)
        drawn.with_target(asked)
    return drawn


def _thresholds(steps: Steps) -> dashboard.ThresholdsConfig:
    told = [model.Threshold(value=value, color=colour) for value, colour in steps]
    return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(told)


def _mappings(words: Says) -> list[model.ValueMapping]:
    if not words:
        return []
    results = {
        value if isinstance(value, str) else f"{value:g}": model.ValueMappingResult(
            text=text, color=colour, index=index
        )
        for index, (value, (text, colour)) in enumerate(words.items())
    }
    return [model.ValueMap(options=results)]


def _columns(drawn: table.Panel, panel: Panel) -> table.Panel:
    """Show the columns that are asked for and no other: labels may be more some day."""
    named = [column.name for column in panel.columns]
    order = {name: index for index, name in enumerate(named)}
    titles = {column.name: column.title for column in panel.columns}
    drawn.with_transformation(model.DataTransformerConfig(id_val="merge", options={}))
    drawn.with_transformation(
        model.DataTransformerConfig(
            id_val="filterFieldsByName", options={"include": {"names": named}}
        )
    )
    drawn.with_transformation(
        model.DataTransformerConfig(
            id_val="organize",
            options={"excludeByName": {}, "indexByName": order, "renameByName": titles},
        )
    )
    for column in panel.columns:
        drawn.override_by_name(column.title, list(_properties(column)))
    return drawn.filterable(filterable=True)


def _properties(column: Column) -> Iterable[model.DynamicConfigValue]:
    if column.empty or column.name.startswith("Value"):
        yield model.DynamicConfigValue(id_val="noValue", value=column.empty or "unknown")
    if column.unit:
        yield model.DynamicConfigValue(id_val="unit", value=column.unit)
    if column.says:
        yield model.DynamicConfigValue(id_val="mappings", value=_mappings(column.says))
    if column.steps:
        steps = _thresholds(column.steps).build()
        yield model.DynamicConfigValue(id_val="thresholds", value=steps)
    if column.steps or column.says:
        text = {"type": "color-text"}
        yield model.DynamicConfigValue(id_val="custom.cellOptions", value=text)
    if column.links:
        links = [{"title": title, "url": url} for title, url in column.links]
        yield model.DynamicConfigValue(id_val="links", value=links)
