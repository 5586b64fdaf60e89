"""The days of a fleet's rotation in seconds.

In proportion is what lasts for days in a fleet: the overlap of 14 days, the week after which a
report says nothing any more, and how long devices are away. What takes hours or minutes there
(from one contact to the next, looks, retries, a handshake) takes more here than its share.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from exporter.clock import SystemClock
from exporter.demo.options import RotationTimes
from exporter.durations import format_duration
from tests.rotation.terminators import CAMPAIGN

# The ordinary run waits for day 9 of one phase only, the campaign for day 16 of the overlap too
DAY_S = 2.0 if CAMPAIGN else 1.0
OVERLAP_DAYS = 14
TIMES = RotationTimes(interval_s=0.3, soak_s=DAY_S / 10, overlap_s=OVERLAP_DAYS * DAY_S)
SECTIONS = {"trust_sync": {"stale_after": format_duration(7 * DAY_S)}}
_CLOCK = SystemClock()


@dataclass(frozen=True, slots=True)
class Days:
    """Counts days from a moment on."""

    begun: datetime

    @property
    def passed(self) -> float:
        return (_CLOCK.now() - self.begun).total_seconds() / DAY_S

    async def until(self, day: float) -> AsyncIterator[float]:
        """Yield the day that it is: at once, each half day, and last when ``day`` is there."""
        while (passed := self.passed) < day:
            yield passed
            await _CLOCK.sleep(min(0.5, day - passed) * DAY_S)
        yield passed


def from_now() -> Days:
    return Days(_CLOCK.now())


def of_overlap(end: str) -> Days:
    """Count the days of an overlap, of which the API tells the end."""
    return Days(datetime.fromisoformat(end) - timedelta(seconds=OVERLAP_DAYS * DAY_S))
