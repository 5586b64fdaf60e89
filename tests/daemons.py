"""Real daemons on loopback: started in a folder of their own, ended by their pid, logs readable.

Nothing here connects to a daemon to see whether it is up: that would leave lines in the logs which
the tests read. ``/proc`` tells who listens.
"""

import itertools
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from exporter.gateway.agent.processes import children_of
from tests.pki import Issued

_POLL_S = 0.02


def _ports() -> Iterator[int]:
    """Ports that the kernel gives to nobody by itself, each once before any comes again.

    One that it gave, and that was let go of, may be another's before a daemon listens there: a
    client's own, or another test's listener at port 0. Each process begins somewhere else.
    """
    own = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    ports = range(_FIRST_PORT, max(own, _FIRST_PORT + 1_000))
    begin = random.randrange(len(ports))  # noqa: S311 - only to be apart from others
    yield from itertools.cycle([*ports[begin:], *ports[:begin]])


_FIRST_PORT = 12_000  # below, there are services, and what a browser refuses to connect to
_PORTS = _ports()


def free_port(host: str = "127.0.0.1") -> int:
    """A port nobody listens on at this moment, nor will without having asked for it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in _PORTS:
        with socket.socket(family) as probe, suppress(OSError):
            probe.bind((host, port))
            return port
    raise AssertionError("it goes round and round")


def wait_until(condition: Callable[[], bool], *, within_s: float = 30.0, what: str) -> None:
    """Return once ``condition`` holds; fail the test when it does not in time."""
    pause = threading.Event()
    for _ in range(int(within_s / _POLL_S)):
        if condition():
            return
        pause.wait(_POLL_S)
    if not condition():
        pytest.fail(f"waited {within_s} s for: {what}")


def is_listening(port: int) -> bool:
    """Whether somebody accepts TCP connections on ``port``, by the kernel's own table."""
    return "0A" in _states_at(port)  # TCP_LISTEN


def is_idle(port: int) -> bool:
    """Whether the server at ``port`` has closed all its connections."""
    # what is left may be the listener, or in TIME_WAIT: include/net/tcp_states.h
    return _states_at(port) <= {"0A", "06"}


def has_read_all(port: int, client_port: int) -> bool:
    """Whether the server at ``port`` has read all that a client has sent so far."""
    sent, kept = f":{client_port:04X}", f":{port:04X}"
    # tx_queue of the client: not yet there; rx_queue of the server: not yet read
    queues = [
        fields[4].split(":")[0 if fields[1].endswith(sent) else 1]
        for fields in _sockets()
        if {fields[1][-5:], fields[2][-5:]} == {sent, kept}
    ]
    return len(queues) == 2 and all(int(queue, 16) == 0 for queue in queues)


def _states_at(port: int) -> set[str]:
    """The states of all TCP sockets whose own port is ``port``."""
    return {fields[3] for fields in _sockets() if fields[1].endswith(f":{port:04X}")}


def _sockets() -> list[list[str]]:
    """The kernel's rows of TCP sockets, by their columns: proc(5)."""
    tables = [Path("/proc/net/tcp"), Path("/proc/net/tcp6")]
    return [line.split() for table in tables for line in table.read_text().splitlines()[1:]]


def heeds(pid: int, number: signal.Signals) -> bool:
    """Whether a process has come so far that a signal does not just end it."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    caught = re.search(r"^SigCgt:\s*([0-9a-f]+)$", status, re.MULTILINE)  # proc(5)
    return caught is not None and bool(int(caught[1], 16) >> (number - 1) & 1)


def need(program: str) -> str:
    """The program's path. Without it the test is skipped; in CI, where it must be, it fails."""
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin:/usr/local/sbin")
    if found is None:
        (pytest.fail if "CI" in os.environ else pytest.skip)(f"{program} is not installed")
    return found


def unmeasured() -> dict[str, str]:
    """Our environment without coverage: what is killed tells it nothing, and is slower by half."""
    return {name: value for name, value in os.environ.items() if name != "COVERAGE_PROCESS_CONFIG"}


class Daemon:
    """A program that runs while the ``with`` block does.

    Its standard output and error go to ``output`` in ``directory``.

    Args:
        command: Program and arguments; it must stay in the foreground.
        directory: Its working directory; made if absent.
        ports: TCP ports it must listen on before the block starts.
        keep_stdin: Leave its standard input open and silent (``openssl s_server`` ends at EOF).
        is_ready: What, of the process with an id, must hold besides.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        directory: Path,
        ports: Iterable[int] = (),
        keep_stdin: bool = False,
        is_ready: Callable[[int], bool] = lambda _pid: True,
    ) -> None:
        self._command = [str(part) for part in command]
        self._ports = tuple(ports)
        self._keep_stdin = keep_stdin
        self._is_ready = is_ready
        self._process: subprocess.Popen[bytes] | None = None
        self.directory = directory
        self.output = directory / "output"
        directory.mkdir(parents=True, exist_ok=True)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> Self:
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                cwd=self.directory,
                stdin=subprocess.PIPE if self._keep_stdin else subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=unmeasured(),
                start_new_session=True,
            )
        try:
            what = f"{self._command[0]} to listen on {self._ports}"
            # One of our programs took a minute for its imports on a machine that was busy
            wait_until(self._is_up, within_s=120, what=what)
        except BaseException:
            self.stop()
            raise
        return self

    def _is_up(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            pytest.fail(f"{' '.join(self._command)} ended at once: {self.text()}")
        return all(is_listening(port) for port in self._ports) and self._is_ready(self.pid)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End it and wait: after that its logs are complete. May be called twice."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(20)
        if process.stdin is not None:
            process.stdin.close()

    def text(self, name: str = "output") -> str:
        """What is in a log of it so far; empty when the file is not there yet."""
        path = self.directory / name
        return path.read_text(errors="replace") if path.exists() else ""

    def lines(self, name: str = "output") -> list[str]:
        return self.text(name).splitlines()

    def wait_for_line(self, words: str, name: str = "output", *, within_s: float = 30.0) -> None:
        """Return once ``words`` stand in a log."""
        wait_until(
            lambda: words in self.text(name), within_s=within_s, what=f"{words!r} in {name}"
        )


def write_pem(directory: Path, name: str, *parts: Issued, with_key: bool = False) -> Path:
    """A PEM file: certificates in this order, then the first one's key if wished."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / name
    key = parts[0].key_pem if with_key else b""
    path.write_bytes(b"".join(part.pem for part in parts) + key)
    return path


def write_key(directory: Path, name: str, issued: Issued) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / name
    path.write_bytes(issued.key_pem)
    return path


def nginx(
    directory: Path,
    *,
    http: str = "",
    stream: str = "",
    ports: Iterable[int],
    error_level: str = "info",
) -> Daemon:
    """nginx with these ``http`` and ``stream`` blocks; logs ``error.log`` and ``access.log``."""
    program = need("nginx")
    module = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
    spaces = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "".join(f"  {space}_temp_path {directory}/{space};\n" for space in spaces)
    config = directory / "nginx.conf"
    directory.mkdir(parents=True, exist_ok=True)
    config.write_text(
        (f"load_module {module};\n" if stream and module.exists() else "")
        + ("user root;\n" if os.geteuid() == 0 else "")
        + f"daemon off;\nworker_processes 1;\npid {directory}/nginx.pid;\n"
        f"error_log {directory}/error.log {error_level};\n"
        "events { worker_connections 256; }\n"
        + (f"http {{\n{paths}  access_log {directory}/access.log;\n{http}\n}}\n" if http else "")
        + (f"stream {{\n{stream}\n}}\n" if stream else "")
    )
    # -e: the log from before the configuration is read
    command = (program, "-e", directory / "error.log", "-c", config, "-p", directory)
    return Daemon(command, directory=directory, ports=ports, is_ready=_has_nginx_workers)


def _has_nginx_workers(master: int) -> bool:
    """Whether nginx is past its start: it listens first, then writes its pid and heeds signals.

    A worker has the master's title for a moment.
    """
    return any("worker process" in child.command for child in children_of(master))


def haproxy(
    directory: Path, *, sections: str, ports: Iterable[int], log_level: str = "info"
) -> Daemon:
    """HAProxy with these sections; what it logs is in ``output``."""
    program = need("haproxy")
    directory.mkdir(parents=True, exist_ok=True)
    config = directory / "haproxy.cfg"
    config.write_text(
        "global\n"
        f"  log stdout format raw local0 {log_level}\n"
        "  ssl-default-bind-options ssl-min-ver TLSv1.0\n"
        "defaults\n"
        "  log global\n  timeout connect 5s\n  timeout client 5s\n  timeout server 5s\n"
        f"{sections}\n"
    )
    return Daemon((program, "-db", "-f", config), directory=directory, ports=ports)


def mosquitto(directory: Path, *, listeners: str, ports: Iterable[int]) -> Daemon:
    """mosquitto with these listeners; it logs everything it can to ``output``."""
    program = need("mosquitto")
    directory.mkdir(parents=True, exist_ok=True)
    config = directory / "mosquitto.conf"
    config.write_text(
        # as root it would drop to a user of its own, who cannot read a test's folder
        ("user root\n" if os.geteuid() == 0 else "")
        + "log_dest stderr\nlog_type all\nallow_anonymous true\npersistence false\n"
        f"{listeners}\n"
    )
    return Daemon((program, "-c", config), directory=directory, ports=ports)


def s_server(directory: Path, port: int, *arguments: str | Path) -> Daemon:
    """``openssl s_server``, for what no ordinary server does; what it says is in ``output``.

    It serves one connection after the other.
    """
    command = (need("openssl"), "s_server", "-accept", f"127.0.0.1:{port}", *arguments)
    return Daemon(command, directory=directory, ports=(port,), keep_stdin=True)
