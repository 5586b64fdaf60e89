"""Files as bytes and text: bounded in size, and with a sentence when they are not usable."""

from pathlib import Path

from exporter.errors import ConfigError, Fault

FileState = tuple[int, int, int]
"""Changes when a file is written or replaced."""


def state_of(path: Path) -> FileState | None:
    """Return what tells a changed file from the same one; None: it is not there."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def read_bounded(path: Path, limit_bytes: int) -> bytes:
    """Return the content of the file at ``path``.

    Raises:
        ConfigError: not readable, a folder, or more than ``limit_bytes``.
    """
    try:
        with path.open("rb") as file:
            data = file.read(limit_bytes + 1)
    except OSError as exc:
        reason = exc.strerror or str(exc)
        fault = Fault(place=str(path), message=f"this file cannot be read: {reason}")
        raise ConfigError([fault]) from exc
    if len(data) > limit_bytes:
        message = f"this file is larger than the {limit_bytes} bytes that are read of one"
        raise ConfigError([Fault(place=str(path), message=message)])
    return data


def decode(data: bytes, name: str) -> str:
    """Return ``data`` as text, a byte order mark taken off; ``name`` is for errors.

    Raises:
        ConfigError: it is not UTF-8.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = data.count(b"\n", 0, exc.start) + 1
        message = f"byte 0x{data[exc.start]:02x} is not UTF-8; save the file as UTF-8 text"
        raise ConfigError([Fault(place=f"{name}:{line}", message=message)]) from exc
