"""A rotator over a real store, and a scripted fleet whose time is in the test's hands."""

from pathlib import Path

from exporter.modes import Mode
from exporter.rotation.blockers import BlockReason
from exporter.rotation.model import Consent, Phase
from exporter.rotation.options import Options
from exporter.rotation.records import Records
from exporter.rotation.rotate import Rotator
from exporter.store import Store
from tests.fake_clock import FakeClock
from tests.rotation.scripted import HOUR, START, Killed, ScriptedFleet

ACT = Options(mode=Mode.ACT)


class Stand:
    """A rotator over a real store, and a fleet that does as it is asked."""

    def __init__(self, folder: Path, *, gateways: int = 3, each: int = 2) -> None:
        self.clock = FakeClock(START)
        self.fleet = ScriptedFleet(self.clock, gateways=gateways, each=each)
        self.store = Store(f"sqlite:///{folder / 'state.db'}")
        self.records = Records(self.store)
        self.options = ACT
        self.is_killed: bool | None = False
        self.rotator = self.made()
        self.phases: list[Phase] = []

    def made(self) -> Rotator:
        return Rotator(
            self.records, self.fleet, self.clock,
            options=lambda: self.options, is_killed=self.switch,
        )  # fmt: skip

    async def switch(self) -> bool | None:
        return self.is_killed

    @property
    def phase(self) -> Phase:
        seen = self.rotator.seen["r-1"]
        return seen.rotation.marks.ended or seen.view.phase

    @property
    def blockers(self) -> set[tuple[str, BlockReason]]:
        return {(one.name, one.reason) for one in self.rotator.seen["r-1"].gate.blockers}

    async def tick(self) -> bool:
        """A look and at most one step; a process that is killed on the way is started anew."""
        try:
            is_taken = await self.rotator.step("r-1")
        except Killed:
            self.rotator = self.made()
            is_taken = await self.rotator.step("r-1")
        if self.phases[-1:] != [self.phase]:
            self.phases.append(self.phase)
        return is_taken

    async def approve(self) -> None:
        rotation = self.rotator.seen["r-1"].rotation
        consent = Consent.BEGIN if self.phase is Phase.PLANNED else Consent.REMOVE
        hash_ = rotation.plan.consent_hash(consent, rotation.marks.excluded)
        await self.rotator.approve("r-1", hash_, by="ann")

    async def until(self, phase: Phase, *, limit: int = 1_500) -> None:
        """Go on by half hours, a person approving what waits for nothing else.

        In the overlap nothing but days is waited for.
        """
        for _ in range(limit):
            is_taken = await self.tick()
            assert not self.fleet.dark
            if self.phase is phase:
                return
            if is_taken:
                continue
            if {reason for _, reason in self.blockers} == {BlockReason.AWAITING_APPROVAL}:
                await self.approve()
            else:
                await self.fleet.pass_time(6 * HOUR if self.phase is Phase.OVERLAP else HOUR / 2)
        raise AssertionError(f"{self.phase}: {self.blockers}")
