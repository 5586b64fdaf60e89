"""Who reads a source's lines: all formats of ``FORMATS``, and those of the operator's own."""

from functools import lru_cache

import re2

from exporter.handshake_log.classify import READER, LineReader
from exporter.handshake_log.custom import CustomFormat, Outcome, compiled
from exporter.handshake_log.message import Format, Message, Reading
from exporter.handshake_log.options import Options
from exporter.handshake_log.vocabulary import hear
from exporter.handshake_log.wrappers import DEFAULT_MESSAGE_KEYS
from exporter.observations import HandshakeRecord, Reason, ToldBy

_GOOD = {"success", "ok", "accepted", "good", "1", "true", "yes", "established"}
_RESUMED = {"1": True, "r": True, "true": True, "yes": True, "resumed": True, "reused": True}
_FULL = {"0": False, ".": False, "false": False, "no": False, "full": False, "new": False}


def reader_for(options: Options) -> LineReader:
    """Return who reads the lines of this source; the same for sources with the same formats."""
    return reader_of(options.formats, options.message_keys)


@lru_cache(maxsize=16)
def reader_of(
    wishes: tuple[CustomFormat, ...], message_keys: tuple[str, ...] = DEFAULT_MESSAGE_KEYS
) -> LineReader:
    """Return who knows these formats too; each has an automaton of its own."""
    if not wishes and message_keys == DEFAULT_MESSAGE_KEYS:
        return READER
    return LineReader([format_of(wish) for wish in wishes], message_keys)


def format_of(wish: CustomFormat) -> Format:
    """Return the format of ``wish``; without a mark every line is looked at in full."""
    pattern = compiled(wish.pattern)

    def read(message: Message) -> Reading | None:
        found = pattern.search(message.text)
        return None if found is None else _reading(wish, found.groupdict())

    mark = r"[^\n]" if wish.mark is None else re2.escape(wish.mark)
    return Format(writer=wish.name, marks=(mark,), read=read)


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
