"""A format of the operator's own: a named RE2 pattern with groups, checked when it is loaded."""

from dataclasses import dataclass

import re2

from exporter.errors import ConfigError, Fault
from exporter.handshake_log.message import Format, Message, Reading
from exporter.handshake_log.vocabulary import hear
from exporter.observations import HandshakeRecord, Reason, ToldBy

GROUPS = frozenset(
    {"peer", "reason", "rejected_by", "resumed", "name", "server_name", "outcome", "thread"}
)
_OUTCOMES = {"failure", "success"}
_GOOD = {"success", "ok", "accepted", "good", "1", "true", "yes", "established"}
_RESUMED = {"1": True, "r": True, "true": True, "yes": True, "resumed": True, "reused": True}
_FULL = {"0": False, ".": False, "false": False, "no": False, "full": False, "new": False}
_MAX_PATTERN = 4096
_MEMORY_BYTES = 8 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomFormat:
    """What the configuration says of one format.

    Attributes:
        name: The writer in records.
        pattern: RE2, searched in the message without its wrappers.
        outcome: ``failure`` or ``success``; None: the group ``outcome`` tells.
        mark: A text that stands in each of its lines, which makes the scan of big logs fast. None:
            every line is looked at in full.
    """

    name: str
    pattern: str
    outcome: str | None = None
    mark: str | None = None


def load_format(wish: CustomFormat, *, place: str) -> Format:
    """Return the format that ``wish`` describes.

    Raises:
        ConfigError: The pattern cannot be used; all faults, each at ``place``.
    """
    compiled, faults = _compiled(wish)
    if compiled is None or faults:
        raise ConfigError([Fault(place=place, message=message) for message in faults])
    mark = r"[^\n]" if wish.mark is None else re2.escape(wish.mark)

    def read(message: Message) -> Reading | None:
        found = compiled.search(message.text)
        return None if found is None else _reading(wish, found.groupdict())

    return Format(writer=wish.name, marks=(mark,), read=read)


def _compiled(wish: CustomFormat) -> "tuple[re2._Regexp | None, list[str]]":
    if len(wish.pattern) > _MAX_PATTERN:
        return None, [
            f"the pattern has {len(wish.pattern)} characters; {_MAX_PATTERN} are allowed"
        ]
    options = re2.Options()
    options.max_mem = _MEMORY_BYTES
    options.log_errors = False
    try:
        compiled = re2.compile(wish.pattern, options)
    except re2.error as error:
        return None, [f"the pattern is no RE2 expression: {_sentence(error)}"]
    return compiled, list(_faults(wish, set(compiled.groupindex), compiled))


def _faults(wish: CustomFormat, groups: set[str], compiled: "re2._Regexp") -> list[str]:
    faults = []
    if unknown := sorted(groups - GROUPS):
        faults.append(
            f"the group {unknown[0]!r} means nothing here; allowed are {', '.join(sorted(GROUPS))}"
        )
    if wish.outcome is not None and wish.outcome not in _OUTCOMES:
        faults.append(f"outcome is {wish.outcome!r}; allowed are failure and success")
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
    success = (
        told in _GOOD
        if "outcome" in groups and wish.outcome is None
        else (wish.outcome == "success")
    )
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
