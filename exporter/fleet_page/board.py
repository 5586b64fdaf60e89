"""The fleet on one board: each gateway with its devices, each with its standing; pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from exporter.fleet import FleetSnapshot, TargetState
from exporter.fleet_page.history import History
from exporter.fleet_page.standing import Cell, Standing, Surroundings, cell_of, silent_from
from exporter.handshake_log.counts import Key, Tally
from exporter.observations import Reason
from exporter.report import outcome_of
from exporter.targets.model import Role


class GatewayStanding(StrEnum):
    """What is to be said of a gateway's own endpoint."""

    UNREACHED = "unreached"
    NOT_VERIFIED = "not_verified"
    UNKNOWN = "unknown"
    GOOD = "good"


GATEWAY_WORDS: Mapping[GatewayStanding, str] = {
    GatewayStanding.UNREACHED: "not reached",
    GatewayStanding.NOT_VERIFIED: "not verified",
    GatewayStanding.UNKNOWN: "unknown",
    GatewayStanding.GOOD: "verified",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One gateway and what stands behind it.

    Attributes:
        name: None: the devices that have no gateway.
        state: None: it is not in the inventory, but devices or logs name it.
        reason: Why it is not good, as far as anything says so.
        since: Since when it stands so; None: not known.
        cells: In the inventory's order.
    """

    name: str | None
    state: TargetState | None = None
    standing: GatewayStanding = GatewayStanding.UNKNOWN
    reason: Reason | None = None
    since: datetime | None = None
    changed_at: datetime | None = None
    cells: tuple[Cell, ...] = ()
    counts: Mapping[Standing, int] = field(default_factory=dict)

    @property
    def not_after(self) -> datetime | None:
        """When what it serves stops being accepted, or its leaf ends; None: not known."""
        if self.state is None or not self.state.chain:
            return None
        ends = [verdict.not_after for verdict in self.state.verdicts.values()]
        return min([self.state.chain[0].not_after, *(end for end in ends if end is not None)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """All that the page says of standings.

    Attributes:
        rows: Gateways in the inventory's order, then those that are only named, then none.
        counts: Of all cells.
        oldest_look_at: Of all targets that were ever looked at; None: none was.
    """

    at: datetime
    rows: tuple[Row, ...]
    counts: Mapping[Standing, int]
    oldest_look_at: datetime | None = None

    @property
    def device_count(self) -> int:
        """How many cells there are."""
        return sum(self.counts.values())

    @property
    def gateways(self) -> tuple[Row, ...]:
        """The rows that are gateways of the inventory."""
        return tuple(row for row in self.rows if row.state is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """A cell with all that it came from; while that is the same, so is the cell."""

    state: TargetState
    tally: Tally | None
    around: Surroundings
    until: datetime | None
    cell: Cell


@dataclass(slots=True)
class Cells:
    """The cells of the board before. Of a large fleet nearly all stay what they were."""

    _by_gateway: dict[str | None, dict[str, _Judged]] = field(default_factory=dict)
    _around: dict[str | None, Surroundings] = field(default_factory=dict)

    def surroundings(self, gateway: str | None, fresh: Surroundings) -> Surroundings:
        """Return ``fresh``; the same object as before while it says the same."""
        if self._around.get(gateway) != fresh:
            self._around[gateway] = fresh
        return self._around[gateway]

    def cell(
        self,
        gateway: str | None,
        state: TargetState,
        tally: Tally | None,
        around: Surroundings,
        now: datetime,
    ) -> Cell:
        """Return how a device stands at ``gateway``; the same object while nothing changes."""
        known = self._by_gateway.setdefault(gateway, {})
        before = known.get(state.target.name)
        if (
            before is not None
            and before.state is state
            and before.tally is tally
            and before.around is around
            and (before.until is None or now <= before.until)
        ):
            return before.cell
        cell = cell_of(gateway, state, tally, around, now)
        is_good = cell.standing is Standing.GOOD
        known[state.target.name] = _Judged(
            state=state,
            tally=tally,
            around=around,
            until=silent_from(state, tally, around) if is_good else None,
            cell=before.cell if before and before.cell == cell else cell,
        )
        return known[state.target.name].cell

    def keep(self, rows: Iterable["Row"]) -> None:
        """Forget what is on none of ``rows``."""
        counts = {row.name: len(row.cells) for row in rows}
        for gateway in self._by_gateway.keys() - counts.keys():
            del self._by_gateway[gateway], self._around[gateway]
        for row in rows:
            known = self._by_gateway.get(row.name, {})
            if len(known) > counts[row.name]:
                shown = {cell.device for cell in row.cells}
                for device in known.keys() - shown:
                    del known[device]


def board_of(
    snapshot: FleetSnapshot,
    tallies: Mapping[Key, Tally],
    history: History,
    now: datetime,
    known: Cells | None = None,
) -> Board:
    """Return the board as of ``now``; ``known`` spares judging anew what has not changed."""
    known = known or Cells()
    elsewhere = _elsewhere(snapshot, tallies)
    tells = {
        gateway
        for (gateway, _), tally in tallies.items()
        if tally.success_count or tally.resumed_count
    }
    around: dict[str | None, Surroundings] = {}
    cells: dict[str | None, list[Cell]] = {
        name: [] for name, state in snapshot.targets.items() if state.target.role is Role.GATEWAY
    }
    for name, state in snapshot.targets.items():
        if state.target.role is not Role.DEVICE:
            continue
        for gateway, tally in _places(state, tallies, elsewhere.get(name, ())):
            if gateway not in around:
                fresh = _surroundings(gateway, snapshot, history, tells)
                around[gateway] = known.surroundings(gateway, fresh)
            cell = known.cell(gateway, state, tally, around[gateway], now)
            cells.setdefault(gateway, []).append(cell)
    rows = tuple(
        _row(gateway, snapshot.targets.get(gateway or ""), found, history)
        for gateway, found in sorted(cells.items(), key=lambda item: item[0] is None)
    )
    known.keep(rows)
    total: Counter[Standing] = Counter()
    for row in rows:
        total.update(row.counts)
    looks = (state.observation for state in snapshot.targets.values())
    oldest = min((look.observed_at for look in looks if look is not None), default=None)
    return Board(at=now, rows=rows, counts=total, oldest_look_at=oldest)


_Place = tuple[str | None, Tally | None]


def _elsewhere(
    snapshot: FleetSnapshot, tallies: Mapping[Key, Tally]
) -> Mapping[str, list[_Place]]:
    """Return what logs tell of devices at other gateways than their own."""
    found: dict[str, list[_Place]] = {}
    for (gateway, device), tally in tallies.items():
        state = snapshot.targets.get(device)
        if state is not None and state.target.gateway != gateway:
            found.setdefault(device, []).append((gateway or None, tally))
    return found


def _places(
    state: TargetState, tallies: Mapping[Key, Tally], elsewhere: Sequence[_Place]
) -> Iterable[_Place]:
    """Return the gateways at which the device is to be shown.

    Its own; others only while it fails there, since it may have left them long ago.
    """
    own = state.target.gateway
    if own is not None:
        yield own, tallies.get((own, state.target.name))
    elif not elsewhere:
        yield None, None
    for gateway, tally in elsewhere:
        if own is None or (tally is not None and tally.failing is not None):
            yield gateway, tally


def _surroundings(
    gateway: str | None,
    snapshot: FleetSnapshot,
    history: History,
    tells: set[str],
) -> Surroundings:
    state = snapshot.targets.get(gateway or "")
    if gateway is None or state is None or not state.is_chain_current:
        return Surroundings(tells_success=gateway in tells)
    return Surroundings(
        served_since=history.served_since(gateway),
        changed_at=history.changed_at(gateway),
        tells_success=gateway in tells,
    )


def _row(name: str | None, state: TargetState | None, cells: list[Cell], history: History) -> Row:
    standing, reason, since = _gateway_standing(state)
    return Row(
        name=name,
        state=state,
        standing=standing,
        reason=reason,
        since=since,
        changed_at=history.changed_at(name) if name else None,
        cells=tuple(cells),
        counts=Counter(cell.standing for cell in cells),
    )


def _gateway_standing(
    state: TargetState | None,
) -> tuple[GatewayStanding, Reason | None, datetime | None]:
    if state is None or state.is_handshake_done is None:
        return GatewayStanding.UNKNOWN, None, None
    if not state.is_handshake_done:
        failure = state.observation.reason if state.observation else None
        return GatewayStanding.UNREACHED, failure, state.failing_since
    if state.is_success is None:
        return GatewayStanding.UNKNOWN, None, None
    if state.is_success:
        return GatewayStanding.GOOD, None, None
    return GatewayStanding.NOT_VERIFIED, outcome_of([*state.verdicts.values()]).reason, None
