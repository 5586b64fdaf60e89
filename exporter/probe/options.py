"""How targets are looked at: the ``probe`` section of the configuration."""

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from exporter.durations import Duration


class Options(BaseModel):
    """How and how often to look at the targets' TLS endpoints."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    interval: Duration = Field(60.0, ge=1, le=86_400, description="Between two looks at a target.")
    timeout: Duration = Field(
        5.0, gt=0, le=60, description="Each phase: name resolution, connection, handshake."
    )
    concurrency: int = Field(200, ge=1, le=10_000, description="Looks at the same time, overall.")
    host_concurrency: int = Field(
        10, ge=1, le=1_000, description="Looks at the same time at one host."
    )
    failing_interval: Duration | None = Field(
        None,
        ge=1,
        description="Between two looks at a target that fails or is near its expiry; "
        "default: a third of `interval`, at least 5s.",
    )
    dead_interval: Duration | None = Field(
        None,
        ge=1,
        description="Between two looks at a target that failed for a long time; "
        "default: five times `interval`.",
    )
    dead_after: Duration = Field(
        3_600.0, ge=1, description="How long a target fails before it counts as long dead."
    )
    expiry_near: Duration = Field(
        259_200.0, ge=0, description="Before the leaf's end, looks are made faster."
    )
    max_bytes: int = Field(
        262_144, ge=16_384, le=4_194_304, description="Read from one endpoint in one look."
    )
    max_chain: int = Field(
        20, ge=1, le=100, description="Certificates kept of one chain; more are cut and said so."
    )
    client_cert_file: Path | None = Field(
        None, description="PEM chain shown to endpoints that ask for a client certificate."
    )
    client_key_file: Path | None = Field(None, description="Its private key, PEM, not encrypted.")
    control_targets: tuple[str, ...] = Field(
        (),
        description="HOST:PORT that always answers; tells a dead fleet from our own blindness."
        " Without one nothing tells it: set one, on the gateways' network path, before anything"
        " may act.",
    )

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if (self.client_cert_file is None) != (self.client_key_file is None):
            raise ValueError("client_cert_file and client_key_file go together; one is missing")
        return self
