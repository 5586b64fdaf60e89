"""The sections of the configuration that have no part of their own to stand beside yet."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from exporter.anchors import Profile, WeakCrypto
from exporter.durations import Duration
from exporter.modes import Mode, ModeField
from exporter.targets.addresses import parse_network
from exporter.targets.options import Name
from exporter.urls import http_url
from exporter.web.options import Users

_STRICT = ConfigDict(frozen=True, extra="forbid", strict=True)


class TrustStoreSection(BaseModel):
    """A named set of anchors."""

    model_config = _STRICT

    name: Name = Field(description="Unique; targets and device classes refer to it.")
    file: Path = Field(description="PEM file with one or more CA certificates.")
    profile: Profile = Field(
        Profile.NORMAL,
        description="`strict`: what breaks RFC 5280's form is refused, not only remarked.",
    )
    weak_crypto: WeakCrypto = Field(
        WeakCrypto.WARN,
        description="What is said of RSA below 2048 and EC below 224 bits; MD5, SHA-1 and RSA"
        " below 1024 bits are refused always.",
    )


class ManagementApi(BaseModel):
    """The management API of one gateway and the devices behind it."""

    model_config = _STRICT

    name: Name = Field(description="Unique; targets name it in `management_api`.")
    url: Annotated[str, AfterValidator(http_url)] = Field(description="Base URL.")
    token_file: Path | None = Field(None, description="File with the bearer token, one line.")
    ca_file: Path | None = Field(
        None, description="PEM file with the CAs of the server; default: the system's."
    )
    client_cert_file: Path | None = Field(None, description="PEM chain for mTLS.")
    client_key_file: Path | None = Field(None, description="Its private key, PEM.")
    poll_interval: Duration = Field(
        60.0, ge=1, le=86_400, description="Between two questions for trust reports."
    )


class Webhook(BaseModel):
    """Who may post alerts."""

    model_config = _STRICT

    token_file: Path | None = Field(None, description="File with the bearer token, one line.")
    users: Users = Field({}, description="`NAME: bcrypt hash`, for basic authentication.")
    networks: tuple[Annotated[str, AfterValidator(parse_network)], ...] = Field(
        (), description="IP addresses or networks that alerts may come from; none given: all."
    )


class Rotation(BaseModel):
    """Phased rotation."""

    model_config = _STRICT

    mode: ModeField = Field(
        Mode.DRY_RUN, description="`dry_run` plans and only says so; `off` means `disabled`."
    )
