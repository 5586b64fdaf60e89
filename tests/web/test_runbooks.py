from pathlib import Path

import aiohttp
import pytest

from exporter.alerts.book import alerts_of
from exporter.alerts.values import Values
from tests.web.serving import FakeService, serving

RUNBOOKS = Path(__file__).parents[2] / "docs" / "runbooks"


async def get(path: str) -> tuple[int, str, str]:
    async with (
        serving(FakeService()) as (url, _),
        aiohttp.ClientSession() as session,
        session.get(f"{url}{path}") as answer,
    ):
        return answer.status, answer.content_type, await answer.text()


async def test_each_alert_has_its_runbook_where_its_link_leads() -> None:
    status, _, text = await get("/runbooks")

    assert status == 200
    assert set(text.split()) == {f"/runbooks/{alert.name}" for alert in alerts_of(Values())}


@pytest.mark.parametrize("suffix", ["", ".md"])
async def test_a_runbook_is_shown_as_it_is_written(suffix: str) -> None:
    status, kind, text = await get(f"/runbooks/FleetTLSGatewayNotAccepted{suffix}")

    assert (status, kind) == (200, "text/plain")
    assert text == (RUNBOOKS / "FleetTLSGatewayNotAccepted.md").read_text("utf-8")


@pytest.mark.parametrize("name", ["Nothing", "..%2F..%2Fpyproject", "__init__.py", "%00"])
async def test_nothing_else_is_shown(name: str) -> None:
    status, _, text = await get(f"/runbooks/{name}")

    assert status == 404
    assert text == "There is no runbook of this name; /runbooks names all that there are.\n"
