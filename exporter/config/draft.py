"""Data to a configuration; where parts are faulty, the rest is still made, to be checked too."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from exporter.config.model import Config
from exporter.config.sentences import Finding, Path, findings_of

TRUST_STORES: Path = ("trust_stores",)
DEVICE_CLASSES: Path = ("device_classes",)
STATIC: Path = ("targets", "static")
MANAGEMENT_APIS: Path = ("management_apis",)
HANDSHAKE_LOGS: Path = ("handshake_logs",)
_NAMED = (TRUST_STORES, DEVICE_CLASSES, STATIC, MANAGEMENT_APIS)
_LISTS = (*_NAMED, HANDSHAKE_LOGS, ("targets", "files"), ("targets", "http"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A configuration of which parts may be missing because they are faulty themselves.

    Attributes:
        config: What is sound.
        indexes: By a list's path, the index in the file of each item kept in ``config``.
        names: By a list's path, index and name of every item, faulty ones included: what
            refers to one of those is no fault of its own.
        faulty: Sections that could not be read at all; nothing is said of what refers to them.
    """

    config: Config
    indexes: Mapping[Path, Sequence[int]]
    names: Mapping[Path, Sequence[tuple[int, str]]]
    faulty: frozenset[Path] = frozenset()

    def place(self, path: Path, position: int) -> Path:
        """Return the path in the file of the item at ``position`` of the list ``path``."""
        return (*path, self.indexes[path][position])


def draft_of(data: Mapping[str, object]) -> tuple[Draft | None, list[Finding]]:
    """Return what can be made of ``data``, and every fault of form in it.

    The draft is None only when nothing at all can be made.
    """
    names = {path: _names(data, path) for path in _NAMED}
    indexes: dict[Path, Sequence[int]] = {
        path: range(len(_list_at(data, path) or ())) for path in _LISTS
    }
    try:
        config = _validated(data)
    except ValidationError as exc:
        findings = findings_of(exc, Config)
    else:
        return Draft(config=config, indexes=indexes, names=names), []
    faulty = [path for path, _ in findings]
    sound, indexes = _without_faulty(data, faulty)
    try:
        config = _validated(sound)
    except ValidationError:
        return None, findings
    draft = Draft(config=config, indexes=indexes, names=names, faulty=frozenset(faulty))
    return draft, findings


def _validated(data: Mapping[str, object]) -> Config:
    # By way of JSON, because there pydantic's strict mode takes a list for a tuple and text for
    # a path or an enum, and nothing else
    return Config.model_validate_json(json.dumps(data), strict=True)


def _list_at(data: object, path: Path) -> list[object] | None:
    for step in path:
        data = data.get(step) if isinstance(data, dict) else None
    return data if isinstance(data, list) else None


def _names(data: Mapping[str, object], path: Path) -> list[tuple[int, str]]:
    found = []
    for index, item in enumerate(_list_at(data, path) or ()):
        name = item.get("name") if isinstance(item, dict) else None
        if isinstance(name, str):
            found.append((index, name))
    return found


def _without_faulty(
    data: Mapping[str, object], faulty: Iterable[Path]
) -> tuple[dict[str, object], dict[Path, Sequence[int]]]:
    """Return ``data`` without faulty items of lists and other faulty keys, and what was kept."""
    bad_items: dict[Path, set[int]] = {path: set() for path in _LISTS}
    bad_keys: set[Path] = set()
    for place in faulty:
        for path in _LISTS:
            index = place[len(path)] if len(place) > len(path) else None
            if place[: len(path)] == path and isinstance(index, int):
                bad_items[path].add(index)
                break
        else:
            bad_keys.add(place[:2] if place[:1] == ("targets",) else place[:1])
    sound = {key: value for key, value in data.items() if (key,) not in bad_keys}
    targets = sound.get("targets")
    sound["targets"] = {
        key: value
        for key, value in (targets.items() if isinstance(targets, dict) else ())
        if ("targets", key) not in bad_keys
    }
    indexes: dict[Path, Sequence[int]] = {}
    for path in _LISTS:
        items = _list_at(sound, path) or []
        kept = [index for index in range(len(items)) if index not in bad_items[path]]
        indexes[path] = kept
        holder = sound if len(path) == 1 else sound["targets"]
        if items and isinstance(holder, dict):
            holder[path[-1]] = [items[index] for index in kept]
    return sound, indexes
