"""A clock that moves only when a test says so."""

import asyncio
import heapq
from datetime import UTC, datetime, timedelta


class FakeClock:
    """Wall and monotonic time under a test's control; sleepers wake in order."""

    def __init__(self, now: datetime | None = None) -> None:
        self._now = now or datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
        self._monotonic = 1000.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    @property
    def is_slept_by(self) -> bool:
        """Whether somebody waits for time to pass."""
        return bool(self._sleepers)

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._sleepers, (self._monotonic + seconds, self._count, future))
        await future

    def jump_wall(self, by: timedelta) -> None:
        """Set the wall clock as an administrator or NTP would; monotonic time stays."""
        self._now += by

    async def advance(self, seconds: float, *, yields: int = 20) -> None:
        """Let ``seconds`` pass, waking each sleeper at its moment."""
        end = self._monotonic + seconds
        while True:
            for _ in range(yields):
                await asyncio.sleep(0)
            if not self._sleepers or self._sleepers[0][0] > end:
                break
            due, _, future = heapq.heappop(self._sleepers)
            self._now += timedelta(seconds=due - self._monotonic)
            self._monotonic = due
            if not future.done():
                future.set_result(None)
        self._now += timedelta(seconds=end - self._monotonic)
        self._monotonic = end
