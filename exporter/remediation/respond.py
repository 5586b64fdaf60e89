"""Answers alerts and persons: looks, decides, has it carried out; one arbiter for each gateway.

An alert is only the reason to look. While one fires its gateway is looked at again and again,
with growing pauses; what is decided is kept when it differs from what was decided before.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from datetime import timedelta

from exporter.clock import Clock, every
from exporter.errors import ExporterError, StoreError
from exporter.remediation.carry_out import CarryOut
from exporter.remediation.codec import Case, decided
from exporter.remediation.decide import Question
from exporter.remediation.hands import Hands
from exporter.remediation.intents import Intent, Stage, TakenError, TakenUpError
from exporter.remediation.model import AlertState, Asker, Decision, Evidence, Outcome
from exporter.remediation.options import Options
from exporter.remediation.records import Past, Records
from exporter.remediation.stats import RemediationStats
from exporter.remediation.switch import Switch
from exporter.remediation.waiting import Waiting
from exporter.webhook.inbox import Inbox

log = logging.getLogger(__name__)

_FIRST_PAUSE_S = 10.0
_LONGEST_PAUSE_S = 300.0
_TICK_S = 5.0
_AGAIN_S = 5.0
_RENEW_S = 3.0


class BusyError(ExporterError):
    """Somebody else is deciding about this gateway at this moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """A decision and its number in the journal, by which it is explained."""

    case: Case
    number: int

    @property
    def decision(self) -> Decision:
        """What was decided."""
        return self.case.decision


@dataclass(slots=True, kw_only=True)
class _Watch:
    """A gateway about which an alert fires."""

    pause_s: float = _FIRST_PAUSE_S
    next_s: float = 0.0


class Responder:
    """The part of the service that responds.

    Args:
        options: The section in force.
    """

    def __init__(
        self,
        inbox: Inbox,
        records: Records,
        hands: Hands,
        clock: Clock,
        *,
        options: Callable[[], Options],
    ) -> None:
        self._inbox = inbox
        self._records = records
        self._hands = hands
        self._clock = clock
        self._options = options
        self.switch = Switch(records, options)
        self.stats = RemediationStats(options, clock)
        self._carry_out = CarryOut(
            records, hands, clock, options=options, why_stopped=self.switch.why_stopped
        )
        self._waiting = Waiting(self._carry_out, records, hands, clock, options=options)
        self._leases = records.leases(clock)
        self._has_lost = False
        self._watched: dict[str, _Watch] = {}
        self._deciding: set[str] = set()
        self._tasks = asyncio.TaskGroup()
        self.last: dict[str, Decided] = {}
        """The last decision about each gateway."""

    async def run(self) -> None:
        """Take up what a crash left, then answer alerts, until cancelled."""
        async with self._tasks:
            await self._resume()
            self._tasks.create_task(every(_RENEW_S, self._look_at_leases, self._clock))
            while True:
                try:
                    await self.look_at_asked()
                except StoreError as exc:
                    log.warning("alerts wait for the store: %s", exc)
                except Exception:
                    log.exception("alerts could not be looked at")
                await self._wait()

    async def _resume(self) -> None:
        """Take up whatever has no end: a start is the end of whoever was at work before.

        Where it is not, and another process works, that one notices and leaves it to us.
        """
        is_done = False
        while not is_done:
            try:
                await self._remember()
                for intent in await self._records.unfinished():
                    await self._take_up(intent)
                is_done = True
            except StoreError as exc:
                log.warning("remediation waits for the store: %s", exc)
                await self._clock.sleep(_AGAIN_S)

    async def _remember(self) -> None:
        self.stats.restore(await self._records.latest(), await self._records.holds())

    async def _take_up(self, intent: Intent) -> None:
        taken = await self._leases.take(intent, at=self._clock.now())
        if taken is not None:
            log.warning(
                "taking up %s, which was %s, as operation %d",
                taken.key, taken.stage, taken.operation_number,
            )  # fmt: skip
            self._begin(taken)

    async def _look_at_leases(self) -> None:
        """Renew ours; take up what nobody works on any more; learn what others have ended."""
        before = self._leases.others
        try:
            for intent in await self._leases.run_out():
                await self._take_up(intent)
            if self._has_lost or self._leases.others != before:
                await self._remember()
                self._has_lost = False
        except StoreError as exc:
            log.warning("leases wait for the store: %s", exc)

    async def _wait(self) -> None:
        """Return when something new was delivered, or after a tick."""
        waits = [
            self._tasks.create_task(self._clock.sleep(_TICK_S)),
            self._tasks.create_task(self._until_asked()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        self._inbox.asked.clear()

    async def _until_asked(self) -> None:
        await self._inbox.asked.wait()

    # Alerts

    async def look_at_asked(self) -> None:
        """Look at each gateway that alerts ask for and whose time has come.

        Raises:
            StoreError: the store cannot be used; what was asked is asked again.
        """
        pending = await self._inbox.pending()
        for asked in pending:
            self._watched.pop(asked.gateway, None)  # something new: look at once
        firing = await self._inbox.firing_gateways()
        self._watched = {name: self._watched.get(name) or _Watch() for name in sorted(firing)}
        self.stats.asked_about(self._watched)
        for gateway, watch in self._watched.items():
            if self._clock.monotonic() >= watch.next_s:
                await self._look(gateway)
                watch.next_s = self._clock.monotonic() + watch.pause_s
                watch.pause_s = min(2 * watch.pause_s, _LONGEST_PAUSE_S)
        await self._look_at_left_out()
        for asked in pending:
            await self._inbox.mark(asked)

    async def _look_at_left_out(self) -> None:
        """Look once at what alerts were left out about, by what we know ourselves."""
        if self._inbox.take_truncated():
            for gateway in self._hands.refused():
                if gateway not in self._watched:
                    await self._look(gateway)

    async def _look(self, gateway: str) -> None:
        try:
            await self.ask(gateway, AlertState.FIRING, Question())
        except (BusyError, TakenError) as exc:
            log.info("the alert about %s waits: %s", gateway, exc)
        except StoreError:
            raise
        except Exception:
            log.exception("%s could not be looked at; the others are", gateway)

    def alert_about(self, gateway: str) -> AlertState:
        """Return whether an alert about ``gateway`` fires, as of the last time it was asked."""
        return AlertState.FIRING if gateway in self._watched else AlertState.RESOLVED

    def is_asked_about(self, gateway: str) -> bool:
        """Return whether an alert about ``gateway`` fires, or it is being decided about."""
        return gateway in self._watched or gateway in self._deciding

    # Decisions

    async def ask(
        self, gateway: str, alert: AlertState, question: Question, *, by: str = ""
    ) -> Decided:
        """Decide about ``gateway`` on fresh evidence, and have done what is decided.

        Returns once it is durable; what is begun goes on by itself. ``by``: the person who asks.

        Raises:
            BusyError: somebody else is deciding about it.
            TakenError: the same was intended in the meantime.
            StoreError: the store cannot be used; nothing was begun.
        """
        if gateway in self._deciding:
            raise BusyError(f"{gateway} is being decided about at this moment; try again")
        self._deciding.add(gateway)
        try:
            evidence = await self.evidence(gateway, alert)
            case = decided(evidence, self._options(), now=self._clock.now(), question=question)
            return await self._settle(case, by)
        finally:
            self._deciding.discard(gateway)

    async def evidence(self, gateway: str, alert: AlertState) -> Evidence:
        """Return all that is known of ``gateway``, looked at now.

        Raises:
            StoreError: the store cannot be read.
        """
        gathered = await self._hands.gather(gateway, alert)
        # Last, so that nothing can have begun between this and the intent but by another process
        past = await self._records.past(gateway, now=self._clock.now())
        killed = True if past.is_killed else await self.switch.is_killed()
        known = {field.name: getattr(past, field.name) for field in fields(Past)}
        return replace(
            gathered,
            **{**known, "is_killed": killed},
            alerts_offset_at_most_s=self._inbox.clock_offset_at_most_s(),
        )

    async def _settle(self, case: Case, by: str) -> Decided:
        gateway = case.evidence.gateway
        before = self.last.get(gateway)
        if case.question.asker is Asker.AUTOMATION:
            self.stats.looked(case.decision)
        if case.decision.outcome is Outcome.ROLLBACK:
            hold = timedelta(seconds=case.options.hold)
            intent = await self._records.intend(case, hold=hold, by=by)
            number = intent.decision_number
            self.stats.intended(intent, hold)
            self._begin(intent)
        elif before is None or _gist(before.case) != _gist(case):
            number = (await self._records.note_decision(case)).number
        else:
            return before
        self.last[gateway] = made = Decided(case=case, number=number)
        self.stats.decided(case.decision)
        log.warning("decision %d about %s: %s", number, gateway, case.decision.sentence)
        return made

    # Actions

    def _begin(self, intent: Intent) -> None:
        self._tasks.create_task(self._act(intent))

    async def _act(self, intent: Intent) -> None:
        """Bring ``intent`` to its end, whatever happens on the way."""
        pause_s = _AGAIN_S
        while intent.stage is not Stage.ENDED:
            try:
                if intent.stage is Stage.INTENDED:
                    intent = await self._carry_out.serve(intent)
                else:
                    intent = await self._waiting.until_back(intent)
                continue
            except TakenUpError as exc:
                log.warning("%s; it is left to that one", exc)
                self._has_lost = True
                return
            except StoreError as exc:
                log.error("%s waits for the store: %s", intent.key, exc)  # noqa: TRY400 - it says what is wrong
            except Exception:
                log.exception("%s met a fault; it is taken up again by looking", intent.key)
            await self._clock.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        self.stats.ended(intent)


def _gist(case: Case) -> object:
    """Return what makes a decision worth another entry: not each look at the same state."""
    decision = case.decision
    return (
        decision.outcome, frozenset(decision.refusals), decision.identity, decision.plan_hash,
        case.question.asker,
    )  # fmt: skip
