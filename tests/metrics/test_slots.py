from exporter.metrics.columns import BLOCK
from exporter.metrics.slots import Slots
from exporter.targets.model import phase_of

NAMES = [f"dev-{number:05}" for number in range(3 * BLOCK)]


def test_a_small_fleet_stands_in_the_order_of_its_names() -> None:
    slots = Slots()
    slots.use(["c", "a", "b"])

    assert [slots.get(name) for name in "abc"] == [0, 1, 2]
    assert slots.get("d") is None
    assert slots.size == 3


def test_a_large_fleet_stands_in_the_order_of_its_phases() -> None:
    slots = Slots()
    slots.use(NAMES)

    by_slot = sorted(NAMES, key=lambda name: slots.get(name) or 0)
    thirds = [int(phase_of(name, 3)) for name in by_slot]
    assert thirds == sorted(thirds)
    assert {slots.get(name) for name in NAMES} == set(range(3 * BLOCK))


def test_who_stays_keeps_the_place_and_who_comes_takes_a_free_one() -> None:
    slots = Slots()
    slots.use(["a", "b", "c"])

    given_up = slots.use(["c", "a", "x", "y"])

    assert given_up == [1]
    assert [slots.get(name) for name in "acxy"] == [0, 2, 1, 3]
    assert slots.get("b") is None
    assert slots.size == 4


def test_shards_are_disjoint_and_together_everything() -> None:
    slots = Slots()
    slots.use(NAMES)

    shards = [slots.of_shard(number, 4) for number in (1, 2, 3, 4)]

    assert sorted(slot for shard in shards for slot in shard) == list(range(3 * BLOCK))
    assert all(shard == sorted(shard) for shard in shards)
    assert slots.of_shard(1, 4) is shards[0]


def test_shards_follow_the_inventory() -> None:
    slots = Slots()
    slots.use(["a"])
    assert slots.of_shard(1, 1) == [0]

    slots.use(["a", "b"])

    assert slots.of_shard(1, 1) == [0, 1]


def test_asking_for_many_shards_does_not_fill_the_memory() -> None:
    slots = Slots()
    slots.use(["a"])

    for count in range(1, 200):
        slots.of_shard(1, count)

    assert len(slots._shards) <= 64
