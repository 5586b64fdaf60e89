"""Judges would-be rollbacks afterwards: looks at their gateways until that can be done."""

import logging
from collections.abc import Awaitable, Callable

from exporter.clock import Clock, every
from exporter.errors import StoreError
from exporter.remediation.hands import Hands
from exporter.remediation.hindsight import Judgement, Trial, heard_since, judged
from exporter.remediation.model import Answer, Evidence
from exporter.remediation.records import Records
from exporter.remediation.stats import RemediationStats

log = logging.getLogger(__name__)

_LOOK_S = 60.0
_UNREADABLE = Judgement(
    ended_by_itself=Answer.UNKNOWN,
    forecast_held=Answer.UNKNOWN,
    detail="its decision is not in the journal any more, or of another version",
)


class Trials:
    """Looks again at what mode ``dry_run`` would have done.

    Args:
        evidence: All that is known of a gateway, looked at now.
    """

    def __init__(
        self,
        hands: Hands,
        records: Records,
        clock: Clock,
        stats: RemediationStats,
        *,
        evidence: Callable[[str], Awaitable[Evidence]],
    ) -> None:
        self._hands = hands
        self._records = records
        self._clock = clock
        self._stats = stats
        self._evidence = evidence

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        await every(_LOOK_S, self.look, self._clock)

    async def look(self) -> None:
        """Judge what can be judged, and count anew."""
        try:
            for trial in await self._records.pending_trials():
                await self._judge(trial)
            self._stats.score = await self._records.score()
        except StoreError as exc:
            log.warning("would-be rollbacks wait for the store: %s", exc)

    async def _judge(self, trial: Trial) -> None:
        case = await self._records.case(trial.decision_number)
        if case is None:
            found: Judgement | None = _UNREADABLE
        else:
            fresh = await self._evidence(trial.gateway)
            returned = self._hands.returned(trial.gateway, heard_since(case, fresh))
            found = judged(case, fresh, returned, now=self._clock.now())
        if found is None:
            return
        forecast = case.decision.forecast if case is not None else None
        await self._records.judge(trial, found, forecast, at=self._clock.now())
        log.warning(
            "the would-be rollback of %s (decision %d) was %s: %s",
            trial.gateway,
            trial.decision_number,
            found.verdict,
            found.detail,
        )
