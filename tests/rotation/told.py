"""What persons tell the rotating part, with a scripted fleet behind it and a real store."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from exporter.journal import Entry
from exporter.modes import Mode
from exporter.rotation.options import Options
from exporter.rotation.planning import PlanError, Wish
from exporter.rotation.records import Records, Rotation
from exporter.rotation.renewal import Renewal, RenewalState, Renewed
from exporter.rotation.rotate import Rotator
from exporter.rotation.seen import Seen, seen_of
from exporter.rotation.view import view_of
from exporter.rotation.what_if import Fate, Fated, Question, WhatIf
from exporter.store import Store
from tests.fake_clock import FakeClock
from tests.pki import certificate_of
from tests.rotation.scripted import OLD, OLD_CA, START, ScriptedFleet


@dataclass
class ScriptedRotations:
    """A rotating part; ``wishes`` are those that plans were asked for by."""

    folder: Path

    def __post_init__(self) -> None:
        self.clock = FakeClock(START)
        self.fleet = ScriptedFleet(self.clock, gateways=2)
        self.store = Store(f"sqlite:///{self.folder / 'state.db'}")
        self.records = Records(self.store)
        self.options = Options(mode=Mode.ACT)
        self.rotator = Rotator(self.records, self.fleet, self.clock, options=lambda: self.options)
        self.wishes: list[Wish] = []

    @property
    def mode(self) -> Mode:
        return self.options.mode

    async def plan(self, wish: Wish, *, is_renewal: bool) -> tuple[Rotation, Seen]:
        self.wishes.append(wish)
        if "gw-99" in wish.gateways:
            raise PlanError("gw-99: no such gateway in the inventory")
        rotation = self.fleet.rotation
        facts, now = await self.fleet.facts(rotation), self.clock.now()
        view = view_of(rotation.plan, facts, rotation.marks, now=now, options=self.options)
        return rotation, seen_of(rotation, view)

    async def what_if(self, at: datetime | None, remove: str | None) -> WhatIf:
        if remove not in {None, OLD_CA}:
            raise PlanError(f"{remove} is no CA that anybody is known to trust")
        gone = certificate_of(OLD) if remove else None
        dark = [
            Fated(
                device=name, gateway=one.gateway, device_class="sensor",
                fate=Fate.DARK if gone else Fate.STAYS, why="unknown CA" if gone else "",
            )
            for name, one in self.fleet.devices.items()
        ]  # fmt: skip
        return WhatIf(
            question=Question(at=at or self.clock.now(), removed=gone), fates=tuple(dark)
        )

    def renewed(self) -> Renewed:
        soon = START + timedelta(days=3)
        one = Renewal(
            gateway="gw-01", leaf="0" * 64, due_at=START, expires_at=soon, state=RenewalState.DUE
        )
        return Renewed(renewals=(one,), faults={}, device_ends_s={"gw-01-dev-0": soon.timestamp()})

    async def history(self, rotation: str | None, *, after: int, limit: int) -> list[Entry]:
        return await self.records.history(rotation, after=after, limit=limit)

    async def on(self) -> None:
        """Look and take steps until something is waited for."""
        while await self.rotator.step("r-1"):
            pass
