"""How late looks start; plain numbers that metrics are made of."""

import math
from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, field

BUCKETS_S = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_RECENT = 4096


def _no_counts() -> list[int]:
    return [0] * (len(BUCKETS_S) + 1)


def _no_lags() -> deque[float]:
    return deque(maxlen=_RECENT)


@dataclass(slots=True, kw_only=True)
class Lag:
    """The delays between a look's own moment and its start, in seconds.

    Attributes:
        counts: Looks by the bucket of ``BUCKETS_S`` they fall in; the last one is all above.
        total_s: Their sum.
        recent_s: The latest 4,096.
        missed_count: Moments passed over because the look before had not ended by then.
    """

    counts: list[int] = field(default_factory=_no_counts)
    total_s: float = 0.0
    recent_s: deque[float] = field(default_factory=_no_lags)
    missed_count: int = 0

    def add(self, lag_s: float) -> None:
        """Count one look."""
        self.counts[bisect_left(BUCKETS_S, lag_s)] += 1
        self.total_s += lag_s
        self.recent_s.append(lag_s)

    def quantile_s(self, share: float) -> float | None:
        """Return the delay that ``share`` of the latest looks did not exceed; None: no look."""
        if not self.recent_s:
            return None
        ranked = sorted(self.recent_s)
        return ranked[max(0, math.ceil(share * len(ranked)) - 1)]
