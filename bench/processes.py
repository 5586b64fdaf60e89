"""Child processes of a measurement: started, waited for, accounted by ``/proc``, ended by id."""

import os
import random
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

Child = subprocess.Popen[bytes]
_TICKS = os.sysconf("SC_CLK_TCK")
_FIRST_PORT = 12_000  # below, there are services


def free_port() -> int:
    """Return a TCP port of loopback that was free a moment ago.

    None that the kernel gives away by itself: it might be another's before a child listens there.
    """
    own = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(_FIRST_PORT, max(own, _FIRST_PORT + 1_000))  # noqa: S311 - only to be apart from others
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def start(stack: ExitStack, command: Sequence[str], log: Path) -> Child:
    """Start ``command`` with its output in ``log``; it ends with ``stack``."""
    with log.open("wb") as output:
        child = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    stack.callback(end, child)
    return child


def end(child: Child) -> None:
    """Ask ``child`` to end; kill it when it does not within 10 s."""
    child.terminate()
    try:
        child.wait(10)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def wait_http(url: str, child: Child, within_s: float = 30.0) -> None:
    """Return when ``url`` answers 200.

    Raises:
        RuntimeError: the child has ended, or the time is over.
    """
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if child.poll() is not None:
            raise RuntimeError(f"{child.args!r} ended with {child.returncode}")
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
    raise RuntimeError(f"{url} did not answer within {within_s} s")


def cpu_s(child: Child) -> float:
    """Return the CPU seconds, user and system, that ``child`` has used so far."""
    fields = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def rss_bytes(child: Child) -> int:
    """Return the resident memory of ``child``."""
    for line in Path(f"/proc/{child.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def wait_port(port: int, child: Child, within_s: float = 10.0) -> None:
    """Return when something accepts on ``port`` of loopback.

    Raises:
        RuntimeError: the child has ended, or the time is over.
    """
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if child.poll() is not None:
            raise RuntimeError(f"{child.args!r} ended with {child.returncode}")
        try:
            with socket.create_connection(("127.0.0.1", port), 1):
                return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"nothing accepted on port {port} within {within_s} s")
