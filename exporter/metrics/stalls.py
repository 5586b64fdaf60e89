"""Notices when the event loop does not get to run."""

from dataclasses import dataclass, field

from exporter.clock import Clock

STALL_S = 0.05
_STEP_S = 0.02
_WINDOW_S = 300.0


@dataclass(slots=True, kw_only=True)
class Stalls:
    """The times when nothing else could run for more than 50 ms.

    Attributes:
        longest_s: In the five minutes that run and in the five before; 0 when there was none.
    """

    count: int = 0
    longest_s: list[float] = field(default_factory=lambda: [0.0, 0.0])


class StallWatch:
    """Sleeps again and again, and sees how late it is woken.

    A stall is measured from the moment of waking, so it seems up to 20 ms shorter than it was.
    """

    def __init__(self, clock: Clock) -> None:
        self.stats = Stalls()
        self._clock = clock
        self._window_began_s = clock.monotonic()

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            due_s = self._clock.monotonic() + _STEP_S
            await self._clock.sleep(_STEP_S)
            now_s = self._clock.monotonic()
            self._note(now_s - due_s, now_s)

    def _note(self, late_s: float, now_s: float) -> None:
        longest = self.stats.longest_s
        if now_s - self._window_began_s >= _WINDOW_S:
            self._window_began_s = now_s
            longest[:] = [0.0, longest[0]]
        if late_s > STALL_S:
            self.stats.count += 1
            longest[0] = max(longest[0], late_s)
