"""The board as the pages show it: made in a thread, at most once a second for all who ask."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from exporter.clock import Clock
from exporter.fleet import FleetSnapshot
from exporter.fleet_page.board import Board, Cells, board_of
from exporter.fleet_page.history import History
from exporter.fleet_page.remedies import Remedies, Remedy, remedies_on, rollbacks_of, sentences_on
from exporter.fleet_page.rotations import RotationBoard, Rotations, boards_of
from exporter.fleet_page.sentence import Circumstances, StateSentence, sentence_of
from exporter.fleet_page.trust import sync_counts
from exporter.handshake_log.counts import Key, Tally
from exporter.trust_store.model import Standing, SyncState
from exporter.web.service import Service

_LEAST_S = 1.0
# At most a twentieth of one core goes into boards, however large the fleet
_REST = 20.0
# What remediation did stands in the store
_REMEDIES_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a board is made of, of one moment.

    Attributes:
        trust: By device.
        is_polled: Somebody is asked what devices trust.
        starting: Why what is shown is not complete yet; empty when it is.
        faults: What cannot be read or kept, each a sentence.
    """

    at: datetime
    snapshot: FleetSnapshot
    tallies: Mapping[Key, Tally]
    history: History
    trust: Mapping[str, Standing] = field(default_factory=dict)
    is_polled: bool = False
    remedies: Remedies = field(default_factory=Remedies)
    rotations: Rotations = field(default_factory=Rotations)
    starting: str = ""
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """All that a page shows.

    Attributes:
        sync: How many devices hold what is wanted of them, and so on; empty: nobody reports.
        fingerprint: Another one where a reader would see a difference besides ages.
    """

    facts: Facts
    board: Board
    sentence: StateSentence
    sync: Mapping[SyncState, int]
    remedies: tuple[Remedy, ...]
    remedy_sentences: tuple[str, ...]
    rotations: tuple[RotationBoard, ...]
    fingerprint: int

    @property
    def snapshot(self) -> FleetSnapshot:
        """The fleet."""
        return self.facts.snapshot


class Boards:
    """Makes boards of one service; all who ask within a second get the same."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._making = asyncio.Lock()
        self._cells = Cells()
        self._last: Shown | None = None
        self._good_until_s = 0.0
        self._remedies = Remedies()
        self._remedies_until_s = 0.0

    async def current(self, service: Service) -> Shown:
        """Return the board, a second old at most, or what twenty times its making takes."""
        async with self._making:
            begun_s = self._clock.monotonic()
            if self._last is None or begun_s >= self._good_until_s:
                self._last = await self._make(service, begun_s)
                took_s = self._clock.monotonic() - begun_s
                self._good_until_s = begun_s + max(_LEAST_S, _REST * took_s)
            return self._last

    async def _make(self, service: Service, now_s: float) -> Shown:
        if now_s >= self._remedies_until_s:
            self._remedies = await service.remedies()
            self._remedies_until_s = now_s + _REMEDIES_S
        facts = _facts(service, self._remedies, self._clock.now())
        return await asyncio.to_thread(shown, facts, self._cells, self._last)


def _facts(service: Service, remedies: Remedies, now: datetime) -> Facts:
    readiness, trust = service.readiness, service.trust
    return Facts(
        at=now,
        snapshot=service.snapshot(),
        tallies=dict(service.logs.shown.tallies),  # the service goes on counting meanwhile
        history=service.history,
        trust=dict(trust.standings),
        is_polled=bool(trust.stats),
        remedies=remedies,
        rotations=service.rotations(),
        starting="" if readiness.is_ready else readiness.sentence,
        faults=tuple(_faults(service, remedies)),
    )


def _faults(service: Service, remedies: Remedies) -> Iterator[str]:
    logs, trust = service.logs, service.trust
    for name, stats in logs.stats.items():
        if stats.is_ok is False:
            yield f"The handshake log {name} cannot be read: {stats.fault or 'no reason is told'}."
    if logs.store_fault:
        yield f"The store cannot be used, so no handshake log is read: {logs.store_fault}."
    if trust.store_fault:
        yield f"The store cannot be used, so trust reports are not kept: {trust.store_fault}."
    if remedies.fault:
        yield f"What remediation does is not known: {remedies.fault}."


def shown(facts: Facts, cells: Cells | None = None, before: Shown | None = None) -> Shown:
    """Return all that a page shows of ``facts``; ``before`` spares what is still the same."""
    board = board_of(facts.snapshot, facts.tallies, facts.history, facts.at, cells)
    changed = {row.name: row.changed_at for row in board.gateways if row.name and row.changed_at}
    around = Circumstances(
        starting=facts.starting,
        faults=facts.faults,
        rollbacks=rollbacks_of(facts.remedies, facts.snapshot, changed),
    )
    sentence = sentence_of(board, around)
    remedies = remedies_on(facts.remedies, changed)
    said = sentences_on(facts.remedies, changed)
    rotations = _boards(facts.rotations, before)
    sync = sync_counts(facts.trust, is_polled=facts.is_polled)
    return Shown(
        facts=facts,
        board=board,
        sentence=sentence,
        sync=sync,
        remedies=remedies,
        remedy_sentences=said,
        rotations=rotations,
        fingerprint=hash(
            (
                _fingerprint(board, sentence),
                remedies,
                said,
                facts.rotations.is_known,
                tuple(one.fingerprint for one in rotations),
                tuple(sync.items()),
            )
        ),
    )


def _boards(told: Rotations, before: Shown | None) -> tuple[RotationBoard, ...]:
    """Return the boards of rotations; those of before while nobody looked again."""
    known = before.facts.rotations if before is not None else None
    if before is not None and known is not None and known.mode is told.mode:
        pairs = zip(known.seen.values(), told.seen.values(), strict=False)
        if len(known.seen) == len(told.seen) and all(old is new for old, new in pairs):
            return before.rotations
    return boards_of(told)


def _fingerprint(board: Board, sentence: StateSentence) -> int:
    told = hash(sentence)
    for row in board.rows:
        leaf = row.state.chain[0].fingerprint_sha256 if row.state and row.state.chain else ""
        told = hash((told, row.name, row.standing, leaf))
        for cell in row.cells:
            told = hash((told, cell.device, cell.standing, cell.reason))
    return told
