"""What is drawn: positions, levels, and that nothing small is lost."""

import re
from datetime import datetime, timedelta

import pytest

from exporter.fleet_page.drawing import (
    BAR_WIDTH,
    BARS,
    SPARK_HEIGHT,
    WIDTH,
    End,
    Lane,
    ends_of,
    level_of,
    sparkline_of,
    timeline_of,
)
from exporter.fleet_page.history import SAMPLE_S, SAMPLES, Sample
from tests.fleet.stand import certificate, device, gateway
from tests.fleet_page.stand import Scene
from tests.pki import utc

NOW = utc("2026-11-24T12:00:00")


def samples(*counts: tuple[int, int]) -> list[Sample]:
    return [
        Sample(at=NOW + timedelta(seconds=SAMPLE_S * number), good_count=good, bad_count=bad)
        for number, (good, bad) in enumerate(counts)
    ]


def lefts(path: str) -> list[int]:
    return [int(left) for left in re.findall(r"M(\d+) ", path)]


def heights(path: str) -> list[float]:
    return [float(height) for height in re.findall(r"v(-?[\d.]+)h", path)]


def test_one_moment_draws_nothing() -> None:
    assert sparkline_of([]) is None
    assert sparkline_of(samples((1, 0))) is None


def test_the_latest_is_at_the_right_and_of_a_young_history_each_sample_is_a_bar() -> None:
    line = sparkline_of(samples((0, 0), (6, 0), (6, 0), (6, 0), (6, 2)))

    assert line is not None
    assert lefts(line.good_path) == [(BARS - 4) * BAR_WIDTH]
    assert lefts(line.bad_path) == [(BARS - 1) * BAR_WIDTH]
    assert (line.good_count, line.bad_count, line.minutes) == (6, 2, 1)


def test_where_nothing_happened_nothing_is_drawn() -> None:
    line = sparkline_of(samples((5, 1), (5, 1)))

    assert line is not None
    assert (line.good_path, line.bad_path) == ("", "")


def test_one_failure_among_thousands_is_to_be_seen() -> None:
    line = sparkline_of(samples((0, 0), (0, 9000), (0, 9000), (0, 9000), (0, 9001)))

    assert line is not None
    found = heights(line.bad_path)
    assert len(found) == 2
    assert min(found) >= 1


def test_good_and_bad_have_one_scale() -> None:
    line = sparkline_of(samples((0, 0), (60, 0), (60, 30)))

    assert line is not None
    (good,), (bad,) = heights(line.good_path), heights(line.bad_path)
    assert good == -2 * bad
    assert line.axis_y == SPARK_HEIGHT // 2


def test_without_failures_the_good_ones_have_all_the_room() -> None:
    line = sparkline_of(samples((0, 0), (60, 0)))

    assert line is not None
    assert heights(line.good_path) == [-(SPARK_HEIGHT - 2)]
    assert line.axis_y == SPARK_HEIGHT - 1


def test_an_hour_fits() -> None:
    line = sparkline_of(samples(*((number, number) for number in range(SAMPLES))))

    assert line is not None
    assert min(lefts(line.good_path)) == 0
    assert len(lefts(line.good_path)) == BARS
    assert line.minutes == 60


def test_every_certificate_has_an_end_once_in_its_lane() -> None:
    own = {"host": "d.example", "port": 1}
    scene = Scene(gateway(), gateway("gw-2"), device("dev-01", **own))
    middle = certificate("middle CA", "old CA", not_after="2030-01-01")
    scene.look(chain=(certificate(), middle))
    scene.look("gw-2", chain=(certificate("gw-2.example", not_after="2027-01-15"), middle))
    scene.look("dev-01", chain=(certificate("", not_after="2027-03-01"),))

    ends = ends_of(scene.snapshot, {"dev-01": utc("2026-12-01")})

    assert [(end.lane, end.subject, end.holder, end.holder_count) for end in ends] == [
        (Lane.CLIENTS, "dev-01", "dev-01", 1),
        (Lane.GATEWAYS, "gw-2.example", "gw-2", 1),
        (Lane.GATEWAYS, "gw-1.example", "gw-1", 1),
        (Lane.DEVICES, "CN=", "dev-01", 1),
        (Lane.INTERMEDIATES, "middle CA", "gw-1", 2),
        (Lane.ANCHORS, "old CA", "fw-1", 1),
        (Lane.ANCHORS, "new CA", "fw-2", 1),
    ]


def end(at: datetime, lane: Lane = Lane.GATEWAYS, **fields: object) -> End:
    known: dict[str, object] = {"subject": "gw-1.example", "holder": "gw-1", **fields}
    return End(lane=lane, at=at, **known)  # type: ignore[arg-type]  # passed on by name


def days(count: float) -> datetime:
    return NOW + timedelta(days=count)


def test_without_certificates_there_is_no_lane() -> None:
    timeline = timeline_of([], NOW)

    assert (timeline.lanes, timeline.marks, timeline.nearest) == ((), (), ())


def test_what_ends_later_is_further_to_the_right() -> None:
    far = [-400, -30, -1, 0, 3, 10, 20, 60, 200, 1000, 4000, 9000]
    timeline = timeline_of([end(days(count)) for count in far], NOW)

    places = [mark.x for mark in timeline.marks]

    assert places == sorted(places)
    assert len(places) == len(far) - 3  # what is beyond an end is at the end, and now is near -1
    assert 0 < places[0] < places[-1] < WIDTH
    assert [tick.label for tick in timeline.ticks][:2] == ["now", "7 d"]


def test_what_would_cover_each_other_is_one_larger_mark() -> None:
    timeline = timeline_of([end(days(60)), end(days(60.5)), end(days(80))], NOW)

    both, alone = timeline.marks

    assert (both.count, alone.count) == (2, 1)
    assert both.radius > alone.radius
    assert both.title == "gw-1.example (gw-1) 2027-01-23 12:00 and 1 more"


def test_a_mark_has_its_name_beside_it_where_there_is_room() -> None:
    ends = [end(days(60)), end(days(75)), end(days(200), holder="a-very-long-name-it-is")]
    ends += [end(days(300), Lane.ANCHORS, subject="old CA"), end(days(3600), Lane.ANCHORS)]

    labels = [mark.label for mark in timeline_of(ends, NOW).marks]

    assert labels == ["", "gw-1", "a-very-long-name-it…", "old CA", ""]


def test_a_large_mark_has_at_least_its_number() -> None:
    ends = [end(days(60)), end(days(60)), end(days(75))]

    assert [mark.label for mark in timeline_of(ends, NOW).marks] == ["2", "gw-1"]
    assert [mark.label for mark in timeline_of(ends[:2], NOW).marks] == ["gw-1 and 1 more"]


def test_lanes_stand_below_each_other_in_their_order() -> None:
    timeline = timeline_of([end(days(1), Lane.CLIENTS), end(days(2), Lane.GATEWAYS)], NOW)

    (first, first_y), (second, second_y) = timeline.lanes

    assert (first, second) == ("gateways", "client certificates")
    assert first_y < second_y < timeline.height


def test_a_chain_that_many_devices_share_counts_each() -> None:
    timeline = timeline_of([end(days(60), Lane.DEVICES, holder_count=9000)], NOW)

    assert timeline.marks[0].count == 9000


def test_the_nearest_ends_of_one_day_are_one_line() -> None:
    ends = [end(days(60), subject=f"gw-{number}") for number in range(5)]
    ends += [end(days(70 + number)) for number in range(9)]

    nearest = timeline_of(ends, NOW).nearest

    assert (nearest[0].subject, nearest[0].holder_count) == ("gw-0", 5)
    assert len(nearest) == 6


@pytest.mark.parametrize(
    ("count", "level"),
    [(-1, "bad"), (0, "bad"), (6.99, "bad"), (7, "warn"), (29.9, "warn"), (30, "good")],
)
def test_what_ends_soon_stands_out(count: float, level: str) -> None:
    assert level_of(days(count), NOW) == level
