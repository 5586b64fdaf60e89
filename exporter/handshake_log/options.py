"""Where handshake logs come from: an item of ``handshake_logs`` in the configuration."""

from enum import StrEnum
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from exporter.handshake_log.custom import CustomFormat
from exporter.handshake_log.wrappers import DEFAULT_MESSAGE_KEYS


class Side(StrEnum):
    """Who writes a log, and so whom its "local" and "peer" mean."""

    GATEWAY = "gateway"
    DEVICE = "device"
    PLATFORM = "platform"


class ReadFrom(StrEnum):
    """Where the first reading of a file begins."""

    END = "end"
    BEGINNING = "beginning"


class Options(BaseModel):
    """One source of handshake logs: exactly one of file, journald, push and stdin."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    file: Path | None = Field(None, description="Log file, `*` allowed; followed over rotation.")
    journald: str | None = Field(None, description="Unit whose journal is read.")
    journal_directory: Path | None = Field(
        None, description="With `journald`: where its files are, such as a host's journal."
    )
    push: str | None = Field(
        None, description="Name of a source that is pushed: `POST /logs?source=NAME`."
    )
    stdin: bool = Field(False, description="Read standard input.")  # noqa: FBT003 - a field's default
    gateway: str | None = Field(None, description="The gateway that the log is about.")
    side: Side = Field(Side.GATEWAY, description="Who writes the log.")
    device: str | None = Field(
        None, description="For `side: device`: the device whose own log it is."
    )
    read_from: ReadFrom = Field(
        ReadFrom.END,
        description="For `file`: where the very first reading begins; later ones go on where the"
        " last one ended.",
    )
    token_file: Path | None = Field(
        None, description="For `push`: file with the bearer token, one line."
    )
    formats: tuple[CustomFormat, ...] = Field(
        (), description="Formats of your own; they are tried before all others."
    )
    message_keys: tuple[str, ...] = Field(
        DEFAULT_MESSAGE_KEYS,
        description="Names under which JSON lines hold the message; the first that is there wins.",
    )

    @property
    def is_trusted(self) -> bool:
        """Whether what it tells may be evidence: read by ourselves, or pushed with a token."""
        return not self.stdin

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [bool(self.file), self.journald is not None, self.push is not None, self.stdin]
        if sum(given) != 1:
            raise ValueError("exactly one of file, journald, push and stdin belongs here")
        if not self.message_keys:
            raise ValueError("message_keys names nothing; leave it out for the usual names")
        if self.push is not None and self.token_file is None:
            raise ValueError("push needs token_file; no source that is pushed is open to all")
        if self.push is None and self.token_file is not None:
            raise ValueError("token_file belongs to push only")
        if self.device is not None and self.side is not Side.DEVICE:
            raise ValueError("device belongs to side: device only")
        return self
