"""What the drivers of real terminators share: options, files of their own, waiting."""

import asyncio
import os
import re
import shutil
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from exporter.clock import Clock
from exporter.durations import Duration
from exporter.errors import ConfigError, Fault
from exporter.gateway.agent.driver import Address, DriverError
from exporter.targets.addresses import parse_address

_SBIN = "/usr/sbin:/sbin:/usr/local/sbin"
_PLAIN_PATH = re.compile(r"/[\w./+@-]*")
_POLL_S = 0.05
_END = "-----END CERTIFICATE-----"
MAX_CONFIGURATION_BYTES = 8 << 20


def _address(text: str) -> str:
    parse_address(text)
    return text


def plain_path(path: Path) -> Path:
    """Return ``path``, which any configuration file takes as it is.

    Raises:
        ValueError: it is not absolute, or would need quoting.
    """
    # it is written into another program's configuration: nothing there that needs quoting
    if not _PLAIN_PATH.fullmatch(str(path)):
        raise ValueError(
            f"{str(path)!r} must be an absolute path of letters, digits and . / _ + @ -"
        )
    return path


PlainPath = Annotated[Path, AfterValidator(plain_path)]
"""An absolute path that any configuration file takes as it is."""


class TerminatorOptions(BaseModel):
    """What is to be known of any terminator."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    addresses: tuple[Annotated[str, AfterValidator(_address)], ...] = Field(
        min_length=1,
        max_length=64,
        description="HOST:PORT of each listener that serves the certificate, as one connects to"
        " it from here; IPv4 and IPv6 each.",
    )
    timeout: Duration = Field(
        30.0, gt=0, le=600, description="How long the terminator may take to check or to reload."
    )

    @property
    def connected(self) -> tuple[Address, ...]:
        """The addresses in parts."""
        parts = (parse_address(text) for text in self.addresses)
        return tuple(Address(host=host, port=port) for host, port in parts)


def find_program(name: str, place: str) -> str:
    """Return the path of a program.

    Raises:
        ConfigError: there is none; ``place`` says which setting named it.
    """
    found = shutil.which(name) or shutil.which(name, path=_SBIN)
    if found is None:
        message = f"there is no program {name!r}; install it, or give its whole path"
        raise ConfigError([Fault(place=place, message=message)])
    return found


def read_configuration(path: Path, name: str) -> str:
    """Return a configuration file of a terminator; blocks.

    Raises:
        DriverError: it cannot be read, or is larger than such files are.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_CONFIGURATION_BYTES + 1)
    except OSError as exc:
        reason = exc.strerror or str(exc)
        raise DriverError(f"{name}'s configuration {path} cannot be read: {reason}") from exc
    if len(data) > MAX_CONFIGURATION_BYTES:
        raise DriverError(
            f"{name}'s configuration {path} has over {MAX_CONFIGURATION_BYTES} bytes"
        )
    return data.decode("utf-8", "surrogateescape")


def write_whole(path: Path, text: str, *, mode: int = 0o600) -> None:
    """Write a file in one step: whoever reads it sees the old text or the new; blocks.

    Raises:
        DriverError: it cannot be written; the old one is still there.
    """
    draft = path.with_name(f".{path.name}.new")
    try:
        draft.unlink(missing_ok=True)
        with open(draft, "wb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            os.fchmod(file.fileno(), mode)  # whatever the umask is
            file.write(text.encode("utf-8", "surrogateescape"))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as exc:
        reason = exc.strerror or str(exc)
        raise DriverError(f"{path} cannot be written: {reason}") from exc


def rewrite(path: Path, text: str) -> None:
    """Write another program's file anew in one step, with its owner and mode as they were; blocks.

    Raises:
        DriverError: it cannot be written; the old one is still there.
    """
    target = path.resolve()  # a link stays one
    try:
        before = target.stat()
    except OSError as exc:
        raise DriverError(f"{path} cannot be written: {exc.strerror or exc}") from exc
    write_whole(target, text, mode=before.st_mode & 0o777)
    with suppress(OSError):  # only root may, and only root has need to
        os.chown(target, before.st_uid, before.st_gid)


def own_text(path: Path) -> str | None:
    """Return what a file of ours among another program's holds; None: it is not there. Blocks.

    Raises:
        DriverError: it cannot be read.
    """
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as exc:
        raise DriverError(f"{path} cannot be read: {exc}") from exc


def put(path: Path, text: str | None) -> None:
    """Make a file of ours among another program's hold ``text``, or be gone; blocks.

    Raises:
        DriverError: it cannot be written or removed.
    """
    if text is not None:
        write_whole(path, text, mode=0o644)  # the other program may read it as another user
        return
    try:
        path.unlink(missing_ok=True)
    except OSError as exc:
        raise DriverError(f"{path} cannot be removed: {exc.strerror or exc}") from exc


def not_set(setting: str, what: str) -> DriverError:
    """Return the error for handshakes that cannot be logged, since the operator gave no place."""
    return DriverError(f"handshakes cannot be logged: {setting} is not set; it names {what}")


def empty_folder(path: Path) -> Path:
    """Return ``path`` as a new folder of ours alone; what was there is removed. Blocks.

    Raises:
        DriverError: it cannot be made.
    """
    try:
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        reason = exc.strerror or str(exc)
        raise DriverError(f"{path} cannot be made: {reason}") from exc
    return path


def repointed(text: str, current: Path, folder: Path) -> str:
    """Return a configuration as it would read if ``current`` were ``folder``; pure."""
    # not within a longer name: /srv/tls/current is not in /srv/tls/current-old
    path = re.compile(rf"(?<![\w./-]){re.escape(str(current))}(?![\w.-])")
    return path.sub(lambda _: str(folder), text)


def names_no_certificate(name: str, config: Path, wanted: Path) -> DriverError:
    """Return the error for a configuration that serves something else than ours."""
    return DriverError(
        f"{name}'s configuration {config} does not name {wanted}: it would go on serving what it"
        " names instead; write that path there, absolute and as it stands here"
    )


async def until(
    condition: Callable[[], bool], *, within_s: float, clock: Clock, poll_s: float = _POLL_S
) -> bool:
    """Return True once ``condition``, which may block, holds; False when it does not in time."""
    end = clock.monotonic() + within_s
    while not await asyncio.to_thread(condition):
        if clock.monotonic() >= end:
            return False
        await clock.sleep(poll_s)
    return True


def free_port(host: str) -> int:
    """Return a port of ``host`` that nobody listens at right now.

    Raises:
        DriverError: not an address of this machine.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.bind((host, 0))
            return int(probe.getsockname()[1])
    except OSError as exc:
        reason = exc.strerror or str(exc)
        raise DriverError(f"nothing can listen at {host}: {reason}") from exc


def leaf_in(chain: Path) -> bytes:
    """Return the DER of the first certificate of a PEM file; blocks.

    Raises:
        DriverError: the file cannot be read, or holds none.
    """
    try:
        pem = chain.read_text("ascii")
        begin = pem.index("-----BEGIN CERTIFICATE-----")
        end = pem.index(_END, begin) + len(_END)
        return ssl.PEM_cert_to_DER_cert(pem[begin:end])
    except (OSError, ValueError) as exc:
        raise DriverError(f"{chain} holds no certificate that can be read") from exc


class LogTail:
    """What is written to a log from now on; a log that cannot be read is silent. Blocks."""

    _MAX_BYTES = 262_144

    def __init__(self, path: Path | None) -> None:
        self._path = path
        try:
            self._begin = path.stat().st_size if path is not None else 0
        except OSError:
            self._begin = 0

    def text(self) -> str:
        """Return what was written since this was made; of much, the beginning."""
        if self._path is None:
            return ""
        try:
            with self._path.open("rb") as file:
                file.seek(self._begin)
                return file.read(self._MAX_BYTES).decode("utf-8", "replace")
        except OSError:
            return ""
