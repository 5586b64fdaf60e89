"""The board as the pages show it: made in a thread, at most once a second for all who ask."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from exporter.clock import Clock
from exporter.fleet import FleetSnapshot
from exporter.fleet_page.board import Board, Cells, board_of
from exporter.fleet_page.history import History
from exporter.fleet_page.sentence import Circumstances, StateSentence, sentence_of
from exporter.handshake_log.counts import Key, Tally
from exporter.handshake_log.sources import HandshakeLogs
from exporter.web.service import Service

_LEAST_S = 1.0
# At most a twentieth of one core goes into boards, however large the fleet
_REST = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """All that a page shows, of one moment.

    Attributes:
        fingerprint: Another one where a reader would see a difference besides ages.
    """

    snapshot: FleetSnapshot
    tallies: Mapping[Key, Tally]
    board: Board
    sentence: StateSentence
    fingerprint: int


class Boards:
    """Makes boards of one service; all who ask within a second get the same."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._making = asyncio.Lock()
        self._cells = Cells()
        self._last: Shown | None = None
        self._good_until_s = 0.0

    async def current(self, service: Service) -> Shown:
        """Return the board, a second old at most, or what twenty times its making takes."""
        async with self._making:
            begun_s = self._clock.monotonic()
            if self._last is None or begun_s >= self._good_until_s:
                self._last = await self._make(service)
                took_s = self._clock.monotonic() - begun_s
                self._good_until_s = begun_s + max(_LEAST_S, _REST * took_s)
            return self._last

    async def _make(self, service: Service) -> Shown:
        return await asyncio.to_thread(
            shown,
            service.snapshot(),
            dict(service.logs.shown.tallies),  # the service goes on counting meanwhile
            service.history,
            circumstances_of(service),
            self._clock.now(),
            self._cells,
        )


def circumstances_of(service: Service) -> Circumstances:
    """Return what is to be said besides the board."""
    readiness = service.readiness
    return Circumstances(
        starting="" if readiness.is_ready else readiness.sentence,
        faults=tuple(_faults(service.logs)),
    )


def _faults(logs: HandshakeLogs) -> Iterator[str]:
    for name, stats in logs.stats.items():
        if stats.is_ok is False:
            yield f"The handshake log {name} cannot be read: {stats.fault or 'no reason is told'}."
    if logs.store_fault:
        yield f"The store cannot be used, so no handshake log is read: {logs.store_fault}."


def shown(
    snapshot: FleetSnapshot,
    tallies: Mapping[Key, Tally],
    history: History,
    around: Circumstances,
    now: datetime,
    cells: Cells | None = None,
) -> Shown:
    """Return all that a page shows as of ``now``."""
    board = board_of(snapshot, tallies, history, now, cells)
    sentence = sentence_of(board, around)
    return Shown(
        snapshot=snapshot,
        tallies=tallies,
        board=board,
        sentence=sentence,
        fingerprint=_fingerprint(board, sentence),
    )


def _fingerprint(board: Board, sentence: StateSentence) -> int:
    told = hash(sentence)
    for row in board.rows:
        leaf = row.state.chain[0].fingerprint_sha256 if row.state and row.state.chain else ""
        told = hash((told, row.name, row.standing, leaf))
        for cell in row.cells:
            told = hash((told, cell.device, cell.standing, cell.reason))
    return told
