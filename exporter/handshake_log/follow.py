"""The source that follows files: one, or all that a pattern matches."""

import asyncio
import glob
import json
import math
from collections.abc import AsyncIterator, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from exporter.clock import Clock
from exporter.handshake_log.log_file import FilePosition, Piece
from exporter.handshake_log.options import Options, ReadFrom
from exporter.handshake_log.siblings import KnownFile, is_rotated_name
from exporter.handshake_log.source import Batch, Segment
from exporter.handshake_log.tail import Tail

POLL_S = 0.25
_LATE_S = 5.0
_MATCH_EVERY = 4  # polls
_BATCH_BYTES = 8 << 20
MAX_FILES = 1000
_PACKED = (".gz", ".xz", ".zst", ".bz2", ".lz4", ".zip")

_Kept = tuple[list[FilePosition], list[KnownFile]]
"""What a ``Tail`` goes on with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Polled:
    data: bytes
    position: str
    segments: tuple[Segment, ...]
    newest_ns: int
    is_behind: bool
    fault: str


class FileSource:
    """Reads what is written to files, four times a second, in a thread of its own.

    The very first reading begins at the end of what is there, unless ``read_from: beginning``:
    the failures of last week would be counted as of now, and devices be shown as failing that
    have long recovered. A file that appears later is read from its beginning.
    """

    def __init__(self, options: Options, clock: Clock) -> None:
        self.options = options
        self._path = Path(str(options.file))
        self.name = f"file:{self._path}"
        self._clock = clock
        self._is_pattern = "*" in str(self._path)

    async def batches(self, resume: str | None) -> AsyncIterator[Batch]:
        """Yield what is new, from the position ``resume`` on.

        Raises:
            OSError: a file is there and cannot be read.
        """
        reading = _Reading(
            self._path,
            _kept_in(resume),
            is_pattern=self._is_pattern,
            # Once there is a position, what has none came later
            at_end=resume is None and self.options.read_from is ReadFrom.END,
        )
        last, fault, caught_up_s = resume, "", -math.inf
        loop = asyncio.get_running_loop()
        # Not the loop's own threads: a network file system that hangs would take them all
        with ThreadPoolExecutor(1, "log-file") as thread:
            try:
                while True:
                    now_s = self._clock.monotonic()
                    polled = await loop.run_in_executor(thread, reading.poll, now_s)
                    is_late = now_s - caught_up_s > _LATE_S
                    if polled.data or (polled.position, polled.fault) != (last, fault):
                        last, fault = polled.position, polled.fault
                        yield self._batch(polled, is_late=is_late)
                    if not polled.is_behind:
                        caught_up_s = now_s
                        await self._clock.sleep(POLL_S)
            finally:
                thread.submit(reading.close)

    def _batch(self, polled: _Polled, *, is_late: bool) -> Batch:
        newest_ns = polled.newest_ns
        return Batch(
            data=polled.data,
            position=polled.position,
            segments=polled.segments,
            read_at=self._clock.now(),
            newest_at=datetime.fromtimestamp(newest_ns / 1e9, tz=UTC) if newest_ns else None,
            is_behind=polled.is_behind,
            is_late=is_late,
            fault=polled.fault,
        )


class _Reading:
    """All files of one source; used by one thread at a time."""

    def __init__(
        self,
        path: Path,
        kept: dict[str, _Kept],
        *,
        is_pattern: bool,
        at_end: bool,
    ) -> None:
        self._path = path
        self._is_pattern = is_pattern
        self._tails: dict[str, Tail] = {}
        self._polls = 0
        self._is_full = False
        for name in {str(path)} if not is_pattern else set(kept):
            files, known = kept.get(name, ([], []))
            self._tails[name] = Tail(Path(name), files, at_end=at_end, known=known)
        self._at_end = at_end

    def poll(self, now_s: float) -> _Polled:
        if self._is_pattern and self._polls % _MATCH_EVERY == 0:
            self._match()
        self._polls += 1
        pieces: list[tuple[str, Piece]] = []
        room, is_behind = _BATCH_BYTES, False
        fault: OSError | None = None
        for name, tail in self._tails.items():
            try:
                while room > 0 and (piece := tail.poll(now_s)) is not None:
                    pieces.append((name, piece))
                    room -= len(piece.data)
            except OSError as exc:
                fault = exc
            is_behind = room <= 0
        if fault is not None and not pieces and not self._is_pattern:
            raise fault
        return self._polled(pieces, is_behind=is_behind, fault=fault)

    def close(self) -> None:
        for tail in self._tails.values():
            tail.close()

    def _match(self) -> None:
        found = set(glob.glob(str(self._path)))  # noqa: PTH207 - the pattern may be absolute
        for name in sorted(found - self._tails.keys()):
            if _is_rotated(name, found) or Path(name).is_dir():
                continue
            if len(self._tails) >= MAX_FILES:
                self._is_full = True
                break
            self._tails[name] = Tail(Path(name), [], at_end=self._at_end)
        self._at_end = False

    def _polled(
        self, pieces: list[tuple[str, Piece]], *, is_behind: bool, fault: OSError | None
    ) -> _Polled:
        segments, end = [], 0
        for name, piece in pieces:
            end += len(piece.data)
            segments.append(Segment(stream=name, end=end))
        position = {
            "files": {
                name: [asdict(one) for one in tail.positions] for name, tail in self._tails.items()
            },
            "known": {name: tail.known for name, tail in self._tails.items() if tail.known},
        }
        return _Polled(
            data=b"".join(piece.data for _, piece in pieces),
            position=json.dumps(position),
            segments=tuple(segments),
            newest_ns=max((piece.modified_ns for _, piece in pieces), default=0),
            is_behind=is_behind,
            fault=self._gap() if fault is None else str(fault),
        )

    def _gap(self) -> str:
        """Say that there is nothing to read, which no count would tell from a quiet log."""
        if self._is_full:
            return f"more than {MAX_FILES} files match {self._path}; the others are not read"
        if all(tail.is_missing for tail in self._tails.values()):
            what = "no file matches" if self._is_pattern else "there is no file"
            return f"{what} {self._path}; it is read as soon as there is one"
        return ""


def _is_rotated(name: str, names: Collection[str]) -> bool:
    """Whether the file is another one's past; its tail reads it where that is needed."""
    path = Path(name)
    return name.endswith(_PACKED) or any(
        other != name and is_rotated_name(path.name, Path(other).name)
        for other in names
        if len(other) < len(name) and Path(other).parent == path.parent
    )


def _kept_in(resume: str | None) -> dict[str, _Kept]:
    position = json.loads(resume) if resume else {"files": {}}
    known = position.get("known", {})
    return {
        name: (
            [FilePosition(**one) for one in files],
            [(device, inode, head) for device, inode, head in known.get(name, ())],
        )
        for name, files in position["files"].items()
    }
