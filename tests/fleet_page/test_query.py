"""Search, filter and pages, as the query string asks."""

import pytest

from exporter.fleet_page.query import MAX_PAGE_SIZE, Asked, Page, asked_in, page_of
from exporter.targets.model import Target
from exporter.trust_store.model import Known, Standing, SyncState
from tests.fleet.stand import device, gateway
from tests.fleet_page.stand import Scene


def scene_of(*more: Target) -> Scene:
    scene = Scene(
        gateway(),
        gateway("gw-2"),
        *(device(f"dev-{number:02}", device_class="sensor") for number in range(10)),
        device("Cam-Ä1", gateway="gw-2", device_class="camera", rollout_group="canary"),
        *more,
    )
    scene.look()
    scene.refused("dev-03")
    return scene


def shown(scene: Scene, **query: str) -> Page:
    return page_of(scene.board, scene.snapshot, asked_in(query))


def devices(page: Page) -> list[str]:
    return [cell.device for part in page.parts for cell in part.cells]


def test_without_a_question_all_is_shown() -> None:
    page = shown(scene_of())

    assert (page.matching_count, page.number, page.page_count) == (11, 1, 1)
    assert (page.first, page.last) == (1, 11)
    assert [part.matching_count for part in page.parts] == [10, 1]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"q": "DEV-03"}, ["dev-03"]),
        ({"q": "cam-ä"}, ["Cam-Ä1"]),
        ({"q": "canary"}, ["Cam-Ä1"]),
        ({"q": " gw-2 "}, ["Cam-Ä1"]),
        ({"q": "unknown_ca"}, ["dev-03"]),
        ({"q": "nobody"}, []),
        ({"state": "refuses"}, ["dev-03"]),
        ({"state": "problem"}, ["dev-03", "Cam-Ä1"]),
        ({"state": "unknown", "gateway": "gw-1"}, []),
        ({"gateway": "gw-2"}, ["Cam-Ä1"]),
        ({"class": "camera"}, ["Cam-Ä1"]),
        ({"group": "canary", "class": "sensor"}, []),
        ({"gateway": "gw-9"}, []),
    ],
)
def test_what_is_asked_for_is_shown(query: dict[str, str], expected: list[str]) -> None:
    assert devices(shown(scene_of(), **query)) == expected


def test_devices_can_be_picked_by_their_reports() -> None:
    scene, known = scene_of(), Known()
    trust = {
        "dev-01": Standing(
            state=SyncState.PENDING, known=known, wanted=None, difference=None, steady_until=None
        )
    }

    found = page_of(scene.board, scene.snapshot, asked_in({"trust": "pending"}), trust)

    assert devices(found) == ["dev-01"]
    assert asked_in({"trust": "pending"}).query() == "?trust=pending"


def test_an_address_can_be_searched_for() -> None:
    scene = scene_of(device("dev-99", host="192.0.2.7", port=8883))

    assert devices(shown(scene, q="192.0.2.7")) == ["dev-99"]


def test_pages_go_on_across_gateways() -> None:
    scene = scene_of()
    first, last = shown(scene, limit="8"), shown(scene, limit="8", page="2")

    assert devices(first) + devices(last) == devices(shown(scene))
    assert (last.number, last.page_count, last.first, last.last) == (2, 2, 9, 11)
    assert [len(part.cells) for part in last.parts] == [2, 1]


def test_behind_the_last_page_is_the_last() -> None:
    assert shown(scene_of(), page="99").number == 1


def test_a_gateway_without_devices_is_on_the_first_page_unless_devices_are_picked() -> None:
    scene = scene_of(gateway("gw-3"))

    assert [part.row.name for part in shown(scene).parts] == ["gw-1", "gw-2", "gw-3"]
    assert [part.row.name for part in shown(scene, gateway="gw-3").parts] == ["gw-3"]
    assert [part.row.name for part in shown(scene, state="refuses").parts] == ["gw-1"]
    assert [part.row.name for part in shown(scene, limit="10", page="2").parts] == ["gw-2"]


def test_nothing_that_matches_is_no_first() -> None:
    page = shown(scene_of(), q="nobody")

    assert (page.first, page.last, page.page_count, page.parts) == (0, 0, 1, ())


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"state": "x"}, "state 'x' is not known; there are: problem, refuses, "),
        ({"view": "x"}, "view 'x' is not known; there are: matrix, list"),
        ({"page": "0"}, "page '0' is not possible; 1 to 100000 are"),
        ({"page": "\u0661"}, "page '\u0661' is not possible"),
        ({"limit": "9999999"}, f"limit '9999999' is not possible; 1 to {MAX_PAGE_SIZE} are"),
        ({"limit": "2001"}, "limit '2001' is not possible"),
        ({"q": "x" * 201}, "q is too long; at most 200 characters"),
        ({"status": "x"}, "'status' cannot be asked for; there are: q, state, gateway"),
    ],
)
def test_a_question_that_cannot_be_asked_is_refused(query: dict[str, str], sentence: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        asked_in(query)

    assert str(caught.value).startswith(sentence)


def test_a_question_can_be_written_again() -> None:
    asked = asked_in({"q": "a&b=c", "state": "problem", "page": "3", "view": "list"})

    assert asked.query() == "?q=a%26b%3Dc&state=problem&view=list&page=3"
    assert asked.query(page=1, view="matrix") == "?q=a%26b%3Dc&state=problem"
    assert Asked().query() == "?"
    assert not Asked(page=2).is_filtered
    assert asked.is_filtered
