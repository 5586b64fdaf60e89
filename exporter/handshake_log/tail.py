"""Follows one log file over rotation; no threads, no clock, nothing but system calls on files.

Nothing is lost and nothing is read twice as long as what was written can still be found: after a
rename the old file is read to its end first, also after a restart and over several renames at
once. With copytruncate the copy is read from where we were. What a program writes between
logrotate's copy and its truncation is in neither file: nobody can read that. Truncation is seen by
a smaller size or by other first bytes, so a file that is truncated and grows again with the very
same first 256 bytes beyond our offset, all within one poll, is taken for the old one.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from exporter.handshake_log.log_file import (
    HEAD_BYTES,
    FilePosition,
    Key,
    LogFile,
    Piece,
    opened,
)
from exporter.handshake_log.siblings import KnownFile, Siblings

LINGER_S = 60.0
"""How long a file that was rotated away is still looked at: its writer may be slow to let go."""

PARTIAL_S = 5.0
"""After which the last line of a rotated file counts without its newline."""

_MAX_OPEN = 16


class Tail:
    """Follows the file at ``path``, beginning behind ``positions``.

    Args:
        positions: The durable ones, oldest file first.
        at_end: A file that is there already and has no position is read from its end.
        known: What the property of this name told before.
    """

    def __init__(
        self,
        path: Path,
        positions: Sequence[FilePosition],
        *,
        at_end: bool,
        known: Iterable[KnownFile] = (),
    ) -> None:
        self._path = path
        self._files: list[LogFile] = []  # oldest first; the last one is the one at the path
        self._siblings = Siblings(path, known)
        self._before = list(positions)
        self._at_end = at_end
        self.lost_count = 0
        """Files that were gone before they were read to their end, as far as can be told."""

    def close(self) -> None:
        """Close all files."""
        for file in self._files:
            os.close(file.fd)
        self._files.clear()

    @property
    def positions(self) -> list[FilePosition]:
        """Where reading has come to, oldest file first."""
        return [file.position() for file in self._files] or self._before

    @property
    def known(self) -> list[KnownFile]:
        """Files that are not to be read again, whatever moments they have."""
        return self._siblings.known

    @property
    def is_missing(self) -> bool:
        """Whether there is no file to read from."""
        return not self._files

    def poll(self, now_s: float) -> Piece | None:
        """Return the next whole lines, of older files first; None: there is nothing new.

        Raises:
            OSError: the file is there and cannot be read.
        """
        fault: OSError | None = None
        try:
            self._notice()
        except OSError as exc:
            fault = exc  # the rest of the file before it can be read all the same
        for file in list(self._files):
            if (piece := self._read(file, now_s)) is not None:
                return piece
        if fault is not None:
            raise fault
        self._let_go(now_s)
        return None

    def _read(self, file: LogFile, now_s: float) -> Piece | None:
        before, was_empty, modified_ns = file.offset, file.is_empty, file.modified_ns
        if file.is_truncated():
            return self._recover(file, now_s)
        if was_empty and file.modified_ns != modified_ns:
            # It may have been filled and truncated more than once since
            return self._read_first(self._newer_than(modified_ns, file), file, now_s)
        piece = file.read()
        if piece is not None and not os.pread(file.fd, HEAD_BYTES, 0).startswith(file.head):
            # Truncated while we read; the copy, if there is one, has the lines
            file.offset = before
            return self._recover(file, now_s)
        if piece is not None or not file.grown_s:
            file.grown_s = now_s
        is_left = file is not self._files[-1] and file.offset < file.size
        if piece is None and is_left and now_s - file.grown_s >= PARTIAL_S:
            return file.read_partial()
        return piece

    def _recover(self, file: LogFile, now_s: float) -> Piece | None:
        """Begin ``file`` anew, after what its copy holds behind our offset."""
        position = file.position()
        file.start_anew()
        return self._read_first(self._copies_of(position, file), file, now_s)

    def _read_first(self, older: list[LogFile], file: LogFile, now_s: float) -> Piece | None:
        index = self._files.index(file)
        self._files[index:index] = older
        for one in (*older, file):
            if (piece := self._read(one, now_s)) is not None:
                return piece
        return None

    # Which files there are

    def _notice(self) -> None:
        """Take up the file that the path names now, and those that were there in between."""
        try:
            state = self._path.stat()
        except (FileNotFoundError, NotADirectoryError):
            self._resume(None)
            return
        if self._has_last((state.st_dev, state.st_ino)):
            return
        new = opened(str(self._path), is_named=True)
        if new is None:
            return
        if self._has_last(new.key):
            os.close(new.fd)
            return
        self._take_up(new)
        self._at_end = False

    def _has_last(self, key: Key) -> bool:
        return bool(self._files) and self._files[-1].key == key

    def _take_up(self, new: LogFile) -> None:
        if self._before:
            self._resume(new)
        elif self._files:
            self._files += self._newer_than(self._files[-1].modified_ns, new)
            self._add(new)
        else:
            # The past: its moments may be later than that of a file that is still empty
            self._siblings.know_all(besides=new.key)
            if self._at_end:
                new.skip_to_end()
            self._add(new)

    def _add(self, new: LogFile) -> None:
        """Append ``new``; it may be one of ours that came back to the path."""
        for file in self._files:
            if file.key == new.key:
                os.close(new.fd)
                self._files.remove(file)
                self._files.append(file)
                return
        self._files.append(new)

    def _resume(self, new: LogFile | None) -> None:
        """Find the files of the durable positions, wherever they are now."""
        if not self._before:
            return
        last = self._before[-1]
        files = [
            file
            for position in self._before
            if new is None or not new.fits(position)
            if (file := self._siblings.find(position)) is not None
        ]
        if new is None and not files:
            return  # the whole directory is away; it may come back
        self._before, self._files = [], files
        if new is not None:
            self._files += [*self._between(last, new), new]
        self._at_end = False

    def _between(self, last: FilePosition, new: LogFile) -> list[LogFile]:
        """Return what is to be read before ``new``, whose offset is set."""
        if not new.fits(last):
            self.lost_count += not any(file.fits(last) for file in self._files)
            return self._newer_than(last.modified_ns, new)
        if not new.begins_like(last) or new.size < last.offset:
            return self._copies_of(last, new)
        new.offset = last.offset
        if not last.head_bytes and new.modified_ns != last.modified_ns:
            return self._newer_than(last.modified_ns, new)
        return []

    def _copies_of(self, position: FilePosition, current: LogFile) -> list[LogFile]:
        """Return the copy of a file that was truncated, behind what was read, and newer files."""
        copy = self._siblings.copy_of(position, self._have(current))
        if copy is None:
            self.lost_count += position.offset > 0
            return self._newer_than(position.modified_ns, current)
        return [copy, *self._newer_than(copy.modified_ns, current, copy)]

    def _newer_than(self, modified_ns: int, current: LogFile, *besides: LogFile) -> list[LogFile]:
        """Return what was written to the path since then, and became neither ours nor current."""
        have = self._have(current, *besides)
        return self._siblings.newer_than(modified_ns, current, have)

    def _have(self, *besides: LogFile) -> set[Key]:
        return {file.key for file in (*self._files, *besides)}

    def _let_go(self, now_s: float) -> None:
        """Close rotated files that were read to their end and are quiet."""
        for file in self._files[:-1]:
            is_read = file.offset >= file.size
            if is_read and (now_s - file.grown_s >= LINGER_S or len(self._files) > _MAX_OPEN):
                self._files.remove(file)
                self._siblings.know(file)
