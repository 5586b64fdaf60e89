"""What devices are to do, did, and say they trust."""

from pathlib import Path

import pytest

from tests.gateway.agent.stand import (
    FIRST,
    INNER,
    NEW_CA,
    OLD_CA,
    Agent,
    Answer,
    Json,
    running,
    until_proven,
)
from tests.pki import Issued, certificate_of, make_ca

UPDATE, STATUS = "/devices/truststore/update", "/devices/truststore/status"
RECOVER = "/devices/recovery/initiate"
RECOVERY = {
    "deviceIds": ["dev-01"],
    "method": "FALLBACK_CHANNEL",
    "action": "UPDATE_TRUSTSTORE",
}
OLD, NEW = (certificate_of(one).fingerprint_sha256 for one in (OLD_CA, NEW_CA))


async def ask(agent: Agent, operation: str, ca: Issued = NEW_CA, **more: object) -> Answer:
    body = {"operation": operation, "certificate": ca.pem.decode(), **more}
    return await agent.post(UPDATE, body)


async def to_do(agent: Agent, device: str, channel: str = "usual") -> list[tuple[str, str]]:
    answer = await agent.get(f"/devices/{device}/truststore/updates?channel={channel}")
    return [(one["operation"], one["fingerprint"]) for one in answer.body["updates"]]


async def acknowledge(agent: Agent, device: str, status: str, **more: object) -> int:
    updates = (await agent.get(f"/devices/{device}/truststore/updates")).body["updates"]
    path = f"/devices/{device}/truststore/updates/{updates[0]['number']}"
    return (await agent.post(path, {"status": status, **more})).status


async def states(agent: Agent) -> dict[str, str]:
    answer = await agent.get(STATUS)
    return {one["deviceId"]: one["status"] for one in answer.body["devices"]}


async def test_an_update_waits_for_each_device_until_it_is_done(tmp_path: Path) -> None:
    async with running(tmp_path, ["dev-01", "dev-02"]) as agent:
        asked = await ask(agent, "ADD", priority="secondary")
        todo = (await agent.get("/devices/dev-01/truststore/updates")).body["updates"]
        pending = await states(agent)
        await agent.report("dev-01", OLD_CA, NEW_CA)
        failed = await acknowledge(agent, "dev-02", "FAILED", error="flash is full")
        status = await agent.get(STATUS)
        await ask(agent, "ADD", deviceIds=["dev-02"])
        again = await states(agent)

    assert asked.body["devices"] == ["dev-01", "dev-02"]
    (update,) = todo
    assert update["operationId"] == asked.body["operationId"]
    assert update["certificate"] == NEW_CA.pem.decode()
    assert update["priority"] == "secondary"
    assert pending == {"dev-01": "PENDING", "dev-02": "PENDING"}
    assert failed == 202
    assert (status.body["total"], status.body["complete"]) == (2, 1)
    done, broken = status.body["devices"]
    assert (done["status"], done["anchors"]) == ("COMPLETE", sorted([OLD, NEW]))
    assert done["reportedAt"] < done["receivedAt"]
    assert (broken["status"], broken["error"]) == ("FAILED", "flash is full")
    assert "anchors" not in broken
    assert again == {"dev-01": "COMPLETE", "dev-02": "PENDING"}


async def test_complete_is_the_platforms_word_and_not_a_report(tmp_path: Path) -> None:
    async with running(tmp_path, ["dev-01"]) as agent:
        await agent.report("dev-01", OLD_CA)
        await ask(agent, "ADD")
        await acknowledge(agent, "dev-01", "COMPLETE")
        status = await agent.get(STATUS)

    (device,) = status.body["devices"]
    assert (device["status"], device["anchors"]) == ("COMPLETE", [OLD])
    assert status.body["complete"] == 1


async def test_what_is_contrary_takes_the_place_of_what_was_asked_before(tmp_path: Path) -> None:
    async with running(tmp_path, ["dev-01"]) as agent:
        await ask(agent, "ADD")
        await ask(agent, "REMOVE", OLD_CA)
        both = await to_do(agent, "dev-01")
        await ask(agent, "REMOVE")
        after = await to_do(agent, "dev-01")
        await agent.report("dev-01", make_ca("third"))
        done = await states(agent)

    assert both == [("ADD", NEW), ("REMOVE", OLD)]
    assert after == [("REMOVE", OLD), ("REMOVE", NEW)]
    assert done == {"dev-01": "COMPLETE"}


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        ({"operation": "ADD", "certificate": FIRST.pem.decode()}, 422, "is not a CA's"),
        (
            {"operation": "ADD", "certificate": (NEW_CA.pem + OLD_CA.pem).decode()},
            422,
            "certificate holds 2 certificates",
        ),
        (
            {"operation": "ADD", "certificate": (NEW_CA.pem + NEW_CA.key_pem).decode()},
            422,
            "it holds a private key",
        ),
        (
            {"operation": "ADD", "certificate": NEW_CA.pem.decode(), "deviceIds": ["dev-9"]},
            404,
            "not known behind this gateway: 'dev-9'",
        ),
        ({"operation": "ADD", "certificate": "\ud800"}, 400, "no JSON"),
        ({"operation": "REPLACE", "certificate": "x"}, 422, "operation: Input should be"),
    ],
)
async def test_what_devices_cannot_be_asked_is_refused(
    tmp_path: Path, body: dict[str, object], status: int, sentence: str
) -> None:
    async with running(tmp_path, ["dev-01"]) as agent:
        answer = await agent.post(UPDATE, body)
        todo = await to_do(agent, "dev-01")

    assert answer.status == status
    assert sentence in answer.message
    assert todo == []


async def test_the_status_comes_in_pages_that_hang_together(tmp_path: Path) -> None:
    names = [f"dev-{number:03d}" for number in range(250)]

    async with running(tmp_path, [*reversed(names)]) as agent:
        found, cursor, pages = [], "", 0
        while True:
            page = await agent.get(f"{STATUS}?limit=100{cursor}")
            found += [one["deviceId"] for one in page.body["devices"]]
            pages += 1
            if "nextCursor" not in page.body:
                break
            cursor = f"&cursor={page.body['nextCursor']}"
        default = await agent.get(STATUS)
        wrong = [
            await agent.get(f"{STATUS}?{query}")
            for query in ("limit=0", "limit=1001", "limit=x", "cursor=%FF", "cursor=a")
        ]

    assert found == names
    assert pages == 3
    assert len(default.body["devices"]) == 100
    assert {answer.status for answer in wrong} == {400}


async def test_what_did_not_change_is_not_sent_again(tmp_path: Path) -> None:
    async with running(tmp_path, ["dev-01"]) as agent:
        first = await agent.get(STATUS)
        etag = first.headers["ETag"]
        same = await agent.get(STATUS, If_None_Match=f'"other", {etag}')
        await agent.report("dev-01", OLD_CA)
        changed = await agent.get(STATUS, If_None_Match=etag)
    async with running(tmp_path, ["dev-01", "dev-02"]) as agent:
        more = await agent.get(STATUS, If_None_Match=changed.headers["ETag"])

    assert (same.status, same.headers["ETag"]) == (304, etag)
    assert (changed.status, more.status) == (200, 200)


async def test_recovery_reaches_those_who_have_another_way_in(tmp_path: Path) -> None:
    devices: list[str | Json] = [
        {"name": "dev-01", "fallback_channel": True},
        {"name": "dev-02", "fallback_channel": True},
        "dev-03",
    ]

    async with running(tmp_path, devices) as agent:
        await agent.report("dev-02", OLD_CA, INNER)
        await agent.rotate(await agent.new_chain(INNER))
        body = {
            "deviceIds": ["dev-01", "dev-02", "dev-03", "dev-99"],
            "method": "FALLBACK_CHANNEL",
            "action": "UPDATE_TRUSTSTORE",
        }
        # Nobody has shown the root: the last of the served chain is an anchor as well
        answer = await agent.post(RECOVER, body)
        inner = certificate_of(INNER).fingerprint_sha256
        first = [await to_do(agent, f"dev-0{n}", "fallback") for n in (1, 2, 3)]
        # Once it is known, the root is the better one
        await ask(agent, "ADD", deviceIds=["dev-03"])
        await agent.post(RECOVER, body)
        second = [await to_do(agent, f"dev-0{n}", "fallback") for n in (1, 2, 3)]
        usual = await to_do(agent, "dev-03")
        wrong = await agent.get("/devices/dev-01/truststore/updates?channel=secret")

    assert answer.body["accepted"] == ["dev-01", "dev-02"]
    assert answer.body["rejected"] == ["dev-03", "dev-99"]
    assert first == [[("ADD", inner)], [("ADD", inner)], []]
    assert second[0] == [("ADD", inner), ("ADD", NEW)]
    assert second[2] == []
    assert usual == [("ADD", NEW)]
    assert wrong.status == 400


async def test_recovery_gives_nothing_to_a_device_that_accepts_what_is_served(
    tmp_path: Path,
) -> None:
    devices = [{"name": "dev-01", "fallback_channel": True}]

    async with running(tmp_path, devices) as agent:
        body = {"anchors": [OLD_CA.pem.decode()], "reportedAt": "2026-11-24T12:00:00Z"}
        await agent.post("/devices/dev-01/truststore/report", body)
        answer = await agent.post(RECOVER, RECOVERY)
        todo = await to_do(agent, "dev-01", "fallback")

    assert answer.body["accepted"] == ["dev-01"]
    assert todo == []


async def test_a_report_from_before_the_change_keeps_no_device_from_its_recovery(
    tmp_path: Path,
) -> None:
    devices = [{"name": "dev-01", "fallback_channel": True}]

    async with running(tmp_path, devices) as agent:
        body = {"anchors": [OLD_CA.pem.decode()], "reportedAt": "2026-11-24T12:00:00Z"}
        await agent.post("/devices/dev-01/truststore/report", body)
        await until_proven(agent)
        await agent.rotate(await agent.new_chain())
        await agent.rollback()  # the device has lost its store meanwhile, and cannot say so
        await agent.post(RECOVER, RECOVERY)
        todo = await to_do(agent, "dev-01", "fallback")

    assert todo == [("ADD", OLD)]


async def test_an_update_that_is_not_there_cannot_be_acknowledged(tmp_path: Path) -> None:
    async with running(tmp_path, ["dev-01"]) as agent:
        path = "/devices/dev-01/truststore/updates"
        missing = await agent.post(f"{path}/7", {"status": "COMPLETE"})
        silent = await agent.post(f"{path}/7", {"status": "FAILED"})
        word = await agent.post(f"{path}/seven", {"status": "COMPLETE"})

    assert (missing.status, missing.code) == (404, "unknown_operation")
    assert silent.status == 422
    assert word.status == 404


async def test_reports_and_updates_survive_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path, ["dev-01"]) as agent:
        await agent.report("dev-01", OLD_CA)
        await ask(agent, "ADD")
        before = await agent.get(STATUS)
    async with running(tmp_path, ["dev-01"]) as agent:
        after = await agent.get(STATUS)
        todo = await to_do(agent, "dev-01")

    assert after.body == before.body
    assert todo == [("ADD", NEW)]
