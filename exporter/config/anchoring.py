"""Relative paths of a file are relative to its folder; pure."""

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

_M = TypeVar("_M", bound=BaseModel)


def below(model: _M, folder: Path) -> _M:
    """Return ``model`` with every relative path in it made one below ``folder``."""
    changed = {}
    for key in type(model).model_fields:
        value = getattr(model, key)
        new = _value_below(value, folder)
        if new is not value:
            changed[key] = new
    return model.model_copy(update=changed) if changed else model


def _value_below(value: object, folder: Path) -> object:
    match value:
        case Path():
            return folder / value
        case BaseModel():
            return below(value, folder)
        case tuple() if any(isinstance(item, Path | BaseModel) for item in value):
            return tuple(_value_below(item, folder) for item in value)
        case _:
            return value
