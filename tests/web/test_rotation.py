"""The API of rotations over real connections, a scripted fleet behind it."""

import json
from collections.abc import AsyncIterator
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from exporter.modes import Mode
from exporter.rotation.blockers import BlockReason, Subject
from exporter.rotation.model import Phase, Step
from exporter.rotation.options import Options
from exporter.rotation.renewal import RenewalState
from exporter.web.api import openapi_document
from exporter.web.rotation import BASE, RotationApi
from tests.rotation.scripted import NEW_PEM, OLD_CA
from tests.rotation.told import ScriptedRotations
from tests.web.test_api import check


class Stand:
    """The API; the ``web`` section's credential is asked elsewhere."""

    def __init__(self, folder: Path) -> None:
        self.rotations = ScriptedRotations(folder)

    @cached_property
    def client(self) -> TestClient[web.Request, web.Application]:
        app = web.Application()
        for one in RotationApi(self.rotations).endpoints():
            app.router.add_route(one.method, one.path, one.handler)
        return TestClient(TestServer(app))

    async def get(self, path: str = "", schema: str | None = None) -> Any:
        async with self.client.get(BASE + path) as response:
            said = await response.text()
            assert response.status == 200, said
        if schema is not None:
            hold(schema, json.loads(said))
        return json.loads(said)

    async def post(self, path: str, **body: object) -> tuple[int, Any]:
        async with self.client.post(BASE + path, json=body) as response:
            said = await response.text()
            return response.status, json.loads(said) if response.status == 200 else said

    async def started(self) -> dict[str, Any]:
        """A rotation whose chains are signed; it waits for an approval."""
        status, _ = await self.post("/start", new_ca=NEW_PEM, by="anna")
        assert status == 200
        await self.rotations.on()
        found: dict[str, Any] = (await self.get())["rotations"][0]
        return found


def hold(schema: str, answer: object) -> None:
    """Hold an answer against the OpenAPI document."""
    document = json.loads(openapi_document())
    check(document, document["components"]["schemas"][schema], answer, schema)


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Stand]:
    made = Stand(tmp_path)
    await made.rotations.store.open()
    async with made.client:
        yield made
    await made.rotations.store.close()


async def test_a_plan_is_shown_and_nothing_is_kept_of_it(stand: Stand) -> None:
    status, plan = await stand.post("/plan", new_ca=NEW_PEM)

    hold("RotationPlan", plan)
    assert status == 200
    assert plan["steps"][0].startswith("order: each of 2 gateways")
    assert await stand.get() == {"mode": "act", "rotations": []}


async def test_the_status_says_what_is_in_the_way_and_what_to_approve(stand: Stand) -> None:
    seen = await stand.started()

    hold("Rotation", seen)
    await stand.get(schema="Rotations")
    assert (seen["phase"], seen["awaiting"]) == ("planned", "approve")
    assert seen["devices"] == {"total": 4, "synced": 0, "on_new_chain": 0}
    blocker = seen["gate"]["blockers"][0]
    assert blocker["reason"] == "awaiting_approval"
    assert blocker["unblocks"].endswith(seen["plan_hash"])


async def test_an_approval_is_for_exactly_the_hash_that_was_shown(stand: Stand) -> None:
    seen = await stand.started()

    refused = await stand.post("/approve", rotation="r-1", plan_hash="0" * 64)
    approved = await stand.post("/approve", rotation="r-1", plan_hash=seen["plan_hash"])

    assert refused[0] == 422
    assert "another plan" in refused[1]
    assert approved == (200, {"rotation": "r-1", "approved": "begin"})


async def test_who_is_left_out_is_shown_and_changes_what_is_to_be_approved(stand: Stand) -> None:
    before = await stand.started()

    nobody = await stand.post("/exclude", rotation="r-1", device="dev-99", reason="gone")
    unsaid = await stand.post("/exclude", rotation="r-1", device="gw-01-dev-0")
    done = await stand.post("/exclude", rotation="r-1", device="gw-01-dev-0", reason="in repair")
    await stand.rotations.on()
    after = (await stand.get(schema="Rotations"))["rotations"][0]

    assert (nobody[0], unsaid[0], done[0]) == (422, 422, 200)
    assert after["excluded"] == [{"device": "gw-01-dev-0", "reason": "in repair"}]
    assert after["devices"]["total"] == 3
    assert after["plan_hash"] != before["plan_hash"]


async def test_pause_resume_and_abort_are_kept_in_the_history(stand: Stand) -> None:
    await stand.started()

    for word in ("pause", "resume", "abort"):
        assert (await stand.post(f"/{word}", rotation="r-1", by="anna", reason="test"))[0] == 200
    await stand.rotations.on()
    ended = (await stand.get(schema="Rotations"))["rotations"][0]
    again = await stand.post("/pause", rotation="r-1")
    history = await stand.get("/history?rotation=r-1", schema="Journal")
    nothing = await stand.get("/history?rotation=other")

    assert ended["phase"] == "aborted"
    assert ended["gate"] == {"open": True, "blockers": []}
    assert again[0] == 422
    told = [one["facts"].get("what") for one in history["items"]]
    assert [one for one in told if one] == ["start", "pause", "resume", "abort"]
    assert nothing == {"items": []}


async def test_a_second_start_is_a_conflict(stand: Stand) -> None:
    await stand.started()

    status, said = await stand.post("/start", new_ca=NEW_PEM)

    assert status == 409
    assert "end it first" in said


async def test_nothing_is_started_where_rotation_is_off(stand: Stand) -> None:
    stand.rotations.options = Options(mode=Mode.DISABLED)

    status, said = await stand.post("/start", new_ca=NEW_PEM)

    assert status == 422
    assert "rotation.mode is disabled" in said


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("/plan", {"new_ca": "no certificate"}, 422, "new_ca"),
        ("/plan", {"new_ca": NEW_PEM * 2}, 422, "there are 2 certificates in it"),
        ("/plan", {"gateways": ["gw-99"]}, 422, "no such gateway"),
        ("/plan", {"id": "../state"}, 400, "id"),
        ("/plan", {"ca": NEW_PEM}, 400, "ca"),
        ("/pause", {}, 400, "rotation"),
        ("/pause", {"rotation": "r-9"}, 422, "there is no rotation r-9"),
        ("/approve", {"rotation": "r-1", "plan_hash": "yes"}, 400, "plan_hash"),
    ],
)
async def test_what_cannot_be_is_refused_with_a_sentence(
    stand: Stand, path: str, body: dict[str, object], status: int, said: str
) -> None:
    answer = await stand.post(path, **body)

    assert answer[0] == status
    assert said in answer[1]


async def test_who_goes_dark_without_a_ca_is_told_by_name(stand: Stand) -> None:
    without = await stand.get(f"/what-if?remove={OLD_CA}", schema="RotationWhatIf")
    later = await stand.get("/what-if?at=2027-01-01T00:00:00Z", schema="RotationWhatIf")

    assert [one["device"] for one in without["dark"]] == sorted(stand.rotations.fleet.devices)
    assert (later["dark"], later["stay"]) == ([], 4)


async def test_what_is_renewed_by_itself_is_told_before_it_happens(stand: Stand) -> None:
    told = await stand.get("/renewals", schema="Renewals")

    assert told["renewals"][0]["state"] == "due"
    assert told["device_certificates"] == [
        {"device": "gw-01-dev-0", "expires_at": "2026-11-28T12:00:00Z"}
    ]


@pytest.mark.parametrize(("query", "status"), [("at=tomorrow", 400), ("remove=nobody", 422)])
async def test_a_question_that_makes_no_sense_is_refused(
    stand: Stand, query: str, status: int
) -> None:
    async with stand.client.get(f"{BASE}/what-if?{query}") as response:
        assert response.status == status


def test_the_openapi_document_knows_every_word() -> None:
    schemas = json.loads(openapi_document())["components"]["schemas"]

    assert schemas["Rotation"]["properties"]["phase"]["enum"] == list(Phase)
    blocker = schemas["RotationBlocker"]["properties"]
    assert blocker["reason"]["enum"] == list(BlockReason)
    assert blocker["subject"]["enum"] == list(Subject)
    renewal = schemas["Renewals"]["properties"]["renewals"]["items"]
    assert renewal["properties"]["state"]["enum"] == list(RenewalState)
    assert schemas["RotationAction"]["properties"]["step"]["enum"] == list(Step)


async def test_the_openapi_document_knows_every_endpoint(stand: Stand) -> None:
    paths = json.loads(openapi_document())["paths"]

    for one in RotationApi(stand.rotations).endpoints():
        assert one.method.lower() in paths[one.path]
