"""The systemd journal as a source: ``journalctl -o export``, with its cursor as the position."""

import asyncio
import json
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from exporter.clock import Clock
from exporter.errors import ExporterError
from exporter.handshake_log.loki import joined
from exporter.handshake_log.options import Options
from exporter.handshake_log.source import Batch

_CHUNK_BYTES = 1 << 18
# A field's size, from the journal itself; a larger one is a damaged stream
_FIELD_BYTES = 64 << 20
_SETTLE_S = 2.0
_LATE = timedelta(seconds=60)


class JournalError(ExporterError):
    """journalctl ended, or says what it should not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What is used of one entry of the journal; ``at`` is None where it does not say."""

    message: bytes
    cursor: str
    at: datetime | None


class ExportParser:
    """Reads the Journal Export Format (systemd, docs/JOURNAL_EXPORT_FORMATS.md) as it comes.

    Fields are ``NAME=text`` lines, or a line ``NAME``, a little-endian 64-bit size, and as many
    bytes; an empty line ends an entry.
    """

    def __init__(self) -> None:
        self._kept = b""
        self._fields: dict[bytes, bytes] = {}

    def feed(self, data: bytes) -> list[Entry]:
        """Return the entries that ``data`` completes.

        Raises:
            JournalError: the stream is damaged.
        """
        self._kept += data
        entries: list[Entry] = []
        at = 0
        while (after := self._field(at)) is not None:
            if after == at + 1 and self._kept[at : at + 1] == b"\n":
                entries.extend(self._end())
            at = after
        self._kept = self._kept[at:]
        return entries

    def _field(self, at: int) -> int | None:
        """Take in the field at ``at``; return where the next begins, None when it is not whole."""
        newline = self._kept.find(b"\n", at)
        if newline < 0:
            return None
        line = self._kept[at:newline]
        name, equals, text = line.partition(b"=")
        if equals:
            self._fields[name] = text
        if equals or not line:
            return newline + 1
        begin = newline + 9
        size = int.from_bytes(self._kept[newline + 1 : begin], "little")
        if len(self._kept) < begin:
            return None
        if size > _FIELD_BYTES:
            raise JournalError(f"a field of {size} bytes; the output of journalctl is damaged")
        if len(self._kept) <= begin + size:
            return None
        self._fields[name] = self._kept[begin : begin + size]
        return begin + size + 1

    def _end(self) -> list[Entry]:
        fields, self._fields = self._fields, {}
        cursor = fields.get(b"__CURSOR", b"").decode("ascii", "replace")
        if b"MESSAGE" not in fields or not cursor:
            return []
        stamp = fields.get(b"__REALTIME_TIMESTAMP", b"")
        at = datetime.fromtimestamp(int(stamp) / 1e6, tz=UTC) if stamp.isdigit() else None
        return [Entry(message=fields[b"MESSAGE"], cursor=cursor, at=at)]


class JournalSource:
    """Follows the messages of one unit."""

    def __init__(self, options: Options, clock: Clock) -> None:
        self.options = options
        self.name = f"journald:{options.journald}"
        self._clock = clock

    async def batches(self, resume: str | None) -> AsyncIterator[Batch]:
        """Yield messages from the cursor ``resume`` on; without one, those that come from now on.

        Raises:
            JournalError: journalctl cannot be run, or ended.
        """
        if resume is None:
            # Where "now" was is durable at once: what comes while we are down is read later
            resume = json.dumps({"cursor": await self._latest_cursor()})
            yield Batch(data=b"", position=resume, read_at=self._clock.now())
        parser = ExportParser()
        cursor = json.loads(resume)["cursor"]
        async with _running(self._follow_from(cursor)) as process:
            assert process.stdout is not None  # noqa: S101 - it was asked for
            while data := await process.stdout.read(_CHUNK_BYTES):
                entries = [entry for entry in parser.feed(data) if entry.cursor != cursor]
                if entries:
                    yield self._batch(entries)
            raise JournalError(await _last_words(process))

    async def _latest_cursor(self) -> str | None:
        """Return the cursor of the journal's latest entry, whosever; None: it has none."""
        parser = ExportParser()
        entries: list[Entry] = []
        async with _running([*self._journalctl(), "--lines=1"]) as process:
            assert process.stdout is not None  # noqa: S101 - it was asked for
            while data := await process.stdout.read(_CHUNK_BYTES):
                entries += parser.feed(data)
            if await process.wait():
                raise JournalError(await _last_words(process))
        return entries[-1].cursor if entries else None

    def _follow_from(self, cursor: str | None) -> list[str]:
        # --after-cursor steps over one entry, whichever: over the first that is ours, where the
        # cursor's own is another unit's or is gone (journalctl.c of systemd 252)
        begin = [] if cursor is None else [f"--cursor={cursor}"]
        words = ["--follow", "--no-tail", *begin, f"--unit={self.options.journald}"]
        return [*self._journalctl(), *words]

    def _journalctl(self) -> list[str]:
        words = ["journalctl", "--output=export", "--all"]
        if self.options.journal_directory is not None:
            words.append(f"--directory={self.options.journal_directory}")
        return words

    def _batch(self, entries: Sequence[Entry]) -> Batch:
        now, oldest = self._clock.now(), entries[0].at
        return Batch(
            data=joined(entry.message for entry in entries),
            position=json.dumps({"cursor": entries[-1].cursor}),
            read_at=now,
            newest_at=entries[-1].at,
            is_late=oldest is None or now - oldest > _LATE,
        )


@asynccontextmanager
async def _running(command: Sequence[str]) -> AsyncIterator[Process]:
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, limit=_CHUNK_BYTES
        )
    except OSError as exc:
        raise JournalError(f"journalctl cannot be run: {exc.strerror}") from exc
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(_SETTLE_S):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


async def _last_words(process: Process) -> str:
    assert process.stderr is not None  # noqa: S101 - it was asked for
    said = (await process.stderr.read(_CHUNK_BYTES)).decode("utf-8", "replace").strip()
    status = await process.wait()
    return f"journalctl ended with status {status}: {said[-500:] or 'it said nothing'}"
