"""The journal as a source, read by the real journalctl from a journal of the test's own."""

import asyncio
import shutil
import struct
import subprocess
from collections.abc import Sequence
from contextlib import aclosing
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.clock import SystemClock
from exporter.handshake_log.journal import ExportParser, JournalError, JournalSource
from exporter.handshake_log.options import Options
from exporter.handshake_log.source import Batch
from tests.daemons import need
from tests.handshake_log.reader import refused
from tests.handshake_log.test_sources import FAILURES, failed, running, samples, until

CLOCK = SystemClock()
# It makes a journal of entries in the export format
_REMOTE = "/lib/systemd/systemd-journal-remote"
_BEGIN_US = 1_795_492_800_000_000
_BOOT = "0123456789abcdef0123456789abcdef"


class Journal:
    """A journal file that the test writes to."""

    def __init__(self, folder: Path) -> None:
        need("journalctl")
        self.folder = folder / "journal"
        self.folder.mkdir()
        self._count = 0

    def write(self, *messages: bytes, unit: str = "nginx.service") -> None:
        """Append entries of ``unit``."""
        entries = b"".join(self._entry(message, unit) for message in messages)
        subprocess.run(
            [_REMOTE, f"--output={self.folder}/test.journal", "-"],
            input=entries,
            capture_output=True,
            timeout=30,
            check=True,
        )

    def _entry(self, message: bytes, unit: str) -> bytes:
        self._count += 1
        return (
            f"__REALTIME_TIMESTAMP={_BEGIN_US + self._count}\n"
            f"__MONOTONIC_TIMESTAMP={self._count}\n_BOOT_ID={_BOOT}\n_SYSTEMD_UNIT={unit}\n"
        ).encode() + _field(b"MESSAGE", message)

    @property
    def options(self) -> Options:
        return Options(journald="nginx.service", journal_directory=self.folder, gateway="gw")

    def source(self) -> JournalSource:
        return JournalSource(self.options, CLOCK)


def _field(name: bytes, value: bytes) -> bytes:
    """The end of an entry, in the form that any bytes fit into."""
    return name + b"\n" + struct.pack("<Q", len(value)) + value + b"\n\n"


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path)


async def read(source: JournalSource, resume: str | None, count: int) -> list[Batch]:
    """Batches until they hold that many lines."""
    found: list[Batch] = []
    batches = source.batches(resume)
    async with asyncio.timeout(30), aclosing(batches):  # type: ignore[type-var]  # a generator
        async for batch in batches:
            found.append(batch)
            if sum(one.data.count(b"\n") for one in found) >= count:
                break
    return found


def lines_of(batches: Sequence[Batch]) -> list[bytes]:
    return b"".join(batch.data for batch in batches).splitlines()


@pytest.mark.slow
async def test_the_first_reading_begins_at_the_end_and_that_is_durable_at_once(
    journal: Journal,
) -> None:
    journal.write(b"last week")
    [first] = await read(journal.source(), None, 0)
    journal.write(b"while nobody read", b"and this")

    found = await read(journal.source(), first.position, 2)

    assert first.data == b""
    assert lines_of(found) == [b"while nobody read", b"and this"]


@pytest.mark.slow
async def test_an_empty_journal_is_read_from_its_first_entry_on(journal: Journal) -> None:
    [first] = await read(journal.source(), None, 0)
    journal.write(b"first")

    assert lines_of(await read(journal.source(), first.position, 1)) == [b"first"]


@pytest.mark.slow
async def test_each_entry_is_read_once_over_restarts(journal: Journal) -> None:
    journal.write(b"old")
    batches = await read(journal.source(), None, 0)
    seen: list[bytes] = []
    for number in range(3):
        journal.write(b"a %d" % number, b"b %d" % number)
        batches = await read(journal.source(), batches[-1].position, 2)
        seen += lines_of(batches)

    assert seen == [b"a 0", b"b 0", b"a 1", b"b 1", b"a 2", b"b 2"]


@pytest.mark.slow
async def test_other_units_and_newlines_inside_make_no_lines(journal: Journal) -> None:
    [first] = await read(journal.source(), None, 0)
    journal.write(b"not ours", unit="sshd.service")
    journal.write(b"one\nstill one \xff")

    found = await read(journal.source(), first.position, 1)

    assert lines_of(found) == [rb"one\nstill one" + b" \xff"]
    assert found[-1].newest_at is not None


@pytest.mark.slow
async def test_a_refusal_in_the_journal_is_a_count_of_its_device(
    journal: Journal, tmp_path: Path
) -> None:
    name = "journald:nginx.service"
    # As on every machine that has booted: where there is no entry at all, journalctl ends
    journal.write(b"Started", unit="init.scope")
    async with running(tmp_path, journal.options) as logs:
        await until(lambda: logs.stats[name].is_ok)
        journal.write(refused(1).rstrip(), refused(1).rstrip(), refused(2).rstrip())
        await until(lambda: len(samples(logs, FAILURES)) == 2)
    journal.write(refused(2).rstrip())

    async with running(tmp_path, journal.options) as logs:
        await until(lambda: samples(logs, FAILURES).get(failed("dev-2")) == 2)
        assert samples(logs, FAILURES) == {failed("dev-1"): 2, failed("dev-2"): 2}


@pytest.mark.slow
async def test_a_journal_that_is_not_there_has_a_sentence(tmp_path: Path) -> None:
    need("journalctl")
    options = Options(journald="nginx.service", journal_directory=tmp_path / "none")

    with pytest.raises(JournalError, match=r"journalctl ended with status 1: .*none"):
        await read(JournalSource(options, CLOCK), None, 0)


async def test_without_journalctl_there_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shutil.which("journalctl") is None

    with pytest.raises(JournalError, match="journalctl cannot be run: No such file"):
        await read(JournalSource(Options(journald="nginx.service"), CLOCK), None, 0)


EXPORT = (
    b"__CURSOR=s=1\n__REALTIME_TIMESTAMP=1795492800000000\nPRIORITY=6\nMESSAGE=plain\n\n"
    b"__CURSOR=s=2\n" + _field(b"MESSAGE", b"two\nlines\n\n=\xff") + b"\n"
    b"__CURSOR=s=3\nNOTE=without a message\n\n"
    b"__CURSOR=s=4\nMESSAGE=\n\n"
)


@given(st.lists(st.integers(0, len(EXPORT))))
def test_entries_are_the_same_however_they_are_cut(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(EXPORT)]
    parser = ExportParser()

    found = [entry for begin, end in pairwise(edges) for entry in parser.feed(EXPORT[begin:end])]

    assert [(entry.cursor, entry.message) for entry in found] == [
        ("s=1", b"plain"),
        ("s=2", b"two\nlines\n\n=\xff"),
        ("s=4", b""),
    ]


def test_a_damaged_stream_is_refused_before_it_fills_the_memory() -> None:
    with pytest.raises(JournalError, match=r"a field of \d+ bytes; the output of journalctl is"):
        ExportParser().feed(b"MESSAGE\n" + b"\xff" * 8)
