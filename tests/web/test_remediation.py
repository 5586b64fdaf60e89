"""The API of remediation over real connections, with a gateway that does as a script says."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from functools import cached_property
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from exporter.gateway.messages import OperationStatus
from exporter.modes import Mode
from exporter.remediation.decide import Question
from exporter.remediation.model import AlertState, Outcome, Refusal
from exporter.remediation.options import Options
from exporter.response import Response
from exporter.store import Store
from exporter.web.alerts import Askers
from exporter.web.api import openapi_document
from exporter.web.auth import Passwords
from exporter.web.remediation import BASE
from tests.remediation.cases import ALL_OUT, NOW, OLD
from tests.remediation.scripted import HastyClock, ScriptedApi, ScriptedHands
from tests.web.test_api import check

DEVICES = tuple(f"dev-{n:02}" for n in range(1, 19))


class Stand:
    """The responding part with its API; the ``web`` section's credential is asked elsewhere."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = HastyClock(NOW)
        self.api = ScriptedApi(script=[(OperationStatus.SUCCESS, True)])
        self.hands = ScriptedHands(self.api, self.clock, evidence=ALL_OUT)
        self.hands.back = lambda _: DEVICES if self.api.serving == OLD else ()
        self.options = Options(rehearsal_interval=0.0)
        self.response = Response(
            Store(f"sqlite:///{folder}/state.db"),
            self.hands,
            self.clock,
            options=lambda: self.options,
            askers=lambda: Askers(passwords=Passwords({})),
            gateways=lambda: {"gw-1"},
        )

    @cached_property
    def client(self) -> TestClient[web.Request, web.Application]:
        app = web.Application()
        for one in self.response.endpoints():
            app.router.add_route(one.method, one.path, one.handler)
        return TestClient(TestServer(app))

    async def get(self, path: str) -> tuple[int, object]:
        async with self.client.get(BASE + path) as response:
            return response.status, _said(await response.text())

    async def post(self, path: str, **body: object) -> tuple[int, object]:
        async with self.client.post(BASE + path, json=body) as response:
            return response.status, _said(await response.text())


def _said(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


@pytest.fixture
async def stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stand]:
    monkeypatch.setattr("exporter.remediation.respond._TICK_S", float("inf"))
    monkeypatch.setattr("exporter.remediation.respond._RENEW_S", float("inf"))
    monkeypatch.setattr("exporter.response._PRUNE_S", float("inf"))
    monkeypatch.setattr("exporter.remediation.way_back._CHECK_S", float("inf"))
    monkeypatch.setattr("exporter.remediation.trials._LOOK_S", float("inf"))
    made = Stand(tmp_path)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(made.response.run())
        async with made.client:
            await made.response.is_open.wait()
            yield made
        running.cancel()


def conforms(path: str, method: str, answer: object) -> None:
    document = json.loads(openapi_document())
    schema = document["paths"][BASE + path][method]["responses"]["200"]
    check(document, schema["content"]["application/json"]["schema"], answer, path)


async def test_without_act_it_is_shown_what_would_be_done(stand: Stand) -> None:
    status, said = await stand.post("/rollback", gateway="gw-1", by="ops")

    assert status == 200
    assert isinstance(said, dict)
    assert said["outcome"] == "would_rollback"
    assert said["forecast"]["gain"] == list(DEVICES)
    assert stand.api.sent == []
    conforms("/rollback", "post", said)


async def test_with_act_it_is_begun_and_told_in_the_status(stand: Stand) -> None:
    _, said = await stand.post("/rollback", gateway="gw-1", act=True, by="ops")
    async with asyncio.timeout(20):
        while not await _has_ended(stand):  # noqa: ASYNC110 - the store has no event
            await asyncio.sleep(0.005)  # noqa: TID251 - the store answers in real time

    status, shown = await stand.get("")

    assert isinstance(said, dict)
    assert said["outcome"] == "rollback"
    assert status == 200
    assert isinstance(shown, dict)
    (gateway,) = shown["gateways"]
    assert gateway["action"]["ending"] == "recovered"
    assert gateway["action"]["by"] == "ops"
    conforms("", "get", shown)


async def _has_ended(stand: Stand) -> bool:
    latest = await stand.response.records.latest()
    return "gw-1" in latest and latest["gw-1"].ending is not None


async def test_an_override_needs_a_reason_and_may_not_pass_everything(stand: Stand) -> None:
    without = await stand.post("/rollback", gateway="gw-1", overrides=["gateway_held"])
    never = await stand.post(
        "/rollback", gateway="gw-1", overrides=["previous_expired"], reason="because"
    )
    unknown = await stand.post("/rollback", gateway="gw-1", overrides=["all"], reason="because")

    assert without == (400, "an override needs a reason, for the journal\n")
    assert never == (400, "no override passes previous_expired\n")
    assert unknown[0] == 400


async def test_a_hold_holds_and_a_release_releases(stand: Stand) -> None:
    await stand.post("/hold", gateway="gw-1", seconds=3600, reason="works on site", by="ops")
    _, held = await stand.post("/rollback", gateway="gw-1", act=True)
    passed = await stand.post("/release", gateway="gw-1", by="ops")
    again = await stand.post("/release", gateway="gw-1", by="ops")

    assert isinstance(held, dict)
    assert set(held["refusals"]) == {Refusal.GATEWAY_HELD}
    assert (passed[1], again[1]) == (
        {"gateway": "gw-1", "was_held": True}, {"gateway": "gw-1", "was_held": False},
    )  # fmt: skip


async def test_the_kill_switch_stops_a_person_too(stand: Stand) -> None:
    await stand.post("/kill-switch", on=True, by="ops", reason="audit")
    _, stopped = await stand.post("/rollback", gateway="gw-1", act=True)
    _, shown = await stand.get("")
    await stand.post("/kill-switch", on=False, by="ops")
    _, free = await stand.post("/rollback", gateway="gw-1")

    assert isinstance(stopped, dict)
    assert isinstance(shown, dict)
    assert isinstance(free, dict)
    assert Refusal.KILL_SWITCH in stopped["refusals"]
    assert shown["kill_switch"] is True
    assert free["outcome"] == "would_rollback"


async def test_an_approval_is_for_the_plan_that_was_shown(stand: Stand) -> None:
    stand.options = Options(mode=Mode.ACT, approval_from_devices=1)
    other = await stand.post("/approve", gateway="gw-1", plan_hash="0" * 64)
    _, shown = await stand.post("/rollback", gateway="gw-1")
    assert isinstance(shown, dict)

    status, said = await stand.post("/approve", gateway="gw-1", plan_hash=shown["plan_hash"])

    assert other[0] == 409
    assert status == 200
    assert isinstance(said, dict)
    # No alert fires any more: the yes alone begins nothing
    assert said["outcome"] == Outcome.REFUSED
    assert Refusal.ALERT_RESOLVED in said["refusals"]


async def test_the_journal_tells_in_order_and_without_evidence(stand: Stand) -> None:
    await stand.post("/rollback", gateway="gw-1")
    await stand.post("/hold", gateway="gw-1", by="ops", reason="works")

    status, said = await stand.get("/journal?gateway=gw-1&limit=10")

    assert status == 200
    assert isinstance(said, dict)
    assert [one["kind"] for one in said["items"]] == ["decision", "hold"]
    assert "case" not in said["items"][0]["facts"]
    conforms("/journal", "get", said)
    assert (await stand.get("/journal?after=1"))[1] != said
    assert (await stand.get("/journal?after=x"))[0] == 400


async def test_a_decision_is_explained_by_its_evidence(stand: Stand) -> None:
    _, made = await stand.post("/rollback", gateway="gw-1")
    assert isinstance(made, dict)

    status, said = await stand.get(f"/decisions/{made['id']}")

    assert status == 200
    assert isinstance(said, dict)
    assert said["is_replayed_alike"] is True
    assert said["evidence"]["evidence"]["gateway"] == "gw-1"
    assert said["afterwards"] is None
    conforms("/decisions/{number}", "get", said)


async def test_what_was_forecast_is_explained_beside_what_was_measured(stand: Stand) -> None:
    _, made = await stand.post("/rollback", gateway="gw-1", act=True)
    assert isinstance(made, dict)
    async with asyncio.timeout(20):
        while not await _has_ended(stand):  # noqa: ASYNC110 - the store has no event
            await asyncio.sleep(0.005)  # noqa: TID251 - the store answers in real time

    _, said = await stand.get(f"/decisions/{made['id']}")

    assert isinstance(said, dict)
    facts = said["afterwards"]["facts"]
    assert facts["ending"] == "recovered"
    assert facts["measured"]["gain"] == facts["forecast"]["gain"] == list(DEVICES)
    assert facts["surprises"] == []
    conforms("/decisions/{number}", "get", said)


async def test_what_was_only_said_is_judged_and_the_score_shown(stand: Stand) -> None:
    decided = await stand.response.responder.ask("gw-1", AlertState.FIRING, Question())
    await stand.response.trials.look()
    _, early = await stand.get("")
    stand.hands.back = lambda _: DEVICES
    await stand.response.trials.look()

    _, shown = await stand.get("")
    _, said = await stand.get(f"/decisions/{decided.number}")

    assert isinstance(early, dict)
    assert isinstance(shown, dict)
    assert isinstance(said, dict)
    assert (early["dry_run"]["pending"], early["dry_run"]["latest"]) == (1, [])
    assert shown["dry_run"]["sentence"] == "1 would-be rollback was judged: 1 needless"
    assert shown["dry_run"]["latest"][0]["decision"] == decided.number
    assert said["afterwards"]["facts"]["ended_by_itself"] == "yes"
    conforms("", "get", shown)
    conforms("/decisions/{number}", "get", said)


async def test_a_decision_that_would_be_another_today_is_told_as_both(stand: Stand) -> None:
    _, made = await stand.post("/rollback", gateway="gw-1")
    assert isinstance(made, dict)
    with sqlite3.connect(stand.folder / "state.db") as other:
        # As a version would have written it that asked for more witnesses
        as_it_is, as_it_was = '"min_witnesses": 2', '"min_witnesses": 99'
        other.execute("UPDATE journal SET body = replace(body, ?, ?)", (as_it_is, as_it_was))

    _, said = await stand.get(f"/decisions/{made['id']}")

    assert isinstance(said, dict)
    assert said["is_replayed_alike"] is False
    assert (said["outcome"], said["replayed"]["outcome"]) == ("would_rollback", "refused")


@pytest.mark.parametrize("number", ["0", "2", "99", "x", "-1", "9" * 40])
async def test_what_is_no_decision_is_not_explained(stand: Stand, number: str) -> None:
    await stand.post("/rollback", gateway="gw-1")
    await stand.post("/hold", gateway="gw-1")

    assert (await stand.get(f"/decisions/{number}"))[0] == 404


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/rollback", {}),
        ("/rollback", {"gateway": ""}),
        ("/rollback", {"gateway": "gw-1", "force": True}),
        ("/hold", {"gateway": "gw-1", "seconds": 0}),
        ("/hold", {"gateway": "gw-1", "seconds": 1e12}),
        ("/approve", {"gateway": "gw-1", "plan_hash": "yes"}),
        ("/kill-switch", {}),
    ],
)
async def test_a_body_that_is_not_what_it_should_be_changes_nothing(
    stand: Stand, path: str, body: dict[str, object]
) -> None:
    status, said = await stand.post(path, **body)

    assert status == 400
    assert isinstance(said, str)
    async with stand.client.post(BASE + path, data=b"{") as response:
        assert response.status == 400
    assert (await stand.get("/journal"))[1] == {"items": []}


async def test_a_way_back_is_rehearsed_and_told_in_the_status(stand: Stand) -> None:
    status, said = await stand.post("/rehearse", gateway="gw-1", by="anna")
    _, shown = await stand.get("")

    assert status == 200
    assert isinstance(said, dict)
    assert isinstance(shown, dict)
    assert said["rollback_ready"] is False  # the scripted API does not tell its chain
    assert "does not tell the chain" in said["way_back"]["reason"]
    assert shown["gateways"][0]["way_back"] == said["way_back"]
    conforms("/rehearse", "post", said)
    conforms("", "get", shown)


async def test_what_cannot_be_rehearsed_is_refused_with_the_reason(stand: Stand) -> None:
    stand.hands.has_api = False

    assert await stand.post("/rehearse", gateway="gw-1") == (
        409,
        "gw-1 is no gateway with a management API\n",
    )


def test_the_document_knows_every_refusal() -> None:
    schemas = json.loads(openapi_document())["components"]["schemas"]

    assert schemas["Refusal"]["enum"] == list(Refusal)
    assert schemas["Decision"]["properties"]["outcome"]["enum"] == list(Outcome)
