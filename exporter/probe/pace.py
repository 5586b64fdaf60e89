"""How often a target is looked at, and at which moments; pure."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Self

from exporter.probe.options import Options


class Pace(StrEnum):
    """How often a target is looked at."""

    NORMAL = "normal"
    FAST = "fast"
    SLOW = "slow"


@dataclass(frozen=True, slots=True, kw_only=True)
class Paces:
    """The seconds between two looks, by pace, and when each applies."""

    normal_s: float
    fast_s: float
    slow_s: float
    dead_after_s: float
    expiry_near: timedelta

    @classmethod
    def of(cls, options: Options) -> Self:
        """Return the paces that ``options`` ask for."""
        normal_s = options.interval
        fast_s = options.failing_interval
        slow_s = options.dead_interval
        return cls(
            normal_s=normal_s,
            fast_s=min(normal_s, max(5.0, normal_s / 3)) if fast_s is None else fast_s,
            slow_s=5 * normal_s if slow_s is None else slow_s,
            dead_after_s=options.dead_after,
            expiry_near=timedelta(seconds=options.expiry_near),
        )

    def seconds(self, pace: Pace) -> float:
        """Return the seconds between two looks at ``pace``."""
        by_pace = {
            Pace.NORMAL: self.normal_s,
            Pace.FAST: self.fast_s,
            Pace.SLOW: self.slow_s,
        }
        return by_pace[pace]


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What the looks at a target told.

    Attributes:
        failing_since_s: Monotonic moment since when all looks failed; None: the last was good,
            or there was none.
        answers: The last look was answered with a chain, good or bad. None: no look yet.
        not_after: End of the leaf; None: not known.
    """

    failing_since_s: float | None = None
    answers: bool | None = None
    not_after: datetime | None = None


def pace_of(health: Health, paces: Paces, *, now: datetime, now_s: float) -> Pace:
    """Return how often to look at a target from now on.

    What fails is looked at faster, for ``dead_after_s`` at most: then slower where nothing
    answers, at the normal pace where a chain is sent that is bad all the same. Near the leaf's
    end, before and after, looks are faster too.
    """
    if health.failing_since_s is not None:
        if now_s - health.failing_since_s < paces.dead_after_s:
            return Pace.FAST
        if not health.answers:
            return Pace.SLOW
    if health.not_after is not None and abs(health.not_after - now) < paces.expiry_near:
        return Pace.FAST
    return Pace.NORMAL


def next_moment(phase: float, period_s: float, *, after_s: float) -> float:
    """Return the target's first own moment later than ``after_s``.

    Its moments are ``(phase + k) * period_s`` for whole numbers k; ``phase`` is in ``[0, 1)``.
    """
    count = math.floor(after_s / period_s - phase) + 1
    moment = (count + phase) * period_s
    # floats: a moment may come out equal to the one that has just been
    return moment if moment > after_s else (count + 1 + phase) * period_s


def first_spread_s(count: int, interval_s: float) -> float:
    """Return the seconds over which ``count`` targets never looked at are looked at.

    A hundred in a second, or all in one interval where that is faster.
    """
    return min(interval_s, max(1.0, count / 100))
