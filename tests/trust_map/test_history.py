"""Since when a class is known to trust a CA: noted once, kept over restarts and gaps."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from exporter.store import Store
from exporter.trust_map import history
from exporter.trust_map.facts import Facts
from exporter.trust_map.history import FORGET, History, trusted_pairs
from tests.fake_clock import FakeClock
from tests.trust_map.scene import BY_OLD, NEW, OLD, Scene, device, fleet, gateway, sha, store

HOLDING = Scene(targets=[gateway(BY_OLD), *fleet(3, "fw")], stores=[store("fw", OLD)]).facts()
NOBODY = Scene(targets=[]).facts()
PAIR = ("sensor", sha(OLD))


class Noted:
    """A history whose facts a test changes, over restarts of the service."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "state.db"
        self.clock = FakeClock()
        self.facts: Facts = HOLDING
        self.restart()

    def restart(self) -> None:
        self.store = Store(f"sqlite:///{self.path}")
        self.history = History(self.store, self.clock, lambda: self.facts)

    async def tick(self, *, after: timedelta = timedelta(0)) -> None:
        await self.clock.advance(after.total_seconds())
        await self.history.tick()


@pytest.fixture
async def noted(tmp_path: Path) -> AsyncIterator[Noted]:
    made = Noted(tmp_path)
    yield made
    await made.store.close()


async def test_the_first_moment_stays(noted: Noted) -> None:
    began_at = noted.clock.now()
    await noted.tick()
    await noted.tick(after=timedelta(days=3))

    assert noted.history.since == {PAIR: began_at}


async def test_it_outlives_a_restart(noted: Noted) -> None:
    began_at = noted.clock.now()
    await noted.tick()
    await noted.store.close()
    noted.restart()

    await noted.tick(after=timedelta(hours=5))

    assert noted.history.since == {PAIR: began_at}


async def test_a_gap_of_hours_is_no_removal(noted: Noted) -> None:
    began_at = noted.clock.now()
    await noted.tick()
    noted.facts = replace(HOLDING, reported=dict.fromkeys(HOLDING.targets, frozenset({sha(NEW)})))
    await noted.tick()
    await noted.tick(after=FORGET - timedelta(minutes=1))
    noted.facts = HOLDING

    await noted.tick()

    assert noted.history.since[PAIR] == began_at


async def test_what_was_gone_for_a_day_begins_anew(noted: Noted) -> None:
    await noted.tick()
    noted.facts = replace(HOLDING, reported=dict.fromkeys(HOLDING.targets, frozenset({sha(NEW)})))
    await noted.tick()
    await noted.tick(after=FORGET)
    assert PAIR not in noted.history.since
    noted.facts = HOLDING

    await noted.tick()

    assert noted.history.since[PAIR] == noted.clock.now()


async def test_nothing_is_forgotten_while_nobody_can_say(noted: Noted) -> None:
    began_at = noted.clock.now()
    await noted.tick()
    noted.facts = NOBODY
    for _ in range(3):
        await noted.tick(after=FORGET)

    assert noted.history.since == {PAIR: began_at}


async def test_a_fleet_of_which_nothing_is_known_makes_no_file(noted: Noted) -> None:
    noted.facts = NOBODY

    await noted.tick()

    assert not noted.path.exists()


async def test_a_store_that_fails_is_told_once_and_tried_again(
    noted: Noted, caplog: pytest.LogCaptureFixture
) -> None:
    noted.path.mkdir()
    await noted.tick()
    await noted.tick()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert noted.history.since == {}

    noted.path.rmdir()
    await noted.tick()

    assert PAIR in noted.history.since


async def test_it_is_bounded(noted: Noted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MOST_PAIRS", 5)
    noted.facts = replace(
        HOLDING, reported={"sensor-01": frozenset(f"{number:064x}" for number in range(99))}
    )

    await noted.tick()

    assert len(noted.history.since) == 5


def test_what_nobody_can_say_is_no_pair() -> None:
    facts = Scene(targets=[gateway(BY_OLD), device("a"), device("b", "gone")]).facts()

    assert trusted_pairs(facts) == frozenset()
