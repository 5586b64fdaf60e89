"""The same trouble of many devices is one, with the reason in plain words and what to do."""

from pathlib import Path

import pytest

from exporter.fleet_page.board import GatewayStanding
from exporter.fleet_page.problems import (
    advice_for,
    gateway_problems_on,
    problems_on,
    runbook_of,
    words_of,
)
from exporter.fleet_page.standing import Missing, Standing
from exporter.observations import Reason, RejectedBy
from tests.fleet.stand import device, gateway, silence
from tests.fleet_page.stand import Scene, ago


def test_a_healthy_fleet_has_no_problem() -> None:
    scene = Scene(gateway(), device())
    scene.look()

    assert problems_on(scene.board) == ()


def test_devices_with_the_same_trouble_are_one_problem() -> None:
    scene = Scene(gateway(), *(device(f"dev-{number:02}") for number in range(20)))
    scene.serve_new()
    for number in range(15):
        scene.refused(f"dev-{number:02}", since=ago(scene, minutes=number))

    refusing, coming = problems_on(scene.board)

    assert (refusing.standing, refusing.reason, refusing.count) == (
        Standing.REFUSES,
        "unknown_ca",
        15,
    )
    assert refusing.devices == tuple(f"dev-{number:02}" for number in range(12))
    assert refusing.since == ago(scene, minutes=14)
    assert refusing.words == "what is served leads to no CA that is trusted there"
    assert "roll back" in refusing.advice
    assert (coming.standing, coming.count) == (Standing.WOULD_REFUSE, 5)


def test_the_same_trouble_at_several_gateways_is_one_problem() -> None:
    scene = Scene(
        gateway(), gateway("gw-2"), device(), device("dev-02", gateway="gw-2"),
        device("dev-03", gateway="gw-2"),
    )  # fmt: skip
    scene.look()
    scene.refused()
    scene.refused("dev-02", "gw-2")
    scene.refused("dev-03", "gw-2")

    (problem,) = problems_on(scene.board)

    assert problem.gateways == (("gw-2", 2), ("gw-1", 1))


def test_since_when_is_not_told_unless_it_is_known_of_all() -> None:
    scene = Scene(gateway(), device(), device("dev-02"))
    scene.refused()
    scene.told("dev-02", failing=(Reason.UNKNOWN_CA, RejectedBy.DEVICE))

    (problem,) = problems_on(scene.board)

    assert (problem.count, problem.since) == (2, None)


def test_urgent_problems_come_first_and_then_large_ones() -> None:
    scene = Scene(
        gateway(), device(holds=()), device("dev-02", holds=()), device("dev-03", gateway=None),
        device("dev-04"), device("dev-05"),
    )  # fmt: skip
    scene.look()
    scene.refused("dev-04")

    found = [(problem.standing, problem.reason) for problem in problems_on(scene.board)]

    assert found == [
        (Standing.REFUSES, "unknown_ca"),
        (Standing.UNKNOWN, Missing.TRUST_UNKNOWN),
        (Standing.UNKNOWN, Missing.NO_GATEWAY),
    ]


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_words_and_advice_for_every_refusal(reason: Reason) -> None:
    for standing in (Standing.REFUSES, Standing.REFUSED, Standing.FAILING, Standing.OWN_FAULT):
        assert words_of(standing, reason)
        assert advice_for(standing, reason)


@pytest.mark.parametrize("missing", list(Missing))
def test_all_that_can_be_missing_has_words_and_advice(missing: Missing) -> None:
    assert words_of(Standing.UNKNOWN, missing)
    assert advice_for(Standing.UNKNOWN, missing)


def test_a_standing_that_says_all_needs_no_words() -> None:
    assert words_of(Standing.SILENT, "") == ""
    assert advice_for(Standing.SILENT, "").startswith("Look whether it is switched on")
    assert advice_for(Standing.GOOD, "") == ""


def test_where_a_device_is_refused_nobody_is_sent_to_roll_back_the_gateway() -> None:
    assert "rollback does not help" in advice_for(Standing.REFUSED, "unknown_ca")


RUNBOOKS = Path(__file__).parents[2] / "docs" / "runbooks"


@pytest.mark.parametrize("standing", [one for one in Standing if one is not Standing.GOOD])
def test_every_runbook_that_is_named_is_there(standing: Standing) -> None:
    reasons = list(Missing) if standing is Standing.UNKNOWN else list(Reason)

    named = {runbook_of(standing, reason) for reason in reasons} - {""}

    assert named
    assert [name for name in named if not (RUNBOOKS / f"{name}.md").exists()] == []


def test_an_own_endpoint_that_is_away_has_another_runbook_than_one_that_is_refused() -> None:
    assert runbook_of(Standing.OWN_FAULT, "connect_refused") == "FleetTLSDeviceUnreachable"
    assert runbook_of(Standing.OWN_FAULT, "expired") == "FleetTLSChainNotVerified"


def test_gateways_with_the_same_trouble_are_one_problem_and_the_urgent_come_first() -> None:
    scene = Scene(gateway(), gateway("gw-2"), gateway("gw-3"), gateway("gw-4"))
    scene.serve_new("gw-4")
    for name in ("gw-1", "gw-2"):
        scene.fleet.record(silence(scene.target(name), scene.clock))

    away, refused, unknown = gateway_problems_on(scene.board)

    assert (away.standing, away.count, away.gateways) == (
        GatewayStanding.UNREACHED,
        2,
        ("gw-1", "gw-2"),
    )
    assert (away.reason, away.since) == ("connect_timeout", scene.now)
    assert away.words == "no connection was made in time"
    assert (refused.standing, refused.reason, refused.since) == (
        GatewayStanding.NOT_VERIFIED,
        "unknown_ca",
        None,
    )
    assert (unknown.standing, unknown.reason) == (GatewayStanding.UNKNOWN, "")
    assert unknown.advice.startswith("Wait for the next look")
    for one in (away, refused, unknown):
        assert (RUNBOOKS / f"{one.runbook}.md").exists()


def test_a_gateway_is_not_told_of_twice_when_its_devices_refuse_it() -> None:
    scene = Scene(gateway(), device())
    scene.serve_new()

    assert gateway_problems_on(scene.board) == ()
    assert len(problems_on(scene.board)) == 1
