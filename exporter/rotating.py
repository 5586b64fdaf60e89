"""The rotating part of the service: plans, rotations and what they remember on one store."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from exporter.certificates import read_pem
from exporter.clock import Clock
from exporter.fleet_page.rotations import Rotations
from exporter.journal import Entry
from exporter.modes import Mode
from exporter.opening import opened
from exporter.remediation.switch import Switch
from exporter.renewing import Renewals
from exporter.rotation.options import Options
from exporter.rotation.planning import PlanError, Wish
from exporter.rotation.records import Records, Rotation
from exporter.rotation.renewal import Renewed, expiring
from exporter.rotation.rotate import Rotator
from exporter.rotation.seen import Seen, seen_of
from exporter.rotation.stats import RotationStats
from exporter.rotation.view import view_of
from exporter.rotation.what_if import WhatIf
from exporter.rotation_hands import RotationHands
from exporter.store import Store
from exporter.text_files import read_bounded
from exporter.web.rotation import RotationApi
from exporter.web.server import Opened

_MOST_PEM_BYTES = 1 << 20
_SOON_S = 30 * 86_400.0


class Rotating:
    """Plans, keeps and carries out rotations; a ``LineSource`` of the exposition.

    Args:
        options: The section ``rotation`` in force.
        switch: The kill switch, which stops all changes by anybody.
    """

    def __init__(
        self,
        store: Store,
        hands: RotationHands,
        clock: Clock,
        *,
        options: Callable[[], Options],
        switch: Switch,
    ) -> None:
        self._store = store
        self._hands = hands
        self._clock = clock
        self._options = options
        self.records = Records(store)
        self.rotator = Rotator(
            self.records, hands, clock, options=options, is_killed=switch.is_killed
        )
        self.renewals = Renewals(self.rotator, self.records, hands, clock, options=options)
        self._stats = RotationStats(lambda: self.rotator.seen)

    @property
    def mode(self) -> Mode:
        """The mode in force."""
        return self._options().mode

    def endpoints(self) -> Iterable[Opened]:
        """Return the API."""
        return RotationApi(self).endpoints()

    def lines_of(self, family: str) -> Sequence[bytes]:
        """Return the sample lines of one family."""
        return self._stats.lines_of(family)

    def told(self) -> Rotations:
        """Return each rotation as it was last looked at, for the pages."""
        return Rotations(
            mode=self.mode,
            seen=dict(self.rotator.seen),
            is_known=self.rotator.removing() is not None,
        )

    async def run(self) -> None:
        """Keep rotations going until cancelled."""
        held = opened(self._store, self._clock, what="rotations")
        async with held, asyncio.TaskGroup() as tasks:
            tasks.create_task(self.rotator.run())
            tasks.create_task(self.renewals.run())

    async def plan(self, wish: Wish, *, is_renewal: bool) -> tuple[Rotation, Seen]:
        """Return the rotation that would be started, as it would be seen; nothing is kept.

        Raises:
            PlanError: no plan can be made.
        """
        wish = await asyncio.to_thread(self._completed, wish, is_renewal=is_renewal)
        rotation = await self._hands.plan(wish)
        facts, now = await self._hands.facts(rotation), self._clock.now()
        view = view_of(rotation.plan, facts, rotation.marks, now=now, options=self._options())
        return rotation, seen_of(rotation, view)

    def _completed(self, wish: Wish, *, is_renewal: bool) -> Wish:
        """Return the wish with the new CA of the configuration, where it names none."""
        path = self._options().new_ca_file
        if is_renewal and wish.new_ca is not None:
            raise PlanError("a renewal keeps its CA; leave new_ca out")
        if is_renewal or wish.new_ca is not None or path is None:
            return wish
        found = read_pem(read_bounded(path, _MOST_PEM_BYTES), what=str(path))
        return replace(wish, new_ca=found[0])

    async def what_if(self, at: datetime | None, remove: str | None) -> WhatIf:
        """Return who goes dark at a moment, or without a CA; None: now, and none.

        Raises:
            PlanError: no CA is known by that name.
        """
        return await self._hands.fates(at, remove)

    def renewed(self) -> Renewed:
        """Return where renewals are, and which devices' own certificates end soon."""
        return Renewed(
            renewals=tuple(self.renewals.found.values()),
            faults=dict(self.renewals.faults),
            device_ends_s=expiring(
                self._hands.client_ends_s(), now=self._clock.now(), within_s=_SOON_S
            ),
        )

    async def history(self, rotation: str | None, *, after: int, limit: int) -> list[Entry]:
        """Return what the journal tells of rotations, the oldest first."""
        return await self.records.history(rotation, after=after, limit=limit)
