"""A YAML file as its operator wrote it, and its faults by line."""

from collections.abc import Iterable
from pathlib import Path

from exporter.config.sentences import Finding, dotted
from exporter.errors import ConfigError, Fault
from exporter.text_files import decode, read_bounded
from exporter.yaml_text import YamlDocument, parse_yaml

MAX_BYTES = 16 * 2**20
_MAX_FAULTS = 200


def read_mapping(path: Path, *, first_key: str) -> tuple[YamlDocument, dict[str, object]]:
    """Return the document in a file, and the mapping that it is; ``first_key`` is for errors.

    Raises:
        ConfigError: it cannot be read, is no YAML, or no mapping.
    """
    name = str(path)
    document = parse_yaml(decode(read_bounded(path, MAX_BYTES), name), name)
    data = document.data
    if not isinstance(data, dict):
        message = (
            f"the file is empty; at least `{first_key}:` belongs in it"
            if data is None
            else f"a mapping belongs here (key: value), beginning with `{first_key}:`"
        )
        raise ConfigError([Fault(place=f"{name}:1", message=message)])
    return document, data


def faults_of(findings: Iterable[Finding], document: YamlDocument, name: str) -> list[Fault]:
    """Return ``findings`` with file and line, in the file's order."""
    by_line = sorted((document.lines.at(place), dotted(place), text) for place, text in findings)
    faults = [
        Fault(place=f"{name}:{line} {key}".rstrip(), message=text)
        for line, key, text in by_line[:_MAX_FAULTS]
    ]
    if len(by_line) > _MAX_FAULTS:
        left = len(by_line) - _MAX_FAULTS
        faults.append(Fault(place=name, message=f"there are {left} faults more, not shown"))
    return faults
