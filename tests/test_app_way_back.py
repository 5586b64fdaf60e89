"""The way back, rehearsed for real: the service, the real agent, its real second port."""

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from exporter.clock import SystemClock
from tests.gateway.agent.stand import NEW_CA, OLD_CA, TOKEN, until_proven
from tests.test_app_agent import Stand, watching

pytestmark = pytest.mark.timeout(120)

READY = "fleet_tls_remediation_rollback_ready gw-1"
SERVED = "fleet_tls_remediation_served_version gw-1"
STATUS = "/api/v1/remediation"


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporter.remediation.way_back._CHECK_S", 0.2)


async def asked(stand: Stand, path: str = STATUS, body: object = None) -> tuple[int, Any]:
    method = "GET" if body is None else "POST"
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, stand.url + path, json=body, headers=headers) as answer,
    ):
        text = await answer.text()
        return answer.status, json.loads(text) if text.startswith("{") else text


async def rotated(stand: Stand) -> None:
    """Let the agent serve a new version, when the first one was proven."""
    await until_proven(stand.agent)
    answer = await stand.agent.rotate(await stand.agent.new_chain(OLD_CA), "strict")
    assert answer.body["status"] == "SUCCESS"


async def way_back(stand: Stand) -> Any:
    status, told = await asked(stand)
    assert status == 200, told
    return told["gateways"][0]["way_back"]


async def test_a_gateway_is_ready_when_its_previous_version_was_served_and_all_accept_it(
    tmp_path: Path,
) -> None:
    (tmp_path / "site").mkdir()
    async with watching(tmp_path) as stand:
        await stand.report(OLD_CA)
        await stand.until(lambda found: (found.get(READY), found.get(SERVED)) == (0, 1))
        only_one = await way_back(stand)
        await rotated(stand)
        await stand.until(lambda found: (found.get(READY), found.get(SERVED)) == (1, 2))
        told = await way_back(stand)
        await stand.report(NEW_CA)
        await stand.until(lambda found: found.get(READY) == 0)
        async with asyncio.timeout(30):  # reports are looked at one by one
            while "18 of 18" not in (refused := await way_back(stand))["reason"]:
                await SystemClock().sleep(0.1)

    assert "no earlier version that was served and proven" in only_one["reason"]
    assert (told["version"], told["reason"]) == (1, "")
    assert (told["accepting_devices"], told["devices"]) == (18, 18)
    assert told["rehearsed_at"] is not None
    assert refused["reason"].startswith("18 of 18 devices would not accept it: dev-01, ")


async def test_an_agent_without_a_second_port_is_never_ready_and_a_person_is_told_so(
    tmp_path: Path,
) -> None:
    (tmp_path / "site").mkdir()

    async with watching(tmp_path, second_port=None) as stand:
        await stand.report(OLD_CA)
        await stand.until(lambda found: found.get(READY) == 0)
        early = await asked(stand, f"{STATUS}/rehearse", {"gateway": "gw-1"})
        await rotated(stand)
        _, told = await asked(stand, f"{STATUS}/rehearse", {"gateway": "gw-1", "by": "anna"})

    assert early == (
        409,
        "nothing is rehearsed on gw-1: it has no earlier version that was served and proven\n",
    )
    assert told["rollback_ready"] is False
    assert (
        "this agent has no second port; set second_port: HOST:PORT" in told["way_back"]["reason"]
    )
