"""Reads a text as the exporter does: records of lines that belong to one handshake become one."""

from dataclasses import replace

from exporter.handshake_log.classify import READER
from exporter.handshake_log.words.saying import WORTH
from exporter.observations import HandshakeRecord


def handshakes(text: bytes) -> list[HandshakeRecord]:
    """The handshakes that ``text`` tells of, in the order of their first lines."""
    found: list[HandshakeRecord] = []
    last: dict[str, tuple[int, int]] = {}  # thread -> (step, index in found)
    for line in text.splitlines():
        reading = READER.read(line)
        if reading is None or reading.record is None:
            continue
        step, index = last.get(reading.thread or "", (0, 0))
        if reading.thread is not None and reading.step > step > 0:
            found[index] = merged(found[index], reading.record)
        else:
            index = len(found)
            found.append(reading.record)
        if reading.thread is not None:
            last[reading.thread] = (reading.step, index)
    return found


def merged(first: HandshakeRecord, second: HandshakeRecord) -> HandshakeRecord:
    """One record of two: the better reason with its side, and whichever peer is told."""
    assert first.reason is not None
    assert second.reason is not None
    best = second if WORTH[second.reason] > WORTH[first.reason] else first
    return replace(best, peer=first.peer or second.peer)
