"""The real service in a process of its own that something happens to on its way: a program.

``doomed.py CONFIG DOOM_FILE``: once ``since`` of DOOM_FILE has come (a delivery, a journal entry
of that kind, or an intent that is taken up after a start; several are parted by ``|``), the file
is removed and the lines of the responding code are counted: at the ``line``-th, and ``delay_s``
after it, the process gets that ``signal``; with ``is_between`` not before it holds no lock on the
store.
"""

import json
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from exporter import journal
from exporter.cli import main
from exporter.remediation.intents import Intent
from exporter.remediation.respond import Responder
from exporter.store import Store
from exporter.transaction import Transaction
from exporter.web.alerts import Alerts

_OURS = (
    "/exporter/webhook/", "/exporter/remediation/", "/exporter/web/alerts.py",
    "/exporter/hands.py", "/exporter/journal.py", "/exporter/operations.py",
    "/exporter/store.py", "/exporter/transaction.py", "/exporter/gateway/client.py",
    "/exporter/gateway/calls.py",
)  # fmt: skip


class Doom:
    """Counts lines once it was told to, and strikes at one of them.

    At line 0 it only counts: how many there were before each journal entry is appended to
    DOOM_FILE with the suffix ``.lines``.
    """

    def __init__(self, file: Path, ours: Sequence[str] = _OURS) -> None:
        self._file = file
        self._ours = ours
        self._line = 0
        self._delay_s = 0.0
        self._signal = 0
        self._is_between = self._has_struck = False
        self.count = 0
        self.writing = 0

    def begin(self, what: str) -> None:
        """Count from now on; a coroutine that is under way is traced when it goes on."""
        if not self._file.exists():
            return
        told = json.loads(self._file.read_text())
        if what not in told["since"].split("|"):
            return
        self._file.unlink()
        self._line, self._delay_s, self._signal = told["line"], told["delay_s"], told["signal"]
        self._is_between, self._has_struck = told.get("is_between", False), False
        self.count = 0
        sys.settrace(self.trace)
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:  # what is running already
            frame.f_trace = self.trace(frame, "call", None)
            frame = frame.f_back

    def trace(self, frame: FrameType, event: str, _arg: Any) -> Any:
        if not any(part in frame.f_code.co_filename for part in self._ours):
            return None
        if event == "line":
            self.count += 1
            is_due = self._line and self.count >= self._line and not self._has_struck
            if is_due and not (self._is_between and self.writing):
                self._has_struck = True
                self._strike()
        return self.trace

    def note(self, what: str) -> None:
        if sys.gettrace() is not None and not self._line:
            with self._file.with_suffix(".lines").open("a") as file:
                file.write(f"{self.count} {what}\n")

    def _strike(self) -> None:
        if not self._delay_s:
            os.kill(os.getpid(), self._signal)
        else:
            threading.Timer(self._delay_s, os.kill, (os.getpid(), self._signal)).start()


def beset(doom: Doom) -> None:
    """Have it begin with a delivery or an intent, and told of journal entries."""
    take, begin, hashed = Alerts.take, Responder._begin, journal.Entry.expected_hash

    def taking(self: Alerts, request: Any) -> Any:
        doom.begin("delivery")
        return take(self, request)

    def beginning(self: Responder, intent: Intent) -> None:
        doom.begin("taken up")
        begin(self, intent)

    def hashing(self: journal.Entry) -> str:
        doom.begin(f"{self.kind} written")
        doom.note(f"{self.kind} {self.body}")
        return hashed(self)

    real = Store.writing

    @asynccontextmanager
    async def writing(self: Store) -> AsyncIterator[Transaction]:
        doom.writing += 1
        try:
            async with real(self) as transaction:
                yield transaction
        finally:
            doom.writing -= 1

    replaced: tuple[tuple[type, str, Callable[..., Any]], ...] = (
        (Alerts, "take", taking),
        (Responder, "_begin", beginning),
        (journal.Entry, "expected_hash", hashing),
        (Store, "writing", writing),
    )
    for owner, name, function in replaced:
        setattr(owner, name, function)


if __name__ == "__main__":
    _, config, doom_file = sys.argv
    beset(Doom(Path(doom_file)))
    sys.argv = ["fleet-tls-exporter", "run", "--config", config]
    main()
