"""What the kernel knows of processes and listeners; short blocking reads of ``/proc`` (Linux)."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from exporter.gateway.agent.driver import DriverError

_PROC = Path("/proc")
_LISTENING = "0A"  # include/net/tcp_states.h
_DEAD = "ZX"
_STOPPED = "Tt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process at one moment.

    Attributes:
        session: The id of its session's leader.
        started: The kernel's clock ticks at its start; with ``pid`` it tells processes apart.
        command: Its command line, as it may have rewritten it.
    """

    pid: int
    parent: int
    session: int
    state: str
    started: int
    command: str

    @property
    def is_running(self) -> bool:
        """Neither dead nor stopped (by SIGSTOP or a debugger)."""
        return self.state not in _DEAD + _STOPPED


def process(pid: int) -> Process | None:
    """Return the process with this id; None: there is none, or only its remains."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text(errors="replace")
        command = (_PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return None
    # proc(5): the name in parentheses may hold anything
    fields = stat.rpartition(")")[2].split()
    if fields[0] in _DEAD:
        return None
    return Process(
        pid=pid,
        parent=int(fields[1]),
        session=int(fields[3]),
        state=fields[0],
        started=int(fields[19]),
        command=command.replace(b"\0", b" ").decode("utf-8", "replace").strip(),
    )


def processes() -> Iterator[Process]:
    """Yield all living processes that we may look at."""
    for entry in os.listdir(_PROC):  # noqa: PTH208 - names, not paths
        found = process(int(entry)) if entry.isdigit() else None
        if found is not None:
            yield found


def children_of(pid: int) -> list[Process]:
    """Return the living children of a process."""
    return [one for one in processes() if one.parent == pid]


def process_of(pid_file: Path, name: str) -> Process:
    """Return the process that ``pid_file`` names, if it is a ``name``.

    Raises:
        DriverError: no such file, no number in it, or no such process.
    """
    try:
        text = pid_file.read_text("ascii", "replace")[:32].strip()
    except OSError as exc:
        reason = exc.strerror or str(exc)
        raise DriverError(f"{name} does not run: its pid file {pid_file}: {reason}") from exc
    if not text.isdecimal():
        raise DriverError(f"{name} does not run: its pid file {pid_file} holds no number")
    found = process(int(text))
    # a number may be given again: what bears it must be what we look for
    if found is None or name not in found.command:
        raise DriverError(f"{name} does not run: there is no such process {text} ({pid_file})")
    return found


def send(target: Process, number: signal.Signals, name: str) -> None:
    """Send a signal to a process.

    Raises:
        DriverError: it is gone, or we may not.
    """
    try:
        os.kill(target.pid, number)
    except OSError as exc:
        reason = exc.strerror or str(exc)
        raise DriverError(
            f"{name} (process {target.pid}) takes no {number.name}: {reason}"
        ) from exc


def is_listening(port: int) -> bool:
    """Whether somebody listens at a TCP port, on any address; nothing is connected to."""
    return bool(_listeners_at(port))


def listens(pid: int, port: int) -> bool:
    """Whether this very process listens at a TCP port."""
    wanted = {f"socket:[{inode}]" for inode in _listeners_at(port)}
    try:
        handles = list((_PROC / str(pid) / "fd").iterdir())
    except OSError:
        return False
    for handle in handles if wanted else ():
        with suppress(OSError):  # closed meanwhile
            if str(handle.readlink()) in wanted:
                return True
    return False


def _listeners_at(port: int) -> set[str]:
    """Return the inodes of the sockets that listen at a port."""
    wanted = f":{port:04X}"
    found = set()
    for table in (_PROC / "net/tcp", _PROC / "net/tcp6"):
        try:
            rows = table.read_text("ascii").splitlines()[1:]
        except OSError:
            continue  # a kernel without IPv6
        for row in rows:
            fields = row.split()
            if fields[1].endswith(wanted) and fields[3] == _LISTENING:
                found.add(fields[9])
    return found
