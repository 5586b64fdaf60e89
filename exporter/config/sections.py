"""The sections of the configuration that have no part of their own to stand beside yet."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from exporter.anchors import Profile, WeakCrypto
from exporter.names import Name
from exporter.targets.addresses import parse_network
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


class Webhook(BaseModel):
    """Who may post alerts."""

    model_config = _STRICT

    token_file: Path | None = Field(None, description="File with the bearer token, one line.")
    users: Users = Field({}, description="`NAME: bcrypt hash`, for basic authentication.")
    networks: tuple[Annotated[str, AfterValidator(parse_network)], ...] = Field(
        (), description="IP addresses or networks that alerts may come from; none given: all."
    )
