"""Each situation of the safety specification and the tests, with their cases, of it."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
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

HANDS = "test_hands_at_work.py::test_a_gateway_"


def of(test: str, *cases: str) -> tuple[str, ...]:
    """The test, or those of its cases that are named."""
    return tuple(f"{test}[{case}]" for case in cases) or (test,)


DELIVERY: Mapping[str, tuple[str, ...]] = {
    "the same body 200 times by two senders": of(ONCE),
    "Prometheus restarted, a new startsAt": of(
        f"{S}test_a_restarted_prometheus_joins_the_action_that_is_under_way"
    ),
    "firing after resolved": of(f"{S}test_firing_behind_its_resolved_causes_no_look"),
    "mixed group": of(f"{S}test_of_a_mixed_group_each_alert_is_judged_by_itself"),
    "truncated": of(
        f"{S}test_what_a_truncated_delivery_left_out_is_looked_up_in_our_own_observations"
    ),
    "5,000 alerts": of(LARGE, "5,000 alerts", "too many alerts"),
    "40 MB": of(LARGE, "40 MB"),
    "deep nesting": of(LARGE, "deep nesting"),
    "a label of 1 MB": of(LARGE, "a label of 1 MB"),
    "wrong token": of(
        f"{S}test_with_a_wrong_token_nothing_is_asked", "", "wrong", "of-alertmanager-"
    ),
    "expired client certificate": of(
        "web/test_server.py::test_a_client_certificate_that_has_expired_opens_nothing"
    ),
    "another version": of(LARGE, "another version"),
    "a payload of one's own": of(LARGE, "a payload of one's own"),
    "unknown gateway": of(f"{S}test_an_alert_about_an_unknown_gateway_is_kept_as_ignored"),
    "disk full": of(FULL),
    "store locked": of(LOCKED),
    "SIGKILL between commit and answer": of(KILLED, "0", "1"),
}
DECIDING: Mapping[str, tuple[str, ...]] = {
    "we are blind": of(REFUSED, "we are blind"),
    "trust reports 3 days old": of(REFUSED, "reports 3 days old"),
    "17 are well and 1 has an expired certificate of its own": of(
        REFUSED, "17 are well and 1 has an expired certificate of its own"
    ),
    "all time out": of(REFUSED, "all time out"),
    "no change in the look-back": of(REFUSED, "no change in the look-back"),
    "previous expired, expiring, revoked, key lost, not trusted either": of(
        REFUSED, "expired", "expiring", "revoked", "key lost", "previous not trusted either"
    ),
    "previous loses more than it gains": of(REFUSED, "previous loses more than it gains"),
    "fleets of 0 and 1": of(REFUSED, "a fleet of 0", "a fleet of 1"),
    "a fleet of 2": of(f"{S}test_a_fleet_of_two_is_rolled_back"),
    "nobody reported": of(REFUSED, "nobody reported and nobody was heard"),
    "all gateways alert at once": of(
        f"{S}test_when_all_gateways_alert_at_once_only_the_budget_is_spent"
    ),
    "clock back a day, forward a year": of(REFUSED, "clock back a day", "clock forward a year"),
    "rotation running": of(REFUSED, "a rotation is running"),
    "switch turned off between permit and send": of(
        f"{S}test_the_switch_is_read_again_between_permit_and_send"
    ),
    "fingerprint changed after approval": of(
        f"{S}test_an_approval_is_void_once_another_certificate_is_served"
    ),
}
DOING: Mapping[str, tuple[str, ...]] = {
    "agent times out after acting": of(DONE, "no answer in time", "reset", "nonsense"),
    "says success and serves the old one": of(
        f"{S}test_an_agent_that_says_success_and_serves_the_old_one_has_not_served"
    ),
    "only IPv6 is right": of(
        f"{HANDS}that_goes_back_on_one_address_only_is_not_rolled_back", "False"
    ),
    "only one SNI is right": of(
        f"{HANDS}that_goes_back_for_one_server_name_only_is_not_rolled_back",
        "for who names it",
        "for who names none",
    ),
    "only one worker is right": of(
        f"{HANDS}of_which_not_every_worker_goes_back_is_not_rolled_back",
        "one of two",
        "all but one of 16",
    ),
    "a way that is not right keeps it from counting": of(
        f"{S}test_one_way_that_shows_another_leaf_is_no_proof",
        "::1 shows the old leaf",
        "without a name the old leaf is shown",
        "one of 8 looks shows the old leaf",
        "RSA-only clients are shown the old leaf",
    ),
    "500 although done": of(DONE, "500 although done"),
    "409, 412, 422": of(
        f"{S}test_a_refusal_of_the_agent_is_final_and_not_sent_again",
        "409-conflict",
        "412-precondition_failed",
        "422-refused",
    ),
    "agent forgot the key": of(f"{S}test_an_agent_that_forgot_the_key_is_kept_by_the_condition"),
    "two replicas, one SIGSTOPped past its lease": of(TWO, "0-starts then", "0-is there"),
    "SIGKILL at each line": of(KILLED, "0", "1"),
    "the store gone for a minute": of(
        f"{S}test_a_store_that_is_gone_for_a_minute_loses_neither_alert_nor_action"
    ),
    "devices come back late, half, as a storm, by ticket only": of(
        BACK, "late", "half of them", "as a storm, one by one", "by ticket only"
    ),
    "someone rotates by hand meanwhile": of(
        f"{S}test_somebody_s_rotation_meanwhile_is_left_alone"
    ),
    "journal restored from last week's backup": of(
        REFUSED, "the journal was put back from last week's backup"
    ),
}
SECURITY: Mapping[str, tuple[str, ...]] = {
    "no token, wrong token": of(
        "web/test_alerts.py::test_without_the_right_token_nothing_is_read", "None", "wrong"
    ),
    "token in the query": of("web/test_alerts.py::test_a_token_in_the_query_opens_nothing"),
    "timing": of(
        "web/test_tokens.py::test_a_token_is_compared_whole_and_in_constant_time",
        "right-toke",
        "wrong-token",
    ),
    "timing of an unknown user": of(
        "web/test_auth.py::test_an_unknown_user_costs_as_much_as_a_known_one"
    ),
    "oversized, JSON bombs": of(
        "web/test_alerts.py::test_what_can_never_become_valid_is_refused_with_a_sentence",
        "oversized",
        "deep nesting",
        "a bomb in gzip",
    ),
    "slow-loris": of("web/test_guard.py::test_dripping_does_not_buy_time"),
    "slow-loris in the body": of("web/test_alerts.py::test_a_body_that_drips_is_given_up"),
    "replayed, forged with a true token": of(ONCE),
    "replay after a day": of(
        f"{S}test_the_very_same_body_replayed_after_a_day_makes_one_intent_and_one_action"
    ),
    "forged with a true token and a start in 2099": of(
        f"{S}test_an_alert_forged_with_a_start_in_2099_causes_a_look_and_keeps_nobody_from_acting"
    ),
    "secrets": of(
        "response/test_secrets.py::test_no_secret_is_in_anything_that_is_written_or_shown"
    ),
}
ALL = [*DELIVERY.items(), *DECIDING.items(), *DOING.items(), *SECURITY.items()]


@pytest.fixture(scope="module")
def collected(request: pytest.FixtureRequest) -> set[str]:
    """The tests that there are, by pytest's own word: of this run, or else of the files named."""
    wanted = {f"tests/{test}" for _, tests in ALL for test in tests}
    found = {item.nodeid for item in request.session.items}
    if wanted <= found:
        return found
    files = sorted({ROOT / test.partition("::")[0] for test in wanted})
    command = (sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider")
    told = subprocess.run(
        [*command, *files], cwd=ROOT, capture_output=True, text=True, timeout=50, check=True
    )
    return found | set(told.stdout.splitlines())


@pytest.mark.parametrize(("situation", "tests"), ALL, ids=[situation for situation, _ in ALL])
def test_each_situation_has_its_tests(
    situation: str, tests: tuple[str, ...], collected: set[str]
) -> None:
    assert {f"tests/{test}" for test in tests} <= collected, situation
