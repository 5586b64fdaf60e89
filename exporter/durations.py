"""Durations as Prometheus writes them (``30s``, ``1h30m``, ``14d``); float seconds inside."""

import re
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer, ValidationInfo

_UNITS_S = {
    "y": 31_536_000.0,
    "w": 604_800.0,
    "d": 86_400.0,
    "h": 3_600.0,
    "m": 60.0,
    "s": 1.0,
    "ms": 0.001,
}
_WHOLE = re.compile(r"(?:\d+y)?(?:\d+w)?(?:\d+d)?(?:\d+h)?(?:\d+m)?(?:\d+s)?(?:\d+ms)?")
_PART = re.compile(r"(\d+)(ms|[ywdhms])")
# Prometheus keeps durations as int64 nanoseconds (model.ParseDuration) and refuses more
_LONGEST_S = 2**63 / 1e9


def parse_duration(text: str) -> float:
    """Return the seconds of a Prometheus duration.

    Raises:
        ValueError: with a sentence, when ``text`` is not one, or is longer than 292 years.
    """
    if text == "0":
        return 0.0
    if not text or not text.isascii() or len(text) > 64 or not _WHOLE.fullmatch(text):
        raise ValueError(
            f"{text[:64]!r} is not a duration; write it as Prometheus does: 30s, 5m, 1h30m, 14d"
        )
    seconds = sum(int(count) * _UNITS_S[unit] for count, unit in _PART.findall(text))
    if seconds >= _LONGEST_S:
        raise ValueError(f"{text!r} is longer than the 292 years that Prometheus allows")
    return seconds


def format_duration(seconds: float) -> str:
    """Return ``seconds`` as Prometheus would write it, to the millisecond; ``0s`` for nothing."""
    left_ms = round(seconds * 1000)
    parts = []
    for unit in ("w", "d", "h", "m", "s", "ms"):
        size_ms = round(_UNITS_S[unit] * 1000)
        if unit == "w" and left_ms % size_ms:
            continue  # 14d6h reads as a number of days, 2w6h does not
        count, left_ms = divmod(left_ms, size_ms)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def _from_config(value: object, info: ValidationInfo) -> float:
    if isinstance(value, str):
        return parse_duration(value)
    # The file is validated as JSON; code that makes options by hand gives seconds
    if (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and (value == 0 or info.mode == "python")
    ):
        return float(value)
    raise ValueError(
        f"{value!r} is not a duration; write it as Prometheus does, with a unit: 30s, 5m, 14d"
    )


Duration = Annotated[
    float,
    BeforeValidator(_from_config),
    PlainSerializer(format_duration, return_type=str, when_used="json"),
]
"""A pydantic field written ``30s`` in the configuration; float seconds inside and in Python."""
