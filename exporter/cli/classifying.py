"""What ``logs classify`` does: reads lines, says what each tells."""

import gzip
import json
import sys
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from rich.console import Console
from rich.text import Text

from exporter.cli.picture import console_for
from exporter.cli.terminal import short
from exporter.config import load
from exporter.errors import ConfigError, Fault
from exporter.handshake_log.classify import MAX_LINE_BYTES, READER, LineReader
from exporter.handshake_log.options import Options
from exporter.handshake_log.readers import reader_of
from exporter.observations import HandshakeRecord

_NOTHING = HandshakeRecord(failure=False, success=False)


_GZIP = b"\x1f\x8b"


def show_lines(path: Path, *, as_json: bool, config: Path | None = None) -> None:
    """Print what the lines of the file tell; ``-`` is standard input.

    Raises:
        ConfigError: the file cannot be read, or the configuration not be used.
    """
    reader = READER if config is None else _reader_of_all(load(config).handshake_logs)
    with _opened(path) as file:
        if as_json:
            for line in lines_of(file):
                print(json.dumps(record_json(_record(reader, line) or _NOTHING)))
        else:
            _show_table(file, reader, console_for(sys.stdout))


def _reader_of_all(sources: tuple[Options, ...]) -> LineReader:
    """Return who knows what the sources know together."""
    formats = dict.fromkeys(one for source in sources for one in source.formats)
    keys = dict.fromkeys(key for source in sources for key in source.message_keys)
    return reader_of(tuple(formats), tuple(keys)) if sources else READER


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file, or what is packed in it.

    Raises:
        ConfigError: it cannot be opened; or unpacking came to where it is damaged.
    """
    if str(path) == "-":
        yield sys.stdin.buffer
        return
    try:
        opened = path.open("rb")
    except OSError as exc:
        message = f"it cannot be read: {exc.strerror}"
        raise ConfigError([Fault(place=str(path), message=message)]) from exc
    with opened as file:
        packed = file.peek(len(_GZIP))[: len(_GZIP)] == _GZIP
        try:
            yield cast("BinaryIO", gzip.GzipFile(fileobj=file)) if packed else file
        except (EOFError, zlib.error, gzip.BadGzipFile) as exc:
            raise ConfigError([Fault(place=str(path), message=f"it is damaged: {exc}")]) from exc


def _record(reader: LineReader, line: bytes) -> HandshakeRecord | None:
    reading = reader.read(line)
    return None if reading is None else reading.record


def record_json(record: HandshakeRecord) -> dict[str, object]:
    """Return what a line tells, as scripts rely on it."""
    return {
        "failure": record.failure,
        "success": record.success,
        "reason": record.reason.value if record.reason else None,
        "rejected_by": record.rejected_by.value if record.rejected_by else None,
        "peer": record.peer,
        "writer": record.writer,
        "resumed": record.resumed,
    }


def lines_of(file: BinaryIO) -> Iterator[bytes]:
    r"""Yield the lines, which end at ``\n`` only; of a very long one the beginning.

    Empty lines count, and so does a last one without an end.
    """
    limit = MAX_LINE_BYTES + 2
    while line := file.readline(limit):
        rest = line
        while len(rest) == limit and not rest.endswith(b"\n"):
            rest = file.readline(limit)
        yield line


def _show_table(file: BinaryIO, reader: LineReader, console: Console) -> None:
    reasons: Counter[str] = Counter()
    line_count = success_count = 0
    for line_count, line in enumerate(lines_of(file), start=1):
        record = _record(reader, line)
        if record is None:
            continue
        success_count += record.success
        if record.failure:
            by = f", told by {record.rejected_by}" if record.rejected_by else ""
            reasons[f"{record.reason}{by}"] += 1
        console.print(_row(line_count, record), soft_wrap=True)
    console.print(
        f"\n{line_count} lines: {success_count} handshakes, {reasons.total()} failures",
        style="bold",
    )
    for reason, count in reasons.most_common():
        console.print(f"{count:>8}  {reason}")


def _row(number: int, record: HandshakeRecord) -> Text:
    row = Text(f"{number:>8}  ")
    if record.success:
        kind = {True: "resumed", False: "full", None: ""}[record.resumed]
        row.append(f"{'handshake':<22}{kind:<8}", "green")
    else:
        row.append(f"{record.reason or '':<22}{record.rejected_by or '':<8}", "red")
    row.append(f"{short(record.peer or '', 60):<30} ")
    return row.append(short(record.writer or "", 40), "dim")
