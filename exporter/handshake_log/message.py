"""The nouns of reading one line: the message without its wrappers, and what it tells."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from exporter.observations import HandshakeRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One line with its wrappers taken off.

    Attributes:
        text: What the program wrote. Of JSON: the message, then the other members as ``key="…"``.
        at: The moment that a wrapper tells, where it tells its offset.
        program: The program's name by syslog or the journal.
        fields: Scalar members of a JSON line by name, dots between levels.
    """

    text: str
    at: datetime | None = None
    program: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)


class ClueKind(StrEnum):
    """What a line tells about a connection, apart from a handshake."""

    OPENED = "opened"
    NAMED = "named"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Clue:
    """A line that is no handshake record and helps to say whose another one is.

    Attributes:
        kind: A connection was accepted, its client gave its name, it ended.
        peer: ``IP:port`` or IP; None where the line does not tell.
        name: What the client calls itself; None for an anonymous one.
        port: The listener's port; None where the line does not tell.
    """

    kind: ClueKind
    peer: str | None = None
    name: str | None = None
    port: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one line tells.

    Attributes:
        record: The handshake it tells of; None where it tells of none.
        clue: What helps to attribute another line's record.
        suspicious: It speaks of a TLS error and nobody knows what it says.
        writer: The software that wrote it, as far as known.
        thread: Lines of one connection share it (process, thread or connection of the writer);
            "" for a writer that handles one at a time; None: one line tells all of a handshake.
        step: Where one handshake gives several records, they come in one ``thread`` with rising
            steps: a record whose step is above the last one's tells more of the same handshake,
            any other begins a new one. 0: always a handshake of its own.
    """

    record: HandshakeRecord | None = None
    clue: Clue | None = None
    suspicious: bool = False
    writer: str | None = None
    thread: str | None = None
    step: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """What one program writes.

    Attributes:
        writer: Its name in records.
        marks: RE2 patterns without groups, case-sensitive: a line that tells of a success or holds
            a clue matches one of them. Failures need none, the vocabulary finds them.
        read: Returns what a line of this program tells; None: it is another program's.
    """

    writer: str
    marks: tuple[str, ...]
    read: Callable[[Message], Reading | None]


NOT_ITS_BUSINESS = Reading()
