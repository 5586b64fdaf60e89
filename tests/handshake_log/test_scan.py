import tracemalloc
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.handshake_log.classify import MAX_LINE_BYTES, READER, LineReader
from exporter.handshake_log.custom import CustomFormat
from exporter.handshake_log.readers import format_of
from exporter.handshake_log.scan import Found, Scanner

FAILURE = (
    b"2026/11/24 03:58:49 [info] 7#7: *3 SSL_do_handshake() failed (SSL: error:0A000418:"
    b"SSL routines::tlsv1 alert unknown ca:SSL alert number 48) while SSL handshaking, "
    b"client: 10.0.0.5, server: 0.0.0.0:8883"
)
OPENED = b"1795492801: New connection from 127.0.0.1:55148 on port 54413."
SUSPICIOUS = b"gw[3]: TLS fatal: quux 17"
ORDINARY = b'10.0.0.1 - - [24/Nov/2026:03:58:48 +0000] "GET / HTTP/1.1" 200 2 "-" "curl"'


def scanned(
    chunks: Iterable[bytes], scanner: Scanner | None = None
) -> tuple[list[Found], Scanner]:
    scanner = scanner or Scanner()
    found = [one for chunk in chunks for one in scanner.feed(chunk)]
    return [*found, *scanner.finish()], scanner


def pieces(text: bytes, cuts: Iterable[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    return [text[start:end] for start, end in pairwise(edges)]


def test_each_line_is_found_at_its_offset_and_counted() -> None:
    text = b"\n".join([ORDINARY, FAILURE, OPENED, b"", SUSPICIOUS, ORDINARY]) + b"\n"

    found, scanner = scanned([text])

    assert [one.line for one in found] == [FAILURE, OPENED, SUSPICIOUS]
    assert [text[one.offset : one.end].rstrip(b"\n") for one in found] == [
        FAILURE,
        OPENED,
        SUSPICIOUS,
    ]
    assert found[2].reading.suspicious
    assert scanner.stats.line_count == 6
    assert scanner.stats.matched_count == 1
    assert scanner.stats.suspicious_count == 1
    assert scanner.stats.cut_count == 0
    assert scanner.stats.bytes_count == len(text)


def test_an_unterminated_last_line_waits_for_its_end() -> None:
    scanner = Scanner(start=1000)

    first = list(scanner.feed(FAILURE[:50]))
    waiting = scanner.position
    second = list(scanner.feed(FAILURE[50:]))
    third = list(scanner.feed(b"\nnext"))

    assert (first, second, waiting) == ([], [], 1000)
    assert [one.line for one in third] == [FAILURE]
    assert scanner.position == 1000 + len(FAILURE) + 1


def test_finish_reads_the_unterminated_last_line_once() -> None:
    scanner = Scanner()
    list(scanner.feed(FAILURE))

    found = list(scanner.finish())
    again = list(scanner.finish())

    assert [one.line for one in found] == [FAILURE]
    assert again == []
    assert scanner.stats.line_count == 1
    assert scanner.position == len(FAILURE)


def test_a_carriage_return_at_the_end_is_dropped_and_one_alone_ends_no_line() -> None:
    found, scanner = scanned([FAILURE + b"\r\n" + b"a\rb\n" + FAILURE + b"\r"])

    assert [one.line for one in found] == [FAILURE, FAILURE]
    assert scanner.stats.line_count == 3


def test_nuls_that_a_truncated_file_is_full_of_do_no_harm() -> None:
    found, _ = scanned([b"\0" * 5000 + FAILURE + b"\n"])

    assert [one.reading.record is not None for one in found] == [True]


@pytest.mark.parametrize("size", [1, 7, 4096, 1 << 20])
def test_a_line_of_many_megabytes_is_cut_and_counted(size: int) -> None:
    long = FAILURE + b" " * (3 * MAX_LINE_BYTES if size < 4096 else 50_000_000)
    text = b"\n".join([ORDINARY, long, FAILURE]) + b"\n"
    chunks = [text[at : at + size] for at in range(0, len(text), size)]

    found, scanner = scanned(chunks)

    assert [one.line[:200] for one in found] == [long[:200], FAILURE[:200]]
    assert len(found[0].line) <= MAX_LINE_BYTES
    assert found[0].end == found[1].offset
    assert scanner.stats.line_count == 3
    assert scanner.stats.cut_count == 1


def test_what_stands_behind_the_cut_is_not_read() -> None:
    text = b"x" * MAX_LINE_BYTES + FAILURE + b"\n"

    whole, _ = scanned([text])
    in_parts, _ = scanned([text[:10], text[10:]])

    assert whole == in_parts == []


@pytest.mark.parametrize("beyond", [-2, -1, 0, 1, 2])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
def test_the_cut_is_the_same_in_a_chunk_and_across_chunks(beyond: int, end: bytes) -> None:
    line = FAILURE.ljust(MAX_LINE_BYTES + beyond, b".")
    text = ORDINARY + b"\n" + line + end + (OPENED + b"\n" if end else b"")

    whole, one = scanned([text])
    parts, other = scanned([text[:300], text[300:301], text[301:]])

    assert whole == parts
    assert one.stats == other.stats


def test_memory_stays_bounded_while_a_line_never_ends() -> None:
    scanner, chunk = Scanner(), b"TLS error " * 10_000
    list(scanner.feed(chunk))
    tracemalloc.start()

    for _ in range(200):
        list(scanner.feed(chunk))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 2_000_000


LINES = st.one_of(
    st.sampled_from(
        [FAILURE, OPENED, SUSPICIOUS, ORDINARY, b"", b"\r", b"cert", b"TLS", b"error"]
    ),
    st.binary(max_size=80),
)


@settings(max_examples=300)
@given(
    lines=st.lists(LINES, max_size=12),
    last=LINES,
    cuts=st.lists(st.integers(0, 10_000), max_size=8),
)
def test_the_result_does_not_depend_on_the_chunks(
    lines: list[bytes], last: bytes, cuts: list[int]
) -> None:
    text = b"".join(line + b"\n" for line in lines) + last

    whole, one = scanned([text])
    parts, other = scanned(pieces(text, cuts))

    assert whole == parts
    assert one.stats == other.stats


@settings(max_examples=300)
@given(text=st.lists(LINES, max_size=12).map(b"\n".join))
def test_a_scan_finds_what_each_line_alone_tells(text: bytes) -> None:
    found, _ = scanned([text])

    alone = [(line, READER.read(line)) for line in text.split(b"\n")]

    assert [(one.line, one.reading) for one in found] == [
        (line.removesuffix(b"\r"), reading) for line, reading in alone if reading is not None
    ]


def test_a_format_of_the_operators_own_is_found_at_speed_and_without_a_mark() -> None:
    line = b"acme: peer 10.0.0.9 turned away"
    wish = {
        "name": "acme",
        "pattern": r"^acme: peer (?P<peer>\S+) turned",
        "outcome": "failure",
    }
    text = ORDINARY + b"\n" + line + b"\n"

    for one in (wish, wish | {"mark": "turned away"}):
        reader = LineReader([format_of(CustomFormat.model_validate(one))])
        found, _ = scanned([text], Scanner(reader=reader))
        assert [x.reading.record.peer for x in found if x.reading.record] == ["10.0.0.9"]
