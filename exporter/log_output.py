"""How the log is written: text for people and journald, or JSON, one record a line."""

import json
import logging
import os
import sys
from datetime import UTC, datetime
from enum import StrEnum


class LogFormat(StrEnum):
    """The shape of a line."""

    TEXT = "text"
    JSON = "json"


LEVELS = ("debug", "info", "warning", "error")

# sd-daemon(3): journald takes the priority from a prefix
_PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3}


def set_up_logging(log_format: LogFormat, level: str) -> None:
    """Write all records of ``level`` and above to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    under_journald = "JOURNAL_STREAM" in os.environ
    handler.setFormatter(
        JsonFormatter() if log_format is LogFormat.JSON else TextFormatter(journald=under_journald)
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # Their own debug records tell of every byte, their errors come back to us as exceptions
    for chatty in ("asyncio", "aiosqlite"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


class TextFormatter(logging.Formatter):
    """Moment, level, part, sentence; under journald its priority instead of moment and level."""

    def __init__(self, *, journald: bool) -> None:
        super().__init__()
        self._journald = journald

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; only a traceback makes it several."""
        words = f"{record.name.removeprefix('exporter.')}: {_printable(record.getMessage())}"
        if self._journald:
            head = f"<{_PRIORITIES.get(record.levelno, 5)}>"
        else:
            head = f"{_moment(record)} {record.levelname.lower():7} "
        lines = [words, *_traceback(self, record)]
        separator = f"\n{head}" if self._journald else "\n"
        return head + separator.join(lines)


class JsonFormatter(logging.Formatter):
    """One JSON object: ts, level, logger, msg, and exception where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        fields = {
            "ts": _moment(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "msg": record.getMessage(),
        }
        if record.exc_info:
            fields["exception"] = "\n".join(_traceback(self, record))
        return json.dumps(fields)


def _moment(record: logging.LogRecord) -> str:
    at = datetime.fromtimestamp(record.created, tz=UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> list[str]:
    if not record.exc_info:
        return []
    return [_printable(line) for line in formatter.formatException(record.exc_info).splitlines()]


def _printable(text: str) -> str:
    # A name from a certificate must not be able to write a line of its own into the log
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")
        for letter in text
    )
