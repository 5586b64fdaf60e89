"""What the page of one target says."""

from collections.abc import Callable

import pytest

from exporter.fleet_page.sentence import Level
from exporter.fleet_page.standing import Standing
from exporter.fleet_page.target import TargetView, judgement_of, look_failures, view_of
from exporter.handshake_log.counts import Tally
from exporter.observations import Reason, RejectedBy, WarningReason
from exporter.verdicts.model import Verdict
from tests.fleet.stand import OLD, STORES, certificate, device, gateway, silence
from tests.fleet_page.stand import DEVICE, Scene, ago
from tests.pki import utc

OF_ITSELF = {"host": "dev-01.example", "port": 8883, "trust_stores": ("fw-1",)}


def view(scene: Scene, name: str = "dev-01") -> TargetView:
    return view_of(name, scene.board, scene.snapshot, scene.tallies)


def looked_at(**fields: object) -> Scene:
    scene = Scene(gateway(), device("dev-01", **fields))
    scene.look()
    return scene


def test_a_good_device() -> None:
    found = view(looked_at())

    assert (found.level, found.sentence) == (Level.GOOD, "dev-01 accepts gw-1.")
    assert found.further == ()
    assert found.prediction is not None
    assert found.prediction.path == ("gw-1.example", "old CA")
    assert found.row is None


def test_a_prediction_that_nobody_can_make_is_not_shown() -> None:
    scene = looked_at()
    scene.fleet.use_reports({"dev-01": frozenset({"ab" * 32})}, {})

    assert view(scene).prediction is None


def test_a_device_that_refuses() -> None:
    scene = looked_at()
    scene.serve_new()
    scene.refused(since=ago(scene, minutes=5))

    found = view(scene)

    assert (found.level, found.sentence) == (
        Level.BAD,
        "dev-01 refuses gw-1 since 11:55: unknown_ca.",
    )
    assert found.further[0] == "what is served leads to no CA that is trusted there"
    assert "roll back" in found.further[1]
    assert found.prediction is not None
    assert [why.code for why in found.prediction.reasons] == ["unknown_ca"]


def by(who: RejectedBy) -> Callable[[Scene], None]:
    return lambda scene: scene.refused(why=(Reason.EXPIRED, who))


def silent(scene: Scene) -> None:
    old_s = ago(scene, hours=3).timestamp()
    scene.told(success_s=old_s, told_s=old_s)


@pytest.mark.parametrize(
    ("happens", "level", "sentence"),
    [
        (by(RejectedBy.GATEWAY), Level.BAD, "dev-01 is refused by gw-1 since 12:00: expired."),
        (by(RejectedBy.UNKNOWN), Level.BAD, "dev-01 fails at gw-1 since 12:00: expired."),
        (
            Scene.serve_new,
            Level.BAD,
            "dev-01 would refuse what gw-1 serves since 12:00: unknown_ca.",
        ),
        (silent, Level.WARN, "dev-01 is silent since 09:00."),
    ],
)
def test_a_device_with_a_trouble(
    happens: Callable[[Scene], None], level: Level, sentence: str
) -> None:
    scene = looked_at(contact_interval_s=60.0)
    happens(scene)

    found = view(scene)

    assert (found.level, found.sentence) == (level, sentence)


def test_a_device_whose_own_endpoint_is_bad() -> None:
    scene = looked_at(**OF_ITSELF)
    scene.fleet.record(silence(scene.target("dev-01"), scene.clock))

    found = view(scene)

    assert found.sentence == (
        "dev-01 has bad news at its own endpoint since 12:00: connect_timeout."
    )
    assert look_failures(found.state) == ((Reason.CONNECT_TIMEOUT, 1),)


def test_a_device_of_which_too_little_is_known() -> None:
    found = view(looked_at(holds=()))

    assert (found.level, found.sentence) == (Level.UNKNOWN, "dev-01 is unknown: trust_unknown.")
    assert found.prediction is None


def test_a_device_that_only_listens() -> None:
    scene = Scene(device("dev-01", gateway=None, **OF_ITSELF))
    scene.look("dev-01", chain=(certificate("dev-01.example"),))

    found = view(scene)

    assert found.sentence == "dev-01 is verified at its own endpoint."
    assert [one.by for one in found.judgements] == ["fw-1"]


def test_a_device_that_a_log_without_gateway_tells_of() -> None:
    scene = Scene(device(gateway=None))
    scene.refused(at="")

    found = view(scene)

    assert found.sentence == (
        "dev-01 refuses a gateway that no log names since 12:00: unknown_ca."
    )
    assert [one.who for one in found.handshakes] == ["no gateway is told"]


def test_the_worst_of_several_gateways_is_told() -> None:
    scene = Scene(gateway(), gateway("gw-2"), device())
    scene.look()
    scene.told()
    scene.refused(at="gw-2")

    found = view(scene)

    assert found.sentence.startswith("dev-01 refuses gw-2")
    assert [cell.standing for cell in found.cells] == [Standing.REFUSES, Standing.GOOD]
    assert [one.who for one in found.handshakes] == ["gw-1", "gw-2"]


def test_a_device_that_is_newer_than_the_board_is_unknown() -> None:
    old, newer = Scene(gateway()).board, Scene(gateway(), device())

    found = view_of("dev-01", old, newer.snapshot, {})

    assert (found.level, found.sentence) == (
        Level.UNKNOWN,
        "dev-01 is new; nothing is known of it yet.",
    )


def test_a_good_gateway() -> None:
    found = view(looked_at(), "gw-1")

    assert (found.level, found.sentence) == (Level.GOOD, "gw-1 is verified.")
    assert found.row is not None
    assert found.row.counts == {Standing.GOOD: 1}
    assert found.cells == ()
    assert found.handshakes == ()


def test_a_gateway_that_is_refused() -> None:
    scene = looked_at()
    scene.serve_new()
    scene.refused()

    found = view(scene, "gw-1")

    assert (found.level, found.sentence) == (
        Level.BAD,
        "gw-1 is not verified: unknown_ca; 1 of 1 devices refuse it or would.",
    )
    assert found.further[0] == "it leads to no CA in this trust store."


def test_a_gateway_that_is_verified_and_refused_is_not_good() -> None:
    scene = looked_at()
    scene.refused()

    found = view(scene, "gw-1")

    assert (found.level, found.sentence) == (
        Level.BAD,
        "gw-1 is verified; 1 of 1 devices refuse it or would.",
    )


def test_a_gateway_that_was_not_looked_at() -> None:
    found = view(Scene(gateway()), "gw-1")

    assert (found.level, found.sentence) == (Level.UNKNOWN, "gw-1 is unknown.")


def test_handshakes_of_a_gateway_are_those_of_its_devices_and_of_nobody() -> None:
    scene = Scene(gateway(), device(), device("dev-02"), device("dev-03", gateway="gw-2"))
    scene.tallies = {
        ("gw-1", "dev-01"): Tally(success_count=3, resumed_count=1, success_s=7.0, resumed_s=9.0),
        ("gw-1", "dev-02"): Tally(failure_counts={DEVICE: 2}),
        ("gw-1", ""): Tally(success_count=8),
        ("gw-2", "dev-03"): Tally(success_count=100),
    }

    known, nobody = view(scene, "gw-1").handshakes

    assert (known.who, known.tally.success_count, known.tally.resumed_count) == (
        "devices of the inventory",
        3,
        1,
    )
    assert (known.tally.success_s, known.tally.contact_s) == (7.0, 9.0)
    assert known.failures == (("unknown_ca", "the device refused", 2),)
    assert (nobody.who, nobody.tally.success_count) == ("nobody in the inventory", 8)


def test_failures_are_told_by_how_often_and_never_as_zero() -> None:
    scene = looked_at()
    counts = {
        (Reason.EXPIRED, RejectedBy.GATEWAY): 1,
        (Reason.OTHER, RejectedBy.UNKNOWN): 5,
        DEVICE: 0,
    }
    scene.told(failure_counts=counts)

    (found,) = view(scene).handshakes

    assert found.failures == (
        ("other", "nobody says who refused", 5),
        ("expired", "the gateway refused", 1),
    )


def verdict(store: str, *path: str, **fields: object) -> Verdict:
    known: dict[str, object] = {"verified": True, "judged_at": utc("2026-11-24"), **fields}
    return Verdict(trust_store=store, path=path, **known)  # type: ignore[arg-type]  # passed on by name


def test_a_path_is_told_by_names() -> None:
    leaf, root = certificate(), OLD.anchors[0]
    path = (leaf.fingerprint_sha256, "ab" * 32, root.fingerprint_sha256)

    found = judgement_of(verdict("fw-1", *path), (leaf,), STORES)

    assert found.path == ("gw-1.example", "abababababababab", "old CA")
    assert found.anchor_count == 1


def test_a_device_that_holds_two_stores_has_the_anchors_of_both() -> None:
    assert judgement_of(verdict("fw-1+fw-2"), (), STORES).anchor_count == 2
    assert judgement_of(verdict("fw-1+fw-9"), (), STORES).anchor_count is None


def test_warnings_are_explained() -> None:
    found = judgement_of(verdict("fw-1", warnings=(WarningReason.NONCONFORMING,)), (), STORES)

    assert [why.code for why in found.warnings] == ["nonconforming"]
    assert found.warnings[0].words
