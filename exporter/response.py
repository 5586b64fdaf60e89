"""The responding part of the service: deliveries, decisions and actions on one store."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import timedelta

from exporter.clock import Clock, every
from exporter.errors import StoreError
from exporter.fleet_page.remedies import Remedies
from exporter.journal import prune
from exporter.opening import opened
from exporter.remediation.hands import Hands
from exporter.remediation.model import AlertState
from exporter.remediation.options import Options
from exporter.remediation.records import Records
from exporter.remediation.respond import Responder
from exporter.remediation.trials import Trials
from exporter.remediation.way_back import WayBack
from exporter.store import Store
from exporter.web.alerts import Alerts, Askers
from exporter.web.remediation import RemediationApi
from exporter.web.server import Opened, Route
from exporter.webhook.inbox import Inbox, forget
from exporter.webhook.stats import WebhookStats

_PRUNE_S = 3_600.0
_KEPT = timedelta(days=400)
"""So long the journal tells of what was done: an audit asks for a year."""


class Response:
    """Webhook, arbiter and what they remember; a ``LineSource`` of the exposition.

    Args:
        options: The section ``remediation`` in force; ``askers`` and ``gateways`` likewise.
    """

    def __init__(
        self,
        store: Store,
        hands: Hands,
        clock: Clock,
        *,
        options: Callable[[], Options],
        askers: Callable[[], Askers],
        gateways: Callable[[], Collection[str]],
    ) -> None:
        self._store = store
        self._clock = clock
        self.is_open = asyncio.Event()
        """The store can be used."""
        self._inbox = Inbox(store, clock)
        self._deliveries = WebhookStats(self._inbox.clock_offset_at_most_s)
        self._alerts = Alerts(self._inbox, self._deliveries, askers=askers, gateways=gateways)
        self.records = Records(store)
        self.responder = Responder(self._inbox, self.records, hands, clock, options=options)
        self.way_back = WayBack(
            hands,
            self.records,
            clock,
            self.responder.stats,
            options=options,
            evidence=lambda name: self.responder.evidence(name, AlertState.NONE),
            gateways=gateways,
            is_asked_for=self.responder.is_asked_about,
        )

        self.trials = Trials(
            hands,
            self.records,
            clock,
            self.responder.stats,
            evidence=lambda name: self.responder.evidence(name, AlertState.NONE),
        )

    def routes(self) -> Iterable[Route]:
        """Return the endpoints; each checks its own credential."""
        return self._alerts.routes()

    def endpoints(self) -> Iterable[Opened]:
        """Return the API."""
        return RemediationApi(self.responder, self.way_back, self.records, self._clock).endpoints()

    def lines_of(self, family: str) -> Sequence[bytes]:
        """Return the sample lines of one family."""
        return self._deliveries.lines_of(family) or self.responder.stats.lines_of(family)

    async def remedies(self) -> Remedies:
        """Return what was done, would be done and why, for the pages."""
        stats = self.responder.stats
        try:
            intents, score = await self.records.latest(), await self.records.score()
            is_stopped = await self.responder.switch.is_killed()
        except StoreError as exc:
            # Before the store is open, or while it cannot be read
            fault = str(exc) if self.is_open.is_set() else ""
            return Remedies(mode=stats.mode, fault=fault)
        return Remedies(
            mode=stats.mode,
            is_stopped=is_stopped,
            decisions={
                name: (decided.number, decided.case)
                for name, decided in self.responder.last.items()
            },
            intents=intents,
            holds=dict(stats.holds),
            ready=dict(stats.ready),
            score=score,
            budget=stats.budget_remaining,
        )

    async def run(self) -> None:
        """Take deliveries and respond, until cancelled."""
        async with opened(self._store, self._clock, what="deliveries"):
            self.is_open.set()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._inbox.run())
                tasks.create_task(self.responder.run())
                tasks.create_task(self.way_back.run())
                tasks.create_task(self.trials.run())
                tasks.create_task(every(_PRUNE_S, self._prune, self._clock))

    async def busy(self) -> frozenset[str]:
        """Return the gateways that an action is under way at, or that are held.

        Raises:
            StoreError: it is not known.
        """
        unfinished = await self.records.unfinished()
        holds, now = await self.records.holds(), self._clock.now()
        return frozenset(
            {
                *(one.identity.gateway for one in unfinished),
                *(name for name, hold in holds.items() if hold.until > now),
            }
        )

    async def _prune(self) -> None:
        """Let the past go, but nothing that is unfinished needs."""
        needed = [one.decision_number for one in await self.records.unfinished()]
        needed += [one.decision_number for one in await self.records.pending_trials()]
        keep_from = min(needed, default=None)
        now = self._clock.now()
        async with self._store.writing() as connection:
            await prune(connection, before=now - _KEPT, keep_from=keep_from, at=now)
            await forget(connection, now=now)
