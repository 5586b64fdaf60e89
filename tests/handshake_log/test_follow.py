"""Following real files over everything that happens to them; what is read is told by its lines."""

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from exporter.clock import SystemClock
from exporter.handshake_log.classify import MAX_LINE_BYTES
from exporter.handshake_log.follow import POLL_S, FileSource
from exporter.handshake_log.log_file import READ_BYTES, FilePosition
from exporter.handshake_log.options import Options, ReadFrom
from exporter.handshake_log.scan import Scanner
from exporter.handshake_log.siblings import KnownFile, is_rotated_name
from exporter.handshake_log.source import Batch
from exporter.handshake_log.tail import LINGER_S, PARTIAL_S, Tail
from tests.fake_clock import FakeClock


class Followed:
    """A log and who follows it; each poll is some seconds after the one before."""

    def __init__(self, path: Path, *, at_end: bool = False) -> None:
        self.path = path
        self.at_end = at_end
        self.now_s = 100.0
        self.tail = Tail(path, [], at_end=at_end)
        self.saved: list[FilePosition] = []
        self.known: list[KnownFile] = []

    def write(self, text: str, path: Path | None = None) -> None:
        with (path or self.path).open("a") as log:
            log.write(text)

    def read(self, after_s: float = 0.25) -> str:
        """All that is new."""
        self.now_s += after_s
        found = b""
        while (piece := self.tail.poll(self.now_s)) is not None:
            found += piece.data
        self.saved, self.known = self.tail.positions, self.tail.known
        return found.decode()

    def restart(self) -> None:
        """Go on at what was durable; nothing else is known of before."""
        self.tail.close()
        self.tail = Tail(self.path, self.saved, at_end=False, known=self.known)

    def beside(self, name: str) -> Path:
        return self.path.with_name(name)


@pytest.fixture
def log(tmp_path: Path) -> Followed:
    return Followed(tmp_path / "gw.log")


def test_what_is_appended_is_read_once(log: Followed) -> None:
    log.write("a\n")

    assert log.read() == "a\n"
    assert log.read() == ""
    log.write("b\nc\n")
    assert log.read() == "b\nc\n"


def test_the_first_reading_can_begin_at_the_end(tmp_path: Path) -> None:
    log = Followed(tmp_path / "gw.log", at_end=True)
    log.write("old\nhalf")

    assert log.read() == ""
    log.write(" a line\nnew\n")
    assert log.read() == "half a line\nnew\n"


def test_a_file_that_appears_later_is_read_from_its_beginning(tmp_path: Path) -> None:
    log = Followed(tmp_path / "gw.log", at_end=False)

    assert log.read() == ""
    log.write("a\n")
    assert log.read() == "a\n"


def test_a_line_waits_for_its_end(log: Followed) -> None:
    log.write("a\nhal")
    assert log.read() == "a\n"
    assert log.read(PARTIAL_S) == ""

    log.write("f\n")
    assert log.read() == "half\n"


def test_the_rest_of_a_renamed_file_comes_before_the_new_one(log: Followed) -> None:
    log.write("a\n")
    log.read()
    log.write("b\n")
    log.path.rename(log.beside("gw.log.1"))
    log.write("c\n")

    assert log.read() == "b\nc\n"


def test_a_writer_that_is_slow_to_let_go_is_still_heard(log: Followed) -> None:
    log.write("a\n")
    log.read()
    log.path.rename(log.beside("gw.log.1"))
    log.write("b\n")
    log.read()

    log.write("late\n", log.beside("gw.log.1"))
    assert log.read(LINGER_S - 1) == "late\n"


def test_a_renamed_file_is_let_go_when_it_is_quiet(log: Followed) -> None:
    log.write("a\n")
    log.read()
    log.path.rename(log.beside("gw.log.1"))
    log.write("b\n")
    log.read()
    log.read(LINGER_S)

    assert [Path(position.path).name for position in log.saved] == ["gw.log"]


def test_a_renamed_file_may_lack_its_last_newline(log: Followed) -> None:
    log.write("a\nlast")
    log.read()
    log.path.rename(log.beside("gw.log.1"))
    log.write("b\n")

    assert log.read() == "b\n"
    assert log.read(PARTIAL_S) == "last\n"
    assert log.read(PARTIAL_S) == ""


def test_several_renames_within_one_poll_lose_nothing(log: Followed) -> None:
    log.write("a\n")
    log.read()
    for number in range(4):
        log.write(f"b{number}\n")
        shift(log)
    log.write("c\n")

    assert log.read() == "b0\nb1\nb2\nb3\nc\n"


def shift(log: Followed) -> None:
    for number in range(9, 0, -1):
        if (older := log.beside(f"gw.log.{number}")).exists():
            older.rename(log.beside(f"gw.log.{number + 1}"))
    log.path.rename(log.beside("gw.log.1"))


def test_dated_names_are_rotations_too(log: Followed) -> None:
    log.write("a\n")
    log.read()
    log.write("b\n")
    log.path.rename(log.beside("gw.log-20261124"))
    log.write("c\n")
    log.path.rename(log.beside("gw.log-20261125"))
    log.write("d\n")

    assert log.read() == "b\nc\nd\n"


def test_after_a_restart_the_old_file_is_read_to_its_end_first(log: Followed) -> None:
    log.write("a\n")
    log.read()
    log.write("b\n")
    log.path.rename(log.beside("gw.log.1"))
    log.write("c\n")

    log.restart()
    assert log.read() == "b\nc\n"


def test_after_a_restart_files_in_between_are_read_too(log: Followed) -> None:
    log.write("a\n")
    log.read()
    for number in range(3):
        log.write(f"b{number}\n")
        shift(log)
    log.write("c\n")

    log.restart()
    assert log.read() == "b0\nb1\nb2\nc\n"


def test_a_restart_during_a_rotation_reads_nothing_twice(log: Followed) -> None:
    log.write("a\n")
    log.read()
    log.path.rename(log.beside("gw.log.1"))
    log.write("b\n")
    log.read()

    log.restart()
    assert log.read() == ""
    log.write("late\n", log.beside("gw.log.1"))
    log.write("c\n")
    assert log.read() == "late\nc\n"


def test_a_file_that_was_removed_unread_is_counted_as_lost(log: Followed) -> None:
    log.write("a\n")
    log.read()
    kept = log.path.open()  # or its inode would be the new one's
    log.path.unlink()
    log.write("b\n")

    log.restart()
    assert log.read() == "b\n"
    assert log.tail.lost_count == 1
    kept.close()


def test_an_inode_that_is_used_again_is_another_file(log: Followed) -> None:
    log.write("the first file\n")
    log.read()
    log.write("a\n" * 10)
    log.path.write_text("another file that is longer than what was read of the first\n")

    log.restart()
    assert log.read() == "another file that is longer than what was read of the first\n"


def test_the_copy_is_read_to_its_end_after_copytruncate(log: Followed) -> None:
    log.write("a\n")
    log.read()
    log.write("b\n")
    copytruncate(log)
    log.write("c\n")

    assert log.read() == "b\nc\n"


def copytruncate(log: Followed) -> None:
    for number in range(9, 0, -1):
        if (older := log.beside(f"gw.log.{number}")).exists():
            older.rename(log.beside(f"gw.log.{number + 1}"))
    shutil.copyfile(log.path, log.beside("gw.log.1"))
    os.truncate(log.path, 0)


def test_a_truncated_file_that_grew_again_is_noticed(log: Followed) -> None:
    log.write("a\n")
    log.read()
    copytruncate(log)
    log.write("much longer than it was before\n")

    assert log.read() == "much longer than it was before\n"


def test_several_copies_within_one_poll_lose_nothing(log: Followed) -> None:
    log.write("a\n")
    log.read()
    for number in range(4):
        log.write(f"b{number}\n")
        copytruncate(log)
    log.write("c\n")

    assert log.read() == "b0\nb1\nb2\nb3\nc\n"


def test_a_copy_is_found_after_a_restart(log: Followed) -> None:
    log.write("a\n")
    log.read()
    log.write("b\n")
    copytruncate(log)
    log.write("c\n")

    log.restart()
    assert log.read() == "b\nc\n"


def test_a_file_that_was_empty_when_it_was_filled_and_truncated_is_not_missed(
    log: Followed,
) -> None:
    log.write("a\n")
    log.read()
    copytruncate(log)
    assert log.read() == ""
    log.write("b\n")
    copytruncate(log)
    log.write("c\n")

    assert log.read() == "b\nc\n"


def test_what_was_rotated_before_the_first_look_is_the_past_whatever_its_moment(
    log: Followed,
) -> None:
    log.write("the past\n", log.beside("gw.log.1"))
    log.write("")
    touch(log.path, log.beside("gw.log.1"), seconds=-1)
    assert log.read() == ""

    log.write("a\n")
    assert log.read() == "a\n"


def touch(path: Path, like: Path, *, seconds: int) -> None:
    """Let ``path`` look as if it was written that much later than ``like``."""
    moment_ns = like.stat().st_mtime_ns + seconds * 10**9
    os.utime(path, ns=(moment_ns, moment_ns))


def test_a_file_that_was_let_go_is_not_read_again_after_a_restart(log: Followed) -> None:
    log.write("a\n")
    log.read()
    log.path.rename(log.beside("gw.log.1"))
    log.write("b\n")
    log.read()
    log.read(LINGER_S)
    log.read(LINGER_S)
    touch(log.beside("gw.log.1"), log.path, seconds=1)

    log.restart()
    shift(log)
    log.write("c\n")

    assert log.read() == "c\n"


def test_a_copy_that_has_only_been_begun_is_not_taken_for_a_file_of_its_own(
    log: Followed,
) -> None:
    log.write("")
    log.read()
    log.write("a\n")
    log.write("", log.beside("gw.log.1"))
    assert log.read() == "a\n"

    log.write("a\n", log.beside("gw.log.1"))
    assert log.read() == ""


def test_a_link_to_a_dated_file_does_not_make_that_file_its_own_past(tmp_path: Path) -> None:
    log = Followed(tmp_path / "gw.log")
    log.path.symlink_to("gw.log-20261124")
    log.write("a\n")
    assert log.read() == "a\n"
    log.write("b\n")
    log.write("c\n", tmp_path / "gw.log-20261125")
    log.path.unlink()
    log.path.symlink_to("gw.log-20261125")

    assert log.read() == "b\nc\n"


def test_a_truncation_without_a_copy_goes_on_with_what_is_there(log: Followed) -> None:
    log.write("a\nb\n")
    log.read()
    log.path.write_text("c\n")

    assert log.read() == "c\n"


def test_a_hole_left_by_a_writer_that_does_not_append_is_skipped(log: Followed) -> None:
    with log.path.open("wb", buffering=0) as writer:
        writer.write(b"a\n" * 1_000_000)
        log.read()
        os.truncate(log.path, 0)
        writer.write(b"b\n")

        assert log.read() == "b\n"


def test_a_directory_that_is_moved_away_is_followed_until_there_is_a_new_one(
    tmp_path: Path,
) -> None:
    (tmp_path / "log").mkdir()
    log = Followed(tmp_path / "log" / "gw.log")
    log.write("a\n")
    log.read()

    (tmp_path / "log").rename(tmp_path / "moved")
    log.write("b\n", tmp_path / "moved" / "gw.log")
    assert log.read() == "b\n"
    (tmp_path / "log").mkdir()
    log.write("c\n")
    assert log.read() == "c\n"


def test_a_directory_that_is_away_at_the_start_may_come_back(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    log = Followed(tmp_path / "log" / "gw.log")
    log.write("a\n")
    log.read()
    (tmp_path / "log").rename(tmp_path / "moved")

    log.restart()
    assert log.read() == ""
    (tmp_path / "moved").rename(tmp_path / "log")
    log.write("b\n")
    assert log.read() == "b\n"


def test_a_link_that_is_turned_to_another_file_is_followed(tmp_path: Path) -> None:
    log = Followed(tmp_path / "current")
    log.path.symlink_to("first")
    log.write("a\n", tmp_path / "first")
    log.read()
    log.write("b\n", tmp_path / "first")
    log.write("c\n", tmp_path / "second")
    (tmp_path / "new").symlink_to("second")
    (tmp_path / "new").rename(log.path)

    assert log.read() == "b\nc\n"


def test_a_link_that_was_turned_during_a_restart_is_followed(tmp_path: Path) -> None:
    log = Followed(tmp_path / "current")
    log.path.symlink_to("first")
    log.write("a\n", tmp_path / "first")
    log.read()
    log.write("b\n", tmp_path / "first")
    log.write("c\n", tmp_path / "second")
    log.path.unlink()
    log.path.symlink_to("second")

    log.restart()
    assert log.read() == "b\nc\n"


def test_a_line_of_50_mb_is_cut_and_the_next_one_read(log: Followed) -> None:
    with log.path.open("wb") as writer:
        writer.write(b"a\n" + b"x" * (50 << 20) + b"\nb\n")

    read = log.read().encode()
    scanner = Scanner()
    list(scanner.feed(read))

    assert len(read) < 3 * MAX_LINE_BYTES
    assert read.startswith(b"a\nxxx")
    assert read.endswith(b"x\nb\n")
    assert (scanner.stats.line_count, scanner.stats.cut_count) == (3, 1)


def test_a_long_line_waits_for_its_end(log: Followed) -> None:
    log.write("x" * (3 * READ_BYTES))
    assert log.read() == ""

    log.write("\nb\n")
    assert log.read().endswith("x\nb\n")


def test_a_pipe_in_the_place_of_the_log_is_refused(log: Followed) -> None:
    os.mkfifo(log.path)

    with pytest.raises(OSError, match="is no regular file"):
        log.read()


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_no_file_stays_open(log: Followed) -> None:
    before = open_files()
    for number in range(40):
        log.write(f"{number}\n")
        log.read(after_s=1)
        shift(log)
    log.write("end\n")
    log.read()
    during = open_files()
    log.tail.close()

    assert during - before < 20
    assert open_files() == before


@pytest.mark.parametrize(
    ("name", "is_rotated"),
    [
        ("gw.log.1", True), ("gw.log-20261124", True), ("gw.log.2026-11-24T10:00", True),
        ("gw-20261124.log", True), ("gw.1.log", True),
        ("gw.log.1.gz", False), ("gw.log.offset", False), ("gw.log", False), ("gw2.log", False),
        ("gw.log.swp", False), ("other.log.1", False),
    ],
)  # fmt: skip
def test_rotated_files_are_known_by_their_names(name: str, is_rotated: bool) -> None:
    assert is_rotated_name(name, "gw.log") is is_rotated


# The source


@asynccontextmanager
async def source_of(
    path: Path, resume: str | None = None, read_from: ReadFrom = ReadFrom.BEGINNING
) -> AsyncIterator[tuple[AsyncIterator[Batch], FakeClock]]:
    clock = FakeClock()
    source = FileSource(Options(file=path, read_from=read_from), clock)
    batches = source.batches(resume)
    try:
        yield batches, clock
    finally:
        await batches.aclose()  # type: ignore[attr-defined]  # it is a generator


async def next_batch(batches: AsyncIterator[Batch], clock: FakeClock) -> Batch:
    """The next one, with as much time as it takes; none passes while the files are read."""
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(_next(batches))
        while not waiting.done():
            if clock.is_slept_by:
                await clock.advance(POLL_S)
            await SystemClock().sleep(0.001)
    return waiting.result()


async def _next(batches: AsyncIterator[Batch]) -> Batch:
    return await anext(batches)


def append(path: Path, text: str) -> None:
    with path.open("a") as log:
        log.write(text)


async def test_a_source_goes_on_at_its_position(tmp_path: Path) -> None:
    path = tmp_path / "gw.log"
    append(path, "a\n")
    async with source_of(path) as (batches, clock):
        first = await next_batch(batches, clock)
    append(path, "b\n")

    async with source_of(path, first.position) as (batches, clock):
        second = await next_batch(batches, clock)

    assert (first.data, second.data) == (b"a\n", b"b\n")
    assert not second.is_behind
    assert second.newest_at is not None


async def test_what_was_written_while_nobody_looked_is_late(tmp_path: Path) -> None:
    path = tmp_path / "gw.log"
    append(path, "of before\n")
    async with source_of(path) as (batches, clock):
        first = await next_batch(batches, clock)
        append(path, "now\n")
        second = await next_batch(batches, clock)
        await clock.advance(600)  # the store could not write
        append(path, "some time since\n")
        third = await next_batch(batches, clock)

    assert [one.is_late for one in (first, second, third)] == [True, False, True]


async def test_a_source_that_begins_at_the_end_makes_that_durable_at_once(tmp_path: Path) -> None:
    path = tmp_path / "gw.log"
    append(path, "a\n")
    async with source_of(path, read_from=ReadFrom.END) as (batches, clock):
        first = await next_batch(batches, clock)
    append(path, "written while nobody read\n")

    async with source_of(path, first.position, ReadFrom.END) as (batches, clock):
        second = await next_batch(batches, clock)

    assert (first.data, second.data) == (b"", b"written while nobody read\n")


async def test_a_pattern_follows_all_files_but_the_rotated_ones(tmp_path: Path) -> None:
    for name in ("a.log", "b.log", "b.log.1", "b.log.2.gz"):
        append(tmp_path / name, f"{name}\n")
    async with source_of(tmp_path / "*.log*") as (batches, clock):
        first = await next_batch(batches, clock)
        append(tmp_path / "c.log", "c.log\n")
        second = await next_batch(batches, clock)

    assert first.data == b"a.log\nb.log\n"
    assert [Path(one.stream).name for one in first.segments] == ["a.log", "b.log"]
    assert first.segments[-1].end == len(first.data)
    assert second.data == b"c.log\n"
    assert len(json.loads(second.position or "")["files"]) == 3


async def test_much_at_once_comes_in_bounded_batches(tmp_path: Path) -> None:
    path = tmp_path / "gw.log"
    append(path, f"{'x' * 99}\n" * 200_000)
    async with source_of(path) as (batches, clock):
        found = [await next_batch(batches, clock) for _ in range(3)]

    assert sum(len(batch.data) for batch in found) == 200_000 * 100
    assert max(len(batch.data) for batch in found) <= 9 << 20
    assert [batch.is_behind for batch in found] == [True, True, False]


async def test_a_file_that_cannot_be_read_is_an_error_with_its_name(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "gw.log")
    async with source_of(tmp_path / "gw.log") as (batches, _):
        with pytest.raises(OSError, match=r"gw\.log is no regular file"):
            await anext(batches)


async def test_a_file_of_a_pattern_that_cannot_be_read_is_told_beside_what_the_others_say(
    tmp_path: Path,
) -> None:
    os.mkfifo(tmp_path / "b.log")
    append(tmp_path / "a.log", "a\n")
    async with source_of(tmp_path / "*.log") as (batches, clock):
        first = await next_batch(batches, clock)
        (tmp_path / "b.log").unlink()
        append(tmp_path / "b.log", "b\n")
        second = await next_batch(batches, clock)

    assert first.data == b"a\n"
    assert "b.log is no regular file" in first.fault
    assert (second.data, second.fault) == (b"b\n", "")


async def test_a_pattern_says_so_when_none_of_its_files_can_be_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.log")
    async with source_of(tmp_path / "*.log") as (batches, clock):
        first = await next_batch(batches, clock)

    assert "a.log is no regular file" in first.fault


async def test_a_folder_that_a_pattern_matches_is_no_log(tmp_path: Path) -> None:
    (tmp_path / "old.log").mkdir()
    append(tmp_path / "a.log", "a\n")
    async with source_of(tmp_path / "*.log") as (batches, clock):
        first = await next_batch(batches, clock)

    assert (first.data, first.fault) == (b"a\n", "")


async def test_a_pattern_that_matches_too_many_files_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.handshake_log.follow.MAX_FILES", 1)
    append(tmp_path / "a.log", "a\n")
    append(tmp_path / "b.log", "b\n")
    async with source_of(tmp_path / "*.log") as (batches, clock):
        first = await next_batch(batches, clock)

    assert first.data == b"a\n"
    assert "more than 1 files match" in first.fault


async def test_the_rest_of_a_renamed_file_comes_although_the_new_one_cannot_be_read(
    tmp_path: Path,
) -> None:
    path = tmp_path / "gw.log"
    append(path, "a\n")
    async with source_of(path) as (batches, clock):
        await next_batch(batches, clock)
        append(path, "b\n")
        path.rename(tmp_path / "gw.log.1")
        os.mkfifo(path)
        rest = await next_batch(batches, clock)

    assert rest.data == b"b\n"
    assert "is no regular file" in rest.fault


async def test_the_files_a_source_knows_stay_known_over_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "gw.log"
    append(tmp_path / "gw.log.1", "the past\n")
    append(path, "")
    touch(path, tmp_path / "gw.log.1", seconds=-1)
    async with source_of(path) as (batches, clock):
        first = await next_batch(batches, clock)
    append(path, "a\n")

    async with source_of(path, first.position) as (batches, clock):
        second = await next_batch(batches, clock)

    assert (first.data, second.data) == (b"", b"a\n")
