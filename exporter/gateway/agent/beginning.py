"""The agent's first moments: its folder to itself, its files in order, something to serve."""

import asyncio
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from exporter.certificates import read_pem
from exporter.errors import CertificateError, ConfigError, Fault
from exporter.gateway.agent import keeping
from exporter.gateway.agent.core import Core
from exporter.gateway.agent.history import Way
from exporter.gateway.agent.keys import Keys
from exporter.gateway.agent.options import Initial
from exporter.gateway.agent.versions import (
    Content,
    VersionError,
    Versions,
    is_key_of,
    load_key,
    pem_of,
)
from exporter.text_files import read_bounded

_MAX_PEM_BYTES = 1 << 20


@contextmanager
def alone_in(directory: Path) -> Iterator[Path]:
    """Keep other agents out of the folder; yield the one for scratch files.

    Raises:
        ConfigError: one is in it, or it cannot be made.
    """
    scratch = directory / "scratch"
    try:
        scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(directory / ".lock", os.O_WRONLY | os.O_CREAT, 0o600)
    except OSError as exc:
        message = f"{exc.filename} cannot be made or written: {exc.strerror}"
        raise ConfigError([Fault(place="directory", message=message)]) from exc
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            message = f"another agent works in {directory}"
            raise ConfigError([Fault(place="directory", message=message)]) from exc
        yield scratch
    finally:
        os.close(lock)


async def begin(core: Core, initial: Initial | None) -> None:
    """Take on what is served today where there is no version yet; mend a lost symlink.

    Raises:
        ConfigError: it cannot be served.
        StoreError: nobody can say what was served.
    """
    try:
        record = await core.journal.record()
        pointed_to = await asyncio.to_thread(core.versions.pointed_to)
        if initial is not None and record.served is None and pointed_to is None:
            await asyncio.to_thread(_take_on, core, initial)
            await core.journal.activated(1, Way.FORWARD, core.clock.now())
        await keeping.restore_current(core)
    except (VersionError, CertificateError) as exc:
        raise ConfigError([Fault(place="initial", message=str(exc))]) from exc


def _take_on(core: Core, initial: Initial) -> None:
    chain = read_pem(
        read_bounded(initial.chain_file, _MAX_PEM_BYTES), what=str(initial.chain_file)
    )
    key_pem = read_bounded(initial.key_file, _MAX_PEM_BYTES)
    if not is_key_of(chain[0], load_key(key_pem)):
        raise VersionError(
            f"{initial.key_file} does not hold the key of the first certificate in"
            f" {initial.chain_file}, or is encrypted"
        )
    chain_pem = pem_of(chain).encode()
    further = core.driver.further_files(chain_pem, key_pem)
    content = Content(chain_pem=chain_pem, key_pem=key_pem, further=further)
    if 1 not in core.versions.numbers():  # it is where a crash came between
        core.versions.write(1, content, core.clock.now())
    core.versions.point_to(1)


def prepare(versions: Versions, keys: Keys) -> None:
    """Make the folders, and remove what a crash left half done; blocks.

    Raises:
        ConfigError: one cannot be made.
    """
    try:
        versions.prepare()
        keys.prepare()
    except (VersionError, OSError) as exc:
        raise ConfigError([Fault(place="directory", message=str(exc))]) from exc
