"""What the drill has seen, and when; pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    at: datetime
    text: str


@dataclass(slots=True, kw_only=True)
class Timeline:
    """Seconds since the bad certificate was served."""

    began_at: datetime
    steps: dict[str, Step] = field(default_factory=dict)

    def note(self, key: str, at: datetime, text: str) -> None:
        """Keep the first time that something was seen."""
        self.steps.setdefault(key, Step(at=at, text=text))

    def seconds(self, key: str) -> float:
        return (self.steps[key].at - self.began_at).total_seconds()

    def lines(self) -> Iterable[str]:
        for step in sorted(self.steps.values(), key=lambda one: one.at):
            yield f"{(step.at - self.began_at).total_seconds():6.1f} s  {step.text}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How the drill ended.

    Attributes:
        delivered_s: From the bad certificate being served to the page in the receiver's hands.
        unforeseen: Alerts that the runbook of the outage does not name.
        alerts: By name, how many there were.
    """

    timeline: Timeline
    delivered_s: float
    unforeseen: frozenset[str]
    alerts: Mapping[str, int]
    limit_s: float

    @property
    def is_good(self) -> bool:
        return self.delivered_s < self.limit_s and not self.unforeseen

    def lines(self) -> Iterable[str]:
        yield from self.timeline.lines()
        yield ""
        counts = ", ".join(f"{name} {count}" for name, count in sorted(self.alerts.items()))
        yield f"alerts: {counts}"
        yield f"not named by the runbook: {', '.join(sorted(self.unforeseen)) or 'none'}"
        verdict = "in time" if self.delivered_s < self.limit_s else "TOO LATE"
        yield (
            f"from the bad certificate to the page: {self.delivered_s:.1f} s"
            f" (limit {self.limit_s:g} s): {verdict}"
        )
