"""What an operator writes of a format of their own; checked when it is loaded.

Apart from ``readers``, which needs the whole vocabulary: a configuration is read without it.
"""

from enum import StrEnum
from typing import Self

import re2
from pydantic import BaseModel, ConfigDict, Field, model_validator

GROUPS = frozenset(
    {"peer", "reason", "rejected_by", "resumed", "name", "server_name", "outcome", "thread"}
)
_MAX_PATTERN = 4096
_MEMORY_BYTES = 8 << 20


class Outcome(StrEnum):
    """What each line of a format tells of."""

    FAILURE = "failure"
    SUCCESS = "success"


class CustomFormat(BaseModel):
    """One format: a pattern that is searched in each line without its wrappers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=64, description="The writer in records.")
    pattern: str = Field(max_length=_MAX_PATTERN, description="RE2, with named groups.")
    outcome: Outcome | None = Field(
        None, description="What each line tells of; without it the group `outcome` says so."
    )
    mark: str | None = Field(
        None,
        min_length=1,
        description="A text that stands in each of its lines, which keeps big logs fast.",
    )

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if faults := _faults(self):
            raise ValueError("; ".join(faults))
        return self


def compiled(pattern: str) -> "re2._Regexp":
    """Return ``pattern`` for an engine whose time grows with the text only."""
    options = re2.Options()
    options.max_mem = _MEMORY_BYTES
    options.log_errors = False
    return re2.compile(pattern, options)


def _faults(wish: CustomFormat) -> list[str]:
    try:
        found = compiled(wish.pattern)
    except re2.error as error:
        return [f"the pattern is no RE2 expression: {_sentence(error)}"]
    faults, groups = [], set(found.groupindex)
    if unknown := sorted(groups - GROUPS):
        faults.append(
            f"the group {unknown[0]!r} means nothing here; allowed are {', '.join(sorted(GROUPS))}"
        )
    if wish.outcome is None and "outcome" not in groups:
        faults.append("neither outcome nor a group 'outcome' says whether the handshake failed")
    if found.search("") is not None:
        faults.append("the pattern matches an empty line, and so every line")
    return faults


def _sentence(error: Exception) -> str:
    text = error.args[0] if error.args else ""
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
