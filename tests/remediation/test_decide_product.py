"""The decision over the product of its facts: any two spoiled at once, all; any number, drawn."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.modes import Mode
from exporter.observations import Reason, RejectedBy
from exporter.remediation.decide import Question, decide_rollback
from exporter.remediation.model import (
    NEVER_OVERRIDDEN,
    Accepts,
    AlertState,
    Asker,
    Evidence,
    Outcome,
    Refusal,
    RolledAway,
)
from exporter.remediation.options import Options
from tests.remediation.cases import (
    ACT,
    ALL_OUT,
    INCIDENT,
    NEW,
    NO,
    NOW,
    OLD,
    connecting,
    refusing,
    with_previous,
)

DAY = timedelta(days=1)
OVERRIDING = Question(asker=Asker.PERSON, is_permitted_to_act=True, overrides=frozenset(Refusal))
Spoiler = tuple[str, Refusal, Callable[[Evidence], Evidence]]


def _sets(**changes: object) -> Callable[[Evidence], Evidence]:
    return lambda evidence: replace(evidence, **changes)  # type: ignore[arg-type] # names in tests


def _fact(name: str, **changes: object) -> Callable[[Evidence], Evidence]:
    """Changes within one fact, where it is still there."""

    def change(evidence: Evidence) -> Evidence:
        fact = getattr(evidence, name)
        return evidence if fact is None else replace(evidence, **{name: replace(fact, **changes)})

    return change


def _previous(**changes: object) -> Callable[[Evidence], Evidence]:
    def change(evidence: Evidence) -> Evidence:
        is_there = evidence.versions is not None and evidence.versions.previous is not None
        return with_previous(evidence, **changes) if is_there else evidence

    return change


def _every(**changes: object) -> Callable[[Evidence], Evidence]:
    return lambda evidence: replace(
        evidence,
        devices=tuple(replace(one, **changes) for one in evidence.devices),  # type: ignore[arg-type] # names in tests
    )


R = Refusal
# Each by itself forbids a rollback of ALL_OUT, whatever else holds
SPOILERS: Sequence[Spoiler] = (
    ("stopped", R.KILL_SWITCH, _sets(is_killed=True)),
    ("stopped?", R.KILL_SWITCH, _sets(is_killed=None)),
    ("held", R.GATEWAY_HELD, _sets(held_until=NOW + DAY)),
    ("not of the inventory", R.UNKNOWN_GATEWAY, _sets(is_in_inventory=False)),
    ("resolved", R.ALERT_RESOLVED, _sets(alert=AlertState.RESOLVED)),
    ("served already", R.ALREADY_RECOVERED, _previous(fingerprint=NEW)),
    ("well", R.ALREADY_RECOVERED, _sets(devices=tuple(connecting(n) for n in range(1, 19)))),
    ("blind", R.CANNOT_LOOK, _sets(is_control_good=False)),
    ("a day back", R.CANNOT_LOOK, _sets(clock_offset_s=-86_400.0)),
    ("a year ahead", R.CANNOT_LOOK, _sets(clock_offset_s=365 * 86_400.0)),
    (
        "behind the alerts",
        R.CANNOT_LOOK,
        _sets(clock_offset_s=None, alerts_offset_at_most_s=-86_400.0),
    ),
    ("served?", R.EVIDENCE_UNKNOWN, _sets(served=None)),
    ("served, stale", R.EVIDENCE_UNKNOWN, _fact("served", observed_at=NOW - DAY)),
    ("served, future", R.EVIDENCE_UNKNOWN, _fact("served", observed_at=NOW + DAY)),
    ("served, another", R.EVIDENCE_UNKNOWN, _fact("served", fingerprint="c" * 64)),
    ("versions, stale", R.EVIDENCE_UNKNOWN, _fact("versions", observed_at=NOW - DAY)),
    ("lost journal", R.EVIDENCE_UNKNOWN, _fact("versions", last_operation_number=99)),
    ("change?", R.EVIDENCE_UNKNOWN, _sets(change=None)),
    ("change, stale", R.EVIDENCE_UNKNOWN, _fact("change", observed_at=NOW - DAY)),
    ("in progress?", R.EVIDENCE_UNKNOWN, _sets(is_in_progress=None)),
    ("busy?", R.EVIDENCE_UNKNOWN, _sets(is_fleet_busy=None)),
    ("rotation?", R.EVIDENCE_UNKNOWN, _sets(is_rotation_in_charge=None)),
    ("removing?", R.EVIDENCE_UNKNOWN, _sets(is_removing=None)),
    ("key?", R.EVIDENCE_UNKNOWN, _previous(is_key_usable=None)),
    ("chain?", R.EVIDENCE_UNKNOWN, _previous(is_chain_good=None)),
    ("in progress", R.IN_PROGRESS, _sets(is_in_progress=True)),
    ("rotation", R.ROTATION_IN_CHARGE, _sets(is_rotation_in_charge=True)),
    ("budget", R.BUDGET_SPENT, _sets(automatic_actions=(NOW,) * 3)),
    ("busy", R.BUDGET_SPENT, _sets(is_fleet_busy=True)),
    ("to and fro", R.FLIP_FLOP, _sets(rolled_away=(RolledAway(fingerprint=OLD, at=NOW - DAY),))),
    ("no change", R.NO_CHANGE_TO_UNDO, _fact("change", changed_at=None)),
    ("old change", R.NO_CHANGE_TO_UNDO, _fact("change", changed_at=NOW - 2 * DAY)),
    ("time out", R.NOT_CAUSED_BY_CERTIFICATE, _every(failing=Reason.HANDSHAKE_TIMEOUT)),
    ("gateway refuses", R.NOT_CAUSED_BY_CERTIFICATE, _every(rejected_by=RejectedBy.GATEWAY)),
    ("devices' clocks", R.NOT_CAUSED_BY_CERTIFICATE, _every(failing=Reason.NOT_YET_VALID)),
    ("forged lines", R.TOO_FEW_WITNESSES, _every(is_trusted_source=False)),
    ("strangers", R.TOO_FEW_WITNESSES, _every(connected_before=False)),
    ("long ago", R.TOO_FEW_WITNESSES, _every(failed_at=NOW - timedelta(hours=2))),
    ("nobody", R.TOO_FEW_WITNESSES, _sets(devices=())),
    ("a fleet of one", R.TOO_FEW_WITNESSES, _sets(devices=(refusing(1),))),
    ("expired", R.PREVIOUS_EXPIRED, _previous(not_after=NOW - DAY)),
    ("expiring", R.PREVIOUS_EXPIRED, _previous(not_after=NOW + DAY / 2)),
    ("compromised", R.PREVIOUS_REVOKED, _previous(is_revoked=True)),
    ("key lost", R.PREVIOUS_BROKEN, _previous(is_key_usable=False)),
    ("chain broken", R.PREVIOUS_BROKEN, _previous(is_chain_good=False)),
    ("refused too", R.NO_GAIN, _every(accepts_previous=NO)),
    ("accepted?", R.NO_GAIN, _every(accepts_previous=Accepts())),
    ("removing", R.REMOVES_IN_FLIGHT, _sets(is_removing=True)),
    # Behind what changes a part of them
    ("no previous", R.NO_PREVIOUS, _fact("versions", previous=None)),
    ("versions?", R.EVIDENCE_UNKNOWN, _sets(versions=None)),
)
# What changes nothing for the worse, alone or with others
HARMLESS: Sequence[Callable[[Evidence], Evidence]] = (
    _sets(is_control_good=None),
    _sets(clock_offset_s=None, alerts_offset_at_most_s=3_600.0),
    _sets(clock_offset_s=0.0, alerts_offset_at_most_s=-2.3e9),  # forged, with 2099
    _sets(held_until=NOW - DAY),
    _sets(automatic_actions=(NOW,) * 2),
    _sets(rolled_away=(RolledAway(fingerprint=OLD, at=NOW - 8 * DAY),)),
    _every(accepts_current=Accepts()),
)
NAMES = [name for name, _, _ in SPOILERS]


def _spoiled(base: Evidence, chosen: Collection[str]) -> Evidence:
    for name, _, spoil in SPOILERS:
        base = spoil(base) if name in chosen else base
    return base


def test_every_refusal_of_evidence_is_spoiled_by_something() -> None:
    assert {refusal for _, refusal, _ in SPOILERS} == set(Refusal) - {Refusal.MODE_DISABLED}


@pytest.mark.parametrize("spoiler", SPOILERS, ids=NAMES)
def test_each_spoiler_alone_is_told_as_what_it_is(spoiler: Spoiler) -> None:
    _, refusal, spoil = spoiler

    decision = decide_rollback(spoil(ALL_OUT), ACT, now=NOW)

    assert decision.outcome is Outcome.REFUSED
    assert refusal in decision.refusals


def test_no_two_of_them_make_up_for_one_another() -> None:
    for chosen in combinations(NAMES, 2):
        decision = decide_rollback(_spoiled(ALL_OUT, chosen), ACT, now=NOW)

        assert decision.outcome is Outcome.REFUSED, chosen


@settings(max_examples=200, deadline=None)
@given(
    chosen=st.sets(st.sampled_from(NAMES), max_size=6),
    harmless=st.lists(st.sampled_from(range(len(HARMLESS))), max_size=3),
    base=st.sampled_from([ALL_OUT, INCIDENT]),
    options=st.sampled_from([ACT, ACT, Options(), Options(mode=Mode.DISABLED)]),
)
def test_automation_rolls_back_exactly_when_nothing_is_spoiled(
    chosen: set[str], harmless: Sequence[int], base: Evidence, options: Options
) -> None:
    for number in harmless:
        base = HARMLESS[number](base)

    decision = decide_rollback(_spoiled(base, chosen), options, now=NOW)

    if chosen or options.mode is Mode.DISABLED:
        assert decision.outcome is Outcome.REFUSED
        assert decision.refusals
    else:
        is_act = options.mode is Mode.ACT
        assert decision.outcome is (Outcome.ROLLBACK if is_act else Outcome.WOULD_ROLLBACK)


@settings(max_examples=200, deadline=None)
@given(chosen=st.sets(st.sampled_from(NAMES), max_size=4))
def test_a_person_passes_what_may_be_passed_and_nothing_else(chosen: set[str]) -> None:
    never = {name for name, refusal, _ in SPOILERS if refusal in NEVER_OVERRIDDEN}
    nothing_to_do = {"served?", "versions?"}  # without them it is not known what would be done

    decision = decide_rollback(_spoiled(ALL_OUT, chosen), Options(), now=NOW, question=OVERRIDING)

    if chosen & (never | nothing_to_do):
        assert decision.outcome is Outcome.REFUSED
    else:
        assert decision.outcome is Outcome.ROLLBACK
