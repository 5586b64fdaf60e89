"""How a management API is reached: an item of ``management_apis`` in the configuration."""

from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from exporter.durations import Duration
from exporter.names import Name
from exporter.urls import http_url
from exporter.wording import shown


def _base_url(text: str) -> str:
    parts = urlsplit(http_url(text))
    if parts.query or parts.fragment or parts.username is not None:
        # the rest is not repeated: people put keys there
        host = shown(parts.hostname or "")
        raise ValueError(
            f"this is no base URL (host {host}); write https://HOST:PORT/PATH, and nothing else:"
            " secrets are named by file only"
        )
    return text


class Options(BaseModel):
    """The management API of one gateway and the devices behind it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: Name = Field(description="Unique; targets name it in `management_api`.")
    url: Annotated[str, AfterValidator(_base_url)] = Field(
        description="Base URL. With `http:` the token goes over the network as it is."
    )
    adapter: str = Field(
        "reference", description="Whose API it is: `reference` is the one in the documentation."
    )
    token_file: Path | None = Field(
        None, description="File with the bearer token, one line; read again for each request."
    )
    push_token_file: Path | None = Field(
        None,
        description="File with the bearer token that this platform or its devices push trust"
        " reports to us with; opens nothing but that, and only for its own devices.",
    )
    ca_file: Path | None = Field(
        None, description="PEM file with the CAs of the server; default: the system's."
    )
    client_cert_file: Path | None = Field(
        None, description="PEM chain for mTLS; read again when it changes."
    )
    client_key_file: Path | None = Field(None, description="Its private key, PEM, not encrypted.")
    timeout: Duration = Field(
        10.0, gt=0, le=600, description="One whole request that changes nothing."
    )
    change_timeout: Duration = Field(
        120.0,
        gt=0,
        le=3_600,
        description="One whole request that changes something: it is answered after the"
        " gateway's own proof. When it runs out, the outcome is unknown.",
    )
    poll_interval: Duration = Field(
        60.0, ge=1, le=86_400, description="Between two questions for trust reports."
    )

    @model_validator(mode="after")
    def _together(self) -> Self:
        if (self.client_cert_file is None) != (self.client_key_file is None):
            raise ValueError("client_cert_file and client_key_file go together; one is missing")
        return self
