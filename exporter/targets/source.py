"""What one source of targets says, and how it is doing."""

import logging
from dataclasses import dataclass, replace
from datetime import datetime

from exporter.targets.groups import Groups
from exporter.targets.model import Dropped, Target

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceStats:
    """How one source is doing.

    Attributes:
        name: ``static``, a file's path, a pattern that could not be listed, or a URL.
        ok: The latest look worked. Else the entries are the last good ones, if there were any.
        last_success_at: When the entries in use were last known to be current; None: never.
        entry_count: Its targets in the inventory.
        dropped_count: Its entries that are not, those dropped in merging (a name that is taken,
            a gateway that is not there) included.
        problem: Why it is not ok; empty when it is.
    """

    name: str
    ok: bool
    last_success_at: datetime | None
    entry_count: int
    dropped_count: int
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one source says now; see ``SourceStats``."""

    name: str
    ok: bool = False
    last_success_at: datetime | None = None
    problem: str = ""
    targets: tuple[Target, ...] = ()
    dropped: tuple[Dropped, ...] = ()
    dropped_count: int = 0

    def stats(self, dropped_count: int) -> SourceStats:
        """Return how the source is doing when so many of its entries were dropped in all."""
        return SourceStats(
            name=self.name,
            ok=self.ok,
            last_success_at=self.last_success_at,
            entry_count=len(self.targets) - (dropped_count - self.dropped_count),
            dropped_count=dropped_count,
            problem=self.problem,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Handed:
    """A source's last good text and when it was current; outlives a reload."""

    body: bytes
    at: datetime


class SourceState:
    """One source's last good text and latest reading; logs when it begins and ceases to fail."""

    def __init__(self, name: str) -> None:
        self.reading = Reading(name=name, problem="it was not looked at yet")
        self._body: bytes | None = None
        self._failing = False

    @property
    def handed(self) -> Handed | None:
        """The last good text; None before there was one."""
        at = self.reading.last_success_at
        return None if self._body is None or at is None else Handed(body=self._body, at=at)

    def succeed(self, at: datetime, body: bytes, groups: Groups) -> None:
        """Take over a usable text."""
        self._body = body
        self.reading = Reading(
            name=self.reading.name,
            ok=True,
            last_success_at=at,
            targets=groups.targets,
            dropped=groups.dropped,
            dropped_count=groups.dropped_count,
        )
        self._log_recovery()

    def confirm(self, at: datetime) -> None:
        """Take note that the last good text is still what the source says."""
        self.reading = replace(self.reading, ok=True, last_success_at=at, problem="")
        self._log_recovery()

    def fail(self, problem: str) -> None:
        """Keep the last good entries and say why they are not current."""
        self.reading = replace(self.reading, ok=False, problem=problem)
        if not self._failing:
            self._failing = True
            log.warning(
                "targets cannot be read, the last good ones stay source=%s targets=%d reason=%s",
                self.reading.name,
                len(self.reading.targets),
                problem,
            )

    def lose(self, problem: str) -> None:
        """Let the entries go, because the source itself is gone."""
        self._body = None
        self.reading = Reading(
            name=self.reading.name, last_success_at=self.reading.last_success_at
        )
        self.fail(problem)

    def _log_recovery(self) -> None:
        if self._failing:
            self._failing = False
            count = len(self.reading.targets)
            log.info("targets can be read again source=%s targets=%d", self.reading.name, count)
