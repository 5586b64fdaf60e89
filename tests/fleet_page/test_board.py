"""Which cells and rows there are."""

from exporter.fleet_page.board import GATEWAY_WORDS, Cells, GatewayStanding, board_of
from exporter.fleet_page.standing import Cell, Standing
from exporter.observations import Reason
from tests.fleet.stand import STORES, certificate, device, gateway, inventory, silence
from tests.fleet_page.stand import Scene
from tests.pki import utc


def test_each_gateway_has_its_devices_and_their_counts() -> None:
    scene = Scene(
        gateway(), gateway("gw-2"), device(), device("dev-02"), device("dev-03", gateway="gw-2")
    )
    scene.look()

    board = scene.board

    assert [row.name for row in board.rows] == ["gw-1", "gw-2"]
    assert [cell.device for cell in board.rows[0].cells] == ["dev-01", "dev-02"]
    assert board.rows[0].counts == {Standing.GOOD: 2}
    assert board.counts == {Standing.GOOD: 2, Standing.UNKNOWN: 1}
    assert board.device_count == 3


def test_devices_without_a_gateway_come_last() -> None:
    scene = Scene(device("dev-00", gateway=None), gateway(), device())

    rows = scene.board.rows

    assert [row.name for row in rows] == ["gw-1", None]
    assert scene.board.gateways == rows[:1]


def test_a_device_that_fails_elsewhere_is_shown_there_as_well() -> None:
    scene = Scene(gateway(), gateway("gw-2"), device())
    scene.look()
    scene.told(at="gw-1")
    scene.refused(at="gw-2")

    standings = {row.name: row.counts for row in scene.board.rows}

    assert standings == {"gw-1": {Standing.GOOD: 1}, "gw-2": {Standing.REFUSES: 1}}


def test_a_device_that_once_was_elsewhere_is_not_shown_there() -> None:
    scene = Scene(gateway(), gateway("gw-2"), device())
    scene.told(at="gw-2")

    assert scene.board.rows[1].cells == ()


def test_a_device_without_gateway_is_shown_where_logs_tell_of_it() -> None:
    scene = Scene(gateway(), device(gateway=None))
    scene.look()
    scene.told(proven_s=scene.now.timestamp())

    assert [(row.name, len(row.cells)) for row in scene.board.rows] == [("gw-1", 1)]
    assert scene.cells["dev-01"].standing is Standing.GOOD


def test_handshakes_that_are_nobodys_are_no_device() -> None:
    scene = Scene(gateway())
    scene.told("")

    assert scene.board.device_count == 0


def test_what_a_log_without_gateway_tells_is_shown_without_one() -> None:
    scene = Scene(device(gateway=None))
    scene.refused(at="")

    assert scene.board.rows[0].name is None
    assert scene.cells["dev-01"].standing is Standing.REFUSES


def test_a_gateway_is_what_the_latest_look_says() -> None:
    scene = Scene(gateway())
    unseen = scene.board.rows[0]
    scene.look()
    good = scene.board.rows[0]
    scene.serve_new()
    refused = scene.board.rows[0]
    scene.fleet.record(silence(scene.target("gw-1"), scene.clock))
    gone = scene.board.rows[0]

    assert (unseen.standing, unseen.reason) == (GatewayStanding.UNKNOWN, None)
    assert good.standing is GatewayStanding.GOOD
    assert (refused.standing, refused.reason) == (
        GatewayStanding.NOT_VERIFIED,
        Reason.UNKNOWN_CA,
    )
    assert (gone.standing, gone.reason, gone.since) == (
        GatewayStanding.UNREACHED,
        Reason.CONNECT_TIMEOUT,
        scene.now,
    )
    assert set(GATEWAY_WORDS) == set(GatewayStanding)


def test_a_gateway_that_nothing_judges_is_unknown() -> None:
    scene = Scene(gateway(trust_stores=()))
    scene.look()

    assert scene.board.rows[0].standing is GatewayStanding.UNKNOWN


def test_what_a_gateway_serves_ends_with_its_leaf_or_the_path_before_it() -> None:
    scene = Scene(gateway())
    unseen = scene.board.rows[0].not_after
    scene.look(
        chain=(certificate(not_after="2027-02-01"), certificate("x", not_after="2027-01-01"))
    )

    assert unseen is None
    assert scene.board.rows[0].not_after == utc("2027-01-01")


def test_a_name_that_only_devices_give_has_no_end() -> None:
    assert Scene(device(gateway="gw-9")).board.rows[0].not_after is None


def test_a_board_made_with_the_one_before_says_the_same() -> None:
    scene = Scene(gateway(), device(), device("dev-02", contact_interval_s=60.0), device("dev-03"))
    cells = Cells()
    for change in (scene.look, scene.told, scene.serve_new, scene.refused, scene.look):
        change()
        scene.told("dev-02")

        known = board_of(scene.snapshot, scene.tallies, scene.history, scene.now, cells)

        assert known == scene.board


async def test_a_cell_stays_the_same_object_until_something_happens() -> None:
    scene = Scene(gateway(), device(), device("dev-02", contact_interval_s=60.0))
    scene.look()
    scene.told()
    scene.told("dev-02")
    cells = Cells()

    def board() -> dict[str, Cell]:
        made = board_of(scene.snapshot, scene.tallies, scene.history, scene.now, cells)
        return {cell.device: cell for cell in made.rows[0].cells}

    first = board()
    second = board()
    scene.told(success_count=2)
    third = board()
    await scene.clock.advance(301)
    fourth = board()

    assert all(first[name] is second[name] is third[name] for name in first)
    assert fourth["dev-01"] is first["dev-01"]
    assert (first["dev-02"].standing, fourth["dev-02"].standing) == (
        Standing.GOOD,
        Standing.SILENT,
    )


def test_what_is_not_on_the_board_any_more_is_not_kept() -> None:
    scene = Scene(gateway(), gateway("gw-2"), device(), device("dev-02"))
    scene.look()
    scene.refused("dev-01", "gw-2")
    cells = Cells()
    board_of(scene.snapshot, scene.tallies, scene.history, scene.now, cells)
    scene.tallies.clear()
    scene.fleet.use(inventory(gateway(), device()), STORES)
    board_of(scene.snapshot, scene.tallies, scene.history, scene.now, cells)

    assert {name: set(known) for name, known in cells._by_gateway.items()} == {"gw-1": {"dev-01"}}
    assert set(cells._around) == {"gw-1"}


async def test_the_oldest_look_is_told() -> None:
    scene = Scene(gateway(), gateway("gw-2"), gateway("gw-3"))
    assert scene.board.oldest_look_at is None
    scene.look()
    oldest = scene.now
    await scene.clock.advance(60)
    scene.look("gw-2")

    assert scene.board.oldest_look_at == oldest
