"""The machine's clock with a wall clock that a test can set forward: TLS stays real."""

from collections import Counter
from datetime import datetime, timedelta

from exporter.clock import SystemClock


class ShiftedClock(SystemClock):
    """Time passes as it does; ``shift`` lets more of it have passed.

    Attributes:
        slept: How often somebody slept for so many seconds: who works in a loop shows by it.
    """

    def __init__(self) -> None:
        self._by = timedelta()
        self.slept: Counter[float] = Counter()

    def now(self) -> datetime:
        return super().now() + self._by

    def shift(self, seconds: float) -> None:
        self._by += timedelta(seconds=seconds)

    async def sleep(self, seconds: float) -> None:
        self.slept[seconds] += 1
        await super().sleep(seconds)
