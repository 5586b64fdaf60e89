"""Where handshake logs come from: an item of ``handshake_logs`` in the configuration."""

from enum import StrEnum
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Side(StrEnum):
    """Who writes a log, and so whom its "local" and "peer" mean."""

    GATEWAY = "gateway"
    DEVICE = "device"
    PLATFORM = "platform"


class Options(BaseModel):
    """One source of handshake logs: exactly one of file, journald, push and stdin."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    file: Path | None = Field(None, description="Log file, `*` allowed; followed over rotation.")
    journald: str | None = Field(None, description="Unit whose journal is read.")
    push: str | None = Field(
        None, description="Name of a source that is pushed: `POST /logs?source=NAME`."
    )
    stdin: bool = Field(False, description="Read standard input.")  # noqa: FBT003 - a field's default
    gateway: str | None = Field(None, description="The gateway that the log is about.")
    side: Side = Field(Side.GATEWAY, description="Who writes the log.")
    token_file: Path | None = Field(
        None, description="For `push`: file with the bearer token, one line."
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [bool(self.file), self.journald is not None, self.push is not None, self.stdin]
        if sum(given) != 1:
            raise ValueError("exactly one of file, journald, push and stdin belongs here")
        if self.push is not None and self.token_file is None:
            raise ValueError("push needs token_file; no source that is pushed is open to all")
        if self.push is None and self.token_file is not None:
            raise ValueError("token_file belongs to push only")
        return self
