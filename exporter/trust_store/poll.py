"""Asks one management API for the devices' reports, again and again."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from exporter.clock import Clock
from exporter.gateway.api import GatewayError, GatewayReason, TrustStatus
from exporter.targets.model import phase_of
from exporter.trust_store.merge import Ignored

log = logging.getLogger(__name__)

INTERNAL = "internal"
"""The reason of a failure that is our own bug."""
FAILURES: tuple[str, ...] = (*(reason.value for reason in GatewayReason), INTERNAL)

# All pages of an answer together; each request has a limit of its own
_POLL_S = 300.0
_LONGEST_PAUSE_S = 3_600.0

Take = Callable[[str, TrustStatus, float | None], Awaitable[Counter[Ignored]]]
"""Is told an API's name, its answer and the offset of its clock; returns what it ignored."""


class Asked(Protocol):
    """As much of a management API as is asked here; see ``ManagementApi``."""

    @property
    def name(self) -> str:
        """The name in the configuration."""
        ...

    @property
    def clock_offset_s(self) -> float | None:
        """Our clock minus the API's; None: not known."""
        ...

    async def trust_status(self) -> TrustStatus:
        """Return what each device said it trusts, or raise GatewayError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Polled:
    """A management API, and how often it is asked."""

    api: Asked
    interval_s: float


@dataclass(slots=True, kw_only=True)
class PollStats:
    """How asking goes.

    Attributes:
        failure_counts: By a member of ``FAILURES``.
        ignored_counts: Entries of good answers that were not taken.
        last_success_at: When an answer was last good; None: never.
        total: The platform's own count of devices in it, ``complete`` of updated ones.
        fault: Why the last one was not; empty when it was.
    """

    attempt_count: int = 0
    failure_counts: Counter[str] = field(default_factory=Counter)
    ignored_counts: Counter[Ignored] = field(default_factory=Counter)
    last_success_at: datetime | None = None
    total: int | None = None
    complete: int | None = None
    fault: str = ""


class Poller:
    """Asks one API at its own steady moments; whatever it answers, the loop goes on."""

    def __init__(
        self,
        polled: Polled,
        stats: PollStats,
        clock: Clock,
        take: Take,
        at_once: asyncio.Semaphore,
    ) -> None:
        """``at_once`` bounds how many are asked at the same time."""
        self.polled = polled
        self._stats = stats
        self._clock = clock
        self._take = take
        self._at_once = at_once

    async def run(self, first_s: float) -> None:
        """Ask until cancelled, for the first time after ``first_s``."""
        await self._clock.sleep(first_s)
        while True:
            pause_s = await self.ask()
            await self._clock.sleep(max(pause_s, self._until_next_s()))

    async def ask(self) -> float:
        """Ask once; return for how many seconds at least the API wants to be left alone."""
        api = self.polled.api
        self._stats.attempt_count += 1
        try:
            async with self._at_once, asyncio.timeout(_POLL_S):
                status = await api.trust_status()
            self._stats.ignored_counts += await self._take(api.name, status, api.clock_offset_s)
        except GatewayError as exc:
            self._note_failure(exc.reason.value, str(exc))
            return min(exc.retry_after_s or 0.0, _LONGEST_PAUSE_S)
        except TimeoutError:
            self._note_failure(GatewayReason.TIMEOUT.value, f"no answer within {_POLL_S:.0f} s")
        except Exception as exc:
            log.exception("asking for trust reports failed: api=%s", api.name)
            self._note_failure(INTERNAL, f"{type(exc).__name__}; see the log")
        else:
            self._note_success(status)
        return 0.0

    def _note_success(self, status: TrustStatus) -> None:
        if self._stats.fault:
            log.info("trust reports are answered again: api=%s", self.polled.api.name)
        self._stats.fault = ""
        self._stats.last_success_at = self._clock.now()
        self._stats.total, self._stats.complete = status.total, status.complete

    def _note_failure(self, reason: str, sentence: str) -> None:
        self._stats.failure_counts[reason] += 1
        if self._stats.fault != sentence:
            log.warning(
                "no trust reports, the last good ones stay: api=%s %s",
                self.polled.api.name,
                sentence,
            )
        self._stats.fault = sentence

    def _until_next_s(self) -> float:
        """Return the time to the API's own moment, which a restart does not move."""
        interval_s = self.polled.interval_s
        phase_s = phase_of(self.polled.api.name, interval_s)
        left_s = interval_s - (self._clock.now().timestamp() - phase_s) % interval_s
        # A sleep that ended a little early must not make two questions of one
        return left_s if left_s > interval_s / 2 else left_s + interval_s
