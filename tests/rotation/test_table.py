"""Each situation of a rotation that the safety specification names, and the tests of it."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SAFETY = Path(__file__).parents[3] / "shared" / "SAFETY.md"
S = "rotation/test_situations.py::test_"
G = "rotation/test_gate.py::test_"
A = "rotation/test_authority.py::test_"
W = "rotation/test_rotate.py::test_"
REAL = "rotation/test_real_situations.py::test_"
LACKS = f"{REAL}whatever_a_ca_a_signer_or_a_device_lacks_keeps_the_gate_until_it_is_mended"
CANARIES = f"{REAL}canaries_by_ticket_only_or_that_fail_hold_all_others_and_go_back_alone"
CHAIN = (f"{A}a_bad_chain_is_refused_with_a_sentence", f"{G}a_gateway_holds_the_plan")
HANGS = f"{G}nothing_is_removed_while_something_hangs_on_the_old_ca"
LACKING = f"{W}eighteen_of_eighteen_with_one_device_lacking_the_anchor"
TICKETS = (
    f"{W}clients_by_ticket_only_keep_the_gate_and_the_agent_goes_back",
    "rotation/test_story.py::test_clients_that_come_by_ticket_only_keep_the_gate_shut",
)
KILLED = (
    "rotation/test_kill.py::test_wherever_it_is_killed_the_rotation_goes_on_and_nobody_is_dark"
)
M = "rotation/test_meanwhile.py::test_"
BY_HAND = (
    f"{M}whoever_rotates_by_hand_stops_it_until_that_is_undone_or_adopted",
    f"{W}a_change_by_hand_stops_it_until_it_is_undone",
    f"{W}a_change_by_hand_may_be_adopted",
)

# The specification's own words
SPECIFIED = (
    '"18/18" with one device lacking the anchor; a report without it later; device joins, retires,'
    " is renamed; 40 sleep for 9 days; bad new CA (each fault); chain by a third CA, without"
    " intermediate, other key, a name missing; canary by tickets only; one class fails; the canary"
    " is off; old CA used yesterday; 3 of 18 fail to REMOVE; old version ends inside the overlap;"
    " client CA with live device certificates; second start; hand rotation; upgrade in the middle;"
    " all of our services down through the overlap"
)
ROTATION: Mapping[str, tuple[str, ...]] = {
    '"18/18" with one device lacking the anchor': (LACKING, LACKS),
    "a report without it later": (
        f"{S}a_device_whose_later_report_lacks_the_anchor_keeps_its_gateway_back",
    ),
    "device joins": (
        f"{S}a_device_that_joins_in_the_middle_gets_the_anchor_before_anything_else",
    ),
    "retires": (f"{S}a_device_that_retires_is_waited_for_no_longer",),
    "is renamed": (f"{S}a_device_under_another_name_is_asked_as_one_that_is_not_known",),
    "40 sleep for 9 days": (
        f"{S}forty_devices_that_sleep_for_nine_days_are_waited_for_by_name",
        f"{G}a_long_silence_is_kept_when_it_has_grown_much_and_when_it_is_over",
        f"{S}who_was_left_out_after_a_long_silence_makes_no_overlap_longer",
    ),
    "bad new CA (each fault)": (
        f"{A}a_bad_ca_is_refused_with_a_sentence",
        f"{A}a_ca_that_is_signed_by_sha1_is_refused",
        f"{G}a_bad_ca_and_an_empty_fleet_hold_the_plan",
        LACKS,
    ),
    "chain by a third CA": CHAIN,
    "without intermediate": (*CHAIN, LACKS),
    "other key": CHAIN,
    "a name missing": (*CHAIN, LACKS),
    "canary by tickets only": (*TICKETS, CANARIES),
    "one class fails": (
        f"{S}a_class_of_devices_that_refuses_is_named_and_its_gateway_alone_goes_back",
        CANARIES,
    ),
    "the canary is off": (f"{S}a_canary_device_that_is_off_lets_nothing_pass",),
    "old CA used yesterday": (
        f"{S}a_gateway_that_used_the_old_ca_yesterday_keeps_it_from_being_removed",
        HANGS,
    ),
    "3 of 18 fail to REMOVE": (
        f"{S}three_of_eighteen_that_fail_to_remove_are_named_and_it_is_not_done",
    ),
    "old version ends inside the overlap": (f"{G}a_gateway_holds_the_plan",),
    "client CA with live device certificates": (
        HANGS,
        f"{G}a_person_may_say_that_devices_have_certificates_of_another_ca",
    ),
    "second start": (f"{W}a_second_start_is_refused",),
    "hand rotation": BY_HAND,
    "upgrade in the middle": (f"{S}a_service_of_another_version_goes_on_in_the_middle",),
    "all of our services down through the overlap": (
        f"{S}while_all_of_our_services_are_down_nothing_is_removed",
    ),
}
# What was asked for besides
FURTHER: Mapping[str, tuple[str, ...]] = {
    "a device that never reports": (f"{W}a_device_that_never_reports_is_named", LACKS),
    "says COMPLETE without the anchor": (LACKING, LACKS),
    "offline until day 9": (
        f"{S}forty_devices_that_sleep_for_nine_days_are_waited_for_by_name",
        LACKS,
    ),
    "away until day 9 of the overlap, and beyond its end": (LACKS,),  # in the campaign
    "a full store": (
        f"{S}a_full_store_is_named_with_the_devices_own_words_until_it_has_room",
        LACKS,
    ),
    "the new CA carries the old CA's subject or key": (
        f"{A}a_bad_ca_is_refused_with_a_sentence",
        LACKS,
    ),
    "a canary that starts failing": (
        f"{W}a_canary_that_starts_failing_is_put_back_alone",
        CANARIES,
    ),
    "we die right after a rotation with confirmWithin": (
        f"{M}a_gateway_that_nobody_confirms_goes_back_by_itself_and_waits_for_a_person",
    ),
    "someone rotates by hand in the middle": BY_HAND,
    "killed and started again": (KILLED, f"{W}killed_at_any_moment_it_goes_on_by_looking"),
}
ALL = [
    (situation, test)
    for situation, tests in (*ROTATION.items(), *FURTHER.items())
    for test in tests
]
_NAMED = re.compile(r"^\*\*Rotation\*\*:\s*(.*?)\.$", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(("situation", "test"), ALL)
def test_each_situation_of_a_rotation_has_its_test(situation: str, test: str) -> None:
    file, _, name = test.partition("::")

    text = (HERE.parent / file).read_text("utf-8")

    assert re.search(rf"^(async )?def {name}\(", text, re.MULTILINE), situation


def test_the_table_holds_every_situation_of_the_specification_word_by_word() -> None:
    assert list(ROTATION) == [" ".join(one.split()) for one in re.split("[;,]", SPECIFIED)]
    assert all(ROTATION.values())


def test_the_specification_has_not_got_more_situations_meanwhile() -> None:
    told = _NAMED.search(SAFETY.read_text("utf-8")) if SAFETY.exists() else None

    assert told is None or " ".join(told[1].split()) == SPECIFIED
