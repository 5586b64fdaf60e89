"""Takes off what collectors put around a program's own line: syslog, journal, containers, JSON.

A wrapper's moment is kept where it tells its offset; the program's own moment stays in the text.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from exporter.handshake_log.message import Message

DEFAULT_MESSAGE_KEYS = ("MESSAGE", "message", "msg", "log", "@message", "text", "body", "event")
_LAYERS = 4  # a container's JSON in the journal in a syslog line is three
_MEMBERS = 64
_DEPTH = 4

_ISO = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)"
# RFC 5424, 6: <PRI>VERSION TIMESTAMP HOST APP PROCID MSGID SD [BOM]MSG. The structured data may
# hold "]" when it is escaped.
_RFC5424 = re.compile(
    rf"^<\d{{1,3}}>1 (?P<at>{_ISO}|-) \S+ (?P<program>\S+) \S+ \S+ "
    r"(?:-|(?:\[(?:[^\]\\]|\\.)*\])+)(?: \ufeff?|$)"
)
# RFC 3164, 4.1, as syslogd and `journalctl` (short, short-iso) print it; the host may be missing.
_RFC3164 = re.compile(
    rf"^(?:<\d{{1,3}}>)?(?:(?P<at>{_ISO})|[A-Z][\w.]{{2,3}} [ \d]\d \d\d:\d\d:\d\d(?:\.\d+)?) +"
    r"(?:(?P<host>[^\s:\[]+) +)?(?P<program>[\w./@()+-]+)(?:\[\d+\])?: "
)
# busybox and OpenWrt: "Sat Aug 22 13:07:35 2026 daemon.notice wpa_supplicant[1909]: ".
_LOGREAD = re.compile(
    r"^[A-Z]\w\w [A-Z]\w\w [ \d]\d \d\d:\d\d:\d\d \d{4} \w+\.\w+ "
    r"(?P<program>[^\s\[:]+)(?:\[\d+\])?: "
)
_PRIORITY = re.compile(r"^<\d{1,3}>(?!\d)")
# Kubernetes: "TIMESTAMP stdout F message"; "P" marks a part of a long line.
_CRI = re.compile(rf"^(?P<at>{_ISO}) std(?:out|err) [FP](?::\w+)? ")
_COMPOSE = re.compile(r"^(?P<program>[\w.@-]+)\s+\| ")
_EXPORT = re.compile(r"^MESSAGE=")
_JSON = re.compile(r"\{\s*\"")
_CONTAINER = {"log", "stream", "time"}
_JOURNAL_MOMENT = "__REALTIME_TIMESTAMP"
_MOMENT_KEYS = ("time", "timestamp", "@timestamp", "ts", "start_time")


def unwrap(line: bytes, message_keys: tuple[str, ...] = DEFAULT_MESSAGE_KEYS) -> Message:
    """Return ``line`` without its wrappers, at most four deep.

    Invalid UTF-8 is replaced; NULs, which a truncated log is full of, are dropped.
    """
    message = Message(text=line.decode("utf-8", "replace").replace("\x00", ""))
    for _ in range(_LAYERS):
        inner = _without_header(message) or _without_json(message, message_keys)
        if inner is None:
            break
        message = inner
    return message


def _without_header(message: Message) -> Message | None:
    for pattern in (_RFC5424, _RFC3164, _LOGREAD, _CRI, _COMPOSE, _EXPORT, _PRIORITY):
        found = pattern.match(message.text)
        if found is not None:
            groups = found.groupdict()
            return replace(
                message,
                text=message.text[found.end() :],
                at=moment_of(groups.get("at")) or message.at,
                program=groups.get("program") or message.program,
            )
    return None


def _without_json(message: Message, keys: tuple[str, ...]) -> Message | None:
    """Return the message inside a JSON object that ends the line, behind what stands before."""
    if message.fields or not message.text.rstrip().endswith("}"):
        return None
    found = _JSON.search(message.text)
    if found is None:
        return None
    try:
        members = json.loads(message.text[found.start() :])
    except (ValueError, RecursionError):
        return None
    fields = dict(_scalars(members, "", _DEPTH))
    key = next((key for key in keys if fields.get(key)), None)
    at = _moment_in(fields) or message.at
    program = fields.get("SYSLOG_IDENTIFIER") or message.program
    if key is not None and (_JOURNAL_MOMENT in fields or _CONTAINER.issuperset(fields)):
        # A wrapper of a whole line: nothing beside the message is the program's own.
        return replace(message, text=fields[key].rstrip("\n"), at=at, program=program)
    return Message(
        text=_joined(message.text[: found.start()], key, fields),
        at=at,
        program=program,
        fields=fields,
    )


def _joined(before: str, key: str | None, fields: Mapping[str, str]) -> str:
    others = (f'{name}="{value}"' for name, value in fields.items() if name != key and value)
    return " ".join([before.rstrip(), fields[key] if key else "", *others]).strip()


def _scalars(members: Mapping[str, Any], prefix: str, depth: int) -> Iterator[tuple[str, str]]:
    for name, value in list(members.items())[:_MEMBERS]:
        if isinstance(value, dict) and depth:
            yield from _scalars(value, f"{prefix}{name}.", depth - 1)
        elif isinstance(value, str):
            yield f"{prefix}{name}", value
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{prefix}{name}", str(value)


def _moment_in(fields: Mapping[str, str]) -> datetime | None:
    microseconds = fields.get(_JOURNAL_MOMENT, "")
    if microseconds.isdecimal() and len(microseconds) < 18:
        return datetime.fromtimestamp(int(microseconds) / 1e6, UTC)
    return next((at for key in _MOMENT_KEYS if (at := moment_of(fields.get(key)))), None)


def moment_of(text: str | None) -> datetime | None:
    """Return the moment that RFC 3339 text tells, in UTC; None without an offset or a date."""
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text.replace(",", "."))
    except ValueError:
        return None
    return None if at.tzinfo is None else at.astimezone(UTC)
