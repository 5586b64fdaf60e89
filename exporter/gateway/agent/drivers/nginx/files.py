"""nginx's configuration on disk: its files as one tree, and files of ours made from it; blocks."""

import glob
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from exporter.gateway.agent.driver import DriverError
from exporter.gateway.agent.drivers.nginx.configuration import (
    Directive,
    named,
    parsed,
    unquoted,
    written,
)
from exporter.gateway.agent.terminator import (
    MAX_CONFIGURATION_BYTES,
    empty_folder,
    read_configuration,
    write_whole,
)

_MAX_FILES = 2_000
_MAX_DEPTH = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A configuration with all that it includes.

    Attributes:
        directives: Everything as if it stood in one file.
        includes: Each ``include``: the blocks around it, and its absolute pattern.
    """

    directives: tuple[Directive, ...]
    includes: tuple[tuple[tuple[str, ...], str], ...]

    @property
    def error_log(self) -> Path | None:
        """The log of the master process; None: not a file, or nginx's built-in one."""
        logs = [d.values[0] for d in self.directives if d.name == "error_log" and d.values]
        return Path(logs[0]) if logs and logs[0].startswith("/") else None


def load(config: Path, *, leave_out: Path | None = None) -> Loaded:
    """Read ``config`` and what it includes, relative to its folder, as nginx does.

    Args:
        config: The file that nginx is started with.
        leave_out: Files of this folder are not read.

    Raises:
        DriverError: a file is not readable or no configuration, or there are too many.
    """
    reader = _Reader(config.parent, leave_out)
    return Loaded(directives=reader.file(config, (), 0), includes=tuple(reader.includes))


class _Reader:
    def __init__(self, folder: Path, leave_out: Path | None) -> None:
        self._folder = folder
        self._leave_out = leave_out
        self._left_files = _MAX_FILES
        self._left_chars = MAX_CONFIGURATION_BYTES
        self.includes: list[tuple[tuple[str, ...], str]] = []

    def file(self, path: Path, around: tuple[str, ...], depth: int) -> tuple[Directive, ...]:
        """Return the directives of a file, with those of the files it includes in place."""
        text = read_configuration(path, "nginx")
        self._left_files -= 1
        self._left_chars -= len(text)
        if self._left_files < 0 or self._left_chars < 0 or depth > _MAX_DEPTH:
            raise DriverError(
                f"nginx's configuration is larger than is read here: {path} is file"
                f" {_MAX_FILES - self._left_files}, included {depth} deep"
            )
        return self._inlined(parsed(text, str(path)), around, depth)

    def _inlined(
        self, directives: Iterable[Directive], around: tuple[str, ...], depth: int
    ) -> tuple[Directive, ...]:
        found: list[Directive] = []
        for directive in directives:
            if directive.name == "include" and len(directive.words) == 2:
                pattern = str(self._folder / unquoted(directive.words[1]))
                self.includes.append((around, pattern))
                for path in _matching(pattern):
                    if path.parent != self._leave_out:
                        found += self.file(path, around, depth + 1)
            elif directive.block is not None:
                inner = self._inlined(directive.block, (*around, directive.name), depth)
                found.append(Directive(words=directive.words, block=inner))
            else:
                found.append(directive)
        return tuple(found)


def _matching(pattern: str) -> list[Path]:
    # ngx_conf_include: a plain name must be there, a pattern may match nothing
    if not glob.has_magic(pattern):
        return [Path(pattern)]
    return [Path(name) for name in sorted(glob.glob(pattern))]  # noqa: PTH207 - a whole pattern, not one below a folder


def place(directives: Sequence[Directive], config: Path, folder: Path) -> Path:
    """Write a configuration into a new ``folder``; returns its path.

    nginx takes relative paths from the folder of its configuration: everything beside the
    operator's own file is linked into ours.

    Raises:
        DriverError: it cannot be written.
    """
    empty_folder(folder)
    for entry in sorted(os.listdir(config.parent)):  # noqa: PTH208 - names, not paths
        with suppress(OSError):
            (folder / entry).symlink_to(config.parent / entry)
    copy = folder / "agent-nginx.conf"
    write_whole(copy, written(directives))
    return copy


def pid_to(directives: Sequence[Directive], pid_file: Path) -> tuple[Directive, ...]:
    """Return the tree with another pid file: ``nginx -t`` makes an empty one where none is."""
    rest = tuple(d for d in directives if d.name != "pid")
    return (Directive(words=("pid", str(pid_file))), *rest)


def has_own_log(server: Directive) -> str | None:
    """Return the log directive of a server that wins over those around it, if it has one."""
    for name in ("error_log", "access_log"):
        if named(server.block or (), name):
            return name
    return None
