"""YAML as plain data with the line of every node, bounded against hostile input."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import yaml

from exporter.errors import ConfigError, Fault

MAX_DEPTH = 40
# Each node weighs this much plus its text, again at each alias: "billion laughs" ends here.
NODE_WEIGHT = 32
MAX_WEIGHT = 96 * 2**20

# libyaml reads six times faster; PyYAML is built without it on some systems.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_STANDARD_TAG = "tag:yaml.org,2002:"

Plain: TypeAlias = Callable[[str], object]
"""Turns an unquoted scalar's text into a value."""


@dataclass(slots=True)
class Lines:
    """Where a node and those inside it stand; lines count from 1.

    Attributes:
        inside: By key in a mapping, by index in a list; empty for a scalar.
    """

    line: int
    inside: dict[str | int, "Lines"] = field(default_factory=dict)

    def at(self, path: tuple[str | int, ...]) -> int:
        """Return the line of the node at ``path``, or of the nearest one above it."""
        node = self
        for step in path:
            below = node.inside.get(step)
            if below is None:
                break
            node = below
        return node.line


# Shared by all scalars, which are most nodes; never written to
_NOTHING_INSIDE: dict[str | int, Lines] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class YamlDocument:
    """What a YAML text says: dicts with text keys, lists and scalars."""

    data: object
    lines: Lines


_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})")
_FRACTION = re.compile(r"[-+]?(?:[0-9]{1,20}\.[0-9]{0,20}|\.[0-9]{1,20})(?:[eE][-+]?[0-9]{1,2})?")
_WORDS: dict[str, object] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


def typed(text: str) -> object:
    """Return an unquoted scalar as YAML 1.2 means it.

    YAML 1.1 also takes ``yes no on off`` for booleans, ``12:30`` for 750 and dates for dates;
    a device named ``no`` shows why that was given up.
    """
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FRACTION.fullmatch(text):
        return float(text)
    return text


def as_text(text: str) -> object:
    """Return an unquoted scalar as text, as Prometheus does where it wants a label's value."""
    return "" if text in {"~", "null", "Null", "NULL"} else text


def parse_yaml(text: str, name: str, *, plain: Plain = typed) -> YamlDocument:
    """Return the one document in ``text``; ``name`` stands for the file in errors.

    An empty text is the document ``None``.

    Raises:
        ConfigError: not YAML, several documents, keys twice in one mapping, tags other than
            ``!!str``, aliases that make it too large, too deep.
    """
    builder = _Builder(name, plain)
    try:
        loader = _LOADER(text)
        try:
            while builder.take(loader.get_event()):
                pass
        finally:
            loader.dispose()
    except yaml.YAMLError as exc:
        raise ConfigError([*builder.faults, _syntax_fault(exc, text, name)]) from exc
    if builder.faults:
        raise ConfigError(builder.faults)
    return YamlDocument(data=builder.data, lines=builder.lines)


def _syntax_fault(exc: yaml.YAMLError, text: str, name: str) -> Fault:
    mark = getattr(exc, "problem_mark", None)
    if mark is None:  # a character that no YAML text may hold
        position = getattr(exc, "position", 0)
        line = text.count("\n", 0, position) + 1
        return Fault(
            place=f"{name}:{line}",
            message="a control character stands here; YAML text may not hold any",
        )
    problem = getattr(exc, "problem", None) or "it cannot be read"
    context = getattr(exc, "context", None)
    why = f"{problem} ({context})" if context else problem
    hint = _hint(text, mark.index)
    return Fault(place=f"{name}:{mark.line + 1}", message=f"this is not YAML: {why}; {hint}")


def _hint(text: str, index: int) -> str:
    if index >= len(text.rstrip()):
        return "the file ends here, is it cut off?"
    if text[index] == "\t":
        return "a tab stands here, YAML indents by spaces only"
    return "text that begins with [ { * & ! % @ or holds ': ' needs quotes"


@dataclass(slots=True)
class _Frame:
    """A mapping or list that is still open."""

    value: dict[str, object] | list[object]
    lines: Lines
    anchor: str | None
    weight: int = NODE_WEIGHT
    key: str | None = None
    key_line: int = 0
    is_merging: bool = False
    merged: list[tuple[object, Lines]] = field(default_factory=list)


class _Builder:
    """Makes data of parse events; no recursion, so that depth is ours to bound."""

    def __init__(self, name: str, plain: Plain) -> None:
        self._name = name
        self._plain = plain
        self._open: list[_Frame] = []
        self._anchors: dict[str, tuple[object, Lines, int] | None] = {}
        self._weight = 0
        self._document_count = 0
        self.data: object = None
        self.lines = Lines(1)
        self.faults: list[Fault] = []
        self._handlers: Mapping[type, Callable[[Any], None]] = {
            yaml.ScalarEvent: self._scalar,
            yaml.MappingStartEvent: self._start,
            yaml.SequenceStartEvent: self._start,
            yaml.MappingEndEvent: self._end,
            yaml.SequenceEndEvent: self._end,
            yaml.AliasEvent: self._alias,
            yaml.DocumentStartEvent: self._document,
        }

    def take(self, event: Any) -> bool:
        """Take one event; return whether more will come."""
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event)
        return not isinstance(event, yaml.StreamEndEvent)

    def _stop(self, line: int, message: str) -> ConfigError:
        return ConfigError([*self.faults, Fault(place=f"{self._name}:{line}", message=message)])

    def _document(self, event: Any) -> None:
        self._document_count += 1
        if self._document_count > 1:
            raise self._stop(
                event.start_mark.line + 1, "a second document starts here (---); write only one"
            )

    def _refuse_tag(self, event: Any, line: int) -> None:
        if event.tag not in {None, "!", f"{_STANDARD_TAG}str"}:
            tag = str(event.tag).replace(_STANDARD_TAG, "!!")[:60]
            raise self._stop(line, f"the tag {tag!r} is not allowed; write plain values")

    def _scalar(self, event: Any) -> None:
        line = event.start_mark.line + 1
        if event.tag is not None:
            self._refuse_tag(event, line)
        frame = self._open[-1] if self._open else None
        if frame is not None and isinstance(frame.value, dict) and frame.key is None:
            self._key(frame, event, line)
            return
        value: object = event.value
        if event.implicit[0] and event.tag is None:  # unquoted
            value = self._plain(event.value)
        weight = NODE_WEIGHT + len(event.value)
        self._grow(weight, line)
        self._add(value, Lines(line, _NOTHING_INSIDE), weight, event.anchor)

    def _key(self, frame: _Frame, event: Any, line: int) -> None:
        weight = NODE_WEIGHT + len(event.value)
        self._grow(weight, line)
        frame.weight += weight
        key = event.value
        if key in frame.value:
            first = frame.lines.at((key,))
            self.faults.append(
                Fault(
                    place=f"{self._name}:{line}",
                    message=f"the key {key[:60]!r} stands here a second time"
                    f" (first in line {first}); keep one",
                )
            )
        frame.key = key
        frame.key_line = line
        frame.is_merging = key == "<<" and event.implicit[0]

    def _start(self, event: Any) -> None:
        line = event.start_mark.line + 1
        self._refuse_tag(event, line)
        self._refuse_as_key(line)
        self._grow(NODE_WEIGHT, line)
        if len(self._open) >= MAX_DEPTH:
            raise self._stop(line, f"this is nested more than {MAX_DEPTH} levels deep")
        value: dict[str, object] | list[object]
        value = {} if isinstance(event, yaml.MappingStartEvent) else []
        if event.anchor:
            self._anchors[event.anchor] = None  # open: an alias to it would never end
        self._open.append(_Frame(value, Lines(line), event.anchor))

    def _end(self, _event: Any) -> None:
        frame = self._open.pop()
        if isinstance(frame.value, dict):
            for value, lines in frame.merged:
                self._merge(frame, frame.value, value, lines)
        self._add(frame.value, frame.lines, frame.weight, frame.anchor)

    def _alias(self, event: Any) -> None:
        line = event.start_mark.line + 1
        self._refuse_as_key(line)
        known = self._anchors.get(event.anchor)
        if known is None:
            what = "stands inside itself" if event.anchor in self._anchors else "is not defined"
            raise self._stop(line, f"the alias *{event.anchor[:60]} {what}")
        value, lines, weight = known
        self._grow(weight, line)
        self._add(value, Lines(line, lines.inside), weight, None)

    def _refuse_as_key(self, line: int) -> None:
        if self._open and isinstance(self._open[-1].value, dict) and self._open[-1].key is None:
            raise self._stop(line, "a key must be text, not a list, a mapping or an alias")

    def _grow(self, weight: int, line: int) -> None:
        self._weight += weight
        if self._weight > MAX_WEIGHT:
            raise self._stop(line, "this is too large, with its aliases written out")

    def _add(self, value: object, lines: Lines, weight: int, anchor: str | None) -> None:
        if anchor:
            self._anchors[anchor] = (value, lines, weight)
        if not self._open:
            self.data, self.lines = value, lines
            return
        frame = self._open[-1]
        frame.weight += weight
        if isinstance(frame.value, list):
            frame.lines.inside[len(frame.value)] = lines
            frame.value.append(value)
        else:
            self._add_to_mapping(frame, frame.value, value, lines)

    def _add_to_mapping(
        self, frame: _Frame, mapping: dict[str, object], value: object, lines: Lines
    ) -> None:
        key = frame.key or ""
        frame.key = None
        if frame.is_merging:
            frame.merged.append((value, lines))
            return
        mapping[key] = value
        lines.line = frame.key_line
        frame.lines.inside[key] = lines

    def _merge(
        self, frame: _Frame, mapping: dict[str, object], value: object, lines: Lines
    ) -> None:
        several = value if isinstance(value, list) else [value]
        for position, one in enumerate(several):
            if not isinstance(one, dict):
                raise self._stop(lines.line, "<< takes a mapping, or a list of mappings")
            where = lines.inside.get(position, lines) if isinstance(value, list) else lines
            for key, item in one.items():
                if key not in mapping:
                    mapping[key] = item
                    frame.lines.inside[key] = where.inside.get(key, where)
