"""The fleet on one board: each gateway with its devices, each with its standing; pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from exporter.fleet import FleetSnapshot, TargetState
from exporter.fleet_page.history import History
from exporter.fleet_page.standing import Cell, Standing, Surroundings, cell_of
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
    """

    at: datetime
    rows: tuple[Row, ...]
    counts: Mapping[Standing, int]

    @property
    def device_count(self) -> int:
        """How many cells there are."""
        return sum(self.counts.values())

    @property
    def gateways(self) -> tuple[Row, ...]:
        """The rows that are gateways of the inventory."""
        return tuple(row for row in self.rows if row.state is not None)


def board_of(
    snapshot: FleetSnapshot, tallies: Mapping[Key, Tally], history: History, now: datetime
) -> Board:
    """Return the board as of ``now``."""
    by_device = _by_device(tallies)
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
        for gateway, tally in _places(state, by_device.get(name, {})):
            if gateway not in around:
                around[gateway] = _surroundings(gateway, snapshot, history, tells, now)
            cell = cell_of(gateway, state, tally, around[gateway])
            cells.setdefault(gateway, []).append(cell)
    rows = tuple(
        _row(gateway, snapshot.targets.get(gateway or ""), found, history)
        for gateway, found in sorted(cells.items(), key=lambda item: item[0] is None)
    )
    total: Counter[Standing] = Counter()
    for row in rows:
        total.update(row.counts)
    return Board(at=now, rows=rows, counts=total)


def _by_device(tallies: Mapping[Key, Tally]) -> Mapping[str, dict[str, Tally]]:
    found: dict[str, dict[str, Tally]] = {}
    for (gateway, device), tally in tallies.items():
        if device:
            found.setdefault(device, {})[gateway] = tally
    return found


def _places(
    state: TargetState, tallies: Mapping[str, Tally]
) -> Iterable[tuple[str | None, Tally | None]]:
    """Return the gateways at which the device is to be shown.

    Its own; others only while it fails there, since it may have left them long ago.
    """
    own = state.target.gateway
    if own is not None or not tallies:
        yield own, tallies.get(own or "")
    for gateway, tally in tallies.items():
        if gateway != own and (own is None or tally.failing is not None):
            yield gateway or None, tally


def _surroundings(
    gateway: str | None,
    snapshot: FleetSnapshot,
    history: History,
    tells: set[str],
    now: datetime,
) -> Surroundings:
    state = snapshot.targets.get(gateway or "")
    if gateway is None or state is None or not state.is_chain_current:
        return Surroundings(now=now, tells_success=gateway in tells)
    return Surroundings(
        now=now,
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
