import asyncio
from datetime import UTC, datetime

from exporter.clock import SystemClock
from exporter.metrics.stalls import StallWatch
from tests.fake_clock import FakeClock


class LateClock(FakeClock):
    """Wakes sleepers as late as the test says, as a busy event loop does."""

    def __init__(self) -> None:
        super().__init__(datetime(2026, 11, 24, tzinfo=UTC))
        self.late_s = 0.0

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds + self.late_s)


async def test_a_loop_that_runs_has_no_stalls() -> None:
    clock = LateClock()
    watch = StallWatch(clock)
    clock.late_s = 0.04

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(watch.run())
        await clock.advance(2, yields=3)
        task.cancel()

    assert (watch.stats.count, watch.stats.longest_s) == (0, [0.0, 0.0])


async def test_stalls_are_counted_and_the_longest_is_kept_for_a_while() -> None:
    clock = LateClock()
    watch = StallWatch(clock)

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(watch.run())
        await clock.advance(0.01, yields=3)
        clock.late_s = 0.3
        await clock.advance(0.4, yields=3)
        clock.late_s = 0.0
        await clock.advance(1, yields=3)
        seen = (watch.stats.count, round(max(watch.stats.longest_s), 6))
        await clock.advance(300, yields=2)
        kept = round(max(watch.stats.longest_s), 6)
        await clock.advance(301, yields=2)
        task.cancel()

    assert seen[0] >= 1
    assert seen[1] == kept == 0.3
    assert watch.stats.longest_s == [0.0, 0.0]


async def test_a_stall_is_its_own_doing_only_when_it_used_the_processor() -> None:
    clock = LateClock()
    used = iter([0.0, 0.04, 0.04, 0.1])  # before and after each of two sleeps
    watch = StallWatch(clock, lambda: next(used, 0.1))

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(watch.run())
        clock.late_s = 0.1
        await clock.advance(0.25, yields=3)
        task.cancel()

    assert (watch.stats.count, watch.stats.busy_count) == (2, 1)


async def test_a_real_stall_of_a_real_loop_is_seen() -> None:
    watch = StallWatch(SystemClock())
    clock = SystemClock()

    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        task = tasks.create_task(watch.run())
        await clock.sleep(0.05)
        end_s = clock.monotonic() + 0.2
        while clock.monotonic() < end_s:
            pass  # hold the loop
        while not watch.stats.count:
            await clock.sleep(0.01)
        task.cancel()

    assert max(watch.stats.longest_s) > 0.1
    assert watch.stats.busy_count <= watch.stats.count
