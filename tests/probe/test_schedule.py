import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from exporter.probe.options import Options
from exporter.probe.pace import Pace
from exporter.probe.schedule import GROUP_S, Scheduler
from exporter.targets.model import Inventory, Role, Target, phase_of
from tests.fake_clock import FakeClock


def target(name: str, host: str | None = None, **fields: object) -> Target:
    shown = {"role": Role.DEVICE, "host": host or f"{name}.example", "port": 8883, **fields}
    return Target(name=name, **shown)  # type: ignore[arg-type]  # passed on by name


def inventory(*targets: Target) -> Inventory:
    return Inventory(targets={one.name: one for one in targets})


def fleet(count: int) -> Inventory:
    return inventory(*(target(f"dev-{number:05}") for number in range(count)))


class Looks:
    """Notes when each target was looked at; what a look does is up to the test."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.at_s: dict[str, list[float]] = defaultdict(list)
        self.running: list[str] = []
        self.most_running = 0
        self.scheduler: Scheduler | None = None
        self.behaviour: Callable[[Target], Awaitable[None]] = self.good

    async def __call__(self, one: Target) -> None:
        assert one.name not in self.running, "two looks at the same target at once"
        self.at_s[one.name].append(self.clock.monotonic())
        self.running.append(one.name)
        self.most_running = max(self.most_running, len(self.running))
        try:
            await self.behaviour(one)
        finally:
            self.running.remove(one.name)

    async def good(self, one: Target) -> None:
        await self.clock.sleep(0.003)
        self.note(one)

    async def dead(self, one: Target) -> None:
        await self.clock.sleep(5)
        self.note(one, failing=True)

    def note(
        self, one: Target, *, failing: bool = False, not_after: datetime | None = None
    ) -> None:
        assert self.scheduler is not None
        self.scheduler.note(one.name, failing=failing, not_after=not_after)

    def gaps_s(self, name: str) -> list[float]:
        moments = self.at_s[name]
        return [after - before for before, after in pairwise(moments)]


def make(options: Options | None = None, clock: FakeClock | None = None) -> Looks:
    looks = Looks(clock or FakeClock())
    looks.scheduler = Scheduler(options or Options(), looks.clock, looks)
    return looks


@asynccontextmanager
async def running(looks: Looks, first: Inventory) -> AsyncIterator[Scheduler]:
    assert looks.scheduler is not None
    looks.scheduler.use(first)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(looks.scheduler.run())
        try:
            yield looks.scheduler
        finally:
            task.cancel()


async def test_every_target_of_a_small_fleet_is_looked_at_within_seconds() -> None:
    looks = make()

    async with running(looks, fleet(19)):
        await looks.clock.advance(1.2)

    assert len(looks.at_s) == 19


async def test_first_looks_of_many_are_spread_over_the_interval() -> None:
    looks = make(Options(concurrency=10_000))

    async with running(looks, fleet(3_000)):
        await looks.clock.advance(31, yields=6)

    by_second: dict[int, int] = defaultdict(int)
    for moments in looks.at_s.values():
        by_second[int(moments[0])] += 1
    assert len(looks.at_s) == 3_000
    assert max(by_second.values()) < 150


async def test_a_target_keeps_its_own_steady_phase() -> None:
    looks = make()

    async with running(looks, fleet(50)):
        await looks.clock.advance(400)

    for name in looks.at_s:
        later = looks.gaps_s(name)[1:]
        assert later == pytest.approx([60.0] * len(later), abs=0.2)
        assert 5 <= len(later) <= 6


async def test_the_phase_is_the_wall_clocks_and_so_the_same_after_a_restart() -> None:
    phases = []
    for second in (0, 17):
        clock = FakeClock(datetime(2026, 11, 24, 12, 0, second, tzinfo=UTC))
        looks = make(clock=clock)
        offset_s = clock.now().timestamp() - clock.monotonic()
        async with running(looks, fleet(5)):
            await clock.advance(200)
        phases.append({name: (at[-1] + offset_s) % 60 for name, at in looks.at_s.items()})

    expected = {name: phase_of(name, 60) for name in phases[0]}
    assert phases[0] == pytest.approx(expected, abs=GROUP_S)
    assert phases[1] == pytest.approx(expected, abs=GROUP_S)


async def test_a_clock_that_is_set_changes_nothing() -> None:
    looks = make()

    async with running(looks, fleet(20)):
        await looks.clock.advance(100)
        looks.clock.jump_wall(timedelta(hours=5))
        await looks.clock.advance(100)
        looks.clock.jump_wall(timedelta(days=-400))
        await looks.clock.advance(200)

    for name in looks.at_s:
        gaps = looks.gaps_s(name)[1:]
        assert len(gaps) >= 4
        assert gaps == pytest.approx([60.0] * len(gaps), abs=0.2)


async def test_looks_begin_in_groups() -> None:
    looks = make()

    async with running(looks, fleet(500)):
        await looks.clock.advance(120, yields=6)

    begun = [moment for moments in looks.at_s.values() for moment in moments]
    assert len(begun) >= 1_000
    off_s = [abs(moment / GROUP_S - round(moment / GROUP_S)) * GROUP_S for moment in begun]
    assert max(off_s) < 0.001


async def test_what_fails_is_looked_at_faster_and_then_slower() -> None:
    looks = make(Options(dead_after=300.0))
    looks.behaviour = looks.dead

    async with running(looks, fleet(1)) as scheduler:
        await looks.clock.advance(120)
        fast = dict(scheduler.stats.pace_counts)
        early = looks.gaps_s("dev-00000")
        await looks.clock.advance(1_000, yields=4)

    assert early[1:] == pytest.approx([20.0] * (len(early) - 1), abs=0.2)
    assert fast[Pace.FAST] == 1
    assert looks.gaps_s("dev-00000")[-1] == pytest.approx(300.0, abs=0.2)
    assert scheduler.stats.pace_counts[Pace.SLOW] == 1
    assert scheduler.stats.pace_counts[Pace.FAST] == 0


async def test_what_comes_back_has_its_own_moment_again() -> None:
    looks = make()
    looks.behaviour = looks.dead

    async with running(looks, fleet(1)) as scheduler:
        await looks.clock.advance(100)
        looks.behaviour = looks.good
        await looks.clock.advance(200)

    assert looks.gaps_s("dev-00000")[-1] == pytest.approx(60.0, abs=0.2)
    assert scheduler.stats.pace_counts[Pace.NORMAL] == 1


async def test_near_the_end_of_the_certificate_looks_are_faster() -> None:
    looks = make()

    async def ending(one: Target) -> None:
        looks.note(one, not_after=looks.clock.now() + timedelta(days=1))

    looks.behaviour = ending
    async with running(looks, fleet(1)):
        await looks.clock.advance(120)

    assert looks.gaps_s("dev-00000")[-1] == pytest.approx(20.0, abs=0.2)


@pytest.mark.slow
async def test_the_dead_do_not_starve_the_live() -> None:
    looks = make()
    dead = [target(f"dead-{number}") for number in range(1_900)]
    live = [target(f"live-{number}") for number in range(100)]

    async def look(one: Target) -> None:
        await (looks.dead if one.name.startswith("dead") else looks.good)(one)

    looks.behaviour = look
    async with running(looks, inventory(*dead, *live)) as scheduler:
        await looks.clock.advance(480, yields=4)
        stats = scheduler.stats

    for one in live:
        gaps = looks.gaps_s(one.name)
        assert len(gaps) >= 6
        assert gaps[1:] == pytest.approx([60.0] * (len(gaps) - 1), abs=0.2)
    assert all(looks.at_s[one.name] for one in dead)
    assert looks.most_running <= 200
    lag_s = stats.live_lag.quantile_s(0.99)
    assert lag_s is not None
    assert lag_s < 0.2
    assert stats.live_lag.missed_count == 0
    assert stats.suspect_lag.missed_count > 0
    assert stats.waiting_count > 0
    assert stats.longest_suspect_wait_s > 10
    assert stats.longest_live_wait_s == 0


async def test_one_host_is_not_overrun() -> None:
    looks = make(Options(host_concurrency=3))
    looks.behaviour = looks.dead

    async with running(
        looks, inventory(*(target(f"dev-{number}", "gw.example") for number in range(30)))
    ):
        await looks.clock.advance(120)

    assert looks.most_running == 2  # of three one is kept for those that answer
    assert len(looks.at_s) == 30


async def test_a_look_that_takes_longer_than_the_interval_is_not_doubled() -> None:
    looks = make(Options(interval=2.0))

    async def slow(one: Target) -> None:
        await looks.clock.sleep(7.3)
        looks.note(one)

    looks.behaviour = slow
    async with running(looks, fleet(1)) as scheduler:
        await looks.clock.advance(60)

    assert looks.gaps_s("dev-00000")[1:] == pytest.approx([8.0] * 6, abs=0.2)
    assert scheduler.stats.live_lag.missed_count >= 3 * 5


async def test_a_look_that_fails_by_our_fault_is_logged_and_the_rest_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    looks = make()

    async def broken(one: Target) -> None:
        if one.name == "dev-00001":
            raise ZeroDivisionError
        looks.note(one)

    looks.behaviour = broken
    async with running(looks, fleet(3)) as scheduler:
        await looks.clock.advance(200)

    assert {len(moments) for moments in looks.at_s.values()} <= {4, 5}
    assert scheduler.stats.error_count == len(looks.at_s["dev-00001"])
    assert scheduler.stats.look_count == sum(len(moments) for moments in looks.at_s.values())
    assert "target=dev-00001" in caplog.text
    assert caplog.records[0].levelno == logging.ERROR


@pytest.mark.slow
async def test_a_look_that_never_ends_gives_its_place_back() -> None:
    looks = make(Options(timeout=0.001, concurrency=1))
    ended = asyncio.Event()

    async def stuck(one: Target) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    looks.behaviour = stuck
    async with running(looks, fleet(1)) as scheduler:
        await looks.clock.advance(2)
        async with asyncio.timeout(40):
            await ended.wait()
        await looks.clock.advance(1)

    assert scheduler.stats.error_count == 1
    assert scheduler.stats.running_count == 0


async def test_a_reload_keeps_phase_and_pace_and_adds_and_removes() -> None:
    looks = make()
    first = [target("stays"), target("leaves"), target("moves")]

    async with running(looks, inventory(*first)) as scheduler:
        await looks.clock.advance(130)
        scheduler.use(
            inventory(
                target("stays", rollout_group="canary"),
                target("moves", "elsewhere.example"),
                target("comes"),
                Target(name="no-address", role=Role.DEVICE),
            )
        )
        left_at_s = looks.clock.monotonic()
        await looks.clock.advance(200)

    assert looks.gaps_s("stays")[1:] == pytest.approx([60.0] * 4, abs=0.2)
    assert max(looks.at_s["leaves"]) < left_at_s
    assert len(looks.at_s["comes"]) >= 4
    assert len([moment for moment in looks.at_s["moves"] if moment > left_at_s]) >= 4
    assert "no-address" not in looks.at_s
    assert sum(scheduler.stats.pace_counts.values()) == 3


async def test_a_reload_during_a_look_does_not_double_it() -> None:
    looks = make()
    looks.behaviour = looks.dead

    async with running(looks, inventory(target("stays"), target("leaves"))) as scheduler:
        await looks.clock.advance(3)
        assert sorted(looks.running) == ["leaves", "stays"]
        scheduler.use(inventory(target("stays")))
        await looks.clock.advance(60)

    assert len(looks.at_s["leaves"]) == 1
    assert len(looks.at_s["stays"]) >= 3


async def test_a_reload_with_another_interval_is_followed_at_once() -> None:
    looks = make()

    async with running(looks, fleet(3)) as scheduler:
        await looks.clock.advance(70)
        scheduler.use(fleet(3), Options(interval=10.0))
        assert scheduler.paces.normal_s == 10.0
        await looks.clock.advance(60)

    for name in looks.at_s:
        assert looks.gaps_s(name)[-4:] == pytest.approx([10.0] * 4, abs=0.2)


async def test_an_interval_changed_before_the_first_look_or_during_one_waits_for_its_end() -> None:
    looks = make(Options(interval=1_000.0))
    looks.behaviour = looks.dead

    async with running(looks, fleet(1)) as scheduler:
        scheduler.use(fleet(1), Options(interval=60.0))
        await looks.clock.advance(2)
        assert looks.running == ["dev-00000"]
        scheduler.use(fleet(1), Options(interval=30.0))
        await looks.clock.advance(60)

    assert looks.gaps_s("dev-00000")[-1] == pytest.approx(10.0, abs=0.2)


async def test_word_of_a_target_that_left_is_passed_over() -> None:
    looks = make()

    async with running(looks, fleet(1)) as scheduler:
        scheduler.note("nobody", failing=True, not_after=None)
        await looks.clock.advance(1)

    assert "nobody" not in looks.at_s


async def test_the_end_cancels_the_looks_that_run() -> None:
    looks = make()
    looks.behaviour = looks.dead

    async with running(looks, fleet(3)):
        await looks.clock.advance(1.5)
        assert looks.running

    assert looks.running == []
