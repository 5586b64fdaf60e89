"""Prometheus' target groups, in JSON or YAML, as targets and dropped entries; pure."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from exporter.errors import ConfigError
from exporter.targets.entries import Known, targets_of_group
from exporter.targets.model import Dropped, Target
from exporter.text_files import decode
from exporter.wording import shown
from exporter.yaml_text import as_text, parse_yaml

MAX_BYTES = 64 * 2**20
MAX_TARGETS = 250_000
MAX_DROPPED_KEPT = 1_000


class Form(StrEnum):
    """How a source writes its groups."""

    JSON = "json"
    YAML = "yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """What one source's text says.

    Attributes:
        dropped: The first ``MAX_DROPPED_KEPT`` of ``dropped_count``.
    """

    targets: tuple[Target, ...] = ()
    dropped: tuple[Dropped, ...] = ()
    dropped_count: int = 0


def groups_in(body: bytes, form: Form, known: Known, *, source: str) -> Groups:
    """Return the targets in a text of target groups, bad entries dropped one by one.

    Raises:
        ValueError: with a sentence, when the text as a whole is not usable: broken, empty (a
            writer is in the middle of it; no targets at all are written ``[]``), not a list, or
            with more than ``MAX_TARGETS`` targets.
    """
    data = _parsed(body, form, source)
    if not isinstance(data, list):
        raise ValueError("it is empty or not a list; no targets at all are written as []")  # noqa: TRY004 - not our caller's mistake
    targets: list[Target] = []
    dropped: list[Dropped] = []
    dropped_count = 0
    for made in _made(data, known, source):
        if isinstance(made, Target):
            targets.append(made)
        else:
            dropped_count += 1
            if len(dropped) < MAX_DROPPED_KEPT:
                dropped.append(made)
        if len(targets) + dropped_count > MAX_TARGETS:
            raise ValueError(f"it holds more than {MAX_TARGETS} targets")
    return Groups(targets=tuple(targets), dropped=tuple(dropped), dropped_count=dropped_count)


def _parsed(body: bytes, form: Form, source: str) -> object:
    try:
        text = decode(body, source)
        if form is Form.YAML:
            return parse_yaml(text, source, plain=as_text).data
        data: object = json.loads(text)
    except ConfigError as exc:
        fault = exc.faults[0]
        line = fault.place.removeprefix(source).lstrip(":")
        raise ValueError(f"line {line}: {fault.message}") from exc
    except json.JSONDecodeError as exc:
        raise ValueError(f"line {exc.lineno}: this is not JSON: {exc.msg}") from exc
    except RecursionError as exc:
        raise ValueError("it is nested too deep") from exc
    return data


def _made(groups: list[object], known: Known, source: str) -> Iterator[Target | Dropped]:
    for index, group in enumerate(groups):
        problem = _shape_problem(group)
        if problem or not isinstance(group, dict):
            yield Dropped(source=source, name=f"group {index}", message=problem)
            continue
        labels: Mapping[str, str] = group.get("labels") or {}
        yield from targets_of_group(group.get("targets") or (), labels, known, source=source)


def _shape_problem(group: object) -> str:
    """Return what keeps ``group`` from being ``{targets: [text…], labels: {text: text}}``."""
    if not isinstance(group, dict):
        return "a group is a mapping with `targets` and `labels`"
    texts = group.get("targets")
    if texts is not None and not (
        isinstance(texts, list) and all(isinstance(text, str) for text in texts)
    ):
        return "`targets` is not a list of texts"
    labels = group.get("labels")
    if labels is None:
        return ""
    if not isinstance(labels, dict):
        return "`labels` is not a mapping of texts"
    for key, value in labels.items():
        if not isinstance(value, str):
            return f"the label {shown(key)} is not text; put its value in quotes"
    return ""
