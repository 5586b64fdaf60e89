"""HAProxy's configuration on disk: its files as one, and files of ours made from it; blocks."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from exporter.gateway.agent.driver import DriverError
from exporter.gateway.agent.drivers.haproxy import configuration
from exporter.gateway.agent.drivers.haproxy.configuration import Section
from exporter.gateway.agent.terminator import (
    empty_folder,
    names_no_certificate,
    read_configuration,
    repointed,
    write_whole,
)

_MAX_FILES = 500


def load(configs: Sequence[Path]) -> tuple[Section, ...]:
    """Return the sections of all files, in HAProxy's order.

    Raises:
        DriverError: one cannot be read, or there are too many.
    """
    files = [file for config in configs for file in _files_of(config)]
    if len(files) > _MAX_FILES:
        raise DriverError(f"HAProxy's configuration has more than {_MAX_FILES} files")
    texts = (read_configuration(file, "HAProxy") for file in files)
    return tuple(section for text in texts for section in configuration.parsed(text))


def _files_of(config: Path) -> list[Path]:
    # haproxy(1): of a folder all *.cfg in alphabetic order
    return sorted(config.glob("*.cfg")) if config.is_dir() else [config]


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A configuration of ours, with a version's folder in place of ``current``.

    Attributes:
        places: The folder, and our copies of the lists of certificates that name it.
    """

    sections: tuple[Section, ...]
    places: tuple[Path, ...]


def copied(
    sections: Sequence[Section], *, current: Path, folder: Path, into: Path, config: Path
) -> Copy:
    """Make a new folder ``into`` with copies of the lists of certificates that name ``current``.

    Raises:
        DriverError: neither the configuration nor a list names ``current``; ``config`` is said
            in the sentence.
    """
    empty_folder(into)
    copies: dict[str, Path] = {}
    for number, name in enumerate(sorted(configuration.lists_of(sections))):
        text = read_configuration(Path("/") / name, "HAProxy")
        moved = repointed(text, current, folder)
        if moved != text:
            copies[name] = into / f"crt-list-{number}"
            write_whole(copies[name], moved)
    moved_sections = configuration.served_from(sections, current, folder)
    if not copies and not configuration.mentions(moved_sections, folder):
        raise names_no_certificate("HAProxy", config, current / "haproxy.pem")
    return Copy(
        sections=configuration.with_lists(moved_sections, copies),
        places=(folder, *copies.values()),
    )


def place(sections: Sequence[Section], folder: Path) -> Path:
    """Write a configuration into ``folder``; returns its path.

    Raises:
        DriverError: it cannot be written.
    """
    path = folder / "haproxy.cfg"
    write_whole(path, configuration.written(sections))
    return path


def require_effect(sections: Sequence[Section], current: Path) -> None:
    """Refuse a configuration in which the formats of the defaults would have no effect.

    Raises:
        DriverError: with what to change.
    """
    lists = [Path("/") / name for name in configuration.lists_of(sections)]
    naming = [path for path in lists if str(current) in read_configuration(path, "HAProxy")]
    places = [current, *naming]
    for section in sections:
        if configuration.binds_of(section, places):
            own = configuration.own_format(section)
            if own is not None:
                raise DriverError(
                    f"HAProxy's section {section.head.strip()!r} has {own.split(' ')[0]!r} of its"
                    f" own ({own[:60]!r}), which wins over the agent's: take it out, or move it"
                    " to the defaults"
                )
