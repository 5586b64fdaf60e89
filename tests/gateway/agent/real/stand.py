"""Versions' folders as the agent makes them, real terminators that serve them, and clients."""

import contextlib
import os
import signal
import socket
import ssl
import subprocess
from pathlib import Path
from typing import Self

from exporter.certificates import fingerprint_of
from exporter.clock import SystemClock
from exporter.gateway.agent.driver import CHAIN, KEY, Address, Place, Tools
from exporter.gateway.agent.drivers.haproxy.driver import COMBINED
from exporter.gateway.agent.processes import process
from tests.daemons import need, wait_until
from tests.pki import Issued, make_ca, make_leaf, new_key

NAMES = ("localhost", "127.0.0.1")


class Versions:
    """What the agent keeps for its terminator: numbered folders, and ``current``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.current = root / "current"
        self.scratch = root / "scratch"
        self.scratch.mkdir(parents=True, mode=0o700, exist_ok=True)
        self._count = 0

    @property
    def tools(self) -> Tools:
        return Tools(place=Place(current=self.current, scratch=self.scratch), clock=SystemClock())

    def add(self, *chain: Issued, key: bytes | None = None) -> Path:
        """Write a version; ``key``: another than the leaf's."""
        self._count += 1
        folder = self.root / "versions" / str(self._count)
        folder.mkdir(parents=True)
        pem = b"".join(issued.pem for issued in chain)
        own = key if key is not None else chain[0].key_pem
        # as the driver of HAProxy asks for; the others do not mind
        for name, data in {CHAIN: pem, KEY: own, COMBINED: pem + own}.items():
            (folder / name).write_bytes(data)
            (folder / name).chmod(0o600)
        return folder

    def switch(self, folder: Path) -> Path:
        """Make ``current`` point to a version."""
        new = self.root / "next"
        new.symlink_to(folder)
        new.replace(self.current)
        return folder


class Authority:
    """A CA with leaves for the gateway."""

    def __init__(self, name: str) -> None:
        self.ca = make_ca(name)

    def leaf(self, kind: str = "EC P-256") -> Issued:
        return make_leaf(self.ca, *NAMES, key=new_key(kind))

    def store(self, folder: Path) -> Path:
        """A PEM file with the CA, as a client's trust store."""
        path = folder / f"{self.ca.certificate.serial_number}.pem"
        path.write_bytes(self.ca.pem)
        return path


def leaf_at(port: int, *, ciphers: str | None = None) -> str | None:
    """The fingerprint of the leaf that a fresh handshake is shown; None: there was none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if ciphers is not None:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(ciphers)
    try:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=30) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as secure,
        ):
            der = secure.getpeercert(binary_form=True)
            with contextlib.suppress(OSError):
                secure.unwrap()
    except OSError:
        return None
    return fingerprint_of(der) if der else None


def fingerprint(issued: Issued) -> str:
    return fingerprint_of(issued.der)


def address(port: int) -> Address:
    return Address(host="127.0.0.1", port=port)


class SClient:
    """``openssl s_client``: one connection, which may keep its session or take up an old one.

    Args:
        words: Sent after the handshake, so that a TLS 1.3 server gives its tickets.
    """

    def __init__(self, port: int, store: Path, *, words: str) -> None:
        self._port = port
        self._store = store
        self.words = words

    def connect(self, *arguments: str | Path) -> str:
        """What it prints; it refuses a server that its store does not verify."""
        command = [
            need("openssl"), "s_client", "-connect", f"127.0.0.1:{self._port}",
            "-CAfile", str(self._store), "-verify_return_error", *map(str, arguments),
        ]  # fmt: skip
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(self.words.encode("latin-1"))
                process.stdin.flush()
            # it goes on until the server closes
            out = process.stdout.read()
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
        return out.decode(errors="replace")


def is_resumed(said: str) -> bool:
    return "\nReused, TLS" in said


def is_refused(said: str) -> bool:
    """Whether the client itself refused the server for its CA."""
    return "verify error:num=20" in said or "verify error:num=19" in said


class Service:
    """A daemon that a script starts and restarts, as a service manager would."""

    def __init__(self, folder: Path, command: list[str], pid_file: Path) -> None:
        self.script = folder / "restart.sh"
        self._pid_file = pid_file
        words = " ".join(f"'{word}'" for word in command)
        self.script.write_text(
            "#!/bin/sh\n"
            f'pid=$(cat {pid_file} 2>/dev/null) && kill "$pid" 2>/dev/null\n'
            # a process that nobody waits for is there until somebody notices its end
            'while [ -n "$pid" ] && grep -qs "^State:.[^Z]" "/proc/$pid/status"; do\n'
            "  sleep 0.02\ndone\n"
            f"rm -f {pid_file}\nexec {words}\n"
        )
        self.script.chmod(0o755)

    def __enter__(self) -> Self:
        subprocess.run([self.script], check=True, timeout=20, stdin=subprocess.DEVNULL)
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End what runs now, by its pid file."""
        try:
            pid = int(self._pid_file.read_text())
            os.kill(pid, signal.SIGTERM)
        except (OSError, ValueError):
            return
        wait_until(lambda: process(pid) is None, what=f"process {pid} to end")
