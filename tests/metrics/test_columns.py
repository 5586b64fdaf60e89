import gzip
from collections.abc import Iterable

from exporter.metrics.columns import BLOCK, Column, Family, Handed, Work, unique_lines
from exporter.metrics.gzipped import Piece, compress, stream


def column(*cells: str) -> Column:
    made = Column()
    made.grow(len(cells))
    for slot, text in enumerate(cells):
        made.set(slot, text)
    return made


def handed(*lines: bytes) -> Handed:
    made = Handed()
    made.set(list(lines))
    return made


def squeeze(family: Family) -> tuple[bytes, int]:
    """The plain text by way of the pieces, and how many had to be compressed."""
    pieces, worked = [], 0
    for part in family.pieces():
        if isinstance(part, Work):
            piece = compress(b"".join(part.cells), part.level)
            part.done(piece)
            pieces.append(piece)
            worked += 1
        else:
            pieces.append(part)
    return gzip.decompress(b"".join(stream(pieces))), worked


def joined(cells: Iterable[bytes]) -> bytes:
    return b"".join(cells)


def test_cells_stand_in_the_order_of_their_slots() -> None:
    made = column('a{b="1"} 1\n', "", 'a{b="3"} 3\na{b="4"} 4\n')

    assert joined(made.cells()) == b'a{b="1"} 1\na{b="3"} 3\na{b="4"} 4\n'
    assert joined(made.cells([2])) == b'a{b="3"} 3\na{b="4"} 4\n'
    assert made.series_count == 3


def test_series_are_counted_as_cells_change() -> None:
    made = column("a 1\n", "b 1\nc 1\n")

    made.set(1, "b 2\n")
    made.set(0, "")

    assert made.series_count == 1


def test_only_blocks_that_changed_are_compressed_again() -> None:
    made = column(*(f'a{{b="{slot}"}} 1\n' for slot in range(3 * BLOCK)))
    plain = joined(made.cells())

    assert squeeze(made) == (plain, 3)
    assert squeeze(made) == (plain, 0)
    made.set(BLOCK, f'a{{b="{BLOCK}"}} 1\n')
    assert squeeze(made) == (plain, 0)
    made.set(BLOCK, f'a{{b="{BLOCK}"}} 2\n')
    assert squeeze(made) == (joined(made.cells()), 1)


def test_a_block_that_changed_while_it_was_compressed_is_compressed_again() -> None:
    made = column("a 1\n")
    (work,) = made.pieces()
    assert isinstance(work, Work)

    made.set(0, "a 2\n")
    work.done(compress(b"".join(work.cells), 1))

    assert squeeze(made) == (b"a 2\n", 1)


def test_an_empty_block_takes_no_room() -> None:
    assert list(column("", "").pieces()) == []


def test_a_column_grows_and_keeps_what_it_had() -> None:
    made = column("a 1\n")

    made.grow(BLOCK + 1)
    made.set(BLOCK, "b 1\n")

    assert squeeze(made) == (b"a 1\nb 1\n", 2)


def test_lines_that_look_the_same_after_replacing_are_dropped_and_counted() -> None:
    made = column('a{b="\ufffd"} 1\na{b="\ufffd"} 2\na{b="x y"} 3\n')

    assert joined(made.cells()) == 'a{b="\ufffd"} 1\na{b="x y"} 3\n'.encode()
    assert (made.series_count, made.duplicate_count) == (2, 1)


def test_a_budget_ends_at_a_whole_cell() -> None:
    made = column("a 1\nb 1\n", "c 1\n", "d 1\ne 1\n")

    assert [made.slots_within(budget) for budget in range(6)] == [0, 0, 1, 2, 2, 3]


def test_handed_lines_are_kept_in_their_order_without_duplicates() -> None:
    made = handed(b'a{b="1"} 1\n', b'a{b="2"} 1\n', b'a{b="1"} 9\n')

    assert joined(made.cells()) == b'a{b="1"} 1\na{b="2"} 1\n'
    assert joined(made.cells(range(1))) == b'a{b="1"} 1\n'
    assert (made.series_count, made.duplicate_count) == (2, 1)
    assert [made.slots_within(budget) for budget in (0, 1, 5)] == [0, 1, 2]


def test_handed_lines_are_compressed_again_only_when_they_change() -> None:
    made = handed(b"a 1\n")

    assert squeeze(made) == (b"a 1\n", 1)
    made.set([b"a 1\n"])
    assert squeeze(made) == (b"a 1\n", 0)
    made.set([b"a 2\n"])
    assert squeeze(made) == (b"a 2\n", 1)
    made.set([])
    assert list(made.pieces()) == []


def test_handed_lines_that_change_while_they_are_compressed_are_compressed_again() -> None:
    made = handed(b"a 1\n")
    (work,) = made.pieces()
    assert isinstance(work, Work)

    made.set([b"a 2\n"])
    work.done(Piece(data=b"", crc=0, length=0, shift=0))

    assert squeeze(made) == (b"a 2\n", 1)


def test_lines_without_duplicates_are_handed_back_as_they_are() -> None:
    lines = [b"a 1\n", b"b 1\n"]

    assert unique_lines(lines) is lines
