"""Turns pydantic's errors into sentences with the dotted key; pure."""

import types
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, TypeAlias, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from exporter.durations import format_duration
from exporter.wording import listed, nearest, shown

Path: TypeAlias = tuple[str | int, ...]
Finding: TypeAlias = tuple[Path, str]
"""Where in the data something is wrong, and the sentence."""

_SECRETS = ("token", "password", "secret", "passwd", "credentials", "key", "bearer_token")


def dotted(path: Path) -> str:
    """Return ``targets.static[3].address`` for a path; empty for the top."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            word = step if step.isprintable() and len(step) <= 60 else shown(step, 60)
            text += f".{word}" if text else word
    return text


def findings_of(error: ValidationError, model: type[BaseModel]) -> list[Finding]:
    """Return every fault that pydantic found in the data of ``model``."""
    details = error.errors(include_url=False)
    return [(detail["loc"], _sentence(detail, model)) for detail in details]


def _sentence(detail: ErrorDetails, model: type[BaseModel]) -> str:
    kind = detail["type"]
    path = detail["loc"]
    context: Mapping[str, Any] = detail.get("ctx", {})
    value = "a value" if "users" in path else _described(detail["input"])
    if kind == "string_type" and detail["input"] is None:
        return "nothing stands here, but text belongs here"
    if kind == "extra_forbidden":
        return _unknown_key(str(path[-1]), _keys_at(model, path[:-1]))
    if kind == "value_error":
        return str(context["error"])
    if kind == "enum":
        return f"{value} is not allowed here; allowed: {_alternatives(context)}"
    if kind in _RANGES:
        return _out_of_range(kind, detail["input"], context)
    return _TYPES.get(kind, "{value} does not fit here: {message}").format(
        value=value, message=detail["msg"]
    )


_TYPES = {
    "json_invalid": "a text here holds half a character (a lone surrogate, \\ud800 to \\udfff)",
    "missing": "this key is missing; it has no default",
    "model_type": "{value} stands here, but a mapping belongs here (key: value)",
    "dict_type": "{value} stands here, but a mapping belongs here (key: value)",
    "tuple_type": "{value} stands here, but a list belongs here, like [a, b]",
    "string_type": "{value} stands here, but text belongs here; put it in quotes if it is meant",
    "path_type": "{value} stands here, but a file name belongs here",
    "int_type": "{value} stands here, but a whole number belongs here",
    "int_from_float": "{value} stands here, but a whole number belongs here",
    "bool_type": "{value} stands here, but true or false belongs here",
}
_RANGES = {
    "greater_than": ("gt", "too small", "more than"),
    "greater_than_equal": ("ge", "too small", "at least"),
    "less_than": ("lt", "too large", "less than"),
    "less_than_equal": ("le", "too large", "at most"),
}


def _described(value: object) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case int() | float():
            return f"the number {value}"
        case str():
            return f"the text {shown(value)}"
        case list() | tuple():
            return "a list"
        case _:
            return "a mapping"


def _alternatives(context: Mapping[str, Any]) -> str:
    return str(context["expected"]).replace("'", "").replace(" or ", ", ")


def _out_of_range(kind: str, value: Any, context: Mapping[str, Any]) -> str:
    key, wrong, bound = _RANGES[kind]
    limit = context[key]
    if isinstance(value, int):
        return f"{value} is {wrong}; {bound} {limit} is allowed"
    # Durations are the only other numbers; one that may be left out comes as it was written
    written = format_duration(value) if isinstance(value, float) else value
    return f"{written} is {wrong}; {bound} {format_duration(limit)} is allowed"


def _unknown_key(key: str, allowed: Iterable[str]) -> str:
    keys = sorted(allowed)
    by_file = [f"{key}_file", f"{key.removeprefix('bearer_')}_file"]
    for name in by_file:
        if name in keys:
            return (
                f"secrets are not written into this file; write {name}, the path of a file"
                " that holds it"
            )
    if key.lower() in _SECRETS:
        return "secrets are not written into this file, and no such key is known here"
    hint = nearest(key, keys)
    allowed_here = f"allowed here: {listed(keys, 30)}"
    return f"the key {shown(key)} is not known; {hint or allowed_here}"


def _keys_at(model: type[BaseModel], path: Path) -> Iterable[str]:
    """Return the keys that the mapping at ``path`` may have."""
    current: object = model
    for step in path:
        current = _inside(bare_type(current), step)
    fields: Mapping[str, object] = getattr(bare_type(current), "model_fields", {})
    return fields


def _inside(annotation: object, step: str | int) -> object:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        field = annotation.model_fields.get(str(step))
        return field.annotation if field else None
    arguments = get_args(annotation)
    return arguments[0] if isinstance(step, int) and arguments else None


def bare_type(annotation: object) -> object:
    """Return ``annotation`` without Annotated and without ``| None``."""
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation = get_args(annotation)[0]
        elif origin in {Union, types.UnionType}:
            annotation = next(part for part in get_args(annotation) if part is not type(None))
        else:
            return annotation
