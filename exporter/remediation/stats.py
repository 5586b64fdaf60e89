"""What is shown of remediation in the metrics; a ``LineSource`` of the exposition."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from exporter.clock import Clock
from exporter.labels import label_value
from exporter.modes import Mode
from exporter.remediation.hindsight import Score
from exporter.remediation.intents import Ending, Hold, Intent, Stage
from exporter.remediation.model import Asker, Decision, Outcome, Refusal
from exporter.remediation.options import Options
from exporter.remediation.readiness import Readiness

_P = "fleet_tls_remediation_"
_HOUR = timedelta(hours=1)


class RemediationStats:
    """Counts since the start of this process; moments and holds as they are in the store."""

    def __init__(self, options: Callable[[], Options], clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._decisions = Counter(dict.fromkeys(Outcome, 0))
        self._refusals = Counter(dict.fromkeys(Refusal, 0))
        self._actions = Counter(dict.fromkeys(Ending, 0))
        self._holds: dict[str, datetime] = {}
        self._latest: dict[str, Intent] = {}
        self._refused: dict[str, bool] = {}
        self._automatic: dict[str, datetime] = {}
        self.score = Score()
        """How would-be rollbacks turned out."""
        self.ready: dict[str, Readiness] = {}
        """By gateway: whether the previous version could be served at once."""

    def restore(self, latest: Mapping[str, Intent], holds: Mapping[str, Hold]) -> None:
        """Take over what the store remembers."""
        for intent in latest.values():
            self._note(intent)
        self._holds = {gateway: hold.until for gateway, hold in holds.items()}

    def decided(self, decision: Decision) -> None:
        """Count a decision."""
        self._decisions[decision.outcome] += 1
        self._refusals.update(list(decision.refusals))

    def asked_about(self, gateways: Collection[str]) -> None:
        """Take note about which gateways alerts fire: whatever else was refused is over."""
        for gateway in self._refused.keys() - set(gateways):
            self._refused[gateway] = False

    def looked(self, decision: Decision) -> None:
        """Take note of what an alert's look came to, also where nothing new was decided."""
        self._refused[decision.gateway] = decision.is_left_to_a_person

    def intended(self, intent: Intent, hold: timedelta) -> None:
        """Take note of an action that began."""
        self._note(intent)
        self._holds[intent.identity.gateway] = intent.intended_at + hold

    def ended(self, intent: Intent) -> None:
        """Count how an action ended."""
        self._note(intent)
        if intent.stage is Stage.ENDED and intent.ending is not None:
            self._actions[intent.ending] += 1

    def held(self, gateway: str, until: datetime | None) -> None:
        """Take note that a gateway is held, or, with None, released."""
        if until is None:
            self._holds.pop(gateway, None)
        else:
            self._holds[gateway] = until

    def _note(self, intent: Intent) -> None:
        self._latest[intent.identity.gateway] = intent
        if intent.asker is Asker.AUTOMATION:
            self._automatic[intent.key] = intent.intended_at

    @property
    def budget_remaining(self) -> int:
        """How many automatic actions are allowed in the present hour."""
        since = self._clock.now() - _HOUR
        self._automatic = {key: at for key, at in self._automatic.items() if at > since}
        return max(0, self._options().max_actions_per_hour - len(self._automatic))

    @property
    def mode(self) -> Mode:
        """The mode in force: over budget, ``act`` is no more than ``dry_run``."""
        mode = self._options().mode
        return Mode.DRY_RUN if mode is Mode.ACT and not self.budget_remaining else mode

    @property
    def holds(self) -> Mapping[str, datetime]:
        """Until when gateways are held; those that are over are left out."""
        now = self._clock.now()
        return {gateway: until for gateway, until in self._holds.items() if until > now}

    def lines_of(self, family: str) -> Sequence[bytes]:
        """Return the sample lines of one family."""
        return [f"{family}{sample}\n".encode() for sample in self._samples(family)]

    def _samples(self, family: str) -> Iterable[str]:
        samples: Mapping[str, Iterable[str]] = {
            "mode": (f'{{mode="{mode}"}} {int(mode is self.mode)}' for mode in Mode),
            "rollback_ready": (
                f"{_at(name)} {int(it.is_ready)}" for name, it in sorted(self.ready.items())
            ),
            "served_version": (
                f"{_at(name)} {it.served_version}"
                for name, it in sorted(self.ready.items())
                if it.served_version is not None
            ),
            "decisions_total": _counted("outcome", self._decisions),
            "refusals_total": _counted("reason", self._refusals),
            "actions_total": _counted("outcome", self._actions),
            "hold_until_timestamp_seconds": _moments(self.holds),
            "last_action_timestamp_seconds": _moments(
                {name: intent.intended_at for name, intent in self._latest.items()}
            ),
            "last_action_outcome": _outcomes(self._latest),
            "refused": (
                f"{_at(name)} {int(is_so)}" for name, is_so in sorted(self._refused.items())
            ),
            "would_be_actions": _would_be(self.score),
            "budget_remaining": (f" {self.budget_remaining}",),
        }
        return samples.get(family.removeprefix(_P), ())


def _counted(
    label: str, counts: Mapping[Outcome, int] | Mapping[Refusal, int] | Mapping[Ending, int]
) -> Iterable[str]:
    return (f'{{{label}="{value}"}} {count}' for value, count in counts.items())


def _outcomes(latest: Mapping[str, Intent]) -> Iterable[str]:
    for name, intent in sorted(latest.items()):
        for ending in Ending:
            labels = f'gateway="{label_value(name)}",outcome="{ending}"'
            yield f"{{{labels}}} {int(intent.ending is ending)}"


def _would_be(score: Score) -> Iterable[str]:
    yield f'{{verdict="pending"}} {score.pending_count}'
    for verdict, count in score.counts.items():
        yield f'{{verdict="{verdict}"}} {count}'


def _moments(moments: Mapping[str, datetime]) -> Iterable[str]:
    return (f"{_at(name)} {at.timestamp()}" for name, at in sorted(moments.items()))


def _at(gateway: str) -> str:
    return f'{{gateway="{label_value(gateway)}"}}'
