"""The sentence on top: what is worst, since when, and never "all is well" by not knowing."""

from datetime import timedelta

import pytest

from exporter.fleet_page.sentence import (
    Circumstances,
    Level,
    Rollback,
    StateSentence,
    sentence_of,
    since_words,
)
from exporter.observations import Reason, RejectedBy
from exporter.targets.model import Target
from tests.fleet.stand import certificate, device, gateway, silence
from tests.fleet_page.stand import Scene, ago

QUIET = Circumstances()


def fleet(count: int = 18, *gateways: Target, **fields: object) -> Scene:
    devices = [device(f"dev-{number:02}", **fields) for number in range(1, count + 1)]
    scene = Scene(*(gateways or (gateway(),)), *devices)
    scene.look()
    return scene


def said(scene: Scene, around: Circumstances = QUIET) -> StateSentence:
    return sentence_of(scene.board, around)


def texts(scene: Scene, around: Circumstances = QUIET) -> list[str]:
    sentence = said(scene, around)
    return [sentence.text, *(clause.text for clause in sentence.further)]


def names(count: int) -> list[str]:
    return [f"dev-{number:02}" for number in range(1, count + 1)]


def test_a_healthy_fleet() -> None:
    sentence = said(fleet())

    assert sentence == StateSentence(level=Level.GOOD, text="18 of 18 devices accept gw-1.")


def test_one_healthy_device() -> None:
    assert said(fleet(1)).text == "1 of 1 device accepts gw-1."


def test_a_healthy_fleet_with_two_gateways() -> None:
    scene = fleet(18, gateway(), gateway("gw-2"))
    scene.look("gw-2", chain=(certificate("gw-2.example"),))

    assert said(scene).text == (
        "18 of 18 devices accept their gateways; 2 of 2 gateways are verified."
    )


def test_gateways_alone() -> None:
    assert said(fleet(0)).text == "1 of 1 gateway is verified; the inventory has no devices."


def test_devices_alone() -> None:
    own = {"host": "d.example", "port": 1, "trust_stores": ("fw-1",), "gateway": None}
    scene = Scene(device("dev-01", **own))
    scene.look("dev-01", chain=(certificate("d.example"),))

    assert said(scene).text == "1 of 1 device is verified at its own endpoint."


def test_many_devices_alone() -> None:
    own = {"host": "d.example", "port": 1, "trust_stores": ("fw-1",), "gateway": None}
    scene = Scene(device("dev-01", **own), device("dev-02", **own))
    scene.look("dev-01", chain=(certificate("d.example"),))
    scene.look("dev-02", chain=(certificate("d.example"),))

    assert said(scene).text == "2 of 2 devices are verified at their own endpoints."


def test_an_empty_inventory_is_not_healthy() -> None:
    sentence = said(Scene())

    assert sentence.level is Level.UNKNOWN
    assert sentence.text == "The inventory is empty: nothing is watched."


async def test_the_outage() -> None:
    scene = fleet()
    await scene.clock.advance(60)
    scene.serve_new()
    for name in names(18):
        scene.refused(name)
    await scene.clock.advance(120)

    sentence = said(scene)

    assert sentence.level is Level.BAD
    assert sentence.text == "18 of 18 devices refuse gw-1 since 12:01: unknown_ca."
    assert [clause.text for clause in sentence.further] == [
        "gw-1 is not verified by its own trust stores: unknown_ca."
    ]


@pytest.mark.parametrize(
    ("accepting", "words"),
    [
        (18, "Rollback to version 3 would be accepted by 18."),
        (12, "Rollback to version 3 would be accepted by 12 of 18."),
    ],
)
def test_what_a_rollback_would_do_is_told_when_it_is_known(accepting: int, words: str) -> None:
    scene = fleet()
    scene.serve_new()
    for name in names(18):
        scene.refused(name)
    back = {"gw-1": Rollback(version=3, accepting_count=accepting)}

    sentence = said(scene, Circumstances(rollbacks=back))

    assert sentence.text == f"18 of 18 devices refuse gw-1 since 12:00: unknown_ca. {words}"


def test_some_have_refused_and_the_others_would() -> None:
    scene = fleet()
    scene.serve_new()
    for name in names(7):
        scene.refused(name)

    assert said(scene).text == (
        "7 of 18 devices refuse gw-1 since 12:00: unknown_ca. 11 more would."
    )


def test_nobody_has_tried_yet() -> None:
    scene = fleet()
    scene.serve_new()

    assert said(scene).text == (
        "18 of 18 devices would refuse what gw-1 serves since 12:00: unknown_ca."
    )


def test_a_fleet_of_one_refuses() -> None:
    scene = fleet(1)
    scene.refused()

    assert said(scene).text == "1 of 1 device refuses gw-1 since 12:00: unknown_ca."


def test_several_reasons_are_counted_and_a_begin_that_is_not_known_is_left_out() -> None:
    scene = fleet()
    for name in names(3):
        scene.refused(name)
    scene.refused("dev-03", why=(Reason.EXPIRED, RejectedBy.DEVICE))
    scene.told("dev-04", failing=(Reason.UNKNOWN_CA, RejectedBy.DEVICE))

    assert said(scene).text == "4 of 18 devices refuse gw-1: unknown_ca (3), expired (1)."


def test_the_gateway_that_is_refused_most_comes_first() -> None:
    scene = Scene(
        gateway(), gateway("gw-2"), device(), device("dev-02", gateway="gw-2"),
        device("dev-03", gateway="gw-2"),
    )  # fmt: skip
    scene.look()
    scene.look("gw-2", chain=(certificate("gw-2.example"),))
    scene.refused()
    scene.refused("dev-02", "gw-2")
    scene.refused("dev-03", "gw-2")

    assert texts(scene) == [
        "2 of 2 devices refuse gw-2 since 12:00: unknown_ca.",
        "1 of 1 device refuses gw-1 since 12:00: unknown_ca.",
    ]


def test_many_gateways_that_are_refused_are_one_sentence() -> None:
    gateways = [gateway(f"gw-{number}") for number in range(5)]
    scene = Scene(
        *gateways, *(device(f"dev-{number}", gateway=f"gw-{number}") for number in range(5))
    )
    for number in range(4):
        scene.serve_new(f"gw-{number}")
    predicted = said(scene).text
    for number in range(3):
        scene.refused(f"dev-{number}", f"gw-{number}")
    refused = said(scene).text

    assert predicted == (
        "4 of 5 devices would refuse 4 of 5 gateways: unknown_ca (gw-0, gw-1, gw-2 and 1 more)."
    )
    assert refused == (
        "3 of 5 devices refuse 4 of 5 gateways since 12:00: unknown_ca (gw-0, gw-1, gw-2 and 1"
        " more). 1 more would."
    )


def test_a_gateway_that_does_not_answer() -> None:
    scene = fleet()
    scene.fleet.record(silence(scene.target("gw-1"), scene.clock))

    assert texts(scene) == [
        "gw-1 is not reached since 12:00: connect_timeout. 18 devices are behind it."
    ]


def test_a_gateway_with_one_device_that_does_not_answer() -> None:
    scene = fleet(1)
    scene.fleet.record(silence(scene.target("gw-1"), scene.clock))

    assert said(scene).text.endswith("connect_timeout. 1 device is behind it.")


def test_a_lonely_gateway_that_does_not_answer() -> None:
    scene = fleet(0)
    scene.fleet.record(silence(scene.target("gw-1"), scene.clock))

    assert said(scene).text == "gw-1 is not reached since 12:00: connect_timeout."


def test_several_gateways_that_do_not_answer_are_one_sentence() -> None:
    scene = Scene(*(gateway(f"gw-{number}") for number in range(5)))
    for number in range(5):
        target = scene.target(f"gw-{number}")
        scene.fleet.record(silence(target, scene.clock))

    assert said(scene).text == (
        "5 of 5 gateways are not reached: connect_timeout (gw-0, gw-1, gw-2 and 2 more)."
    )


@pytest.mark.parametrize(
    ("by", "words"),
    [
        (RejectedBy.GATEWAY, "gw-1 refuses 2 of 18 devices since 12:00: expired."),
        (RejectedBy.UNKNOWN, "2 of 18 devices fail at gw-1 since 12:00: expired."),
    ],
)
def test_who_refuses_whom(by: RejectedBy, words: str) -> None:
    scene = fleet()
    for name in names(2):
        scene.refused(name, why=(Reason.EXPIRED, by))

    assert said(scene) == StateSentence(level=Level.BAD, text=words)


def test_an_own_endpoint_that_is_bad() -> None:
    scene = Scene(gateway(), device(host="d.example", port=1, trust_stores=("fw-1",)))
    scene.look()
    scene.fleet.record(silence(scene.target("dev-01"), scene.clock))

    assert said(scene).text == (
        "A look at the own endpoint of 1 of 1 device brought bad news: connect_timeout."
    )


def test_unknown_devices_are_told_with_what_is_missing() -> None:
    scene = Scene(gateway(), device(), device("dev-02", holds=()), device("dev-03", holds=()))
    scene.look()

    sentence = said(scene)

    assert sentence.level is Level.UNKNOWN
    assert sentence.text == "2 of 3 devices are unknown: what they trust is not known."


def test_different_kinds_of_unknown_are_counted() -> None:
    scene = Scene(gateway(), device(holds=()), device("dev-02", gateway=None))
    scene.look()

    assert said(scene).text == (
        "2 of 2 devices are unknown: what they trust is not known (1),"
        " nothing says which gateway is theirs (1)."
    )


def test_one_unknown_device() -> None:
    scene = Scene(gateway(), device(holds=()))
    scene.look()

    assert said(scene).text == "1 of 1 device is unknown: what they trust is not known."


def test_gateways_that_were_not_looked_at_are_unknown() -> None:
    scene = Scene(gateway(), gateway("gw-2"))

    assert texts(scene) == [
        "2 of 2 gateways are unknown: no recent look that was judged (gw-1, gw-2)."
    ]

    scene.look()

    assert texts(scene) == ["1 of 2 gateways is unknown: no recent look that was judged (gw-2)."]


def test_a_service_that_has_just_started_says_so() -> None:
    sentence = said(
        fleet(), Circumstances(starting="Starting: 3 targets are still to be looked at.")
    )

    assert sentence.level is Level.UNKNOWN
    assert sentence.text.startswith("Starting: 3 targets")


def test_a_log_that_cannot_be_read_is_no_good_news() -> None:
    sentence = said(
        fleet(), Circumstances(faults=["The handshake log gw.log cannot be read: gone."])
    )

    assert sentence.level is Level.UNKNOWN
    assert "cannot be read" in sentence.text


async def test_who_has_not_come_back_is_told() -> None:
    scene = fleet(2)
    scene.serve_new()
    for name in names(2):
        scene.refused(name)
    await scene.clock.advance(60)
    scene.look()

    sentence = said(scene)

    assert sentence.level is Level.WARN
    assert sentence.text == (
        "2 of 2 devices have not come back yet; what is served now would be accepted."
    )

    scene.told("dev-02")

    assert said(scene).text.startswith("1 of 2 devices has not come back yet")


def test_silence_is_told() -> None:
    scene = fleet(2, contact_interval_s=60.0)
    old_s = ago(scene, hours=2).timestamp()
    for name in names(2):
        scene.told(name, success_s=old_s, told_s=old_s)

    assert said(scene).text == "2 of 2 devices are silent for longer than two contact intervals."

    scene.told("dev-02")

    assert said(scene).text == "1 of 2 devices is silent for longer than two contact intervals."


@pytest.mark.parametrize(
    ("not_after", "words"),
    [
        ("2026-12-24T12:00:01", None),
        ("2026-12-24T12:00:00", "2026-12-24 12:00: 30 days left."),
        ("2026-11-25T12:00:00", "2026-11-25 12:00: 24 hours left."),
    ],
)
def test_a_near_end_is_told(not_after: str, words: str | None) -> None:
    scene = fleet()
    scene.look(chain=(certificate(not_after=not_after),))

    sentence = said(scene)

    if words is None:
        assert sentence.level is Level.GOOD
    else:
        assert sentence == StateSentence(
            level=Level.WARN, text=f"What gw-1 serves is accepted no longer than {words}"
        )


def test_an_ended_certificate_is_told_as_refused_and_not_as_near() -> None:
    scene = fleet()
    scene.look(chain=(certificate(not_after="2026-11-24T11:59:00"),))

    assert texts(scene) == [
        "18 of 18 devices would refuse what gw-1 serves: expired.",
        "gw-1 is not verified by its own trust stores: expired.",
    ]


def test_the_day_is_told_when_it_is_not_today() -> None:
    scene = Scene()

    assert since_words(None, scene.now) == ""
    assert since_words(scene.now, scene.now) == " since 12:00"
    assert since_words(scene.now - timedelta(days=1), scene.now) == " since 2026-11-23 12:00"
