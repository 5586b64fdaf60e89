"""Notices when the event loop does not get to run."""

from collections.abc import Callable
from dataclasses import dataclass, field

from exporter.clock import Clock, cpu_s

STALL_S = 0.05
_STEP_S = 0.02
_WINDOW_S = 300.0


@dataclass(slots=True, kw_only=True)
class Stalls:
    """The times when nothing else could run for more than 50 ms.

    Attributes:
        busy_count: Those of them in which the process itself used more than 50 ms of CPU. In the
            others it waited for a core, or for the disk.
        longest_s: In the five minutes that run and in the five before; 0 when there was none.
    """

    count: int = 0
    busy_count: int = 0
    longest_s: list[float] = field(default_factory=lambda: [0.0, 0.0])


class StallWatch:
    """Sleeps again and again, and sees how late it is woken.

    A stall is measured from the moment of waking, so it seems up to 20 ms shorter than it was.
    """

    def __init__(self, clock: Clock, used_s: Callable[[], float] = cpu_s) -> None:
        self.stats = Stalls()
        self._clock = clock
        self._used_s = used_s
        self._window_began_s = clock.monotonic()

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            due_s, used_s = self._clock.monotonic() + _STEP_S, self._used_s()
            await self._clock.sleep(_STEP_S)
            now_s = self._clock.monotonic()
            self._note(now_s - due_s, self._used_s() - used_s, now_s)

    def _note(self, late_s: float, used_s: float, now_s: float) -> None:
        longest = self.stats.longest_s
        if now_s - self._window_began_s >= _WINDOW_S:
            self._window_began_s = now_s
            longest[:] = [0.0, longest[0]]
        if late_s > STALL_S:
            self.stats.count += 1
            self.stats.busy_count += used_s > STALL_S
            longest[0] = max(longest[0], late_s)
