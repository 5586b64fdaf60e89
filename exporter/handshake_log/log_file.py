"""One open log file: its next whole lines, and whether it is still what it was."""

import os
import stat
from dataclasses import dataclass
from hashlib import blake2b

from exporter.handshake_log.classify import MAX_LINE_BYTES

READ_BYTES = 1 << 20
HEAD_BYTES = 256
_MAX_LONG_LINE_READS = 64

Key = tuple[int, int]
"""Device and inode."""


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


class LogFile:
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
        """Return where reading has come to."""
        return FilePosition(
            device=self.key[0],
            inode=self.key[1],
            offset=self.offset,
            head_bytes=len(self.head),
            head=digest(self.head),
            modified_ns=self.modified_ns,
            path=self.path,
        )

    def fits(self, position: FilePosition) -> bool:
        """Whether this has the inode of ``position``; truncated or used again, perhaps."""
        return self.key == (position.device, position.inode)

    def begins_like(self, position: FilePosition) -> bool:
        """Whether its first bytes are those of ``position``."""
        head = self.head[: position.head_bytes]
        return len(head) == position.head_bytes and digest(head) == position.head

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
        """Read from the beginning: it was truncated."""
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


def opened(path: str, *, is_named: bool = False) -> LogFile | None:
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
        return LogFile(fd, os.path.realpath(path))
    except OSError:
        os.close(fd)
        raise


def digest(head: bytes) -> str:
    """Return what stands for the first bytes of a file in a durable position."""
    return blake2b(head, digest_size=16).hexdigest()
