"""Names by the moment at which something about them is due."""

import heapq
from datetime import datetime, timedelta

# A judge that gives a moment already past must not keep us busy for ever
_SOONEST = timedelta(seconds=1)


class Due:
    """At most one moment for each name; asking again for the same moment costs next to nothing."""

    def __init__(self) -> None:
        self._moments: dict[str, datetime] = {}
        self._heap: list[tuple[datetime, str]] = []

    def __len__(self) -> int:
        return len(self._moments)

    def set(self, name: str, at: datetime | None, *, now: datetime) -> None:
        """Make ``name`` due at ``at`` and at no other moment; None: at none."""
        if at is None:
            self._moments.pop(name, None)
            return
        moment = max(at, now + _SOONEST)
        if self._moments.get(name) == moment:
            return
        self._push(name, moment)

    def set_now(self, name: str, *, now: datetime) -> None:
        """Make ``name`` due at once."""
        self._push(name, now)

    def forget(self, name: str) -> None:
        """Make ``name`` never due."""
        self._moments.pop(name, None)

    def take(self, limit: int, *, now: datetime) -> list[str]:
        """Return at most ``limit`` names that are due, and forget their moments."""
        taken: list[str] = []
        while self._heap and self._heap[0][0] <= now and len(taken) < limit:
            moment, name = heapq.heappop(self._heap)
            if self._moments.get(name) == moment:
                del self._moments[name]
                taken.append(name)
        return taken

    def _push(self, name: str, moment: datetime) -> None:
        self._moments[name] = moment
        heapq.heappush(self._heap, (moment, name))
        if len(self._heap) > 64 + 4 * len(self._moments):  # mostly moments that were changed
            self._heap = [(at, known) for known, at in self._moments.items()]
            heapq.heapify(self._heap)
