"""The dashboards as files: written by the generator, whole, and linked with each other."""

import re
from typing import Any

import pytest

from exporter.alerts.book import alerts_of
from exporter.alerts.values import Links, Values
from exporter.remediation.intents import Ending
from tests.dashboards.reading import DASHBOARDS, FILES, panels_of
from tools.dashboards.book import committed

BOARDS = pytest.mark.parametrize("board", DASHBOARDS.values(), ids=list(DASHBOARDS))
PANELS = pytest.mark.parametrize(
    "panel",
    [
        pytest.param(panel, id=f"{name} / {panel['id']} {panel['title']}")
        for name, board in DASHBOARDS.items()
        for panel in panels_of(board)
    ],
)
UNITS = {"short", "s", "dtdurations", "percentunit", "reqps", "cps", "bytes"}


def test_what_is_committed_is_what_the_generator_writes() -> None:
    there = {path.name: path.read_text("utf-8") for path in FILES}

    assert there == dict(committed()), "python -m tools.dashboards dashboards"


def test_the_five_are_there_under_the_names_that_others_link_to() -> None:
    assert {name: board["uid"] for name, board in DASHBOARDS.items()} == {
        name: name
        for name in (
            *("fleet-tls", "fleet-tls-gateway", "fleet-tls-device"),
            *("fleet-tls-changes", "fleet-tls-exporter"),
        )
    }


@BOARDS
def test_the_data_source_is_chosen_at_the_top_and_nowhere_else(board: dict[str, Any]) -> None:
    variables = {one["name"]: one for one in board["templating"]["list"]}
    sources = [
        *(panel["datasource"] for panel in panels_of(board)),
        *(target["datasource"] for panel in panels_of(board) for target in panel["targets"]),
        *(one["datasource"] for one in variables.values() if one["type"] == "query"),
        *(one["datasource"] for one in board["annotations"]["list"]),
    ]

    assert variables["datasource"]["type"] == "datasource"
    assert variables["datasource"]["query"] == "prometheus"
    assert all(one == {"type": "prometheus", "uid": "${datasource}"} for one in sources)


@BOARDS
def test_panels_have_numbers_and_places_of_their_own(board: dict[str, Any]) -> None:
    everything = [*board["panels"], *(p for p in panels_of(board) if p not in board["panels"])]
    numbers = [panel["id"] for panel in everything]
    taken: set[tuple[int, int]] = set()

    assert len(numbers) == len(set(numbers))
    for panel in everything:
        place = panel["gridPos"]
        own = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24, panel["title"]
        assert not own & taken, panel["title"]
        taken |= own


@PANELS
def test_each_panel_says_what_it_shows_and_why_it_may_be_empty(panel: dict[str, Any]) -> None:
    defaults = panel["fieldConfig"]["defaults"]

    assert len(panel["description"]) >= 10
    assert panel["description"].endswith(".")
    assert len(defaults["noValue"]) >= 15
    assert defaults["unit"] in UNITS
    assert defaults["thresholds"]["steps"][0]["value"] is None
    assert panel["targets"]


@PANELS
def test_each_series_has_a_name_and_each_table_its_columns(panel: dict[str, Any]) -> None:
    legends = [target["legendFormat"] for target in panel["targets"]]
    if panel["type"] == "table":
        merge, chosen, ordered = panel["transformations"]
        assert merge["id"] == "merge"
        assert list(ordered["options"]["renameByName"]) == chosen["options"]["include"]["names"]
        assert all(target["format"] == "table" for target in panel["targets"])
    elif panel["type"] != "stat":
        assert "__auto" not in legends
        assert len(set(legends)) == len(legends)


def test_each_end_of_a_rollback_has_words_of_its_own() -> None:
    [table] = [
        panel
        for panel in panels_of(DASHBOARDS["fleet-tls-changes"])
        if panel["title"] == "Rollback of each gateway"
    ]
    [column] = [
        {one["id"]: one["value"] for one in override["properties"]}
        for override in table["fieldConfig"]["overrides"]
        if override["matcher"]["options"] == "Latest rollback"
    ]
    words = column["mappings"][0]["options"]

    assert words.keys() == {*Ending, "under way"}
    assert [end for end, told in words.items() if told["color"] == "green"] == ["recovered"]


def test_every_link_to_a_dashboard_leads_to_one_of_these() -> None:
    texts = [path.read_text("utf-8") for path in FILES]
    alerts = [f"/d/{alert.dashboard}" for alert in alerts_of(Values())]
    texts += [
        link.replace("{{ $labels.role }}", role)
        for link in alerts
        for role in ("gateway", "device")
    ]
    links = {link for text in texts for link in re.findall(r"/d/([\w-]+)\?var-(\w+)", text)}
    bare = {link for text in texts for link in re.findall(r"/d/([\w-]+)", text)}

    assert bare <= set(DASHBOARDS)
    for uid, variable in links:
        names = {one["name"] for one in DASHBOARDS[uid]["templating"]["list"]}
        assert variable in names, f"{uid} has no variable {variable}"


@BOARDS
def test_runbooks_are_where_the_alerts_say(board: dict[str, Any]) -> None:
    [constant] = [one for one in board["templating"]["list"] if one["name"] == "exporter"]

    assert constant["query"] == Links().exporter
    assert "${exporter:raw}/runbooks" in [link.get("url") for link in board["links"]]
