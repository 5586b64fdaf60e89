"""Our clock beside those of others, over real HTTP: what is off is told, and nothing is done."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from exporter.app import App
from exporter.clock import SystemClock
from exporter.config import load
from tests.fake_gateway import FakeGateway
from tests.gateway.agent.shifted_clock import ShiftedClock
from tests.test_app import GATEWAY, TOKEN, Files, files, gateway, samples, tls
from tests.webhook.bodies import alert, body

__all__ = ["files"]  # the fixture

REMEDIATION = "/api/v1/remediation"


@asynccontextmanager
async def serving(files: Files, offset_s: float) -> AsyncIterator[str]:
    """The service with a clock that is so much ahead of the machine's."""
    clock = ShiftedClock()
    clock.shift(offset_s)
    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(App(load(files.write()), clock).run(url.set_result))
        yield await url
        running.cancel()


async def post(url: str, data: bytes) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=data, headers=TOKEN) as answer,
    ):
        return answer.status, await answer.text()


async def refusals(url: str) -> dict[str, str]:
    """Why a person who asks now would be refused."""
    async with asyncio.timeout(30):
        while True:
            status, text = await post(f"{url}{REMEDIATION}/rollback", b'{"gateway": "gw-1"}')
            if status == 200:
                found: dict[str, str] = json.loads(text)["refusals"]
                return found
            assert status in {409, 503}, text  # being decided about, or the store is not open
            await SystemClock().sleep(0.05)


@pytest.mark.parametrize(
    ("offset_s", "sentence"),
    [
        (7_200.0, "s ahead of the management API's, more than 60 s"),
        (-86_400.0, "s behind the management API's, more than 60 s"),
        (366 * 86_400.0, "s ahead of the management API's, more than 60 s"),
        (20.0, ""),
    ],
    ids=["two hours ahead", "a day behind", "a year ahead", "nearly right"],
)
async def test_what_the_date_of_the_management_api_says_is_a_metric_and_a_refusal(
    files: Files, offset_s: float, sentence: str
) -> None:
    async with FakeGateway().serving() as api, tls(files.folder, GATEWAY) as port:
        files.document["management_apis"] = [{"name": "site", "url": api}]
        files.document["targets"]["static"] = [gateway(port, management_api="site")]
        async with serving(files, offset_s) as url:
            refused = (await refusals(url)).get("cannot_look", "")
            found = await samples(url)

    offset = found["fleet_tls_exporter_management_api_clock_offset_seconds site"]
    assert abs(offset - offset_s) < 30
    assert refused.endswith(sentence)
    assert bool(refused) is bool(sentence)


async def test_where_no_api_tells_an_alert_from_the_future_shows_that_our_clock_is_behind(
    files: Files, tmp_path: Path
) -> None:
    now = SystemClock().now().isoformat()
    files.document["webhook"] = {"token_file": "token"}
    metric = "fleet_tls_webhook_clock_offset_at_most_seconds"
    async with tls(tmp_path, GATEWAY) as port:
        files.document["targets"]["static"] = [gateway(port)]
        async with serving(files, -7_200.0) as url:
            before = await refusals(url)
            assert metric not in await samples(url)
            delivery = body({**alert(), "startsAt": now})
            status, text = await post(f"{url}/webhook/alertmanager", delivery)
            after = await refusals(url)
            found = await samples(url)

    assert (status, json.loads(text)["accepted"]) == (202, 1)
    assert "cannot_look" not in before
    assert after["cannot_look"].endswith("s behind the alerts', more than 60 s")
    assert -7_200 <= found[metric] < -7_100


async def test_an_alert_forged_with_a_start_in_2099_keeps_no_person_from_acting(
    files: Files,
) -> None:
    files.document["webhook"] = {"token_file": "token"}
    metric = "fleet_tls_webhook_clock_offset_at_most_seconds"
    async with FakeGateway().serving() as api, tls(files.folder, GATEWAY) as port:
        files.document["management_apis"] = [{"name": "site", "url": api}]
        files.document["targets"]["static"] = [gateway(port, management_api="site")]
        async with serving(files, 0.0) as url:
            before = await refusals(url)
            delivery = body({**alert(), "startsAt": "2099-01-01T00:00:00Z"})
            status, text = await post(f"{url}/webhook/alertmanager", delivery)
            after = await refusals(url)
            found = await samples(url)

    assert (status, json.loads(text)["accepted"]) == (202, 1)
    assert found[metric] < -1e9  # told, and no more
    assert after.keys() == before.keys()
    assert "cannot_look" not in after


async def test_an_alert_that_began_long_ago_says_nothing_about_our_clock(
    files: Files, tmp_path: Path
) -> None:
    files.document["webhook"] = {"token_file": "token"}
    async with tls(tmp_path, GATEWAY) as port:
        files.document["targets"]["static"] = [gateway(port)]
        async with serving(files, 0.0) as url:
            delivery = body({**alert(), "startsAt": "2026-01-01T00:00:00Z"})
            async with asyncio.timeout(30):
                while (await post(f"{url}/webhook/alertmanager", delivery))[0] != 202:
                    await SystemClock().sleep(0.05)  # until the store is open
            found = await refusals(url)

    assert "cannot_look" not in found
