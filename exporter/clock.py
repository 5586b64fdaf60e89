"""The only module that asks for the time; everything else is handed a ``Clock``."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Protocol

log = logging.getLogger(__name__)


class Clock(Protocol):
    """Where time comes from."""

    def now(self) -> datetime:
        """Return the wall clock's moment, aware, UTC. It may jump."""
        ...

    def monotonic(self) -> float:
        """Return seconds from an arbitrary start; never goes back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after ``seconds``; at once when they are not positive."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """Return the wall clock's moment, aware, UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds of the monotonic clock."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Sleep in the event loop."""
        await asyncio.sleep(max(0.0, seconds))


def cpu_s() -> float:
    """Return the CPU seconds that this process has used, all threads together."""
    return time.process_time()


async def every(interval_s: float, tick: Callable[[], Awaitable[None]], clock: Clock) -> None:
    """Run ``tick`` until cancelled; one bad tick is logged and does not end the loop."""
    while True:
        try:
            await tick()
        except Exception:
            log.exception("tick failed")
        await clock.sleep(interval_s)
