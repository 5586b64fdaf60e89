"""The gateway's certificates on disk: a folder for each version, and one symlink to the current.

Nothing is overwritten. A folder gets its name when all in it is on the disk; the symlink is
swapped by a rename. So whatever moment a crash takes, ``current`` leads to a whole version.
All functions block: call them in a thread.
"""

import json
import os
import re
import shutil
import ssl
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from exporter.certificates import Certificate, read_pem
from exporter.errors import CertificateError, ExporterError
from exporter.gateway.agent.driver import CHAIN, KEY

META = "meta.json"
_NUMBER = re.compile(r"[1-9][0-9]{0,9}")
_HALF = ".half-"
_NEXT = ".next"
_MAX_BYTES = 1 << 20
_OWN_FILES = {CHAIN, KEY, META}


class VersionError(ExporterError):
    """A version is not there, or cannot be read or written; nothing was changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version as it is on the disk.

    Attributes:
        is_key_usable: Its key is there and is the leaf's.
    """

    number: int
    folder: Path
    chain: tuple[Certificate, ...]
    is_key_usable: bool

    @property
    def leaf(self) -> Certificate:
        """The first of the chain."""
        return self.chain[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What is written as a version.

    Attributes:
        further: What the driver wants besides, by file name.
    """

    chain_pem: bytes
    key_pem: bytes
    further: Mapping[str, bytes]


class Versions:
    """The versions below one folder, which only we can enter."""

    def __init__(self, directory: Path) -> None:
        self._folder = directory / "versions"
        self.current = directory / "current"

    def prepare(self) -> None:
        """Make the folder, and remove what a crash left half done.

        Raises:
            VersionError: it cannot be made.
        """
        with _told("make the folder of the versions"):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for half in self._folder.glob(f"{_HALF}*"):
                shutil.rmtree(half)
            self._next.unlink(missing_ok=True)

    @property
    def _next(self) -> Path:
        return self.current.with_name(f".{self.current.name}{_NEXT}")

    def folder_of(self, number: int) -> Path:
        """Return the folder of a version, which may not be there."""
        return self._folder / str(number)

    def numbers(self) -> list[int]:
        """Return the versions there are, in their order."""
        names = [one.name for one in self._folder.iterdir() if one.is_dir()]
        return sorted(int(name) for name in names if _NUMBER.fullmatch(name))

    def read(self, number: int) -> Version:
        """Return one version.

        Raises:
            VersionError: it is not there, or its chain cannot be read.
        """
        folder = self.folder_of(number)
        if number not in self.numbers():
            raise VersionError(f"there is no version {number}")
        try:
            chain = read_pem(_read(folder / CHAIN), what=f"version {number}")
        except OSError as exc:
            raise VersionError(f"version {number} has no readable chain: {exc.strerror}") from exc
        except CertificateError as exc:
            raise VersionError(str(exc)) from exc
        return Version(
            number=number,
            folder=folder,
            chain=chain,
            is_key_usable=is_key_of(chain[0], _key_in(folder)),
        )

    def key_pem(self, number: int) -> bytes:
        """Return the key of a version.

        Raises:
            VersionError: it is not there.
        """
        with _told(f"read the key of version {number}"):
            return _read(self.folder_of(number) / KEY)

    def write(self, number: int, content: Content, created_at: datetime) -> Path:
        """Return the folder of a new version; all of it is on the disk.

        Raises:
            VersionError: it is there already, or cannot be written; nothing is left of it.
        """
        half, folder = self._folder / f"{_HALF}{number}", self.folder_of(number)
        if folder.exists():
            raise VersionError(f"version {number} is there already")
        meta = {"version": number, "createdAt": created_at.isoformat()}
        files = {
            **_plain(content.further),
            CHAIN: content.chain_pem,
            KEY: content.key_pem,
            META: json.dumps(meta).encode() + b"\n",
        }
        with _told(f"write version {number}"):
            try:
                half.mkdir(mode=0o700)
                for name, data in files.items():
                    write_private(half / name, data)
                _sync(half)
                half.rename(folder)
            except BaseException:
                shutil.rmtree(half, ignore_errors=True)
                raise
            _sync(self._folder)
        return folder

    def remove(self, number: int) -> None:
        """Remove a version that nothing points to any more."""
        if number == self.pointed_to():
            raise VersionError(f"version {number} is the current one")
        half = self._folder / f"{_HALF}{number}"
        with _told(f"remove version {number}"):
            self.folder_of(number).rename(half)
            shutil.rmtree(half)

    def pointed_to(self) -> int | None:
        """Return the version that ``current`` leads to; None: to none, or to nowhere."""
        try:
            target = self.current.readlink()
        except OSError:
            return None
        found = self.current.parent / target
        is_ours = found.parent == self._folder and _NUMBER.fullmatch(found.name)
        return int(found.name) if is_ours and found.is_dir() else None

    def point_to(self, number: int) -> Path:
        """Let ``current`` lead to a version; return that version's folder.

        Raises:
            VersionError: it cannot be done; ``current`` leads where it did.
        """
        folder = self.folder_of(number)
        with _told(f"let current point to version {number}"):
            if not folder.is_dir():
                raise VersionError(f"there is no version {number}")
            if self.pointed_to() == number:  # nothing to write, so a full disk is no hindrance
                return folder
            self._next.unlink(missing_ok=True)
            self._next.symlink_to(folder.relative_to(self.current.parent))
            self._next.replace(self.current)
            _sync(self.current.parent)
        return folder


def pem_of(chain: Iterable[Certificate]) -> str:
    """Return ``chain`` as PEM, and nothing else."""
    return "".join(ssl.DER_cert_to_PEM_cert(one.der) for one in chain)


def is_key_of(certificate: Certificate, key: PrivateKeyTypes | None) -> bool:
    """Return whether ``key`` is the certificate's."""
    try:
        return key is not None and certificate.parsed().public_key() == key.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return False


def load_key(pem: bytes) -> PrivateKeyTypes | None:
    """Return a private key; None: it cannot be read (what is wrong with it is not told)."""
    try:
        return load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None


def write_private(path: Path, data: bytes) -> None:
    """Write a new file that is for us alone; it is on the disk afterwards.

    Raises:
        OSError: it is there already, or cannot be written.
    """
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _key_in(folder: Path) -> PrivateKeyTypes | None:
    try:
        return load_key(_read(folder / KEY))
    except OSError:
        return None


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_MAX_BYTES)


def _plain(files: Mapping[str, bytes]) -> Mapping[str, bytes]:
    for name in files:
        if name in _OWN_FILES or Path(name).name != name or name.startswith("."):
            raise ValueError(f"a driver cannot have a file {name!r} in a version")
    return files


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _told(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        place = f" ({exc.filename})" if exc.filename else ""
        raise VersionError(f"cannot {what}: {exc.strerror or exc}{place}") from exc
