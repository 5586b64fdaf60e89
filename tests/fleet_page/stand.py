"""A small fleet at a known moment, with the counts of a log beside it."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from exporter.fleet import Fleet, FleetSnapshot
from exporter.fleet_page.board import Board, board_of
from exporter.fleet_page.history import History
from exporter.fleet_page.standing import Cell
from exporter.handshake_log.counts import Key, Tally
from exporter.observations import Observation, Reason, RejectedBy
from exporter.targets.model import Target
from tests.fake_clock import FakeClock
from tests.fleet.stand import certificate, gateway, look, make_fleet

DEVICE = (Reason.UNKNOWN_CA, RejectedBy.DEVICE)


class Scene:
    """A fleet whose gateways are looked at, and what became of it."""

    def __init__(self, *targets: Target) -> None:
        self.clock = FakeClock()
        self.fleet: Fleet
        self.fleet, self.judge = make_fleet(self.clock, *targets)
        self.history = History()
        self.fleet.watch(self.history)
        self.tallies: dict[Key, Tally] = {}

    @property
    def now(self) -> datetime:
        return self.clock.now()

    @property
    def snapshot(self) -> FleetSnapshot:
        return self.fleet.snapshot()

    def target(self, name: str) -> Target:
        return self.snapshot.targets[name].target

    def look(self, name: str = "gw-1", **fields: object) -> Observation:
        seen = look(self.target(name), self.clock, **fields)
        self.fleet.record(seen)
        return seen

    def serve_new(self, name: str = "gw-1") -> None:
        """The gateway serves a chain of the new CA, which nobody holds."""
        self.look(name, chain=(certificate(f"{name}.example", "new CA"),))

    def told(self, device: str = "dev-01", at: str = "gw-1", **fields: object) -> None:
        """What the log of a gateway knows of a device by now."""
        now_s = self.now.timestamp()
        known: dict[str, object] = {"success_count": 1, "told_s": now_s, "success_s": now_s}
        self.tallies[at, device] = Tally(**{**known, **fields})  # type: ignore[arg-type]  # passed on by name

    def refused(
        self,
        device: str = "dev-01",
        at: str = "gw-1",
        *,
        why: tuple[Reason, RejectedBy] = DEVICE,
        since: datetime | None = None,
    ) -> None:
        """The device's latest handshake failed just now."""
        before = self.tallies.get((at, device), Tally(success_count=1))
        self.tallies[at, device] = replace(
            before,
            failing=why,
            failing_since_s=(since or self.now).timestamp(),
            told_s=self.now.timestamp(),
            failure_counts={why: 1},
        )

    @property
    def board(self) -> Board:
        return board_of(self.snapshot, self.tallies, self.history, self.now)

    @property
    def cells(self) -> Mapping[str, Cell]:
        return {cell.device: cell for row in self.board.rows for cell in row.cells}


def ago(scene: Scene, **by: float) -> datetime:
    return scene.now - timedelta(**by)


__all__ = ["DEVICE", "Scene", "ago", "gateway"]
