"""What was seen before now."""

from datetime import timedelta

from exporter.fleet_page import history as module
from exporter.fleet_page.history import SAMPLES, History, rates_of
from exporter.handshake_log.counts import Tally
from exporter.observations import Reason, RejectedBy
from tests.fleet.stand import STORES, certificate, gateway, inventory, silence
from tests.fleet_page.stand import Scene

BAD = (Reason.UNKNOWN_CA, RejectedBy.DEVICE)


async def test_a_chain_is_served_since_it_was_first_seen() -> None:
    scene = Scene(gateway())
    scene.look()
    begun = scene.now
    await scene.clock.advance(60)
    scene.look()

    assert scene.history.served_since("gw-1") == begun
    assert scene.history.changed_at("gw-1") is None
    assert scene.history.past_chains("gw-1") == ()


async def test_a_change_is_kept_with_its_moment() -> None:
    scene = Scene(gateway())
    scene.look()
    begun = scene.now
    await scene.clock.advance(60)
    scene.look()
    last = scene.now
    await scene.clock.advance(60)
    scene.serve_new()

    (past,) = scene.history.past_chains("gw-1")

    assert scene.history.changed_at("gw-1") == scene.history.served_since("gw-1") == scene.now
    assert (past.first_seen_at, past.last_seen_at, past.length) == (begun, last, 1)
    assert past.issuer == "CN=old CA"


def test_a_look_without_a_chain_changes_nothing() -> None:
    scene = Scene(gateway())
    scene.fleet.record(silence(scene.target("gw-1"), scene.clock))

    assert scene.history.served_since("gw-1") is None


def serve(scene: Scene, number: int, name: str = "gw-1") -> None:
    scene.look(name, chain=(certificate(f"{name}.example", f"CA {number}"),))


def test_of_one_target_the_latest_eight_are_kept() -> None:
    scene = Scene(gateway())
    for number in range(12):
        serve(scene, number)

    past = scene.history.past_chains("gw-1")

    assert [one.issuer for one in past] == [f"CN=CA {number}" for number in range(10, 2, -1)]


def test_of_all_targets_the_latest_are_kept(monkeypatch: object) -> None:
    scene = Scene(gateway(), gateway("gw-2"))
    before, module._PAST_OF_ALL = module._PAST_OF_ALL, 3
    try:
        for number in range(3):
            serve(scene, number)
            serve(scene, number, "gw-2")
    finally:
        module._PAST_OF_ALL = before

    assert [one.issuer for one in scene.history.past_chains("gw-1")] == ["CN=CA 1"]
    assert [one.issuer for one in scene.history.past_chains("gw-2")] == ["CN=CA 1", "CN=CA 0"]


def test_what_leaves_the_inventory_is_forgotten() -> None:
    scene = Scene(gateway(), gateway("gw-2"))
    for number in range(2):
        serve(scene, number)
        serve(scene, number, "gw-2")
    scene.look("gw-2")
    scene.fleet.use(inventory(gateway("gw-2")), STORES)

    assert scene.history.served_since("gw-1") is None
    assert scene.history.past_chains("gw-1") == ()
    assert len(scene.history.past_chains("gw-2")) == 2

    scene.fleet.use(inventory(), STORES)

    assert scene.history.past_chains("gw-2") == ()


def test_a_target_that_leaves_without_a_change_leaves_nothing() -> None:
    scene = Scene(gateway())
    scene.look()
    scene.fleet.use(inventory(), STORES)

    assert scene.history.served_since("gw-1") is None


def test_handshakes_are_summed_by_gateway() -> None:
    scene = Scene()
    history = History()
    tallies = {
        ("gw-1", "dev-01"): Tally(success_count=3, resumed_count=2),
        ("gw-1", "dev-02"): Tally(failure_counts={BAD: 4}),
        ("gw-2", ""): Tally(success_count=1),
    }
    history.sample(tallies, scene.now)

    assert [(s.good_count, s.bad_count) for s in history.samples("gw-1")] == [(5, 4)]
    assert history.samples("gw-9") == ()

    history.sample({}, scene.now)

    assert history.samples("gw-1") == ()


def test_an_hour_of_samples_is_kept() -> None:
    scene, history = Scene(), History()
    for number in range(SAMPLES + 5):
        history.sample({("gw-1", ""): Tally(success_count=number)}, scene.now)

    assert len(history.samples("gw-1")) == SAMPLES
    assert history.samples("gw-1")[-1].good_count == SAMPLES + 4


def test_a_rate_is_never_negative() -> None:
    scene, history = Scene(), History()
    for number, count in enumerate((10, 14, 3)):
        at = scene.now + timedelta(seconds=number)
        history.sample({("gw-1", ""): Tally(success_count=count)}, at)

    assert [good for _, good, _ in rates_of(history.samples("gw-1"))] == [4, 0]
