"""``rotation`` as persons type it, against a server with a scripted fleet behind it."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from exporter.web.options import Options
from exporter.web.rotation import RotationApi
from tests.cli.running import Ended, run
from tests.rotation.scripted import NEW_PEM, OLD_PEM
from tests.rotation.told import ScriptedRotations
from tests.web.serving import FakeService, serving


class Stand:
    def __init__(self, folder: Path, url: str, rotations: ScriptedRotations) -> None:
        self.folder = folder
        self.url = url
        self.rotations = rotations
        (folder / "new.pem").write_text(NEW_PEM)
        (folder / "old.pem").write_text(OLD_PEM)

    async def run(self, *words: str | Path) -> Ended:
        more = ("--url", self.url, "--token-file", self.folder / "token")
        return await run("rotation", *words, *more)


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Stand]:
    (tmp_path / "token").write_text("of-a-person")
    rotations = ScriptedRotations(tmp_path)
    await rotations.store.open()
    opened = RotationApi(rotations).endpoints()
    options = Options(token_file=tmp_path / "token")
    async with serving(FakeService(), options, opened=opened) as (url, _):
        yield Stand(tmp_path, url, rotations)
    await rotations.store.close()


async def test_a_rotation_is_planned_started_approved_and_told_by_commands(stand: Stand) -> None:
    planned = await stand.run("plan", "--new-ca", stand.folder / "new.pem")
    nothing = await stand.run("status")
    started = await stand.run("start", "--new-ca", stand.folder / "new.pem", "--by", "anna")
    await stand.rotations.on()
    shown = await stand.run("status", "--json")
    hash_ = json.loads(shown.out)["rotations"][0]["plan_hash"]
    approved = await stand.run("approve", "--plan-hash", hash_, "--by", "anna")
    await stand.rotations.on()
    canary = await stand.run("status")
    history = await stand.run("history")

    assert (planned.code, nothing.code, started.code, shown.code) == (0, 0, 0, 0), planned
    assert "add: 4 of 4 devices are given the new CA" in planned.out
    assert "awaiting" not in planned.out
    assert "awaiting: rotation approve r-1 --plan-hash" in started.out
    assert "no rotation is under way" in nothing.out
    assert approved.out == "r-1: it may begin\n"
    assert "r-1 (rotation): canary since" in canary.out
    assert "gw-01-dev-0: not_seen since" in canary.out
    assert '"what": "approve"' in history.out


async def test_a_device_is_left_out_by_name_and_with_a_reason(stand: Stand) -> None:
    await stand.run("start", "--new-ca", stand.folder / "new.pem")
    await stand.rotations.on()

    unsaid = await stand.run("exclude", "gw-01-dev-0")
    done = await stand.run("exclude", "gw-01-dev-0", "--reason", "in repair", "--by", "anna")
    await stand.rotations.on()
    shown = await stand.run("status", "r-1")
    other = await stand.run("status", "r-2")

    assert unsaid.code == 2
    assert done.out == "r-1: gw-01-dev-0 is left out\n"
    assert "left out: gw-01-dev-0 (in repair)" in shown.out
    assert other.code == 1


async def test_pause_resume_and_abort_say_what_they_did(stand: Stand) -> None:
    none = await stand.run("pause")
    await stand.run("start", "--new-ca", stand.folder / "new.pem")

    said = [await stand.run(word, "--by", "anna") for word in ("pause", "resume", "abort")]
    await stand.rotations.on()
    again = await stand.run("pause", "r-1")

    assert (none.code, again.code) == (2, 2)
    assert "no rotation is under way" in none.err
    assert "the rotation r-1 has ended" in again.err
    assert [one.out.partition(" ")[2] for one in said] == [
        "is paused; the way back stays open\n",
        "goes on\n",
        "is aborted: what can be put back is\n",
    ]


async def test_who_goes_dark_without_a_ca_is_bad_news_by_name(stand: Stand) -> None:
    without = await stand.run("plan", "--remove", stand.folder / "old.pem")
    later = await stand.run("plan", "--at", "2027-01-05", "--json")
    renewals = await stand.run("renewals")

    assert without.code == 1
    assert "4 of 4 devices go dark" in without.out
    assert "go dark: gw-01-dev-0 behind gw-01: unknown CA" in without.out
    assert later.code == 0
    assert "gw-01: due, renewed from 2026-11-25T12:00:00Z on" in renewals.out
    assert json.loads(later.out)["at"] == "2027-01-05T00:00:00Z"


async def test_without_the_token_nobody_starts_anything(stand: Stand) -> None:
    guessed = stand.folder / "guessed"
    guessed.write_text("guessed")
    more = ("--url", stand.url, "--token-file", guessed)

    refused = await run("rotation", "start", "--new-ca", stand.folder / "new.pem", *more)

    assert refused.code == 2
    assert "401" in refused.err
