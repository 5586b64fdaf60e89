"""The file of values as it ships: every key with its default and what it means; pure."""

import json
from collections.abc import Iterator
from textwrap import wrap

from pydantic import BaseModel

from exporter.alerts.values import Values
from exporter.durations import format_duration

_DAY_S = 86_400.0

_HEAD = """\
# What the alert rules of fleet-tls-exporter go by, with the defaults. Keep what you change and
# leave out the rest, then: fleet-tls-exporter rules --values THIS --output DIR
"""


def values_text() -> str:
    """Return the file: YAML, a comment before each key."""
    return _HEAD + "\n".join(_lines(Values(), 0)) + "\n"


def _lines(model: BaseModel, depth: int) -> Iterator[str]:
    margin = "  " * depth
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        text = field.description or ""
        if isinstance(value, BaseModel):
            if not depth:
                yield ""
            doc = (type(value).__doc__ or "").partition("\n")[0]
            yield from (f"{margin}# {line}" for line in wrap(doc, 95))
            yield f"{margin}{name}:"
            yield from _lines(value, depth + 1)
            continue
        yield from (f"{margin}# {line}" for line in wrap(text, 95 - len(margin)))
        yield f"{margin}{name}: {_written(model, name)}"


def _written(model: BaseModel, name: str) -> str:
    value = getattr(model, name)
    if isinstance(value, float):  # all floats are durations
        days, rest = divmod(value, _DAY_S)
        return format_duration(value) if rest or not days else f"{days:.0f}d"
    if isinstance(value, str) and value.replace("-", "").isalnum():
        return value
    return json.dumps(value)
