"""What the page of one target says; pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from exporter.anchors import TrustStore
from exporter.certificates import Certificate
from exporter.fleet import FleetSnapshot, TargetState
from exporter.fleet_page.board import GATEWAY_WORDS, Board, GatewayStanding, Row
from exporter.fleet_page.problems import advice_for, words_of
from exporter.fleet_page.sentence import Level, since_words
from exporter.fleet_page.standing import Cell, Standing, standing_words
from exporter.handshake_log.counts import Key, Tally, Why
from exporter.observations import Reason, RejectedBy
from exporter.plain_words import ADVICE, REASON_WORDS, WARNING_WORDS
from exporter.targets.model import Role
from exporter.verdicts.model import Verdict

_LEVELS: Mapping[Standing, Level] = {
    Standing.SILENT: Level.WARN,
    Standing.AWAITED: Level.WARN,
    Standing.UNKNOWN: Level.UNKNOWN,
    Standing.GOOD: Level.GOOD,
}
_GATEWAY_LEVELS: Mapping[GatewayStanding, Level] = {
    GatewayStanding.UNREACHED: Level.BAD,
    GatewayStanding.NOT_VERIFIED: Level.BAD,
    GatewayStanding.UNKNOWN: Level.UNKNOWN,
    GatewayStanding.GOOD: Level.GOOD,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """One reason or warning, explained.

    Attributes:
        advice: What to do; empty for a warning.
    """

    code: str
    words: str
    advice: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What one trust store says, explained.

    Attributes:
        by: The store's name, or those that a device holds.
        anchor_count: None: the store is not known any more.
        path: Names from the leaf to the anchor; empty: no anchor is reached.
    """

    by: str
    verdict: Verdict
    anchor_count: int | None
    path: tuple[str, ...]
    reasons: tuple[Explained, ...]
    warnings: tuple[Explained, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshakes:
    """What the logs tell of the handshakes of one, or with one."""

    who: str
    tally: Tally

    @property
    def failures(self) -> tuple[tuple[str, str, int], ...]:
        """Reason, who refused, how often; the most frequent first."""
        counts = self.tally.failure_counts.items()
        told = [(reason.value, _REFUSED_BY[by], count) for (reason, by), count in counts if count]
        return tuple(sorted(told, key=lambda one: -one[2]))


_REFUSED_BY: Mapping[RejectedBy, str] = {
    RejectedBy.DEVICE: "the device refused",
    RejectedBy.GATEWAY: "the gateway refused",
    RejectedBy.UNKNOWN: "nobody says who refused",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetView:
    """The page's content.

    Attributes:
        level: Of the sentence.
        further: Why, in plain words, and what to do.
        cells: A device's standing at each gateway; of a gateway none.
        row: A gateway's own; of a device None.
        judgements: Of the target's own endpoint, by each of its trust stores.
        prediction: What a device would say to its gateway; None: not known, or no device.
        handshakes: Of a gateway those of its devices together, and those that are nobody's; of a
            device its own by gateway.
    """

    state: TargetState
    level: Level
    sentence: str
    further: tuple[str, ...]
    cells: tuple[Cell, ...]
    row: Row | None
    judgements: tuple[Judgement, ...]
    prediction: Judgement | None
    handshakes: tuple[Handshakes, ...]


def view_of(
    name: str, board: Board, snapshot: FleetSnapshot, tallies: Mapping[Key, Tally]
) -> TargetView:
    """Return what is to be said of the target ``name``, which is in ``snapshot``."""
    state = snapshot.targets[name]
    is_gateway = state.target.role is Role.GATEWAY
    row = next((row for row in board.rows if row.name == name), None) if is_gateway else None
    cells = () if is_gateway else _cells_of(name, board)
    level, sentence, further = _gateway_says(row) if row else _device_says(name, cells, board.at)
    told = state.acceptance
    served = snapshot.targets.get(told.gateway) if told else None
    return TargetView(
        state=state,
        level=level,
        sentence=sentence,
        further=further,
        cells=cells,
        row=row,
        judgements=tuple(
            judgement_of(verdict, state.chain, snapshot.stores)
            for verdict in state.verdicts.values()
        ),
        prediction=judgement_of(told.verdict, served.chain, snapshot.stores)
        if told and served and told.accepts is not None
        else None,
        handshakes=_at_gateway(name, tallies) if is_gateway else _of_device(name, tallies),
    )


def _of_device(name: str, tallies: Mapping[Key, Tally]) -> tuple[Handshakes, ...]:
    return tuple(
        Handshakes(who=gateway or "no gateway is told", tally=tally)
        for (gateway, device), tally in tallies.items()
        if device == name
    )


def _at_gateway(name: str, tallies: Mapping[Key, Tally]) -> tuple[Handshakes, ...]:
    known = [tally for (gateway, device), tally in tallies.items() if gateway == name and device]
    nobody = tallies.get((name, ""))
    found = (
        ("devices of the inventory", _sum(known) if known else None),
        ("nobody in the inventory", nobody),
    )
    return tuple(Handshakes(who=who, tally=tally) for who, tally in found if tally is not None)


def _sum(tallies: Sequence[Tally]) -> Tally:
    failures: Counter[Why] = Counter()
    for tally in tallies:
        failures.update(tally.failure_counts)
    return Tally(
        success_count=sum(tally.success_count for tally in tallies),
        resumed_count=sum(tally.resumed_count for tally in tallies),
        failure_counts=failures,
        success_s=max(tally.success_s or 0.0 for tally in tallies) or None,
        resumed_s=max(tally.resumed_s or 0.0 for tally in tallies) or None,
    )


def _cells_of(name: str, board: Board) -> tuple[Cell, ...]:
    cells = [cell for row in board.rows for cell in row.cells if cell.device == name]
    urgency = list(Standing)
    return tuple(sorted(cells, key=lambda cell: urgency.index(cell.standing)))


def _gateway_says(row: Row) -> tuple[Level, str, tuple[str, ...]]:
    level = _GATEWAY_LEVELS[row.standing]
    text = f"{row.name} is {GATEWAY_WORDS[row.standing]}"
    further: tuple[str, ...] = ()
    if row.reason is not None:
        text += f": {row.reason}"
        further = (f"{REASON_WORDS[row.reason]}.", ADVICE[row.reason])
    refusing = sum(row.counts.get(one, 0) for one in (Standing.REFUSES, Standing.WOULD_REFUSE))
    if refusing:
        level = Level.BAD
        text += f"; {refusing:,} of {len(row.cells):,} devices refuse it or would"
    return level, f"{text}.", further


def _device_says(
    name: str, cells: tuple[Cell, ...], now: datetime
) -> tuple[Level, str, tuple[str, ...]]:
    if not cells:  # it came into the inventory after the board was made
        return Level.UNKNOWN, f"{name} is new; nothing is known of it yet.", ()
    cell = cells[0]
    why = f": {cell.reason}" if cell.reason else ""
    said = f"{name} {_says(cell)}{since_words(cell.since, now)}{why}."
    further = (words_of(cell.standing, cell.reason), advice_for(cell.standing, cell.reason))
    return _LEVELS.get(cell.standing, Level.BAD), said, tuple(text for text in further if text)


def _says(cell: Cell) -> str:
    gateway = cell.gateway or "a gateway that no log names"
    match cell.standing:
        case Standing.REFUSED:
            return f"is refused by {gateway}"
        case Standing.FAILING:
            return f"fails at {gateway}"
        case Standing.OWN_FAULT:
            return "has bad news at its own endpoint"
        case Standing.WOULD_REFUSE:
            return f"would refuse what {gateway} serves"
        case Standing.SILENT | Standing.AWAITED | Standing.UNKNOWN:
            return f"is {standing_words(cell.standing)}"
        case Standing.GOOD if cell.gateway is None:
            return "is verified at its own endpoint"
        case _:
            return f"{standing_words(cell.standing)} {gateway}"


def judgement_of(
    verdict: Verdict, chain: Iterable[Certificate], stores: Mapping[str, TrustStore]
) -> Judgement:
    """Return ``verdict`` on ``chain`` explained; ``stores`` by name."""
    held = [stores[name] for name in _stores_in(verdict.trust_store, stores)]
    # A device may report an anchor that stands in another store than its own
    known = [*(anchor for store in stores.values() for anchor in store.anchors), *chain]
    names = {one.fingerprint_sha256: one.subject_cn or one.subject for one in known}
    anchors = {anchor.fingerprint_sha256 for store in held for anchor in store.anchors}
    return Judgement(
        by=verdict.trust_store,
        verdict=verdict,
        anchor_count=len(anchors) if held else None,
        path=tuple(names.get(step, step[:16]) for step in verdict.path),
        reasons=tuple(
            Explained(code=reason.value, words=REASON_WORDS[reason], advice=ADVICE[reason])
            for reason in verdict.reasons
        ),
        warnings=tuple(
            Explained(code=remark.value, words=WARNING_WORDS[remark])
            for remark in verdict.warnings
        ),
    )


def _stores_in(name: str, stores: Mapping[str, TrustStore]) -> tuple[str, ...]:
    """Return the stores that ``name`` stands for: itself, or several joined by ``+``."""
    if name in stores:
        return (name,)
    parts = name.split("+")
    return tuple(parts) if all(part in stores for part in parts) else ()


def look_failures(state: TargetState) -> tuple[tuple[Reason, int], ...]:
    """Return why looks had no handshake and how often, the most frequent first."""
    return tuple(sorted(state.failure_counts.items(), key=lambda item: -item[1]))
