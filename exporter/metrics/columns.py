"""The sample lines of one family: one cell for each target, compressed block by block."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from exporter.metrics.gzipped import Piece

BLOCK = 512
"""Cells that are compressed together: about 50 KB, more than deflate's window looks back."""

_AMBIGUOUS = "\ufffd"


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Lines that are yet to be compressed; ``done`` is told the result in the event loop.

    They are joined only when it is their turn: all at once would be as much as a plain scrape.
    """

    cells: Sequence[bytes]
    level: int
    done: Callable[[Piece], None]


class Family(Protocol):
    """The sample lines of one metric.

    Attributes:
        series_count: Lines there are.
        duplicate_count: Lines that were not taken in, because their series was there already.
    """

    series_count: int
    duplicate_count: int

    def cells(self, slots: Sequence[int] | None = None) -> Sequence[bytes]:
        """Return the lines, cell by cell, all or those of ``slots``; not to be changed."""
        ...

    def slots_within(self, budget: int) -> int:
        """Return how many cells from the first on hold no more than ``budget`` lines."""
        ...

    def pieces(self) -> Iterator[Piece | Work]:
        """Return the lines compressed, and as work where they have changed since."""
        ...


class Column:
    """The lines of one family by the slots that the targets were given; a ``Family``."""

    def __init__(self, level: int = 6) -> None:
        self.series_count = 0
        self.duplicate_count = 0
        self._level = level
        self._cells: list[bytes] = []
        self._versions: list[int] = []
        self._pieces: list[tuple[int, Piece] | None] = []

    def grow(self, size: int) -> None:
        """Make room for ``size`` slots."""
        self._cells.extend([b""] * (size - len(self._cells)))
        missing = -(-size // BLOCK) - len(self._versions)
        self._versions.extend([0] * missing)
        self._pieces.extend([None] * missing)

    def set(self, slot: int, text: str) -> None:
        """Put ``text``, whole lines, into a cell."""
        new = text.encode()
        old = self._cells[slot]
        if new == old:
            return
        # Two names can only look the same where a character was replaced (``label_value``)
        if _AMBIGUOUS in text:
            unique = unique_lines(new.splitlines(keepends=True))
            self.duplicate_count += new.count(b"\n") - len(unique)
            new = b"".join(unique)
        self._cells[slot] = new
        self._versions[slot // BLOCK] += 1
        self.series_count += new.count(b"\n") - old.count(b"\n")

    def cells(self, slots: Sequence[int] | None = None) -> Sequence[bytes]:
        """Return the cells, all or those of ``slots``; not to be changed."""
        if slots is None:
            return self._cells
        return [self._cells[slot] for slot in slots]

    def slots_within(self, budget: int) -> int:
        """Return how many cells from the first on hold no more than ``budget`` lines."""
        for slot, cell in enumerate(self._cells):
            budget -= cell.count(b"\n")
            if budget < 0:
                return slot
        return len(self._cells)

    def pieces(self) -> Iterator[Piece | Work]:
        """Return the cells compressed, and as work where they have changed since."""
        for block, version in enumerate(self._versions):
            known = self._pieces[block]
            if known is not None and known[0] == version:
                yield known[1]
                continue
            cells = self._cells[block * BLOCK : (block + 1) * BLOCK]
            if any(cells):
                yield Work(cells=cells, level=self._level, done=self._keeper(block, version))

    def _keeper(self, block: int, version: int) -> Callable[[Piece], None]:
        def keep(piece: Piece) -> None:
            self._pieces[block] = (version, piece)

        return keep


class Handed:
    """The lines of one family as another part hands them over, a line a cell; a ``Family``."""

    def __init__(self) -> None:
        self.series_count = 0
        self.duplicate_count = 0
        self._handed: list[bytes] = []
        self._lines: list[bytes] = []
        self._piece: Piece | None = None

    def set(self, lines: list[bytes]) -> None:
        """Take over ``lines``; cheap when they are the same as before."""
        if lines == self._handed:
            return
        self._handed = lines
        self._lines = unique_lines(lines)
        self._piece = None
        self.series_count = len(self._lines)
        self.duplicate_count += len(lines) - len(self._lines)

    def cells(self, slots: Sequence[int] | None = None) -> Sequence[bytes]:
        """Return the lines, all or those of ``slots``; not to be changed."""
        return self._lines if slots is None else [self._lines[slot] for slot in slots]

    def slots_within(self, budget: int) -> int:
        """Return how many lines there are within ``budget``."""
        return min(budget, len(self._lines))

    def pieces(self) -> Iterator[Piece | Work]:
        """Return the lines compressed, or as work when they have changed."""
        if self._piece is not None:
            yield self._piece
        elif self._lines:
            yield Work(cells=self._lines, level=1, done=self._keeper(self._handed))

    def _keeper(self, handed: list[bytes]) -> Callable[[Piece], None]:
        def keep(piece: Piece) -> None:
            if self._handed is handed:
                self._piece = piece

        return keep


def unique_lines(lines: list[bytes]) -> list[bytes]:
    """Return the lines without those whose series was there already; the first one stays.

    The very same list when there is nothing to leave out.
    """
    by_series: dict[bytes, bytes] = {}
    for line in lines:
        by_series.setdefault(line[: line.rfind(b" ")], line)
    return lines if len(by_series) == len(lines) else list(by_series.values())
