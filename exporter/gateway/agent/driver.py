"""What the agent needs of a TLS terminator; one driver for each kind stands in ``DRIVERS``.

A terminator is configured by its operator to read ``chain.pem`` and ``key.pem`` below the
agent's ``current`` (a symlink to a version's folder), and is told by its driver to read them
again. The agent judges, swaps, proves and swaps back; a driver only speaks to its terminator.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from exporter.clock import Clock
from exporter.errors import ExporterError
from exporter.gateway.messages import DebugLevel, Fingerprint, Tickets

CHAIN = "chain.pem"
"""In a version's folder: the chain, leaf first."""
KEY = "key.pem"
"""In a version's folder: the leaf's private key (PKCS 8, not encrypted, mode 0600)."""


class DriverError(ExporterError):
    """A terminator did not do as told; the text is its own sentence, without any secret.

    Nothing is said of what it serves now: the agent looks.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where the terminator is listened at.

    Attributes:
        host: IP or name, no brackets. Never a wildcard: it is connected to.
    """

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the agent keeps what its terminator serves.

    Attributes:
        current: The symlink; it may not exist yet.
        scratch: A folder for the driver's own files, which only we can enter. What lies there
            from an earlier run is the driver's to remove.
    """

    current: Path
    scratch: Path


class Driver(Protocol):
    """One running terminator.

    No method keeps a deadline of its own but for what it starts: the agent bounds each call and
    may cancel it. ``check``, ``apply``, ``rehearse`` and ``log_handshakes`` are never called at
    the same time as each other, but a rehearsal stays open meanwhile. All may be called again
    with the same arguments: after a crash the agent does.
    """

    @property
    def addresses(self) -> Sequence[Address]:
        """Every address that serves the certificate, IPv4 and IPv6: each is proved against."""
        ...

    @property
    def tickets(self) -> Tickets:
        """What becomes of session tickets when ``apply`` changes the certificate."""
        ...

    @property
    def serves_others(self) -> bool:
        """Whether clients may be shown other certificates where ``current``'s is served.

        By its configuration as it was last read: a second certificate for keys of another kind,
        or one that a variable chooses. The proof then looks with clients of each kind, of which
        some are refused, and the terminator logs that.
        """
        ...

    def further_files(self, chain: bytes, key: bytes) -> Mapping[str, bytes]:
        """Return what a version's folder needs besides chain and key, by file name; pure.

        For a terminator that wants both in one file. They are written as the others are: mode
        0600, before the folder gets its name.
        """
        ...

    async def run(self) -> None:
        """Work until cancelled; a terminator that others start and stop needs nothing here."""
        ...

    async def is_alive(self) -> bool:
        """Return whether the terminator runs and answers its driver."""
        ...

    async def check(self, folder: Path) -> None:
        """Let the terminator check its whole configuration with the files in ``folder``.

        ``folder`` is any version's folder, mostly one that ``current`` does not point to. Nothing
        that is served may change.

        Raises:
            DriverError: it would not start or reload with them.
        """
        ...

    async def apply(self, folder: Path, *, same_key_kind: bool) -> None:
        """Make the terminator serve ``folder``, which ``current`` points to now.

        Returns once the terminator took it on; the proof is the agent's. Session tickets that
        were given out before are dropped, or ``tickets`` says that they are kept.

        Args:
            folder: The version's folder itself, no symlink on the way to it.
            same_key_kind: The leaf's key is of the kind that is served now (both EC, both RSA).
                False also where that is not known.

        Raises:
            DriverError: it refused, or does not run; what is served is to be looked at.
        """
        ...

    async def in_memory(self) -> Fingerprint | None:
        """Return the leaf that the terminator itself says it holds; None: it cannot be asked.

        Raises:
            DriverError: it could be asked, but does not answer.
        """
        ...

    async def log_handshakes(self, level: DebugLevel, *, on: bool) -> None:
        """Log handshakes in this detail from now on; what is served does not change.

        Args:
            level: ``VERBOSE``: all that the terminator can tell. ``NORMAL``: its usual level.
            on: Failed handshakes are logged, with their reason, at either level. False: as the
                operator's own configuration has it.

        Raises:
            DriverError: the terminator did not take it on; it logs as before.
        """
        ...

    def rehearse(self, folder: Path, address: Address) -> AbstractAsyncContextManager[Address]:
        """Serve ``folder`` at a second address for as long as the context lasts.

        As the terminator would on its own port, which is not touched. Yields the address once it
        is listened at (port 0 asks for any free one); nothing listens there afterwards.

        Raises:
            DriverError: on entering; the terminator would not serve it.
        """
        ...


@runtime_checkable
class Closeable(Protocol):
    """A driver that holds something from the moment it is made."""

    def close(self) -> None:
        """Give it back, also where ``run`` was never called; may be called twice."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What every driver is given."""

    place: Place
    clock: Clock


class MakeDriver(Protocol):
    """How ``DRIVERS`` makes a driver: its own options and the tools; a driver's class is one."""

    def __call__(self, options: Any, tools: Tools) -> Driver:
        """Return the driver; nothing is started or asked yet.

        Raises:
            ConfigError: something that ``options`` name is not there (a program, a socket).
        """
        ...
