"""What a stretch of a log shows by itself; pure."""

from collections import Counter
from dataclasses import dataclass

from exporter.handshake_log.classify import LineReader
from exporter.handshake_log.scan import Scanner
from exporter.observations import Reason

_VAGUE = {None, Reason.OTHER, Reason.VERIFY_FAILED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Counts over some lines.

    Attributes:
        writer: The program that wrote most of what was understood; None: nothing was.
        refused_count: Failures whose line says who refused.
        vague_count: Failures that say neither why nor who.
        resumption_count: Successes that say whether the session was resumed.
    """

    line_count: int
    writer: str | None
    success_count: int
    resumption_count: int
    refused_count: int
    vague_count: int


def sample_of(data: bytes, reader: LineReader) -> Sample:
    """Return what the lines in ``data`` show."""
    scanner = Scanner(reader=reader)
    writers: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    readings = [found.reading for found in (*scanner.feed(data), *scanner.finish())]
    for reading in readings:
        if reading.writer is not None:
            writers[reading.writer] += 1
        record = reading.record
        if record is None:
            continue
        counts["success"] += record.success
        counts["resumption"] += record.success and record.resumed is not None
        counts["refused"] += record.failure and record.rejected_by is not None
        counts["vague"] += (
            record.failure and record.rejected_by is None and record.reason in _VAGUE
        )
    return Sample(
        line_count=scanner.stats.line_count,
        writer=writers.most_common(1)[0][0] if writers else None,
        success_count=counts["success"],
        resumption_count=counts["resumption"],
        refused_count=counts["refused"],
        vague_count=counts["vague"],
    )
