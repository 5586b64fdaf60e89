"""The commands of persons against a server with the responding part behind it."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from exporter.gateway.messages import OperationStatus
from exporter.remediation.decide import Question
from exporter.remediation.model import AlertState
from exporter.remediation.options import Options as RemediationOptions
from exporter.response import Response
from exporter.store import Store
from exporter.web.alerts import Askers
from exporter.web.auth import Passwords
from exporter.web.options import Options
from tests.cli.running import Ended, run
from tests.remediation.cases import ALL_OUT, NOW
from tests.remediation.scripted import HastyClock, ScriptedApi, ScriptedHands
from tests.web.serving import FakeService, serving

TOKEN = "of-a-person"  # noqa: S105 - made up


class Stand:
    """A server, its token file, and the store behind it."""

    def __init__(self, folder: Path, url: str, hands: ScriptedHands, response: Response) -> None:
        self.response = response
        self.url = url
        self.token_file = folder / "token"
        self.database = folder / "state.db"
        self.hands = hands

    async def run(self, *words: str) -> Ended:
        return await run(*words, "--url", self.url, "--token-file", self.token_file)


@pytest.fixture
async def stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stand]:
    monkeypatch.setattr("exporter.remediation.respond._TICK_S", float("inf"))
    monkeypatch.setattr("exporter.remediation.respond._RENEW_S", float("inf"))
    monkeypatch.setattr("exporter.response._PRUNE_S", float("inf"))
    monkeypatch.setattr("exporter.remediation.way_back._CHECK_S", float("inf"))
    monkeypatch.setattr("exporter.remediation.trials._LOOK_S", float("inf"))
    (tmp_path / "token").write_text(TOKEN)
    clock = HastyClock(NOW)
    hands = ScriptedHands(ScriptedApi(), clock, evidence=ALL_OUT)
    response = Response(
        Store(f"sqlite:///{tmp_path}/state.db"),
        hands,
        clock,
        options=lambda: RemediationOptions(rehearsal_interval=0.0),
        askers=lambda: Askers(passwords=Passwords({})),
        gateways=lambda: {"gw-1"},
    )
    options = Options(token_file=tmp_path / "token")
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(response.run())
        opened = response.endpoints()
        async with serving(FakeService(), options, opened=opened) as (url, _):
            await response.is_open.wait()
            yield Stand(tmp_path, url, hands, response)
        running.cancel()


async def test_a_rollback_is_shown_before_it_is_done(stand: Stand) -> None:
    ran = await stand.run("rollback", "--gateway", "gw-1", "--dry-run")

    assert (ran.code, ran.err) == (0, "")
    assert "18 of 18 devices refuse gw-1 (unknown_ca)" in ran.out
    assert "gain: 18: dev-01, dev-02" in ran.out
    assert stand.hands.scripted.sent == []


async def test_a_refusal_is_bad_news_with_its_reason(stand: Stand) -> None:
    stand.hands.evidence = replace(ALL_OUT, is_control_good=False)

    ran = await stand.run("rollback", "--gateway", "gw-1", "--yes", "--json", "--by", "anna")

    assert ran.code == 1
    assert "cannot_look" in json.loads(ran.out)["refusals"]


async def test_a_way_back_is_rehearsed_and_its_fault_is_bad_news(stand: Stand) -> None:
    ran = await stand.run("remediation", "rehearse", "--gateway", "gw-1", "--by", "anna")
    shown = await stand.run("remediation", "status")

    assert (ran.code, ran.err) == (1, "")
    assert ran.out.startswith("gw-1: NOT READY: its rehearsal at 2026-11-25 12:05 UTC failed")
    assert "  way back: NOT READY: its rehearsal" in shown.out
    assert "(as of 2026-11-25T12:05:00" in shown.out


@pytest.mark.parametrize("words", [(), ("--dry-run", "--yes")])
async def test_it_must_be_said_what_is_meant(stand: Stand, words: tuple[str, ...]) -> None:
    ran = await stand.run("rollback", "--gateway", "gw-1", *words)

    assert ran.code == 2
    assert "say either --dry-run or --yes" in ran.err


async def test_an_override_passes_what_was_said_and_why(stand: Stand) -> None:
    held = await stand.run(
        "remediation", "hold", "--gateway", "gw-1", "--for", "2h", "--by", "anna"
    )
    refused = await stand.run("rollback", "--gateway", "gw-1", "--dry-run")
    passed = await stand.run(
        "rollback", "--gateway", "gw-1", "--dry-run", "--override", "gateway_held",
        "--reason", "second fault",
    )  # fmt: skip
    shown = await stand.run("remediation", "status")
    released = await stand.run("remediation", "release", "--gateway", "gw-1")

    assert held.out == f"gw-1 is held until {_iso(2)}\n"
    assert (refused.code, passed.code) == (1, 0)
    assert "passed gateway_held" in passed.out
    assert f"held until {_iso(2)}" in shown.out
    assert released.out == "gw-1 is released\n"


def _iso(hours: int) -> str:
    return f"{NOW + timedelta(hours=hours):%Y-%m-%dT%H:%M:%SZ}"


async def test_the_status_tells_mode_switch_and_decision(stand: Stand) -> None:
    await stand.run("rollback", "--gateway", "gw-1", "--dry-run")
    await stand.run("remediation", "kill-switch", "on", "--reason", "audit")

    people = await stand.run("remediation", "status")
    scripts = await stand.run("remediation", "status", "--json")

    assert "mode dry_run, kill switch on, budget 3" in people.out
    assert "decision 1: 18 of 18 devices refuse gw-1" in people.out
    assert json.loads(scripts.out)["kill_switch"] is True


async def test_an_approval_of_another_plan_is_refused(stand: Stand) -> None:
    ran = await stand.run("remediation", "approve", "--gateway", "gw-1", "--plan", "0" * 64)

    assert ran.code == 2
    assert "not the plan of the latest decision" in ran.err


async def test_the_journal_tells_the_incident_and_a_decision_is_explained(stand: Stand) -> None:
    await stand.run("rollback", "--gateway", "gw-1", "--dry-run")
    await stand.run("remediation", "hold", "--gateway", "gw-1", "--reason", "works")

    told = await stand.run("journal", "--gateway", "gw-1")
    verified = await stand.run("journal", "verify")
    explained = await stand.run("explain", "1")

    assert "decision gw-1: 18 of 18 devices refuse gw-1" in told.out.splitlines()[0]
    assert "hold gw-1: " in told.out.splitlines()[1]
    assert verified.out == "2 entries, none changed, none missing\n"
    assert "replayed: the function of today decides the same" in explained.out


async def test_a_decision_is_explained_with_what_was_measured_afterwards(stand: Stand) -> None:
    stand.hands.scripted.script = [(OperationStatus.SUCCESS, True)]
    stand.hands.back = lambda _: [f"dev-{n:02}" for n in range(1, 18)]
    await stand.run("rollback", "--gateway", "gw-1", "--yes", "--by", "anna")
    async with asyncio.timeout(40):
        while "recovered" not in (await stand.run("journal")).out:  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.01)  # noqa: TID251 - the store answers in real time

    explained = await stand.run("explain", "1")

    assert "recovered: 17 of 18 devices are back" in explained.out
    assert "     gain: 17: dev-01, dev-02" in explained.out
    assert "  unknown: 1: dev-18\n" in explained.out


async def test_the_score_of_what_was_only_said_is_shown_and_explained(stand: Stand) -> None:
    await stand.response.responder.ask("gw-1", AlertState.FIRING, Question())
    stand.hands.back = lambda _: [f"dev-{n:02}" for n in range(1, 19)]
    await stand.response.trials.look()

    shown = await stand.run("remediation", "status")
    explained = await stand.run("explain", "1")
    told = await stand.run("journal")

    assert "dry run: 1 would-be rollback was judged: 1 needless\n" in shown.out
    assert "  decision 1, gw-1: needless: 18 of 18 devices that were out are back" in shown.out
    assert ": needless: 18 of 18 devices" in explained.out
    assert "judgement gw-1: needless: 18 of 18" in told.out


async def test_a_changed_entry_is_bad_news(stand: Stand) -> None:
    await stand.run("rollback", "--gateway", "gw-1", "--dry-run")
    with sqlite3.connect(stand.database) as other:
        other.execute("UPDATE journal SET gateway = 'gw-2' WHERE number = 1")

    ran = await stand.run("journal", "verify")

    assert ran.code == 1
    assert "entry 1 was changed" in ran.out


async def test_without_the_token_nobody_changes_anything(stand: Stand) -> None:
    ran = await run("remediation", "kill-switch", "on", "--url", stand.url)

    assert ran.code == 2
    assert "401" in ran.err
    assert TOKEN not in ran.err


async def test_a_time_that_is_none_is_refused(stand: Stand) -> None:
    ran = await stand.run("remediation", "hold", "--gateway", "gw-1", "--for", "soon")

    assert ran.code == 2
    assert "'soon' is not a duration" in ran.err
