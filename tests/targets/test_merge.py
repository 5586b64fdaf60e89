from exporter.targets.merge import merge
from exporter.targets.model import Dropped, Role, Target
from exporter.targets.source import Reading


def gateway(name: str, source: str = "") -> Target:
    return Target(name=name, role=Role.GATEWAY, host=name, port=1, source=source)


def device(name: str, behind: str, source: str = "") -> Target:
    return Target(name=name, role=Role.DEVICE, gateway=behind, source=source)


def test_targets_of_all_sources_are_there_in_order() -> None:
    inventory, dropped_counts = merge(
        [
            Reading(name="a", targets=(gateway("gw-1"), gateway("gw-2"))),
            Reading(name="b", targets=(device("dev-1", "gw-2"),)),
        ]
    )

    assert list(inventory.targets) == ["gw-1", "gw-2", "dev-1"]
    assert (inventory.dropped, dropped_counts) == ((), (0, 0))


def test_of_two_with_one_name_the_first_source_wins_and_the_other_is_named() -> None:
    first, second = gateway("gw-1", "a.json"), device("gw-1", "gw-1", "b.json")

    inventory, dropped_counts = merge(
        [Reading(name="a", targets=(first,)), Reading(name="b", targets=(second,))]
    )

    assert inventory.targets["gw-1"] is first
    assert dropped_counts == (0, 1)
    assert inventory.dropped == (
        Dropped(
            source="b.json",
            name="gw-1",
            message="the name is taken by an entry of a.json, which comes first",
        ),
    )


def test_one_name_twice_in_one_source_is_dropped_too() -> None:
    _, dropped_counts = merge([Reading(name="a", targets=(gateway("x"), gateway("x")))])

    assert dropped_counts == (1,)


def test_devices_whose_gateway_is_not_there_are_dropped() -> None:
    readings = [Reading(name="a"), Reading(name="b", targets=(device("dev-1", "gw-1"),))]

    inventory, dropped_counts = merge(readings)

    assert not inventory.targets
    assert dropped_counts == (0, 1)
    assert inventory.dropped[0].name == "dev-1"
    assert inventory.dropped[0].message == "gateway: there is no target named 'gw-1'"


def test_devices_behind_a_device_are_dropped() -> None:
    targets = (gateway("gw-1"), device("dev-1", "gw-1"), device("dev-2", "dev-1"))

    inventory, _ = merge([Reading(name="a", targets=targets)])

    assert list(inventory.targets) == ["gw-1", "dev-1"]
    assert inventory.dropped[0].message == "gateway: 'dev-1' is a device, not a gateway"


def test_a_gateway_may_stand_in_a_later_source_than_its_devices() -> None:
    inventory, _ = merge(
        [
            Reading(name="a", targets=(device("dev-1", "gw-1"),)),
            Reading(name="b", targets=(gateway("gw-1"),)),
        ]
    )

    assert set(inventory.targets) == {"gw-1", "dev-1"}


def test_the_list_of_dropped_entries_is_bounded_but_all_are_counted() -> None:
    noted = tuple(Dropped(source="a", name=str(n), message="x") for n in range(1_000))
    targets = tuple(device(f"dev-{n}", "gw") for n in range(500))

    inventory, dropped_counts = merge(
        [Reading(name="a", targets=targets, dropped=noted, dropped_count=7_000)]
    )

    assert len(inventory.dropped) == 1_000
    assert dropped_counts == (7_500,)


def test_where_a_target_was_written_makes_no_difference() -> None:
    before, _ = merge([Reading(name="a", targets=(gateway("gw-1", "config.yml:3"),))])
    after, _ = merge([Reading(name="a", targets=(gateway("gw-1", "config.yml:4"),))])

    assert before == after
