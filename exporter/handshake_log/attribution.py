"""From a batch of lines to handshakes that have an owner; pure but for its own joins."""

import json
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from exporter.handshake_log.classify import LineReader
from exporter.handshake_log.counts import Event
from exporter.handshake_log.identity import Identity, host_in, rejected_by
from exporter.handshake_log.join import WAIT_S, Joiner
from exporter.handshake_log.message import Reading
from exporter.handshake_log.options import Options
from exporter.handshake_log.readers import reader_for
from exporter.handshake_log.scan import Scanner, ScanStats
from exporter.handshake_log.source import Batch, Segment
from exporter.observations import HandshakeRecord, Reason

# A line of the future has a clock of its own; then the moment of reading is nearer to the truth
_AHEAD = timedelta(seconds=5)
_SHAPE_LENGTH = 200
_VARIABLE = re.compile(
    r"(?:[0-9a-f]{0,4}:){2,}[0-9a-f:.]*|\b0x[0-9a-f]+|\b[0-9a-f]{8,}\b|\d+(?:[.:]\d+)*",
    re.IGNORECASE,
)


@dataclass(slots=True, kw_only=True)
class Scanned:
    """What the lines of a batch tell, by stream and in order."""

    readings: list[tuple[str, Reading]] = field(default_factory=list)
    shapes: list[str] = field(default_factory=list)
    stats: ScanStats = field(default_factory=ScanStats)


def scan(batch: Batch, reader: LineReader) -> Scanned:
    """Return what the lines of ``batch`` tell; a long one belongs in a thread."""
    scanned = Scanned()
    begin = 0
    for segment in batch.segments or (Segment(stream="", end=len(batch.data)),):
        scanner = Scanner(reader=reader)
        data = batch.data[begin : segment.end] if batch.segments else batch.data
        for found in (*scanner.feed(data), *scanner.finish()):
            if found.reading.suspicious:
                scanned.shapes.append(shape_of(found.line))
            if found.reading.record is not None or found.reading.clue is not None:
                scanned.readings.append((segment.stream, found.reading))
        _add(scanned.stats, scanner.stats)
        begin = segment.end
    return scanned


def shape_of(line: bytes) -> str:
    """Return ``line`` without what differs from one to the next and could tell of somebody."""
    text = line[: 4 * _SHAPE_LENGTH].decode("utf-8", "replace")
    return _VARIABLE.sub("#", text)[:_SHAPE_LENGTH]


def _add(total: ScanStats, more: ScanStats) -> None:
    total.line_count += more.line_count
    total.matched_count += more.matched_count
    total.suspicious_count += more.suspicious_count
    total.cut_count += more.cut_count
    total.bytes_count += more.bytes_count


class Attributor:
    """Joins and attributes what one source tells.

    Args:
        joins: What ``dump`` gave before a restart.
    """

    def __init__(self, name: str, options: Options, joins: str, at_s: float) -> None:
        self._name = name
        self._options = options
        self.reader = reader_for(options)
        self._late_until_s = -math.inf
        kept = json.loads(joins) if joins else {}
        self._joiners = {stream: Joiner.load(text, at_s) for stream, text in kept.items()}

    def dump(self) -> str:
        """Return what joins wait for; empty for nothing."""
        kept = {stream: text for stream, one in self._joiners.items() if (text := one.dump())}
        return json.dumps(kept) if kept else ""

    def note_late(self, at_s: float) -> None:
        """Lines that come now may be old: without a moment of their own they are no evidence."""
        self._late_until_s = at_s + WAIT_S

    def events(
        self, scanned: Scanned, identity: Identity, at: datetime, at_s: float
    ) -> Iterator[Event]:
        """Yield the handshakes that are complete; ``at`` for lines that tell no moment."""
        yield from self.due(identity, at, at_s)
        is_dated = at_s > self._late_until_s
        for stream, reading in scanned.readings:
            joiner = self._joiners.setdefault(stream, Joiner())
            records = joiner.take(reading, at_s)
            yield from self._attributed(records, identity, at, is_dated=is_dated)

    def due(self, identity: Identity, at: datetime, at_s: float) -> Iterator[Event]:
        """Yield the handshakes that waited long enough."""
        is_dated = at_s > self._late_until_s
        for joiner in self._joiners.values():
            yield from self._attributed(joiner.due(at_s), identity, at, is_dated=is_dated)

    def _attributed(
        self,
        records: Iterable[HandshakeRecord],
        identity: Identity,
        at: datetime,
        *,
        is_dated: bool,
    ) -> Iterator[Event]:
        options = self._options
        for record in records:
            device = identity.device_of(record.peer, _names(record), gateway=options.gateway)
            name = options.device or (device.name if device else "")
            gateway = options.gateway or (device.gateway if device else None) or ""
            why = (
                (record.reason or Reason.OTHER, rejected_by(options.side, record.rejected_by))
                if record.failure
                else None
            )
            own = record.at if record.at is not None and record.at <= at + _AHEAD else None
            yield Event(
                gateway=gateway,
                device=name,
                source=self._name,
                at=own or at,
                why=why,
                is_resumed=record.resumed,
                client_not_after=record.client_not_after,
                peer=None if record.peer is None else host_in(record.peer),
                is_evidence=options.is_trusted and (is_dated or own is not None),
            )


def _names(record: HandshakeRecord) -> tuple[str, ...]:
    """Return what the other side is called; what it asked for comes last."""
    asked = record.server_name
    return record.names if asked is None else (*record.names, asked)
