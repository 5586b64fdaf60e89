"""What remediation did and why, as the page tells it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from exporter.fleet_page.remedies import (
    ENDING_WORDS,
    MODE_WORDS,
    OUTCOME_WORDS,
    Remedies,
    remedies_on,
    rollbacks_of,
    sentences_on,
)
from exporter.fleet_page.sentence import Rollback
from exporter.modes import Mode
from exporter.remediation.codec import Case, decided
from exporter.remediation.decide import Question
from exporter.remediation.hindsight import Score
from exporter.remediation.intents import Ending, Intent, Stage
from exporter.remediation.model import Asker, Evidence, Identity, Outcome, Refusal
from exporter.remediation.options import Options
from exporter.remediation.readiness import Readiness
from tests.fleet.stand import device, gateway, silence
from tests.fleet_page.stand import Scene
from tests.remediation.cases import ACT, ALL_OUT, INCIDENT, NEW, NOW, OLD

DRY = Options(mode=Mode.DRY_RUN)


def case(evidence: Evidence = ALL_OUT, options: Options = DRY) -> Case:
    return decided(evidence, options, now=NOW, question=Question())


def intent(ending: Ending | None = None, *, by: str = "") -> Intent:
    return Intent(
        identity=Identity(gateway="gw-1", fingerprint=NEW, activation_number=7, target_version=3),
        round=1,
        operation_number=1,
        decision_number=1,
        fingerprint=OLD,
        rolled_away=NEW,
        devices=(),
        asker=Asker.PERSON if by else Asker.AUTOMATION,
        by=by,
        intended_at=NOW,
        stage=Stage.ENDED if ending else Stage.SERVED,
        stage_at=NOW + timedelta(minutes=1),
        ending=ending,
    )


def test_all_that_can_be_told_has_words() -> None:
    assert set(MODE_WORDS) == set(Mode)
    assert set(OUTCOME_WORDS) == set(Outcome)
    assert set(ENDING_WORDS) == set(Ending)


def test_where_nothing_was_decided_nothing_is_told() -> None:
    assert remedies_on(Remedies(mode=Mode.ACT), {}) == ()


def test_a_decision_is_told_with_its_sentence_and_number() -> None:
    made = case()

    (told,) = remedies_on(Remedies(decisions={"gw-1": (41, made)}), {})

    assert (told.outcome, told.number, told.level) == ("would roll back", 41, "warn")
    assert told.sentence == made.decision.sentence
    assert told.decided_at == NOW
    assert (told.action, told.action_at, told.hold_until) == ("", None, None)


@pytest.mark.parametrize(
    ("ending", "level"),
    [
        (None, "warn"),
        (Ending.RECOVERED, "good"),
        (Ending.NOT_SERVED, "warn"),
        (Ending.UNPROVEN, "bad"),
        (Ending.NOT_BACK, "bad"),
        (Ending.OVERTAKEN, "warn"),
        (Ending.STOPPED, "warn"),
    ],
)
def test_an_action_is_told_with_how_it_ended(ending: Ending | None, level: str) -> None:
    (told,) = remedies_on(Remedies(intents={"gw-1": intent(ending)}), {})

    words = ENDING_WORDS[ending] if ending else "under way: served"
    assert told.action == f"rollback to version 3: {words}"
    assert told.action_at == NOW + timedelta(minutes=1)
    assert told.level == level


def test_for_whom_it_was_done_is_told() -> None:
    (told,) = remedies_on(Remedies(intents={"gw-1": intent(by="ada: night shift")}), {})

    assert told.action.startswith("rollback to version 3 for ada: night shift:")


def test_after_a_recovery_a_newer_decision_is_no_good_news() -> None:
    before, after = case(), replace(case(), now=NOW + timedelta(hours=1))
    later = replace(after, decision=replace(after.decision, decided_at=after.now))
    ended = {"gw-1": intent(Ending.RECOVERED)}

    levels = [
        remedies_on(Remedies(intents=ended, decisions={"gw-1": (1, made)}), {})[0].level
        for made in (before, later)
    ]

    assert levels == ["good", "warn"]


def test_a_hold_alone_is_told() -> None:
    (told,) = remedies_on(Remedies(holds={"gw-2": NOW}), {})

    assert (told.gateway, told.hold_until, told.outcome, told.number) == ("gw-2", NOW, "", 0)


def readiness(*, is_ready: bool, gateway: str = "gw-1") -> Readiness:
    return Readiness(
        gateway=gateway,
        is_ready=is_ready,
        reason="" if is_ready else "version 3 was never served on the second port",
        version=3,
        served_version=4,
        accepting_count=18,
        device_count=18,
        checked_at=NOW,
        rehearsed_at=NOW if is_ready else None,
    )


def test_a_gateway_that_could_go_back_is_told_and_is_no_news() -> None:
    (told,) = remedies_on(Remedies(ready={"gw-1": readiness(is_ready=True)}), {})

    assert (told.level, told.is_ready, told.is_news) == ("good", True, False)
    assert told.way_back == "version 3, which 18 of 18 devices accept"
    assert told.rehearsed_at == NOW


def test_a_gateway_without_a_way_back_is_news_with_the_reason() -> None:
    (told,) = remedies_on(Remedies(ready={"gw-1": readiness(is_ready=False)}), {})

    assert (told.level, told.is_ready, told.is_news) == ("warn", False, True)
    assert told.way_back == "version 3 was never served on the second port"


def test_a_gateway_that_serves_its_first_certificate_is_no_news() -> None:
    first = replace(readiness(is_ready=False), version=None, served_version=1)

    (told,) = remedies_on(Remedies(ready={"gw-1": first}), {})

    assert (told.is_ready, told.is_news) == (None, False)
    assert told.way_back.startswith("none; it serves its first certificate")


def test_what_was_worked_out_for_another_certificate_is_not_told_as_the_way_back() -> None:
    first = replace(readiness(is_ready=False), version=None, served_version=1)
    ready = {"gw-1": first, "gw-2": readiness(is_ready=True, gateway="gw-2")}
    before, after = NOW - timedelta(seconds=1), NOW + timedelta(seconds=1)
    told, outdated = Remedies(ready=ready), {"gw-1": after, "gw-2": after}

    for one in remedies_on(told, outdated):
        assert one.way_back.startswith("not known yet: another certificate is served")
        assert (one.level, one.is_ready, one.rehearsed_at) == ("warn", None, None)
        assert one.checked_at == NOW
    assert sentences_on(told, outdated) == ("0 of 2 gateways could be rolled back at once.",)
    assert [one.is_ready for one in remedies_on(told, {"gw-2": before})] == [None, True]


def test_each_refusal_is_told_by_its_name() -> None:
    made = case(replace(ALL_OUT, is_killed=True, is_control_good=False))

    (told,) = remedies_on(Remedies(decisions={"gw-1": (1, made)}), {})

    assert told.refusals == (Refusal.KILL_SWITCH, Refusal.CANNOT_LOOK)


def test_what_holds_for_all_is_told_in_sentences() -> None:
    told = sentences_on(
        Remedies(
            mode=Mode.ACT,
            budget=2,
            ready={
                "gw-1": readiness(is_ready=True),
                "gw-2": readiness(is_ready=False, gateway="gw-2"),
            },
            score=Score(pending_count=1),
        ),
        {},
    )

    assert told == (
        "2 automatic actions are left in this hour.",
        "1 of 2 gateways could be rolled back at once.",
        "In dry run, 0 would-be rollbacks were judged; 1 not yet.",
    )
    assert sentences_on(Remedies(mode=Mode.DRY_RUN, budget=3), {}) == ()


def with_served(scene: Scene, made: Case) -> Case:
    """The same decision about what the scene's gateway serves."""
    assert made.decision.identity is not None
    served = scene.snapshot.targets["gw-1"].chain[0].fingerprint_sha256
    identity = replace(made.decision.identity, fingerprint=served)
    return replace(made, decision=replace(made.decision, identity=identity))


def test_what_a_rollback_would_do_is_told_of_what_is_served_now() -> None:
    scene = Scene(gateway(), device())
    scene.serve_new()
    made = with_served(scene, case(ALL_OUT, ACT))

    told = rollbacks_of(Remedies(decisions={"gw-1": (1, made)}), scene.snapshot, {})

    assert told == {"gw-1": Rollback(version=3, accepting_count=18)}


def test_without_a_decision_it_is_told_by_what_is_looked_at_all_the_time() -> None:
    scene = Scene(gateway(), device())
    told = Remedies(ready={"gw-1": readiness(is_ready=True)})
    unseen = rollbacks_of(told, scene.snapshot, {})
    scene.serve_new()
    outdated = rollbacks_of(told, scene.snapshot, {"gw-1": NOW + timedelta(seconds=1)})
    no_way = rollbacks_of(Remedies(ready={"gw-1": readiness(is_ready=False)}), scene.snapshot, {})

    assert unseen == outdated == no_way == {}
    assert rollbacks_of(told, scene.snapshot, {"gw-1": NOW}) == {
        "gw-1": Rollback(version=3, accepting_count=18)
    }


def test_devices_that_connect_count_as_well_when_they_would_accept() -> None:
    scene = Scene(gateway(), device())
    scene.serve_new()
    made = with_served(scene, case(INCIDENT, ACT))

    assert rollbacks_of(Remedies(decisions={"gw-1": (1, made)}), scene.snapshot, {}) == {
        "gw-1": Rollback(version=3, accepting_count=18)
    }


def test_of_what_is_served_no_more_nothing_is_told() -> None:
    scene = Scene(gateway(), device())
    made = case()
    unseen = rollbacks_of(Remedies(decisions={"gw-1": (1, made)}), scene.snapshot, {})
    scene.look()
    other = rollbacks_of(Remedies(decisions={"gw-1": (1, made)}), scene.snapshot, {})
    fitting = with_served(scene, made)
    for _ in range(3):
        scene.fleet.record(silence(scene.target("gw-1"), scene.clock))
    stale = rollbacks_of(Remedies(decisions={"gw-1": (1, fitting)}), scene.snapshot, {})
    elsewhere = rollbacks_of(Remedies(decisions={"gw-9": (1, fitting)}), scene.snapshot, {})

    assert unseen == other == stale == elsewhere == {}


def test_where_it_cannot_be_told_what_to_go_back_to_nothing_is() -> None:
    scene = Scene(gateway(), device())
    scene.look()
    made = case(replace(ALL_OUT, versions=None))

    assert made.decision.identity is None
    assert rollbacks_of(Remedies(decisions={"gw-1": (1, made)}), scene.snapshot, {}) == {}
