"""The one sentence on top of the fleet page, and what else is to be said; pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from exporter.fleet_page.board import Board, GatewayStanding, Row
from exporter.fleet_page.standing import MISSING_WORDS, Cell, Missing, Standing, earliest
from exporter.plain_words import time_left

_NEAR = timedelta(days=30)
_NAMES_SHOWN = 3


class Level(StrEnum):
    """How bad it is; the order of definition is that of urgency."""

    BAD = "bad"
    UNKNOWN = "unknown"
    WARN = "warn"
    GOOD = "good"


_RANK = {level: rank for rank, level in enumerate(Level)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollback:
    """What going back would do at one gateway, as far as it was worked out.

    Attributes:
        version: The version that would be served again.
        accepting_count: Devices that would accept it.
    """

    version: int
    accepting_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What is known beside the board.

    Attributes:
        starting: Why what is shown is not complete yet; empty when it is.
        faults: What cannot be read or kept, each a sentence: something may be unseen.
        rollbacks: By gateway.
    """

    starting: str = ""
    faults: Sequence[str] = ()
    rollbacks: Mapping[str, Rollback] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """One thing to be said."""

    level: Level
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StateSentence:
    """The state in words.

    Attributes:
        level: The worst of all clauses.
        text: The headline.
        further: What else is wrong, the worst first.
    """

    level: Level
    text: str
    further: tuple[Clause, ...] = ()


def sentence_of(board: Board, around: Circumstances) -> StateSentence:
    """Return the sentence on ``board``; it says that all is good only when all is known."""
    clauses = sorted(_clauses(board, around), key=lambda clause: _RANK[clause.level])
    if not clauses:
        return StateSentence(level=Level.GOOD, text=_good(board))
    first = clauses[0]
    return StateSentence(level=first.level, text=first.text, further=tuple(clauses[1:]))


def _clauses(board: Board, around: Circumstances) -> Iterator[Clause]:
    """Yield all that is to be said but "all is good"."""
    if not board.rows:
        yield Clause(level=Level.UNKNOWN, text="The inventory is empty: nothing is watched.")
    yield from _refusals(board, around.rollbacks)
    yield from _unreached(board)
    yield from _per_gateway(
        board, Standing.REFUSED, "{gateway} refuses {count}{since}: {reasons}."
    )
    yield from _per_gateway(
        board, Standing.FAILING, "{count} fail at {gateway}{since}: {reasons}."
    )
    yield from _not_verified(board)
    yield from _own_faults(board)
    if around.starting:
        yield Clause(level=Level.UNKNOWN, text=around.starting)
    yield from _unknown_gateways(board)
    yield from _unknown_devices(board)
    for fault in around.faults:
        yield Clause(level=Level.UNKNOWN, text=fault)
    yield from _quiet(board)
    yield from _near_ends(board)


def _refusals(board: Board, rollbacks: Mapping[str, Rollback]) -> Iterator[Clause]:
    """Yield who refuses which gateway, the gateway that is refused most first."""
    hit = [row for row in board.rows if _refusing_count(row)]
    if len(hit) > _NAMES_SHOWN:
        yield Clause(level=Level.BAD, text=_refusal_of_many(board, hit))
        return
    for row in sorted(hit, key=_refusing_count, reverse=True):
        text = _refusal(row, board.at)
        back = rollbacks.get(row.name or "")
        yield Clause(level=Level.BAD, text=f"{text} {_rollback(back, row)}" if back else text)


def _refusing_count(row: Row) -> int:
    return row.counts.get(Standing.REFUSES, 0) + row.counts.get(Standing.WOULD_REFUSE, 0)


def _refusal_of_many(board: Board, hit: Sequence[Row]) -> str:
    """Return one sentence on many gateways; each has its own line further down the page."""
    hit = sorted(hit, key=_refusing_count, reverse=True)
    done, coming = _all(board, Standing.REFUSES), _all(board, Standing.WOULD_REFUSE)
    verb = "refuse" if done else "would refuse"
    more = f" {len(coming):,} more would." if done and coming else ""
    named = _named([_name_of(row) for row in hit])
    return (
        f"{_of(len(done or coming), board.device_count)} {verb} {len(hit)} of"
        f" {_plural(len(board.gateways), 'gateway')}{_since(done or coming, board.at)}:"
        f" {_reasons(done or coming)} ({named}).{more}"
    )


def _refusal(row: Row, now: datetime) -> str:
    done = [cell for cell in row.cells if cell.standing is Standing.REFUSES]
    coming = [cell for cell in row.cells if cell.standing is Standing.WOULD_REFUSE]
    gateway, since = _name_of(row), _since(done or coming, now)
    total = _of(len(done or coming), len(row.cells))
    if not done:
        return f"{total} would refuse what {gateway} serves{since}: {_reasons(coming)}."
    more = f" {len(coming):,} more would." if coming else ""
    verb = "refuses" if len(done) == 1 and len(row.cells) == 1 else "refuse"
    return f"{total} {verb} {gateway}{since}: {_reasons(done)}.{more}"


def _rollback(back: Rollback, row: Row) -> str:
    count, total = back.accepting_count, len(row.cells)
    by = f"{count}" if count == total else f"{count} of {total}"
    return f"Rollback to version {back.version} would be accepted by {by}."


def _unreached(board: Board) -> Iterator[Clause]:
    rows = [row for row in board.rows if row.standing is GatewayStanding.UNREACHED]
    if len(rows) == 1:
        row = rows[0]
        be = "is" if len(row.cells) == 1 else "are"
        behind = f" {_devices(len(row.cells))} {be} behind it." if row.cells else ""
        since = since_words(row.since, board.at)
        yield Clause(
            level=Level.BAD,
            text=f"{_name_of(row)} is not reached{since}: {row.reason or 'other'}.{behind}",
        )
    elif rows:
        reasons = _told(Counter(str(row.reason or "other") for row in rows))
        yield Clause(
            level=Level.BAD,
            text=f"{len(rows)} of {len(board.gateways)} gateways are not reached: {reasons}"
            f" ({_named([_name_of(row) for row in rows])}).",
        )


def _per_gateway(board: Board, standing: Standing, words: str) -> Iterator[Clause]:
    for row in board.rows:
        cells = [cell for cell in row.cells if cell.standing is standing]
        if cells:
            text = words.format(
                gateway=_name_of(row),
                count=_of(len(cells), len(row.cells)),
                since=_since(cells, board.at),
                reasons=_reasons(cells),
            )
            yield Clause(level=Level.BAD, text=text)


def _not_verified(board: Board) -> Iterator[Clause]:
    for row in board.rows:
        if row.standing is GatewayStanding.NOT_VERIFIED:
            reason = row.reason or "other"
            text = f"{_name_of(row)} is not verified by its own trust stores: {reason}."
            yield Clause(level=Level.BAD, text=text)


def _own_faults(board: Board) -> Iterator[Clause]:
    cells = _all(board, Standing.OWN_FAULT)
    if cells:
        text = (
            f"A look at the own endpoint of {_of(len(cells), board.device_count)} brought bad"
            f" news: {_reasons(cells)}."
        )
        yield Clause(level=Level.BAD, text=text)


def _unknown_gateways(board: Board) -> Iterator[Clause]:
    rows = [row for row in board.gateways if row.standing is GatewayStanding.UNKNOWN]
    if rows:
        names = _named([_name_of(row) for row in rows])
        be = "is" if len(rows) == 1 else "are"
        gateways = f"{len(rows)} of {_plural(len(board.gateways), 'gateway')}"
        text = f"{gateways} {be} unknown: no recent look that was judged ({names})."
        yield Clause(level=Level.UNKNOWN, text=text)


def _unknown_devices(board: Board) -> Iterator[Clause]:
    cells = _all(board, Standing.UNKNOWN)
    if not cells:
        return
    missing = Counter(cell.reason for cell in cells)
    words = [MISSING_WORDS[Missing(reason)] for reason in missing]
    if len(words) > 1:
        words = [f"{word} ({count})" for word, count in zip(words, missing.values(), strict=True)]
    be = "is" if len(cells) == 1 else "are"
    text = f"{_of(len(cells), board.device_count)} {be} unknown: {', '.join(words)}."
    yield Clause(level=Level.UNKNOWN, text=text)


def _quiet(board: Board) -> Iterator[Clause]:
    """Yield who is silent, and who has not come back since what it refused was replaced."""
    silent, awaited = _all(board, Standing.SILENT), _all(board, Standing.AWAITED)
    if awaited:
        have = "has" if len(awaited) == 1 else "have"
        yield Clause(
            level=Level.WARN,
            text=f"{_of(len(awaited), board.device_count)} {have} not come back yet; what is"
            " served now would be accepted.",
        )
    if silent:
        be = "is" if len(silent) == 1 else "are"
        yield Clause(
            level=Level.WARN,
            text=f"{_of(len(silent), board.device_count)} {be} silent for longer than two"
            " contact intervals.",
        )


def _near_ends(board: Board) -> Iterator[Clause]:
    """Yield the gateway whose certificate is the next to end, when that is near."""
    ends = [(row.not_after, _name_of(row)) for row in board.gateways if row.not_after]
    end, name = min(ends, default=(board.at, ""))
    if board.at < end <= board.at + _NEAR:
        yield Clause(
            level=Level.WARN,
            text=f"What {name} serves is accepted no longer than {end:%Y-%m-%d %H:%M}:"
            f" {time_left(end, board.at)}.",
        )


def _good(board: Board) -> str:
    gateways = board.gateways
    if board.device_count == 0:
        return f"{_all_of(len(gateways), 'gateway')} verified; the inventory has no devices."
    if not gateways:
        own = "its own endpoint" if board.device_count == 1 else "their own endpoints"
        return f"{_all_of(board.device_count, 'device')} verified at {own}."
    if len(gateways) == 1:
        count = board.device_count
        accept = "accepts" if count == 1 else "accept"
        return f"{count} of {_plural(count, 'device')} {accept} {_name_of(gateways[0])}."
    return (
        f"{board.device_count:,} of {board.device_count:,} devices accept their gateways;"
        f" {len(gateways)} of {len(gateways)} gateways are verified."
    )


# Words


def _all(board: Board, standing: Standing) -> list[Cell]:
    return [cell for row in board.rows for cell in row.cells if cell.standing is standing]


def _all_of(count: int, noun: str) -> str:
    return f"{count:,} of {_plural(count, noun)} {'is' if count == 1 else 'are'}"


def _of(count: int, total: int) -> str:
    return f"{count:,} of {_plural(total, 'device')}"


def _devices(count: int) -> str:
    return _plural(count, "device")


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _name_of(row: Row) -> str:
    return row.name or "no gateway"


def _named(names: Sequence[str]) -> str:
    more = len(names) - _NAMES_SHOWN
    return ", ".join(names[:_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _reasons(cells: Iterable[Cell]) -> str:
    return _told(Counter(cell.reason for cell in cells))


def _told(reasons: Counter[str]) -> str:
    if len(reasons) == 1:
        return next(iter(reasons))
    return ", ".join(f"{reason} ({count})" for reason, count in reasons.most_common())


def _since(cells: Sequence[Cell], now: datetime) -> str:
    """Return since when the first of ``cells`` stands so; empty when not all are known."""
    return since_words(earliest(cell.since for cell in cells), now)


def since_words(at: datetime | None, now: datetime) -> str:
    """Return `` since 12:01``, with the date unless it is today's."""
    if at is None:
        return ""
    same_day = at.date() == now.date()
    return f" since {at:%H:%M}" if same_day else f" since {at:%Y-%m-%d %H:%M}"
