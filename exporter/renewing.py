"""Renews certificates that live for weeks, under the same CA, before they end: by rotations.

Nothing here changes a gateway: it starts rotations of one gateway each, which go their own way,
gate by gate, and are resumed with growing pauses where they failed.
"""

import logging
from collections.abc import Callable, Mapping

from exporter.clock import Clock
from exporter.errors import ExporterError, StoreError
from exporter.modes import Mode
from exporter.rotation.model import Consent
from exporter.rotation.options import Options
from exporter.rotation.planning import Wish
from exporter.rotation.records import Records, Rotation, with_marks
from exporter.rotation.renewal import (
    Renewal,
    RenewalState,
    again_at,
    is_only_to_be_proven,
    is_stuck,
    most_at_once,
    renewal_of,
)
from exporter.rotation.rotate import Rotator
from exporter.rotation_hands import RotationHands

log = logging.getLogger(__name__)

BY = "automatic renewal"


class Renewals:
    """Starts renewals in time, a few at once.

    Attributes:
        found: Where each gateway's renewal is, as of the last look; those whose certificates
            live long are missing.
        faults: Why a renewal that is due could not be started, by gateway.
    """

    def __init__(
        self,
        rotator: Rotator,
        records: Records,
        hands: RotationHands,
        clock: Clock,
        *,
        options: Callable[[], Options],
    ) -> None:
        self._rotator = rotator
        self._records = records
        self._hands = hands
        self._clock = clock
        self._options = options
        self.found: Mapping[str, Renewal] = {}
        self.faults: dict[str, str] = {}

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                await self.tick()
            except StoreError as exc:
                log.warning("renewals wait for the store: %s", exc)
            except Exception:
                log.exception("renewals could not be looked at")
            await self._clock.sleep(self._options().interval)

    async def tick(self) -> None:
        """Find what is due, and, with ``mode: act``, start it or try it again.

        Raises:
            StoreError: the store cannot be used; nothing was begun.
        """
        rotations = await self._records.open()
        taken = {gateway.name for one in rotations for gateway in one.plan.gateways}
        stopped, now, options = await self._records.stopped(), self._clock.now(), self._options()
        leaves = self._hands.leaves()
        renewals = (
            renewal_of(name, leaf, taken=taken, stopped=stopped, now=now, options=options)
            for name, leaf in leaves.items()
        )
        self.found = {one.gateway: one for one in renewals if one is not None}
        self.faults = {name: said for name, said in self.faults.items() if name in self.found}
        if options.mode is Mode.ACT:
            automatic = [one for one in rotations if one.marks.is_automatic]
            await self._go_on(automatic)
            await self._begin(automatic, most=most_at_once(len(leaves), options))

    async def _go_on(self, automatic: list[Rotation]) -> None:
        now = self._clock.now()
        for one in automatic:
            plan, marks = one.plan, one.marks
            is_due = is_stuck(plan, marks) and not marks.is_paused and not marks.is_aborting
            if is_due and now >= again_at(plan, marks, started_at=one.started_at):
                await self._rotator.resume(plan.id, by=BY)

    async def _begin(self, automatic: list[Rotation], *, most: int) -> None:
        if any(is_stuck(one.plan, one.marks) for one in automatic):
            return  # what made one fail may make all fail
        busy = [one for one in automatic if not is_only_to_be_proven(one.plan, one.marks)]
        room = most - len(busy)
        due = sorted(self.found.values(), key=lambda one: (one.expires_at, one.gateway))
        for renewal in due:
            if room <= 0:
                return
            if renewal.state is RenewalState.DUE and await self._start(renewal):
                room -= 1
            elif renewal.state is RenewalState.UNDER_WAY:
                await self._make_room(renewal, automatic)

    async def _start(self, renewal: Renewal) -> bool:
        try:
            rotation = await self._hands.plan(Wish(gateways=(renewal.gateway,)))
            consent = rotation.plan.consent_hash(Consent.BEGIN, {})
            begun = with_marks(rotation, consents={Consent.BEGIN: consent}, is_automatic=True)
            await self._rotator.start(begun, by=BY)
        except StoreError:
            raise
        except ExporterError as exc:
            if self.faults.get(renewal.gateway) != str(exc):
                log.warning("%s cannot be renewed: %s", renewal.gateway, exc)
            self.faults[renewal.gateway] = str(exc)
            return False
        self.faults.pop(renewal.gateway, None)
        return True

    async def _make_room(self, renewal: Renewal, automatic: list[Rotation]) -> None:
        """End the last renewal of a gateway whose certificate is due again already.

        It waits for devices that were not seen since; the next one must not wait for them.
        """
        if self._clock.now() < renewal.due_at:
            return
        for one in automatic:
            plan, marks = one.plan, one.marks
            is_its = [gateway.name for gateway in plan.gateways] == [renewal.gateway]
            is_new = marks.gateway(renewal.gateway).candidate == renewal.leaf
            if is_its and is_new and is_only_to_be_proven(plan, marks):
                await self._rotator.close(plan.id, by=BY)
