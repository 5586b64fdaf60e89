"""A format of the operator's own: a named RE2 pattern with groups, checked when it is loaded."""

from enum import StrEnum
from typing import Self

import re2
from pydantic import BaseModel, ConfigDict, Field, model_validator

from exporter.handshake_log.message import Format, Message, Reading
from exporter.handshake_log.vocabulary import hear
from exporter.observations import HandshakeRecord, Reason, ToldBy

GROUPS = frozenset(
    {"peer", "reason", "rejected_by", "resumed", "name", "server_name", "outcome", "thread"}
)
_GOOD = {"success", "ok", "accepted", "good", "1", "true", "yes", "established"}
_RESUMED = {"1": True, "r": True, "true": True, "yes": True, "resumed": True, "reused": True}
_FULL = {"0": False, ".": False, "false": False, "no": False, "full": False, "new": False}
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


def format_of(wish: CustomFormat) -> Format:
    """Return the format of ``wish``; without a mark every line is looked at in full."""
    compiled = _compiled(wish.pattern)

    def read(message: Message) -> Reading | None:
        found = compiled.search(message.text)
        return None if found is None else _reading(wish, found.groupdict())

    mark = r"[^\n]" if wish.mark is None else re2.escape(wish.mark)
    return Format(writer=wish.name, marks=(mark,), read=read)


def _compiled(pattern: str) -> "re2._Regexp":
    options = re2.Options()
    options.max_mem = _MEMORY_BYTES
    options.log_errors = False
    return re2.compile(pattern, options)


def _faults(wish: CustomFormat) -> list[str]:
    try:
        compiled = _compiled(wish.pattern)
    except re2.error as error:
        return [f"the pattern is no RE2 expression: {_sentence(error)}"]
    faults, groups = [], set(compiled.groupindex)
    if unknown := sorted(groups - GROUPS):
        faults.append(
            f"the group {unknown[0]!r} means nothing here; allowed are {', '.join(sorted(GROUPS))}"
        )
    if wish.outcome is None and "outcome" not in groups:
        faults.append("neither outcome nor a group 'outcome' says whether the handshake failed")
    if compiled.search("") is not None:
        faults.append("the pattern matches an empty line, and so every line")
    return faults


def _sentence(error: Exception) -> str:
    text = error.args[0] if error.args else ""
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)


def _reading(wish: CustomFormat, groups: dict[str, str | None]) -> Reading:
    told = (groups.get("outcome") or "").lower()
    success = told in _GOOD if wish.outcome is None else wish.outcome is Outcome.SUCCESS
    reason, told_by = (None, None) if success else _why(groups)
    record = HandshakeRecord(
        failure=not success,
        success=success,
        reason=reason,
        rejected_by=told_by,
        peer=groups.get("peer") or None,
        writer=wish.name,
        resumed={**_RESUMED, **_FULL}.get((groups.get("resumed") or "").lower()),
        names=tuple(name for name in (groups.get("name"),) if name),
        server_name=groups.get("server_name") or None,
    )
    return Reading(record=record, writer=wish.name, thread=groups.get("thread"))


def _why(groups: dict[str, str | None]) -> tuple[Reason, ToldBy | None]:
    """Return the reason and the side: our own words as they are, others by the vocabulary."""
    text, side = groups.get("reason") or "", groups.get("rejected_by")
    heard = hear(f"TLS handshake error: {text}")
    told_by = ToldBy(side) if side in {"local", "peer"} else heard.told_by
    if text in {reason.value for reason in Reason}:
        return Reason(text), told_by if side else None
    return heard.reason or Reason.OTHER, told_by
