"""Prometheus file_sd: targets in JSON and YAML files that are looked at again and again.

Files are polled, not watched by inotify: that also sees changes on network file systems and
behind swapped symlinks (Kubernetes), and one stat a second costs nothing.

As in Prometheus, the targets of a file that is deleted leave, and those of a file that can no
longer be read stay. Three things are stricter, so that a slow writer does not empty the
inventory: an empty file is a broken one, a changed file is read when it has not moved for one
look, and a file counts as deleted when it was missing twice in a row.
"""

import glob
import logging
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from exporter.clock import Clock
from exporter.errors import ConfigError
from exporter.targets.entries import Known
from exporter.targets.groups import MAX_BYTES, Form, groups_in
from exporter.targets.source import Handed, Reading, SourceState
from exporter.text_files import read_bounded

log = logging.getLogger(__name__)

_MAX_FILES = 1_000
# A file that is written all the time is read in spite of it after so many looks
_PATIENCE = 3
_LOOKS_UNTIL_DELETED = 2

Signature = tuple[int, int, int, int, int]


@dataclass(slots=True)
class _File:
    """One file that was seen.

    Attributes:
        rank: Index of the pattern that found it.
        taken: Signature of what was last read; None: read it at the next look.
        is_broken: What was last read was not usable.
        moving: Signature seen at the latest look, when it was not the one taken.
    """

    rank: int
    state: SourceState
    taken: Signature | None = None
    is_broken: bool = False
    moving: Signature | None = None
    moving_count: int = 0
    missing_count: int = 0


class FileWatch:
    """The files of all patterns; ``look`` reads the disk and belongs in a thread."""

    def __init__(
        self,
        patterns: Iterable[Path],
        known: Known,
        clock: Clock,
        last_good: Mapping[str, Handed],
    ) -> None:
        self._patterns = [str(pattern) for pattern in patterns]
        self._known = known
        self._clock = clock
        self._handed = dict(last_good)
        self._files: dict[str, _File] = {}
        self._unlisted: dict[int, SourceState] = {}
        self.last_good: Mapping[str, Handed] = dict(last_good)

    def look(self) -> tuple[Reading, ...]:
        """Look at every file once; return what they say, in the order of the patterns."""
        for rank, pattern in enumerate(self._patterns):
            self._look_at_pattern(rank, pattern)
        self._handed.clear()
        states = {path: file.state for path, file in self._files.items()}
        self.last_good = {
            path: state.handed for path, state in states.items() if state.handed is not None
        }
        ordered = sorted(self._files.items(), key=lambda item: (item[1].rank, item[0]))
        unlisted = (self._unlisted[rank].reading for rank in sorted(self._unlisted))
        return (*(file.state.reading for _, file in ordered), *unlisted)

    def _look_at_pattern(self, rank: int, pattern: str) -> None:
        earlier = [path for path, file in self._files.items() if file.rank == rank]
        try:
            paths = _matches(pattern)
        except OSError as exc:
            problem = f"the folder cannot be listed: {exc.strerror or exc}"
            self._unlisted.setdefault(rank, SourceState(pattern)).fail(problem)
            for path in earlier:
                self._files[path].state.fail(problem)
            return
        self._unlisted.pop(rank, None)
        for path in paths[:_MAX_FILES]:
            self._look_at(path, rank)
        if len(paths) > _MAX_FILES:
            problem = f"it matches {len(paths)} files; the first {_MAX_FILES} are read"
            self._unlisted[rank] = SourceState(pattern)
            self._unlisted[rank].fail(problem)
        for path in set(earlier) - set(paths[:_MAX_FILES]):
            self._miss(path, self._files[path])

    def _look_at(self, path: str, rank: int) -> None:
        file = self._files.get(path)
        if file is None:
            file = self._files[path] = _File(rank=rank, state=self._first_state(path))
        elif file.rank < rank:
            return  # an earlier pattern found it as well
        file.rank = rank
        try:
            status = os.stat(path)  # noqa: PTH116 - a path is text here
        except FileNotFoundError:
            self._miss(path, file)
            return
        except OSError as exc:
            file.state.fail(f"this file cannot be read: {exc.strerror or exc}")
            return
        file.missing_count = 0
        if not stat.S_ISREG(status.st_mode):
            file.state.fail("this is not a regular file")
        elif self._is_due(file, _signature(status)):
            self._read(path, file, _signature(status))

    def _first_state(self, path: str) -> SourceState:
        state = SourceState(path)
        handed = self._handed.get(path)
        if handed is not None:
            try:
                groups = groups_in(handed.body, _form(path), self._known, source=path)
            except ValueError:
                return state  # it was usable once, so this is a limit that was lowered
            state.succeed(handed.at, handed.body, groups)
        return state

    def _is_due(self, file: _File, signature: Signature) -> bool:
        if file.taken is None:
            return True
        if signature == file.taken:
            file.moving, file.moving_count = None, 0
            if not file.is_broken:
                file.state.confirm(self._clock.now())
            return False
        if signature == file.moving or file.moving_count >= _PATIENCE:
            return True
        file.moving = signature
        file.moving_count += 1
        return False

    def _read(self, path: str, file: _File, signature: Signature) -> None:
        file.moving, file.moving_count = None, 0
        try:
            body = read_bounded(Path(path), MAX_BYTES)
        except ConfigError as exc:
            file.taken = None
            file.state.fail(exc.faults[0].message)
            return
        file.taken = signature
        file.is_broken = False
        handed = file.state.handed
        if handed is not None and handed.body == body:
            file.state.confirm(self._clock.now())
            return
        try:
            groups = groups_in(body, _form(path), self._known, source=path)
        except ValueError as exc:
            file.is_broken = True
            file.state.fail(str(exc))
        else:
            file.state.succeed(self._clock.now(), body, groups)

    def _miss(self, path: str, file: _File) -> None:
        file.missing_count += 1
        file.taken = None
        if file.state.handed is not None:
            if file.missing_count < _LOOKS_UNTIL_DELETED:
                return
            log.info("targets leave with their deleted file source=%s", path)
        if glob.has_magic(self._patterns[file.rank]):
            del self._files[path]
        else:
            file.state.lose("there is no such file")


def _matches(pattern: str) -> list[str]:
    """Return the paths that ``pattern`` finds; itself when it is no pattern.

    Raises:
        OSError: the folder it begins in cannot be listed; glob would say "nothing found".
    """
    if not glob.has_magic(pattern):
        return [pattern]
    folder = Path(pattern)
    while glob.has_magic(str(folder)):
        folder = folder.parent
    os.scandir(folder).close()
    return sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - a path is text here


def _signature(status: os.stat_result) -> Signature:
    return (
        status.st_mtime_ns,
        status.st_ctime_ns,
        status.st_size,
        status.st_ino,
        status.st_dev,
    )


def _form(path: str) -> Form:
    return Form.JSON if path.lower().endswith(".json") else Form.YAML
