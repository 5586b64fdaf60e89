"""How much hangs on each anchor."""

from datetime import timedelta

from exporter.metrics.exposition import Exposition
from tests.fake_clock import FakeClock
from tests.fleet.stand import (
    NEW,
    OLD,
    STORES,
    certificate,
    device,
    gateway,
    inventory,
    look,
    make_fleet,
    silence,
)
from tests.metrics.reading import joined, series_of, values

OLD_CA, NEW_CA = (store.anchors[0].fingerprint_sha256 for store in (OLD, NEW))
GW = gateway(trust_stores=("fw-1", "fw-2"))
DEVICES = tuple(device(f"dev-{n:02}", holds=("fw-1",)) for n in (1, 2))


def shown(
    exposition: Exposition, shard: tuple[int, int] | None = None
) -> dict[tuple[str, ...] | str, float]:
    text = joined(exposition.render(openmetrics=False, shard=shard))
    return values(series_of(text), "trust_anchor_dependents", "anchor")


def test_targets_and_devices_are_counted_at_the_anchor_they_hang_on() -> None:
    clock = FakeClock()
    fleet, _ = make_fleet(clock, GW, *DEVICES)
    exposition = Exposition(fleet, clock)
    assert shown(exposition) == {}

    fleet.record(look(GW, clock, chain=(certificate(issuer="old CA"),)))
    assert shown(exposition) == {OLD_CA: 3}

    # the devices do not trust the new one: only the gateway's own second store leads there
    fleet.record(look(GW, clock, chain=(certificate(issuer="new CA"),)))
    assert shown(exposition) == {NEW_CA: 1}


def test_what_leaves_the_inventory_hangs_on_nothing() -> None:
    clock = FakeClock()
    fleet, _ = make_fleet(clock, GW, *DEVICES)
    exposition = Exposition(fleet, clock)
    fleet.record(look(GW, clock, chain=(certificate(issuer="old CA"),)))

    fleet.use(inventory(GW, DEVICES[0]), STORES)

    assert shown(exposition) == {OLD_CA: 2}


def test_nothing_is_said_of_a_target_that_is_not_seen_any_more() -> None:
    clock = FakeClock()
    fleet, _ = make_fleet(clock, GW)
    exposition = Exposition(fleet, clock)
    fleet.record(look(GW, clock, chain=(certificate(issuer="old CA"),)))

    for _ in range(3):
        fleet.record(silence(GW, clock))

    assert shown(exposition) == {}


def test_an_expired_path_carries_nobody() -> None:
    clock = FakeClock()
    fleet, _ = make_fleet(clock, GW)
    exposition = Exposition(fleet, clock)
    ended = f"{clock.now() - timedelta(days=1):%Y-%m-%d}"

    fleet.record(look(GW, clock, chain=(certificate(issuer="old CA", not_after=ended),)))

    assert shown(exposition) == {}


def test_they_belong_to_no_target_and_are_in_the_first_shard() -> None:
    clock = FakeClock()
    fleet, _ = make_fleet(clock, GW, *DEVICES)
    exposition = Exposition(fleet, clock)
    fleet.record(look(GW, clock, chain=(certificate(issuer="old CA"),)))

    assert shown(exposition, (1, 2)) == {OLD_CA: 3}
    assert shown(exposition, (2, 2)) == {}
