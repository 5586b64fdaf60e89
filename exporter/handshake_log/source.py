"""What every source of handshake logs is: batches of whole lines, each with its position."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from exporter.handshake_log.options import Options


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A part of a batch: up to ``end`` its bytes are of one ``stream``."""

    stream: str
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    r"""Lines that are counted together, in one transaction with their position.

    Attributes:
        data: Whole lines; the last one ends with ``\n`` unless ``is_final``.
        position: JSON text from which the source goes on after a restart; None: it has none.
        read_at: When it was read.
        newest_at: When its newest line was written, as far as known (a file's mtime).
        is_behind: More is waiting to be read.
        is_late: Its lines may have been written long before ``newest_at``: nobody looked.
        fault: What is wrong with the source while it goes on, as a sentence; empty: nothing.
        segments: For a source of several files: which bytes are whose; lines of one stream only
            are joined. Empty: all is one stream.
        is_final: The last line may lack its newline; nothing follows that belongs to it.
        committed: For a push: its result is set once the batch is durable; the store's error when
            it never will be. Whoever pushed is answered then.
    """

    data: bytes
    position: str | None = None
    read_at: datetime
    newest_at: datetime | None = None
    is_behind: bool = False
    is_late: bool = False
    fault: str = ""
    segments: tuple[Segment, ...] = ()
    is_final: bool = False
    committed: asyncio.Future[None] | None = None


class Source(Protocol):
    """Where batches come from."""

    @property
    def name(self) -> str:
        """The same after a restart: the key of the durable position, and the metrics' label."""
        ...

    @property
    def options(self) -> Options:
        """Its item of the configuration."""
        ...

    def batches(self, resume: str | None) -> AsyncIterator[Batch]:
        """Yield batches from the position ``resume`` on, until cancelled or at its end.

        The next one is asked for only when the one before is durable, so a source that stops
        reading meanwhile has back pressure for nothing. An error that is raised is logged and
        counted, and ``batches`` is called again later with the latest durable position.
        """
        ...
