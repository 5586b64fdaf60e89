"""How a device stands: the worst that is known first, and nothing unknown ever good."""

import pytest

from exporter.fleet_page.standing import (
    MISSING_ADVICE,
    MISSING_WORDS,
    STANDING_MEANING,
    STANDING_WORDS,
    Missing,
    Standing,
    heard_at,
    standing_words,
)
from exporter.handshake_log.counts import Tally
from exporter.observations import Reason, RejectedBy
from tests.fleet.stand import certificate, device, gateway
from tests.fleet_page.stand import Scene, ago

OF_ITSELF = {"host": "dev-01.example", "port": 8883, "trust_stores": ("fw-1",)}


def scene_of(**device_fields: object) -> Scene:
    scene = Scene(gateway(), device("dev-01", **device_fields))
    scene.look()
    return scene


def standing(scene: Scene) -> tuple[Standing, str]:
    cell = scene.cells["dev-01"]
    return cell.standing, cell.reason


def test_everything_that_can_be_said_has_its_words() -> None:
    assert set(STANDING_WORDS) == set(STANDING_MEANING) == set(Standing)
    assert set(MISSING_WORDS) == set(MISSING_ADVICE) == set(Missing)
    assert standing_words(Standing.REFUSES) == "refuses"
    assert standing_words(Standing.REFUSES, 18) == "refuse"


def test_a_device_that_would_accept_what_is_served_is_good() -> None:
    assert standing(scene_of()) == (Standing.GOOD, "")


def test_a_refusal_that_was_seen_comes_first() -> None:
    scene = scene_of()
    scene.serve_new()
    scene.refused(since=ago(scene, minutes=3))

    cell = scene.cells["dev-01"]

    assert (cell.standing, cell.reason) == (Standing.REFUSES, "unknown_ca")
    assert cell.since == ago(scene, minutes=3)
    assert cell.heard_at == scene.now


def test_since_when_is_not_guessed() -> None:
    scene = scene_of()
    scene.told(failing=(Reason.UNKNOWN_CA, RejectedBy.DEVICE))

    assert scene.cells["dev-01"].since is None


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        (RejectedBy.DEVICE, Standing.REFUSES),
        (RejectedBy.GATEWAY, Standing.REFUSED),
        (RejectedBy.UNKNOWN, Standing.FAILING),
    ],
)
def test_it_is_said_who_refused_whom(by: RejectedBy, expected: Standing) -> None:
    scene = scene_of()
    scene.refused(why=(Reason.EXPIRED, by))

    assert standing(scene) == (expected, "expired")


async def test_what_would_be_refused_is_told_before_any_device_has_tried() -> None:
    scene = scene_of()
    await scene.clock.advance(60)
    scene.serve_new()

    cell = scene.cells["dev-01"]

    assert (cell.standing, cell.reason) == (Standing.WOULD_REFUSE, "unknown_ca")
    assert cell.since == scene.now


async def test_of_an_ended_certificate_the_moment_of_a_look_is_no_begin() -> None:
    scene = scene_of()
    scene.look(chain=(certificate(not_after="2026-11-01"),))

    cell = scene.cells["dev-01"]

    assert (cell.standing, cell.reason, cell.since) == (Standing.WOULD_REFUSE, "expired", None)


async def test_who_refused_the_chain_before_is_awaited_until_it_tries_again() -> None:
    scene = scene_of()
    scene.serve_new()
    scene.refused()
    await scene.clock.advance(60)
    scene.look()

    assert standing(scene) == (Standing.AWAITED, "unknown_ca")

    await scene.clock.advance(60)
    scene.refused()

    assert standing(scene)[0] is Standing.REFUSES


async def test_a_refusal_by_the_gateway_is_not_cured_by_another_chain() -> None:
    scene = scene_of()
    scene.serve_new()
    scene.refused(why=(Reason.EXPIRED, RejectedBy.GATEWAY))
    await scene.clock.advance(60)
    scene.look()

    assert standing(scene) == (Standing.REFUSED, "expired")


def test_a_device_whose_own_endpoint_is_bad_is_not_good() -> None:
    scene = scene_of(**OF_ITSELF)
    scene.look("dev-01", chain=(certificate("dev-01.example", "strange CA"),))

    assert standing(scene) == (Standing.OWN_FAULT, "unknown_ca")


def test_an_own_endpoint_that_does_not_answer_is_told_with_its_begin() -> None:
    scene = scene_of(**OF_ITSELF)
    scene.look("dev-01", handshake=False, reason=Reason.CONNECT_REFUSED, chain=())

    cell = scene.cells["dev-01"]

    assert (cell.standing, cell.reason) == (Standing.OWN_FAULT, "connect_refused")
    assert cell.since == scene.now


def test_a_handshake_without_a_chain_is_bad_news_without_a_name() -> None:
    scene = scene_of(**OF_ITSELF)
    scene.look("dev-01", chain=())

    assert standing(scene) == (Standing.OWN_FAULT, "other")


def test_an_own_endpoint_that_was_not_looked_at_makes_the_device_unknown() -> None:
    scene = scene_of(**OF_ITSELF)

    assert standing(scene) == (Standing.UNKNOWN, Missing.NOT_LOOKED_AT)


def test_without_a_look_at_its_gateway_a_device_is_unknown() -> None:
    scene = Scene(gateway(), device())

    assert standing(scene) == (Standing.UNKNOWN, Missing.SERVED_UNKNOWN)


def test_a_device_of_which_nobody_says_what_it_trusts_is_unknown() -> None:
    scene = scene_of(holds=())

    assert standing(scene) == (Standing.UNKNOWN, Missing.TRUST_UNKNOWN)


def test_a_refusal_of_a_store_that_is_known_in_part_is_unknown() -> None:
    scene = scene_of()
    scene.fleet.use_reports({"dev-01": frozenset({"ab" * 32})}, {})

    assert standing(scene) == (Standing.UNKNOWN, Missing.TRUST_UNKNOWN)


async def test_a_full_handshake_with_what_is_served_now_says_that_it_trusts_it() -> None:
    scene = scene_of(holds=())
    scene.told(proven_s=ago(scene, minutes=1).timestamp())
    before = standing(scene)
    scene.told(proven_s=scene.now.timestamp())

    assert before == (Standing.UNKNOWN, Missing.TRUST_UNKNOWN)
    assert standing(scene) == (Standing.GOOD, "")


def test_a_device_without_gateway_and_address_is_unknown() -> None:
    scene = Scene(device(gateway=None))

    assert standing(scene) == (Standing.UNKNOWN, Missing.NO_GATEWAY)
    assert scene.cells["dev-01"].gateway is None


def test_a_device_without_gateway_is_judged_by_its_own_endpoint() -> None:
    scene = Scene(device("dev-01", gateway=None, **OF_ITSELF))
    scene.look("dev-01", chain=(certificate("dev-01.example"),))

    assert standing(scene) == (Standing.GOOD, "")


def test_a_device_behind_a_gateway_that_is_not_in_the_inventory_is_unknown() -> None:
    scene = Scene(device(gateway="gw-9"))

    assert standing(scene) == (Standing.UNKNOWN, Missing.SERVED_UNKNOWN)


def test_where_a_log_tells_of_successes_a_device_that_was_never_heard_of_is_unknown() -> None:
    scene = Scene(gateway(), device(contact_interval_s=60.0), device("dev-02"))
    scene.look()
    scene.told("dev-02")

    assert standing(scene) == (Standing.UNKNOWN, Missing.NEVER_HEARD)


def test_where_no_log_tells_of_successes_silence_means_nothing() -> None:
    scene = scene_of(contact_interval_s=60.0)
    scene.told(success_count=0, success_s=ago(scene, hours=9).timestamp())

    assert standing(scene) == (Standing.GOOD, "")


@pytest.mark.parametrize(
    ("interval_s", "age_s", "expected"),
    [
        (None, 1e6, Standing.GOOD),
        (3600.0, 7200, Standing.GOOD),
        (3600.0, 7201, Standing.SILENT),
        (2.0, 300, Standing.GOOD),
        (2.0, 301, Standing.SILENT),
    ],
)
def test_a_device_is_silent_after_two_contact_intervals_and_five_minutes_at_least(
    interval_s: float | None, age_s: float, expected: Standing
) -> None:
    scene = scene_of(contact_interval_s=interval_s)
    last_s = scene.now.timestamp() - age_s
    scene.told(success_s=last_s, told_s=last_s)

    assert standing(scene) == (expected, "")
    if expected is Standing.SILENT:
        assert scene.cells["dev-01"].since == ago(scene, seconds=age_s)


def test_a_resumed_session_breaks_the_silence() -> None:
    scene = scene_of(contact_interval_s=60.0)
    old_s = ago(scene, hours=9).timestamp()
    scene.told(success_s=old_s, told_s=old_s, resumed_count=1, resumed_s=scene.now.timestamp())

    assert standing(scene) == (Standing.GOOD, "")


def test_a_device_that_was_only_counted_before_moments_were_kept_is_not_silent() -> None:
    scene = scene_of(contact_interval_s=60.0)
    scene.told(success_s=None, told_s=0.0)

    assert standing(scene) == (Standing.GOOD, "")


def test_nobody_has_been_heard_of_before_the_first_handshake() -> None:
    assert heard_at(None) is None
    assert heard_at(Tally(resumed_count=1)) is None
