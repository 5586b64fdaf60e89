"""What can be set of a gateway agent; one file of its own."""

from collections import Counter
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from exporter.durations import Duration
from exporter.gateway.agent.drivers import Terminator
from exporter.names import Name
from exporter.web.options import Listen, ListenAddress

_STRICT = ConfigDict(frozen=True, extra="forbid", strict=True)


class Web(BaseModel):
    """Who may call the management API, and the API's own TLS."""

    model_config = _STRICT

    token_file: Path | None = Field(
        None, description="File with the bearer token that opens every call, one line."
    )
    report_token_file: Path | None = Field(
        None, description="File with a token that opens the devices' own calls only."
    )
    cert_file: Path | None = Field(None, description="PEM chain; with it, HTTPS only.")
    key_file: Path | None = Field(None, description="Its private key, PEM, not encrypted.")
    client_ca_file: Path | None = Field(
        None, description="PEM with the CAs of client certificates; then every client needs one."
    )

    @model_validator(mode="after")
    def _together(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file go together; one is missing")
        if self.client_ca_file is not None and self.cert_file is None:
            raise ValueError("client_ca_file needs cert_file and key_file beside it")
        if self.token_file is None and self.client_ca_file is None:
            raise ValueError("nobody could be let in; set token_file, or client_ca_file for mTLS")
        return self


class Initial(BaseModel):
    """What becomes version 1 where there is no version yet: what the terminator serves today."""

    model_config = _STRICT

    chain_file: Path = Field(description="PEM chain, leaf first.")
    key_file: Path = Field(description="Its private key, PEM, not encrypted.")


class Proof(BaseModel):
    """What it takes until a certificate counts as served."""

    model_config = _STRICT

    rounds: int = Field(
        3, ge=1, le=100, description="Handshakes by each way, to meet each worker."
    )
    within: Duration = Field(
        30.0, ge=1, le=600, description="Old and new may both be seen until then."
    )
    server_names: tuple[str, ...] | None = Field(
        None, description="Names to ask for; default: the first three DNS names of the leaf."
    )
    without_sni: bool = Field(
        default=True,
        description="Ask without a name, too; false where that leads to another server.",
    )
    client_cert_file: Path | None = Field(
        None, description="PEM chain shown to a terminator that asks for a client certificate."
    )
    client_key_file: Path | None = Field(None, description="Its private key, PEM.")

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if (self.client_cert_file is None) != (self.client_key_file is None):
            raise ValueError("client_cert_file and client_key_file go together; one is missing")
        return self


class DeviceOptions(BaseModel):
    """A device behind the gateway."""

    model_config = _STRICT

    name: Name = Field(description="As in the exporter's inventory.")
    fallback_channel: bool = Field(
        default=False, description="It can be reached although it does not trust the gateway."
    )
    token_file: Path | None = Field(
        None, description="File with a token that opens this device's own calls only."
    )


def _each_once(devices: tuple[DeviceOptions, ...]) -> tuple[DeviceOptions, ...]:
    counts = Counter(device.name for device in devices)
    twice = [name for name, count in counts.items() if count > 1]
    if twice:
        raise ValueError(f"the device {twice[0]!r} stands here more than once")
    return devices


class Options(BaseModel):
    """Everything an operator can set of one gateway's agent."""

    model_config = _STRICT

    listen: Listen = Field(
        ListenAddress(host="127.0.0.1", port=9884),
        description="`HOST:PORT` of the management API.",
    )
    web: Web = Field(description="Who may call it.")
    directory: Path = Field(
        description="Versions, `current`, keys and the store; for the agent alone."
    )
    terminator: Terminator = Field(description="What the agent stands in front of.")
    initial: Initial | None = Field(None, description="What is served before the first rotation.")
    server_name: str | None = Field(
        None,
        min_length=1,
        max_length=253,
        description="Under which devices know the gateway; a chain is judged for it. Default: no"
        " name is checked.",
    )
    proof: Proof = Field(Proof(), description="When a certificate counts as served.")
    second_port: Listen | None = Field(
        None,
        description="`HOST:PORT` where versions and candidates are rehearsed; one that the"
        " exporter can reach. Default: nowhere, and no rollback is ever ready.",
    )
    require_idempotency_key: bool = Field(
        default=False,
        description="Refuse changes without `Idempotency-Key` instead of making one.",
    )
    verbose_for: Duration = Field(
        3_600.0, ge=1, le=604_800, description="Verbose logging goes off by itself after that."
    )
    devices: Annotated[tuple[DeviceOptions, ...], AfterValidator(_each_once)] = Field(
        (), description="The devices behind the gateway."
    )
