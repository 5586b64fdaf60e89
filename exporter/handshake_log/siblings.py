"""What rotation made of a log: the files beside it, less those that are not to be read again."""

import os
import re
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from exporter.handshake_log.log_file import (
    HEAD_BYTES,
    FilePosition,
    Key,
    LogFile,
    digest,
    opened,
)

_MAX_KNOWN = 64
# x.log.1, x.log-20261124, x.log.2026-11-24T10; compressed ones end in letters
_ROTATED = re.compile(r"[.\-_]\d[\dT.\-_:]*")

KnownFile = tuple[int, int, str]
"""Device, inode and a digest of the first bytes."""


def is_rotated_name(name: str, base: str) -> bool:
    """Return whether a file ``name`` can be what rotation made of ``base``."""
    if name.startswith(base) and _ROTATED.fullmatch(name[len(base) :]):
        return True
    stem, ending = os.path.splitext(base)  # noqa: PTH122 - a name, no path
    if not ending or not name.startswith(stem) or not name.endswith(ending):
        return False
    return _ROTATED.fullmatch(name[len(stem) : -len(ending)]) is not None


class Siblings:
    """The rotated files of the log at ``path``.

    Args:
        known: What the property of this name told before.
    """

    def __init__(self, path: Path, known: Iterable[KnownFile]) -> None:
        self._path = path
        self._known: OrderedDict[Key, str] = OrderedDict(
            ((device, inode), head) for device, inode, head in known
        )

    @property
    def known(self) -> list[KnownFile]:
        """Files that are not to be read again, whatever moments they have."""
        return [(*key, head) for key, head in self._known.items()]

    def know(self, file: LogFile) -> None:
        """Close a file that is not to be read, or not any more."""
        self._known[file.key] = digest(file.head)
        self._known.move_to_end(file.key)
        os.close(file.fd)
        while len(self._known) > _MAX_KNOWN:
            self._known.popitem(last=False)

    def know_all(self, *, besides: Key) -> None:
        """Read none of those that are there now."""
        for file in self._unknown({besides}):
            self.know(file)

    def find(self, position: FilePosition) -> LogFile | None:
        """Return the file of ``position`` under whatever name it has in its folder now."""
        for file in self._in(Path(position.path).parent, every=True):
            if file.fits(position) and file.begins_like(position):
                file.offset = min(position.offset, file.size)
                return file
            os.close(file.fd)
        return None

    def copy_of(self, position: FilePosition, have: Collection[Key]) -> LogFile | None:
        """Return the copy of a file that was truncated, behind what was read of the file."""
        copy: LogFile | None = None
        for file in self._unknown(have):
            fits = position.head_bytes and file.size >= position.offset
            fits = fits and file.begins_like(position)
            if fits and (copy is None or file.modified_ns > copy.modified_ns):
                copy, file = file, copy  # noqa: PLW2901 - the one that is not kept is closed
            if file is not None:
                os.close(file.fd)
        if copy is not None:
            copy.offset = position.offset
        return copy

    def newer_than(
        self, modified_ns: int, current: LogFile, have: Collection[Key]
    ) -> list[LogFile]:
        """Return rotated files that were written after that moment, and that we never had.

        A copy of ``current`` that waits for its truncation is none of them, also one that is
        still empty.
        """
        found = []
        head = os.pread(current.fd, HEAD_BYTES, 0)
        for file in self._unknown(have):
            if not file.head or _is_same_start(file.head, head):
                os.close(file.fd)
            elif file.modified_ns >= modified_ns:
                found.append(file)
            else:
                self.know(file)
        return sorted(found, key=lambda file: (file.modified_ns, -_generation(file.path)))

    def _unknown(self, have: Collection[Key]) -> Iterator[LogFile]:
        """Yield rotated files to look at; the taker closes them."""
        # Twice: a name that changes while a folder is read may be missed
        seen: set[Key] = set()
        for _ in range(2):
            for file in self._in(self._path.parent):
                known = self._known.get(file.key) == digest(file.head)
                if known or file.key in have or file.key in seen:
                    os.close(file.fd)
                else:
                    seen.add(file.key)
                    yield file

    def _in(self, folder: Path, *, every: bool = False) -> Iterator[LogFile]:
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
                    file = opened(str(folder / name))
                except OSError:
                    continue
                if file is not None:
                    yield file


def _is_same_start(one: bytes, other: bytes) -> bool:
    return bool(one and other) and (one.startswith(other) or other.startswith(one))


def _generation(path: str) -> int:
    """Return the number of ``x.log.2``; older files have higher ones."""
    ending = path.rpartition(".")[2]
    return int(ending) if ending.isdigit() and len(ending) < 6 else 0
