"""Follows one log file over rotation; no threads, no clock, nothing but system calls on files.

Nothing is lost and nothing is read twice as long as what was written can still be found: after a
rename the old file is read to its end first, also after a restart and over several renames at
once. With copytruncate the copy is read from where we were. What a program writes between
logrotate's copy and its truncation is in neither file: nobody can read that. Truncation is seen by
a smaller size or by other first bytes, so a file that is truncated and grows again with the very
same first 256 bytes beyond our offset, all within one poll, is taken for the old one.
"""

import os
import re
import stat
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from exporter.handshake_log.classify import MAX_LINE_BYTES

READ_BYTES = 1 << 20
HEAD_BYTES = 256
LINGER_S = 60.0
"""How long a file that was rotated away is still looked at: its writer may be slow to let go."""

PARTIAL_S = 5.0
"""After which the last line of a rotated file counts without its newline."""

_MAX_OPEN = 16
_MAX_KNOWN = 256
_MAX_LONG_LINE_READS = 64
# x.log.1, x.log-20261124, x.log.2026-11-24T10; compressed ones end in letters
_ROTATED = re.compile(r"[.\-_]\d[\dT.\-_:]*")

Key = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePosition:
    """Where reading a file has come to.

    Attributes:
        head: Digest of its first ``head_bytes`` bytes, since an inode's number is used again.
        path: Where it was, links resolved.
    """

    device: int
    inode: int
    offset: int
    head_bytes: int
    head: str
    modified_ns: int
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Whole lines of one file."""

    data: bytes
    modified_ns: int
    is_full: bool


def is_rotated_name(name: str, base: str) -> bool:
    """Return whether a file ``name`` can be what rotation made of ``base``."""
    if name.startswith(base) and _ROTATED.fullmatch(name[len(base) :]):
        return True
    stem, ending = os.path.splitext(base)  # noqa: PTH122 - a name, no path
    if not ending or not name.startswith(stem) or not name.endswith(ending):
        return False
    return _ROTATED.fullmatch(name[len(stem) : -len(ending)]) is not None


class _File:
    """One open file."""

    def __init__(self, fd: int, path: str) -> None:
        state = os.fstat(fd)
        self.fd = fd
        self.path = path
        self.key: Key = (state.st_dev, state.st_ino)
        self.size, self.modified_ns = state.st_size, state.st_mtime_ns
        self.offset = 0
        self.head = os.pread(fd, HEAD_BYTES, 0)
        self.searched = 0  # up to here there is no newline behind the offset
        self.grown_s = 0.0
        self.is_looked_at = False

    def position(self) -> FilePosition:
        return FilePosition(
            device=self.key[0],
            inode=self.key[1],
            offset=self.offset,
            head_bytes=len(self.head),
            head=_digest(self.head),
            modified_ns=self.modified_ns,
            path=self.path,
        )

    def fits(self, position: FilePosition) -> bool:
        """Whether this has the inode of ``position``; truncated or used again, perhaps."""
        return self.key == (position.device, position.inode)

    def begins_like(self, position: FilePosition) -> bool:
        head = self.head[: position.head_bytes]
        return len(head) == position.head_bytes and _digest(head) == position.head

    def is_truncated(self) -> bool:
        """Look at the file again; True: what was read of it is no longer there."""
        state = os.fstat(self.fd)
        if self.is_looked_at and (state.st_size, state.st_mtime_ns) == (
            self.size,
            self.modified_ns,
        ):
            return False
        head = os.pread(self.fd, HEAD_BYTES, 0)
        if state.st_size < self.offset or not head.startswith(self.head):
            return True
        self.is_looked_at = True
        self.size, self.modified_ns, self.head = state.st_size, state.st_mtime_ns, head
        return False

    @property
    def is_empty(self) -> bool:
        """Whether it was when we looked last."""
        return self.is_looked_at and not self.head

    def start_anew(self) -> None:
        self.offset = self.searched = 0
        self.head, self.is_looked_at = b"", False
        self.is_truncated()

    def skip_to_end(self) -> None:
        """Begin with the line that is not finished yet."""
        start = max(0, self.size - MAX_LINE_BYTES)
        newline = os.pread(self.fd, self.size - start, start).rfind(b"\n")
        self.offset = start + newline + 1 if newline >= 0 else self.size

    def read(self) -> Piece | None:
        """Return the next whole lines; None: there are none."""
        if self.size <= self.offset:
            return None
        chunk = os.pread(self.fd, READ_BYTES, self.offset)
        if chunk.startswith(b"\0"):
            # A writer that does not append leaves a hole where the file was truncated
            hole = len(chunk) - len(chunk.lstrip(b"\0"))
            self.offset += hole
            return self._piece(b"", is_full=True) if hole == len(chunk) else self.read()
        end = chunk.rfind(b"\n") + 1
        if end:
            self.offset += end
            return self._piece(chunk[:end], is_full=len(chunk) == READ_BYTES)
        return self._long_line(chunk) if len(chunk) == READ_BYTES else None

    def _long_line(self, start: bytes) -> Piece | None:
        """Return the beginning of a line that is longer than a read, once it has an end."""
        at = max(self.searched, self.offset + len(start))
        for _ in range(_MAX_LONG_LINE_READS):
            chunk = os.pread(self.fd, READ_BYTES, at)
            newline = chunk.find(b"\n")
            if newline >= 0:
                self.offset, self.searched = at + newline + 1, 0
                return self._piece(start[: 2 * MAX_LINE_BYTES] + b"\n", is_full=True)
            at += len(chunk)
            if len(chunk) < READ_BYTES:
                break
        self.searched = at
        return None

    def read_partial(self) -> Piece | None:
        """Return the last line, which has no newline."""
        line = os.pread(self.fd, 2 * MAX_LINE_BYTES, self.offset)
        self.offset = self.size
        return self._piece(line + b"\n", is_full=False) if line.strip(b"\0\r") else None

    def _piece(self, data: bytes, *, is_full: bool) -> Piece:
        return Piece(data=data, modified_ns=self.modified_ns, is_full=is_full)


class Tail:
    """Follows the file at ``path``, beginning behind ``positions``.

    Args:
        positions: The durable ones, oldest file first.
        at_end: A file that is there already and has no position is read from its end.
    """

    def __init__(self, path: Path, positions: Sequence[FilePosition], *, at_end: bool) -> None:
        self._path = path
        self._files: list[_File] = []  # oldest first; the last one is the one at the path
        self._known: OrderedDict[Key, str] = OrderedDict()  # read to their end
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
    def is_missing(self) -> bool:
        """Whether there is no file to read from."""
        return not self._files

    def poll(self, now_s: float) -> Piece | None:
        """Return the next whole lines, of older files first; None: there is nothing new.

        Raises:
            OSError: the file is there and cannot be read.
        """
        self._notice()
        for file in list(self._files):
            if (piece := self._read(file, now_s)) is not None:
                return piece
        self._let_go(now_s)
        return None

    def _read(self, file: _File, now_s: float) -> Piece | None:
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

    def _recover(self, file: _File, now_s: float) -> Piece | None:
        """Begin ``file`` anew, after what its copy holds behind our offset."""
        position = file.position()
        file.start_anew()
        return self._read_first(self._copies_of(position, file), file, now_s)

    def _read_first(self, older: list[_File], file: _File, now_s: float) -> Piece | None:
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
        if self._files and (state.st_dev, state.st_ino) == self._files[-1].key:
            return
        new = _opened(str(self._path), is_named=True)
        if new is None:
            return
        if self._files and new.key == self._files[-1].key:
            os.close(new.fd)
            return
        if self._before:
            self._resume(new)
        elif self._files:
            self._files += self._newer_than(self._files[-1].modified_ns, new)
            self._add(new)
        else:
            if self._at_end:
                new.skip_to_end()
            self._add(new)
        self._at_end = False

    def _add(self, new: _File) -> None:
        """Append ``new``; it may be one of ours that came back to the path."""
        for file in self._files:
            if file.key == new.key:
                os.close(new.fd)
                self._files.remove(file)
                self._files.append(file)
                return
        self._files.append(new)

    def _resume(self, new: _File | None) -> None:
        """Find the files of the durable positions, wherever they are now."""
        if not self._before:
            return
        last = self._before[-1]
        files = [
            file
            for position in self._before
            if new is None or not new.fits(position)
            if (file := self._find(position)) is not None
        ]
        if new is None and not files:
            return  # the whole directory is away; it may come back
        self._before, self._files = [], files
        if new is not None:
            self._files += [*self._between(last, new), new]
        self._at_end = False

    def _between(self, last: FilePosition, new: _File) -> list[_File]:
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

    def _find(self, position: FilePosition) -> _File | None:
        """Return the file of ``position`` under whatever name it has in its folder now."""
        for file in self._siblings(Path(position.path).parent, every=True):
            if file.fits(position) and file.begins_like(position):
                file.offset = min(position.offset, file.size)
                return file
            os.close(file.fd)
        return None

    def _copies_of(self, position: FilePosition, current: _File) -> list[_File]:
        """Return the copy of a file that was truncated, behind what was read, and newer files."""
        copy: _File | None = None
        for file in self._unknown():
            fits = position.head_bytes and file.size >= position.offset
            fits = fits and file.begins_like(position)
            if fits and (copy is None or file.modified_ns > copy.modified_ns):
                copy, file = file, copy  # noqa: PLW2901 - the one that is not kept is closed
            if file is not None:
                os.close(file.fd)
        if copy is None:
            self.lost_count += position.offset > 0
            return self._newer_than(position.modified_ns, current)
        copy.offset = position.offset
        return [copy, *self._newer_than(copy.modified_ns, current, besides=copy.key)]

    def _newer_than(
        self, modified_ns: int, current: _File, *, besides: Key | None = None
    ) -> list[_File]:
        """Return rotated files that were written after that moment and that we never had.

        A copy of ``current`` that waits for its truncation is none of them.
        """
        found = []
        for file in self._unknown():
            if file.modified_ns >= modified_ns and file.key not in {current.key, besides}:
                found.append(file)
            else:
                os.close(file.fd)
        head = os.pread(current.fd, HEAD_BYTES, 0)
        for file in [one for one in found if _is_same_start(one.head, head)]:
            os.close(file.fd)
            found.remove(file)
        return sorted(found, key=lambda file: (file.modified_ns, -_generation(file.path)))

    def _unknown(self) -> Iterator[_File]:
        have = {file.key for file in self._files}
        # Twice: a name that changes while a folder is read may be missed
        seen: set[Key] = set()
        for _ in range(2):
            for file in self._siblings(self._path.parent):
                known = self._known.get(file.key) == _digest(file.head)
                if known or file.key in have or file.key in seen:
                    os.close(file.fd)
                else:
                    seen.add(file.key)
                    yield file

    def _siblings(self, folder: Path, *, every: bool = False) -> Iterator[_File]:
        """Yield the files that rotation made of ours; the taker closes them.

        ``every``: any regular file, for one whose inode is looked for.
        """
        try:
            with os.scandir(folder) as entries:
                names = [entry.name for entry in entries]
        except OSError:
            return
        for name in sorted(names):
            if every or is_rotated_name(name, self._path.name):
                try:
                    file = _opened(str(folder / name))
                except OSError:
                    continue
                if file is not None:
                    yield file

    def _let_go(self, now_s: float) -> None:
        """Close rotated files that were read to their end and are quiet."""
        for file in self._files[:-1]:
            is_read = file.offset >= file.size
            if is_read and (now_s - file.grown_s >= LINGER_S or len(self._files) > _MAX_OPEN):
                self._files.remove(file)
                self._known[file.key] = _digest(file.head)
                os.close(file.fd)
        while len(self._known) > _MAX_KNOWN:
            self._known.popitem(last=False)


def _opened(path: str, *, is_named: bool = False) -> _File | None:
    """Return the regular file at ``path``; None: it is gone, or something else.

    Raises:
        OSError: it cannot be read; with ``is_named`` also when it is no regular file.
    """
    try:
        # A pipe's other end may never come
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            if is_named:
                raise OSError(f"{path} is no regular file")  # noqa: TRY301 - closes below
            os.close(fd)
            return None
        return _File(fd, os.path.realpath(path))
    except OSError:
        os.close(fd)
        raise


def _is_same_start(one: bytes, other: bytes) -> bool:
    return bool(one and other) and (one.startswith(other) or other.startswith(one))


def _digest(head: bytes) -> str:
    return blake2b(head, digest_size=16).hexdigest()


def _generation(path: str) -> int:
    """Return the number of ``x.log.2``; older files have higher ones."""
    ending = path.rpartition(".")[2]
    return int(ending) if ending.isdigit() and len(ending) < 6 else 0


def closed(tails: Iterable[Tail]) -> None:
    """Close all files of ``tails``."""
    for tail in tails:
        tail.close()
