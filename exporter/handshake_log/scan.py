"""Finds what whole chunks of a log tell, at the speed of the disk."""

from collections.abc import Iterator
from dataclasses import dataclass

from exporter.handshake_log.classify import MAX_LINE_BYTES, READER, LineReader
from exporter.handshake_log.message import Reading


@dataclass(slots=True)
class ScanStats:
    """What a scanner has seen so far."""

    line_count: int = 0
    matched_count: int = 0
    suspicious_count: int = 0
    cut_count: int = 0
    bytes_count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One line that tells something.

    Attributes:
        offset: Of the line's first byte, from the scanner's ``start``.
        end: Behind the line's newline.
        line: Without its newline and a CR before it; cut to ``MAX_LINE_BYTES``.
    """

    offset: int
    end: int
    line: bytes
    reading: Reading


class Scanner:
    """Reads chunks as they come; the same chunks cut otherwise give the same result.

    Lines end at a newline only. An unterminated last line waits for more or for ``finish``. Of a
    line above ``MAX_LINE_BYTES`` the beginning is judged and the rest is skipped, so memory is
    bounded by the chunk and one line.
    """

    def __init__(self, *, start: int = 0, reader: LineReader = READER) -> None:
        self.stats = ScanStats()
        self._reader = reader
        self._kept = b""
        self._line_start = start
        self._skipped = 0  # bytes of the current line that were dropped behind the cut

    @property
    def position(self) -> int:
        """Offset of the first line that is not finished: from there to read again."""
        return self._line_start

    def feed(self, chunk: bytes) -> Iterator[Found]:
        """Yield what the lines that ``chunk`` completes tell, in order.

        ``position`` is right when the iterator is exhausted.
        """
        self.stats.bytes_count += len(chunk)
        last = chunk.rfind(b"\n")
        if last < 0:
            self._keep(chunk)
            return
        first = chunk.find(b"\n")
        if self._kept or self._skipped:
            yield from self._finish_line(chunk[:first], newline=1)
            begin = first + 1
        else:
            begin = 0
        yield from self._whole_lines(chunk, begin, last + 1)
        self._keep(chunk[last + 1 :])

    def finish(self) -> Iterator[Found]:
        """Yield what the unterminated last line tells, if there is one."""
        if self._kept or self._skipped:
            yield from self._finish_line(b"", newline=0)

    def _keep(self, rest: bytes) -> None:
        room = MAX_LINE_BYTES - len(self._kept)
        self._kept += rest[:room]
        self._skipped += max(0, len(rest) - room)

    def _finish_line(self, rest: bytes, *, newline: int) -> Iterator[Found]:
        self._keep(rest)
        line, start = self._kept, self._line_start
        end = start + len(line) + self._skipped + newline
        self.stats.line_count += 1
        self.stats.cut_count += self._skipped > 0
        self._kept, self._skipped, self._line_start = b"", 0, end
        yield from self._found(self._reader.read(line), line, start, end)

    def _whole_lines(self, chunk: bytes, begin: int, stop: int) -> Iterator[Found]:
        """Yield from the lines in ``chunk[begin:stop]``, which ends with a newline."""
        base = self._line_start - begin
        self.stats.line_count += chunk.count(b"\n", begin, stop)
        self._line_start = base + stop
        start = at = begin
        while stop - at > MAX_LINE_BYTES + 1:
            newline = chunk.rfind(b"\n", at, at + MAX_LINE_BYTES + 1)
            if newline < 0:  # a line that is cut
                yield from self._short_lines(chunk, start, at, base)
                newline = chunk.index(b"\n", at + MAX_LINE_BYTES)
                line = chunk[at : at + MAX_LINE_BYTES]
                self.stats.cut_count += 1
                reading = self._reader.read(line)
                yield from self._found(reading, line, base + at, base + newline + 1)
                start = newline + 1
            at = newline + 1
        yield from self._short_lines(chunk, start, stop, base)

    def _short_lines(self, chunk: bytes, at: int, stop: int, base: int) -> Iterator[Found]:
        """Yield from the lines in ``chunk[at:stop]``, none of which is cut."""
        search = self._reader.prefilter.search
        while at < stop and (found := search(chunk, at, stop)) is not None:
            start = chunk.rfind(b"\n", at, found.start()) + 1 or at
            end = chunk.index(b"\n", found.start(), stop)
            line = chunk[start:end]
            reading = self._reader.read_candidate(line.removesuffix(b"\r"))
            yield from self._found(reading, line, base + start, base + end + 1)
            at = end + 1

    def _found(
        self, reading: Reading | None, line: bytes, start: int, end: int
    ) -> Iterator[Found]:
        if reading is None:
            return
        self.stats.matched_count += reading.record is not None
        self.stats.suspicious_count += reading.suspicious
        yield Found(offset=start, end=end, line=line.removesuffix(b"\r"), reading=reading)
