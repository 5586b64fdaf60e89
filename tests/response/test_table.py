"""Each situation of the safety specification and the test that puts the program through it."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

HERE = Path(__file__).parent
S = "response/test_situations.py::"
REFUSED = f"{S}test_an_alert_is_refused_with_the_reason_and_nothing_is_sent"
LARGE = f"{S}test_what_is_large_or_odd_is_kept_or_refused_and_the_next_is_taken"
DONE = f"{S}test_what_was_done_is_seen_whatever_is_answered_and_not_sent_again"
BACK = f"{S}test_only_full_handshakes_of_enough_devices_are_a_recovery"
KILLED = "response/test_kill.py::test_wherever_it_is_killed_it_acts_once_and_comes_to_an_end"
ONCE = "response/test_once.py::test_two_hundred_deliveries_from_two_alertmanagers_make_one_action"
TWO = (
    "response/test_two_processes.py"
    "::test_what_a_stopped_process_leaves_another_one_ends_and_nothing_is_done_twice"
)
FULL = f"{S}test_while_the_disk_is_full_nothing_is_acknowledged_and_the_repeat_is_kept"
LOCKED = f"{S}test_while_the_store_is_locked_nothing_is_acknowledged_and_the_repeat_is_kept"

DELIVERY: Mapping[str, str] = {
    "the same body 200 times by two senders": ONCE,
    "Prometheus restarted, a new startsAt": (
        f"{S}test_a_restarted_prometheus_joins_the_action_that_is_under_way"
    ),
    "firing after resolved": f"{S}test_firing_behind_its_resolved_causes_no_look",
    "mixed group": f"{S}test_of_a_mixed_group_each_alert_is_judged_by_itself",
    "truncated": (
        f"{S}test_what_a_truncated_delivery_left_out_is_looked_up_in_our_own_observations"
    ),
    "5,000 alerts": LARGE,
    "40 MB": LARGE,
    "deep nesting": LARGE,
    "a label of 1 MB": LARGE,
    "wrong token": f"{S}test_with_a_wrong_token_nothing_is_asked",
    "expired client certificate": (
        "web/test_server.py::test_a_client_certificate_that_has_expired_opens_nothing"
    ),
    "another version": LARGE,
    "a payload of one's own": LARGE,
    "unknown gateway": f"{S}test_an_alert_about_an_unknown_gateway_is_kept_as_ignored",
    "disk full": FULL,
    "store locked": LOCKED,
    "SIGKILL between commit and answer": KILLED,
}
DECIDING: Mapping[str, str] = {
    "we are blind": REFUSED,
    "trust reports 3 days old": REFUSED,
    "17 are well and 1 has an expired certificate of its own": REFUSED,
    "all time out": REFUSED,
    "no change in the look-back": REFUSED,
    "previous expired, expiring, revoked, key lost, not trusted either": REFUSED,
    "previous loses more than it gains": REFUSED,
    "fleets of 0 and 1": REFUSED,
    "a fleet of 2": f"{S}test_a_fleet_of_two_is_rolled_back",
    "nobody reported": REFUSED,
    "all gateways alert at once": (
        f"{S}test_when_all_gateways_alert_at_once_only_the_budget_is_spent"
    ),
    "clock back a day, forward a year": REFUSED,
    "rotation running": REFUSED,
    "switch turned off between permit and send": (
        f"{S}test_the_switch_is_read_again_between_permit_and_send"
    ),
    "fingerprint changed after approval": (
        f"{S}test_an_approval_is_void_once_another_certificate_is_served"
    ),
}
DOING: Mapping[str, str] = {
    "agent times out after acting": DONE,
    "says success and serves the old one": (
        f"{S}test_an_agent_that_says_success_and_serves_the_old_one_has_not_served"
    ),
    "only one address is right": (
        "test_hands_at_work.py"
        "::test_a_gateway_that_goes_back_on_one_address_only_is_not_rolled_back"
    ),
    "only one SNI is right": (
        "test_hands_at_work.py"
        "::test_a_gateway_that_goes_back_for_one_server_name_only_is_not_rolled_back"
    ),
    "only one worker is right": (
        "test_hands_at_work.py"
        "::test_a_gateway_of_which_not_every_worker_goes_back_is_not_rolled_back"
    ),
    "only IPv6, one SNI, one worker is right": (
        f"{S}test_one_way_that_shows_another_leaf_is_no_proof"
    ),
    "500 although done": DONE,
    "409, 412, 422": f"{S}test_a_refusal_of_the_agent_is_final_and_not_sent_again",
    "agent forgot the key": f"{S}test_an_agent_that_forgot_the_key_is_kept_by_the_condition",
    "two replicas, one SIGSTOPped": TWO,
    "SIGKILL at each line": KILLED,
    "the store gone for a minute": (
        f"{S}test_a_store_that_is_gone_for_a_minute_loses_neither_alert_nor_action"
    ),
    "devices come back late, half, as a storm, by ticket only": BACK,
    "someone rotates by hand meanwhile": f"{S}test_somebody_s_rotation_meanwhile_is_left_alone",
    "journal restored from last week's backup": REFUSED,
}
SECURITY: Mapping[str, str] = {
    "no token, wrong token": "web/test_alerts.py::test_without_the_right_token_nothing_is_read",
    "token in the query": "web/test_alerts.py::test_a_token_in_the_query_opens_nothing",
    "timing": "web/test_tokens.py::test_a_token_is_compared_whole_and_in_constant_time",
    "timing of an unknown user": (
        "web/test_auth.py::test_an_unknown_user_costs_as_much_as_a_known_one"
    ),
    "oversized, JSON bombs": (
        "web/test_alerts.py::test_what_can_never_become_valid_is_refused_with_a_sentence"
    ),
    "slow-loris": "web/test_guard.py::test_dripping_does_not_buy_time",
    "slow-loris in the body": "web/test_alerts.py::test_a_body_that_drips_is_given_up",
    "replayed, forged with a true token": ONCE,
    "replay after a day": (
        f"{S}test_the_very_same_body_replayed_after_a_day_makes_one_intent_and_one_action"
    ),
    "forged with a true token and a start in 2099": (
        f"{S}test_an_alert_forged_with_a_start_in_2099_causes_a_look_and_keeps_nobody_from_acting"
    ),
    "secrets": "response/test_secrets.py::test_no_secret_is_in_anything_that_is_written_or_shown",
}
ALL = [*DELIVERY.items(), *DECIDING.items(), *DOING.items(), *SECURITY.items()]


@pytest.mark.parametrize(("situation", "test"), ALL, ids=[situation for situation, _ in ALL])
def test_each_situation_has_its_test(situation: str, test: str) -> None:
    file, _, name = test.partition("::")

    text = (HERE.parent / file).read_text("utf-8")

    assert re.search(rf"^(async )?def {name}\(", text, re.MULTILINE), situation
