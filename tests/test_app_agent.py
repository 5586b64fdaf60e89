"""The incident with the real service and the real agent: what is said, and what is so."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from exporter.clock import SystemClock
from tests.gateway.agent.stand import NAME, NEW_CA, OLD_CA, TOKEN, Agent, running
from tests.pki import Issued
from tests.test_app import Files, Samples, eventually, serving

pytestmark = pytest.mark.timeout(120)

NAMES = [f"dev-{number:02}" for number in range(1, 19)]
STATES = "fleet_tls_trust_store_devices"


def accepts(found: Samples) -> list[float]:
    """What the devices are predicted to say, by what they reported."""
    prefix = "fleet_tls_device_accepts_gateway reported "
    return [value for name, value in found.items() if name.startswith(prefix)]


def in_state(state: str) -> Callable[[Samples], bool]:
    return lambda found: found.get(f"{STATES} {state}") == len(NAMES)


@dataclass(slots=True, kw_only=True)
class Stand:
    url: str
    agent: Agent

    async def until(self, holds: Callable[[Samples], bool]) -> Samples:
        return await eventually(self.url, holds)

    async def report(self, *anchors: Issued) -> None:
        """Every device tells the agent what it trusts."""
        now = SystemClock().now().isoformat()
        pems = [one.pem.decode() for one in anchors]
        for name in NAMES:
            body = {"anchors": pems, "reportedAt": now}
            answer = await self.agent.post(f"/devices/{name}/truststore/report", body)
            assert answer.status == 202, answer


@asynccontextmanager
async def watching(folder: Path, **more: Any) -> AsyncIterator[Stand]:
    """18 devices that are to trust the old CA, their gateway, its agent, and the service.

    ``more``: of the agent's options, as in its file.
    """
    (folder / "old.pem").write_bytes(OLD_CA.pem)
    (folder / "new.pem").write_bytes(NEW_CA.pem)
    (folder / "site.token").write_text(TOKEN)
    async with running(folder / "site", NAMES, **more) as agent:
        assert agent.driver is not None
        port = agent.driver.addresses[0].port
        document: dict[str, object] = {
            "listen": "127.0.0.1:0",
            "web": {"token_file": "site.token"},
            "trust_stores": [
                {"name": "old", "file": "old.pem"},
                {"name": "new", "file": "new.pem"},
            ],
            "targets": {
                "static": [
                    {
                        "name": "gw-1",
                        "address": f"127.0.0.1:{port}",
                        "server_name": NAME,
                        "trust_stores": ["old"],
                        "management_api": "site-a",
                    },
                    *({"name": name, "gateway": "gw-1", "holds": ["old"]} for name in NAMES),
                ]
            },
            "probe": {"interval": "1s", "timeout": "60s"},
            "management_apis": [
                {
                    "name": "site-a",
                    "url": agent.url,
                    "token_file": "site.token",
                    "poll_interval": "1s",
                }
            ],
        }
        async with serving(Files(folder=folder, document=document)) as url:
            yield Stand(url=url, agent=agent)


async def test_success_and_18_of_18_are_words_while_no_device_would_accept_the_gateway(
    tmp_path: Path,
) -> None:
    (tmp_path / "site").mkdir()
    async with watching(tmp_path) as stand:
        await stand.report(OLD_CA)
        good = await stand.until(
            lambda found: in_state("synced")(found) and accepts(found) == [1] * 18
        )
        chain = await stand.agent.new_chain(NEW_CA)

        answer = await stand.agent.rotate(chain, "none")
        dark = await stand.until(lambda found: accepts(found) == [0] * 18)

    assert answer.body["status"] == "SUCCESS"
    assert good["fleet_tls_trust_platform_complete_devices site-a"] == 18
    assert dark["fleet_tls_trust_platform_complete_devices site-a"] == 18
    assert dark[f"{STATES} synced"] == 18  # they hold what was wanted: that is not enough


async def test_an_anchor_that_is_distributed_is_a_fact_when_the_devices_report_it(
    tmp_path: Path,
) -> None:
    (tmp_path / "site").mkdir()
    body = {
        "operation": "ADD",
        "certificate": NEW_CA.pem.decode(),
        "priority": "secondary",
    }
    async with watching(tmp_path) as stand:
        await stand.report(OLD_CA)
        await stand.until(in_state("synced"))

        await stand.agent.post("/devices/truststore/update", body)
        await stand.until(in_state("pending"))
        await stand.report(OLD_CA, NEW_CA)
        added = await stand.until(in_state("synced"))
        await stand.agent.rotate(await stand.agent.new_chain(NEW_CA), "strict")
        rotated = await stand.until(
            lambda found: (
                found.get("fleet_tls_chain_verified gw-1 old") == 0 and accepts(found) == [1] * 18
            )
        )

    # Not wanted by the inventory yet, and no fault
    assert added["fleet_tls_trust_store_anchor_devices extra "] == 18
    assert rotated["fleet_tls_probe_success gw-1"] == 0
