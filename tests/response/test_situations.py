"""The situations of the safety specification: alerts by real HTTP, a real store, a real client.

What is decided on is scripted here; the pure decision has tests of its own, and the whole path
with real devices is in this folder's other files. ``test_table`` leads from each situation to its
test.
"""

import asyncio
import json
import math
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from sqlalchemy import event

from exporter.journal import Kind
from exporter.observations import Reason, RejectedBy
from exporter.remediation import respond
from exporter.remediation.hands import Looked
from exporter.remediation.model import (
    Accepts,
    AlertState,
    Approval,
    Asker,
    DeviceEvidence,
    Evidence,
    Outcome,
    Refusal,
)
from exporter.remediation.refusals import Question
from exporter.web import alerts
from tests.fake_gateway import Handler, hanging_up, refused, refusing, saying, stalling
from tests.remediation.cases import ACT, ALL_OUT, NEW, NO, NOW, OLD, connecting, with_previous
from tests.remediation.cases import refusing as device_refusing
from tests.response.scripted import DEVICES, Stand, certificates, stand_at
from tests.webhook.bodies import alert, body

DONE = '{"operationId": "op-1", "fromVersion": 4, "toVersion": 3, "status": "SUCCESS"}'
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def _only_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(respond, "_TICK_S", math.inf)
    monkeypatch.setattr(respond, "_RENEW_S", math.inf)


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Stand]:
    async with stand_at(tmp_path / "state.db", gateways=("gw-1", "gw-2")) as made:
        made.gateway.script("rollback", made.acting(saying(DONE)))
        yield made
        assert made.gateway.problems == []


# Delivery


async def test_a_restarted_prometheus_joins_the_action_that_is_under_way(stand: Stand) -> None:
    await stand.deliver(alert(1))
    await stand.outcome()
    assert (await stand.deliver(alert(2)))[0] == 202  # the same fault, with a new start
    await stand.settled()

    assert len(await stand.facts(Kind.INTENT)) == 1
    assert len(stand.rollbacks) == 1


async def test_the_very_same_body_replayed_after_a_day_makes_one_intent_and_one_action(
    stand: Stand,
) -> None:
    sent = body(alert(1))
    await stand.post(sent)
    assert (await stand.outcome())["ending"] == "recovered"
    await stand.settled()
    looks = await stand.decisions()

    await stand.clock.advance(timedelta(hours=25).total_seconds())  # no hold, no budget any more
    answer = await stand.post(sent)
    await stand.all_ended()

    assert answer == (202, '{"accepted": 0, "duplicate": 1, "ignored": 0}')
    assert await stand.decisions() == looks
    assert len(await stand.facts(Kind.INTENT)) == 1
    assert len(stand.rollbacks) == 1


async def test_an_alert_forged_with_a_start_in_2099_causes_a_look_and_keeps_nobody_from_acting(
    stand: Stand,
) -> None:
    stand.hands.evidence = with_devices(*map(connecting, range(1, 19)))
    await stand.deliver({**alert(9), "startsAt": "2099-01-01T00:00:00Z"})
    look = await stand.decision()
    await stand.settled()
    behind_s = stand.inbox.clock_offset_at_most_s()

    stand.hands.evidence = ALL_OUT
    asked = Question(asker=Asker.PERSON)
    person = await stand.responder.ask("gw-2", AlertState.NONE, asked, by="ops")
    await stand.deliver(alert(1))
    outcome = await stand.outcome()

    assert "already_recovered" in look["case"]["decision"]["refusals"]
    assert "cannot_look" not in look["case"]["decision"]["refusals"]
    assert behind_s is not None
    assert behind_s < -1e9
    assert person.case.decision.outcome is Outcome.WOULD_ROLLBACK
    assert outcome["ending"] == "recovered"
    assert len(stand.rollbacks) == 1


async def test_firing_behind_its_resolved_causes_no_look(stand: Stand) -> None:
    await stand.deliver(alert(1, status="resolved"))
    await stand.settled()
    assert (await stand.deliver(alert(1)))[1] == '{"accepted": 0, "duplicate": 1, "ignored": 0}'
    await stand.settled()

    assert await stand.decisions() == []


async def test_of_a_mixed_group_each_alert_is_judged_by_itself(stand: Stand) -> None:
    mixed = (
        alert(1, status="resolved"),
        alert(2, gateway="gw-2"),
        alert(3, remediation=""),
        alert(4, gateway="gw-9"),
        alert(5, gateway=""),
    )

    status, told = await stand.deliver(*mixed)
    decision = await stand.decision()

    assert (status, told) == (202, '{"accepted": 2, "duplicate": 0, "ignored": 3}')
    assert decision["case"]["evidence"]["gateway"] == "gw-2"
    reasons = [one["ignored"] for one in (await stand.facts(Kind.DELIVERY))[0]["new"]]
    assert reasons == [None, None, "not_for_us", "unknown_gateway", "no_gateway"]


async def test_what_a_truncated_delivery_left_out_is_looked_up_in_our_own_observations(
    stand: Stand,
) -> None:
    stand.hands.failing = ("gw-2",)

    await stand.deliver(alert(1, remediation=""), truncatedAlerts=3)
    decision = await stand.decision()

    assert decision["case"]["evidence"]["gateway"] == "gw-2"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        pytest.param(body(*map(alert, range(5_000))), 202, id="5,000 alerts"),
        pytest.param(body(alert(1, note="x" * (1 << 20))), 202, id="a label of 1 MB"),
        pytest.param(b'{"version": "4", "alerts": [' + b" " * (40 << 20), 413, id="40 MB"),
        pytest.param(b'{"version": "4", "alerts": ' + b"[" * 100_000, 400, id="deep nesting"),
        pytest.param(body(*map(alert, range(20_001))), 422, id="too many alerts"),
        pytest.param(body(alert(1), version="5"), 422, id="another version"),
        pytest.param(b'{"text": "gw-1 is down"}', 422, id="a payload of one's own"),
    ],
)
async def test_what_is_large_or_odd_is_kept_or_refused_and_the_next_is_taken(
    stand: Stand, data: bytes, status: int
) -> None:
    assert (await stand.post(data))[0] == status
    assert (await stand.deliver(alert(1)))[0] == 202
    assert (await stand.outcome())["ending"] == "recovered"
    assert len(stand.rollbacks) == 1


@pytest.mark.parametrize("token", ["", "wrong", "of-alertmanager-"])
async def test_with_a_wrong_token_nothing_is_asked(stand: Stand, token: str) -> None:
    assert (await stand.deliver(alert(1), token=token))[0] == 401
    await stand.settled()

    assert await stand.journal() == []


async def test_an_alert_about_an_unknown_gateway_is_kept_as_ignored(stand: Stand) -> None:
    status, told = await stand.deliver(alert(1, gateway="gw-9"))
    await stand.settled()

    assert (status, told) == (202, '{"accepted": 0, "duplicate": 0, "ignored": 1}')
    assert await stand.decisions() == []


async def test_while_the_disk_is_full_nothing_is_acknowledged_and_the_repeat_is_kept(
    stand: Stand,
) -> None:
    pages = 4  # fewer than there are: the file cannot grow

    def limited(connection: Any, *_: object) -> None:
        connection.cursor().execute(f"PRAGMA max_page_count = {pages}")

    engine = stand.store._engine
    assert engine is not None
    event.listen(engine.sync_engine, "checkout", limited)
    full = await stand.deliver(*map(alert, range(1_000)))
    pages = 1_000_000
    again = await stand.deliver(*map(alert, range(1_000)))

    assert (full[0], again[0]) == (503, 202)
    assert "the disk is full" in full[1]
    assert (await stand.outcome())["ending"] == "recovered"


async def test_while_the_store_is_locked_nothing_is_acknowledged_and_the_repeat_is_kept(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = sqlite3.connect(stand.path)
    other.execute("BEGIN IMMEDIATE")
    with monkeypatch.context() as patch:
        patch.setattr(alerts, "_DURABLE_S", 0.05)
        locked = await stand.deliver(alert(1))
    other.rollback()
    other.close()
    again = await stand.deliver(alert(1))

    assert (locked[0], again[0]) == (503, 202)
    assert (await stand.outcome())["ending"] == "recovered"


async def test_a_gateway_that_cannot_be_looked_at_keeps_no_other_waiting(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    gather = stand.hands.gather

    async def broken(gateway: str, state: AlertState) -> Evidence:
        if gateway == "gw-1":
            raise RuntimeError("a fault of ours")
        return await gather(gateway, state)

    monkeypatch.setattr(stand.hands, "gather", broken)

    await stand.deliver(alert(1), alert(2, gateway="gw-2"))

    assert (await stand.decision())["case"]["evidence"]["gateway"] == "gw-2"


# Deciding


def with_devices(*devices: DeviceEvidence) -> Evidence:
    return replace(ALL_OUT, devices=devices)


def every(**changes: object) -> Evidence:
    made = (replace(one, **changes) for one in ALL_OUT.devices)  # type: ignore[arg-type] # names in tests
    return with_devices(*made)


R = Refusal
OWN_CERTIFICATE = replace(
    device_refusing(18), failing=Reason.EXPIRED, rejected_by=RejectedBy.GATEWAY
)


@pytest.mark.parametrize(
    ("evidence", "refusal"),
    [
        pytest.param(replace(ALL_OUT, is_control_good=False), R.CANNOT_LOOK, id="we are blind"),
        pytest.param(every(accepts_previous=Accepts()), R.NO_GAIN, id="reports 3 days old"),
        pytest.param(
            with_devices(*map(connecting, range(1, 18)), OWN_CERTIFICATE),
            R.TOO_FEW_WITNESSES,
            id="17 are well and 1 has an expired certificate of its own",
        ),
        pytest.param(
            every(failing=Reason.HANDSHAKE_TIMEOUT),
            R.NOT_CAUSED_BY_CERTIFICATE,
            id="all time out",
        ),
        pytest.param(
            replace(ALL_OUT, change=replace(ALL_OUT.change, changed_at=None)),  # type: ignore[type-var] # it is there
            R.NO_CHANGE_TO_UNDO,
            id="no change in the look-back",
        ),
        pytest.param(
            with_previous(ALL_OUT, not_after=NOW - DAY), R.PREVIOUS_EXPIRED, id="expired"
        ),
        pytest.param(
            with_previous(ALL_OUT, not_after=NOW + DAY / 2), R.PREVIOUS_EXPIRED, id="expiring"
        ),
        pytest.param(with_previous(ALL_OUT, is_revoked=True), R.PREVIOUS_REVOKED, id="revoked"),
        pytest.param(
            with_previous(ALL_OUT, is_key_usable=False), R.PREVIOUS_BROKEN, id="key lost"
        ),
        pytest.param(every(accepts_previous=NO), R.NO_GAIN, id="previous not trusted either"),
        pytest.param(
            with_devices(
                *map(device_refusing, range(1, 9)),
                *(replace(connecting(n), accepts_previous=NO) for n in range(9, 19)),
            ),
            R.NO_GAIN,
            id="previous loses more than it gains",
        ),
        pytest.param(with_devices(), R.TOO_FEW_WITNESSES, id="a fleet of 0"),
        pytest.param(with_devices(device_refusing(1)), R.TOO_FEW_WITNESSES, id="a fleet of 1"),
        pytest.param(
            every(accepts_previous=Accepts(), accepts_current=Accepts()),
            R.NO_GAIN,
            id="nobody reported and nobody was heard",
        ),
        pytest.param(
            replace(ALL_OUT, clock_offset_s=-86_400.0), R.CANNOT_LOOK, id="clock back a day"
        ),
        pytest.param(
            replace(ALL_OUT, clock_offset_s=365 * 86_400.0),
            R.CANNOT_LOOK,
            id="clock forward a year",
        ),
        pytest.param(
            replace(ALL_OUT, is_rotation_in_charge=True),
            R.ROTATION_IN_CHARGE,
            id="a rotation is running",
        ),
        pytest.param(
            replace(ALL_OUT, versions=replace(ALL_OUT.versions, last_operation_number=41)),  # type: ignore[type-var] # it is there
            R.EVIDENCE_UNKNOWN,
            id="the journal was put back from last week's backup",
        ),
    ],
)
async def test_an_alert_is_refused_with_the_reason_and_nothing_is_sent(
    stand: Stand, evidence: Evidence, refusal: Refusal
) -> None:
    stand.hands.evidence = evidence

    await stand.deliver(alert(1))
    decision = await stand.decision()
    await stand.settled()

    assert decision["outcome"] == "refused"
    assert refusal in decision["case"]["decision"]["refusals"]
    assert f"({refusal})" in decision["sentence"]
    assert stand.gateway.seen == []


async def test_a_fleet_of_two_is_rolled_back(stand: Stand) -> None:
    stand.hands.evidence = with_devices(device_refusing(1), device_refusing(2))

    await stand.deliver(alert(1))

    assert (await stand.outcome())["ending"] == "recovered"


async def test_when_all_gateways_alert_at_once_only_the_budget_is_spent(tmp_path: Path) -> None:
    names = [f"gw-{n}" for n in range(1, 11)]
    async with stand_at(tmp_path / "state.db", gateways=names) as stand:
        await stand.deliver(*(alert(n, gateway=name) for n, name in enumerate(names)))
        await stand.all_ended()
        for turn in range(20):  # those that had to wait are looked at anew
            await stand.clock.advance(600)
            await stand.deliver(alert(100 + turn))
            await stand.all_ended()  # time passes by that as well
            if stand.clock.now() - NOW > timedelta(minutes=45):
                break

        intents = await stand.facts(Kind.INTENT)

    assert len(intents) == 3


async def test_the_switch_is_read_again_between_permit_and_send(stand: Stand) -> None:
    async def stopped_meanwhile(request: web.Request) -> web.StreamResponse:
        await stand.records.kill(is_on=True, at=stand.clock.now(), by="ops", reason="drill")
        return web.json_response(certificates(NEW))

    stand.gateway.script("certificates", stopped_meanwhile)

    await stand.deliver(alert(1))
    outcome = await stand.outcome()

    assert outcome["ending"] == "stopped"
    assert "kill switch" in outcome["detail"]
    assert stand.rollbacks == []


async def test_an_approval_is_void_once_another_certificate_is_served(stand: Stand) -> None:
    stand.options = ACT.model_copy(update={"approval_from_devices": 1})
    await stand.deliver(alert(1))
    plan_hash = (await stand.decision())["case"]["decision"]["plan_hash"]
    await stand.records.approve(
        "gw-1", Approval(plan_hash=plan_hash, by="ops", at=stand.clock.now())
    )
    other = "d" * 64
    stand.hands.evidence = replace(
        ALL_OUT,
        served=replace(ALL_OUT.served, fingerprint=other),  # type: ignore[type-var] # it is there
        versions=replace(ALL_OUT.versions, current_fingerprint=other, activation_number=8),  # type: ignore[type-var] # as above
    )

    await stand.deliver(alert(2))
    await stand.settled()

    outcomes = [one["outcome"] for one in await stand.decisions()]
    assert outcomes == ["awaiting_approval", "awaiting_approval"]
    assert stand.rollbacks == []


# Doing


@pytest.mark.parametrize(
    "then",
    [
        pytest.param(stalling(), id="no answer in time"),
        pytest.param(hanging_up(), id="reset"),
        pytest.param(refusing(500), id="500 although done"),
        pytest.param(saying("<html>"), id="nonsense"),
    ],
)
async def test_what_was_done_is_seen_whatever_is_answered_and_not_sent_again(
    tmp_path: Path, then: Handler
) -> None:
    async with stand_at(tmp_path / "state.db", answers_within_s=1.0) as stand:
        stand.gateway.script("rollback", stand.acting(then))
        await stand.deliver(alert(1))
        outcome = await stand.outcome()

    assert outcome["ending"] == "recovered"
    (sent,) = stand.rollbacks
    assert sent["if-match"].strip('"') == NEW
    assert sent["operation-number"] == "1"


async def test_an_agent_that_says_success_and_serves_the_old_one_has_not_served(
    tmp_path: Path,
) -> None:
    async with stand_at(tmp_path / "state.db") as stand:
        stand.gateway.answers["rollback"] = json.loads(DONE)
        await stand.deliver(alert(1))
        outcome = await stand.outcome()

    assert outcome["ending"] == "not_served"
    assert len({one["idempotency-key"] for one in stand.rollbacks}) == 1


@pytest.mark.parametrize(
    "fault",
    [
        "::1 shows the old leaf",
        "without a name the old leaf is shown",
        "one of 8 looks shows the old leaf",
        "RSA-only clients are shown the old leaf",
    ],
)
async def test_one_way_that_shows_another_leaf_is_no_proof(stand: Stand, fault: str) -> None:
    def shown() -> Looked:
        is_done = stand.hands.served == OLD
        return Looked(fingerprint=stand.hands.served, fault=fault if is_done else "the old leaf")

    stand.hands.shown = shown

    await stand.deliver(alert(1))
    outcome = await stand.outcome()

    assert outcome["ending"] == "unproven"
    assert fault in outcome["detail"]


@pytest.mark.parametrize(
    ("status", "code"), [(409, "conflict"), (412, "precondition_failed"), (422, "refused")]
)
async def test_a_refusal_of_the_agent_is_final_and_not_sent_again(
    tmp_path: Path, status: int, code: str
) -> None:
    async with stand_at(tmp_path / "state.db") as stand:
        stand.gateway.script("rollback", refusing(status, code, "No."))
        await stand.deliver(alert(1))
        outcome = await stand.outcome()

    assert outcome["ending"] == "not_served"
    assert len(stand.rollbacks) == 1


async def test_an_agent_that_forgot_the_key_is_kept_by_the_condition(tmp_path: Path) -> None:
    async with stand_at(tmp_path / "state.db") as stand:

        async def only_as_long_as_it_serves_that(request: web.Request) -> web.StreamResponse:
            if request.headers["If-Match"].strip('"') != stand.hands.served:
                return refused(412, "precondition_failed", "It serves another.")
            return await stand.acting(hanging_up())(request)

        stand.gateway.script(
            "rollback", refusing(503), only_as_long_as_it_serves_that,
            only_as_long_as_it_serves_that,
        )  # fmt: skip
        await stand.deliver(alert(1))
        outcome = await stand.outcome()

    assert outcome["ending"] == "recovered"
    assert len({one["idempotency-key"] for one in stand.rollbacks}) == 1


async def test_somebody_s_rotation_meanwhile_is_left_alone(tmp_path: Path) -> None:
    async with stand_at(tmp_path / "state.db") as stand:

        async def by_hand(request: web.Request) -> web.StreamResponse:
            stand.serve("c" * 64)
            return refused(412, "precondition_failed", "It serves another.")

        stand.gateway.script("rollback", by_hand)
        await stand.deliver(alert(1))
        outcome = await stand.outcome()

    assert outcome["ending"] == "overtaken"
    assert len(stand.rollbacks) == 1


async def test_a_store_that_is_gone_for_a_minute_loses_neither_alert_nor_action(
    stand: Stand,
) -> None:
    async def store_lost(request: web.Request) -> web.StreamResponse:
        answer = await stand.acting(saying(DONE))(request)
        await stand.store.close()
        return answer

    stand.gateway.faults["rollback"].clear()
    stand.gateway.script("rollback", store_lost)
    await stand.deliver(alert(1))
    async with asyncio.timeout(30):
        while (await stand.deliver(alert(2)))[0] != 503:
            pass
    await stand.store.open()

    assert (await stand.deliver(alert(2)))[0] == 202
    assert (await stand.outcome())["ending"] == "recovered"
    assert len(stand.rollbacks) == 1


RECOVERY = {"operationId": "op-2", "accepted": list(DEVICES), "rejected": []}


@pytest.mark.parametrize(
    ("back", "ending"),
    [
        pytest.param({30.0: 18}, "recovered", id="late"),
        pytest.param({1.0: 2, 60.0: 9, 900.0: 18}, "recovered", id="as a storm, one by one"),
        pytest.param({1.0: 9}, "not_back", id="half of them"),
        pytest.param({}, "not_back", id="by ticket only"),
    ],
)
async def test_only_full_handshakes_of_enough_devices_are_a_recovery(
    stand: Stand, back: dict[float, int], ending: str
) -> None:
    stand.gateway.answers["recover"] = RECOVERY
    stand.hands.by_ticket = DEVICES
    stand.hands.back = lambda now: DEVICES[
        : max((n for s, n in back.items() if now >= NOW + timedelta(seconds=s)), default=0)
    ]

    await stand.deliver(alert(1))
    outcome = await stand.outcome()

    assert outcome["ending"] == ending
    assert bool(stand.gateway.asked("recover")) is (ending == "not_back")
    assert ("recovery-bundle" in outcome["detail"]) is (ending == "not_back")
    assert len(stand.rollbacks) == 1
