"""What may be set about the phased rotation: its mode, its times and its signer."""

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from exporter.durations import Duration
from exporter.modes import Mode, ModeField

_DAY_S = 86_400.0


class Signer(BaseModel):
    """Where a chain for a gateway's request comes from; exactly one of the two."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    command: tuple[str, ...] = Field(
        (),
        max_length=64,
        description="Program and arguments: the request comes on its standard input, the chain"
        " goes to its standard output, both PEM.",
    )
    folder: Path | None = Field(
        None,
        description="Folder in which `GATEWAY.csr` is laid and `GATEWAY.pem` is waited for.",
    )
    timeout: Duration = Field(60.0, gt=0, le=3_600, description="So long a command may take.")

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if bool(self.command) == (self.folder is not None):
            raise ValueError("a signer is either a command or a folder; write one of the two")
        return self


class Options(BaseModel):
    """The phased rotation of a CA, and the renewal of certificates under the same CA."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    mode: ModeField = Field(
        Mode.DRY_RUN, description="`dry_run` plans and only says so; `off` means `disabled`."
    )
    signer: Signer | None = Field(
        None, description="Signs the gateways' requests by the new CA; none: no rotation begins."
    )
    new_ca_file: Path | None = Field(
        None,
        description="Certificate of the CA that is to come, PEM; what `rotation plan` and `start`"
        " go by where they are given none.",
    )
    interval: Duration = Field(
        30.0, gt=0, le=600, description="So often it is looked at what can be done next."
    )
    overlap: Duration = Field(
        7 * _DAY_S, gt=0, le=90 * _DAY_S, description="Both CAs stay trusted so long at least."
    )
    soak: Duration = Field(
        3_600.0, gt=0, le=7 * _DAY_S, description="So long a gateway is watched at least."
    )
    fact_max_age: Duration = Field(
        300.0, gt=0, le=3_600, description="What was looked at longer ago opens no gate."
    )
    retry_pause: Duration = Field(
        900.0,
        gt=0,
        le=7 * _DAY_S,
        description="Before what failed is asked for again; it doubles each time, three tries.",
    )
    renewal_below: Duration = Field(
        90 * _DAY_S,
        ge=0,
        le=400 * _DAY_S,
        description="Gateway certificates with a lifetime below this are renewed under the same CA"
        " by themselves, with `mode: act`; `0s`: none is.",
    )
    batch_ratio: float = Field(
        0.1, gt=0, le=1, description="Share of the gateways in one batch; the first is one."
    )
