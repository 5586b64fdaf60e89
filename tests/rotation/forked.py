"""The service and the agent as processes of their own that start in no time, to be killed often.

Also a program: it imports all that they need once, and forks a process for each line of its
standard input, which tells ``argv``, ``log`` and what is to happen to it (see ``doomed``).
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

from exporter.cli import main
from tests.daemons import unmeasured
from tests.rotation.doomed import Fate, beset

ROOT = Path(__file__).resolve().parents[2]
_END_S = 20.0


class Running:
    """One process."""

    def __init__(self, pid: int) -> None:
        try:
            self._handle: int | None = os.pidfd_open(pid)
        except ProcessLookupError:
            self._handle = None

    def has_ended(self, within_s: float = 0.0) -> bool:
        if self._handle is None:
            return True
        waiting = select.poll()
        waiting.register(self._handle, select.POLLIN)
        if waiting.poll(within_s * 1_000):
            os.close(self._handle)
            self._handle = None
        return self._handle is None

    def kill(self) -> None:
        """Let it die at once; return when it is gone. May be called twice."""
        self._end_by(signal.SIGKILL)
        assert self.has_ended(_END_S)

    def stop(self) -> None:
        """Let it end whatever it runs itself; return when it is gone."""
        self._end_by(signal.SIGTERM)
        if not self.has_ended(_END_S):
            self.kill()

    def _end_by(self, number: signal.Signals) -> None:
        if not self.has_ended() and self._handle is not None:
            signal.pidfd_send_signal(self._handle, number)


class Forks:
    """Starts processes while the block runs."""

    def __init__(self) -> None:
        self._all: list[Running] = []

    def __enter__(self) -> Self:
        self._program = subprocess.Popen(
            [sys.executable, "-m", "tests.rotation.forked"],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=unmeasured(),
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        self._program.communicate(timeout=_END_S)

    @contextlib.contextmanager
    def ending_all(self) -> Iterator[None]:
        """End what is left of them when the block ends."""
        try:
            yield
        finally:
            while self._all:
                self._all.pop().stop()

    def start(self, argv: Sequence[str], log: Path, fate: Fate | None = None) -> Running:
        told = {"argv": ["fleet-tls-exporter", *argv], "log": str(log), "fate": fate}
        assert self._program.stdin is not None
        assert self._program.stdout is not None
        self._program.stdin.write(json.dumps(told).encode() + b"\n")
        self._program.stdin.flush()
        self._all.append(Running(int(self._program.stdout.readline())))
        return self._all[-1]


def _import_all() -> None:
    import exporter.cli.agent  # noqa: PLC0415 - only the program needs them
    import exporter.cli.service  # noqa: F401, PLC0415 - likewise


def _become(argv: Sequence[str], log: str, fate: Fate | None) -> None:
    """Be one of our programs; does not return."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for own, wanted in enumerate((nothing, output, output)):
        os.dup2(wanted, own)
    if fate is not None:
        beset(fate)
    sys.argv = list(argv)
    try:
        main()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _fork_for_ever() -> None:
    _import_all()
    while line := sys.stdin.readline():
        told = json.loads(line)
        _forget_the_dead(os.WNOHANG)
        pid = os.fork()
        if pid == 0:
            _become(**told)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()
    _forget_the_dead(0)


def _forget_the_dead(how: int) -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, how)[0]:
            pass


if __name__ == "__main__":
    _fork_for_ever()
