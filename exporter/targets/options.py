"""Where targets come from: the ``targets`` and ``device_classes`` sections."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from exporter.durations import Duration
from exporter.names import Name
from exporter.targets.model import Role
from exporter.urls import http_url
from exporter.wording import shown

_STRICT = ConfigDict(frozen=True, extra="forbid", strict=True)
_SUFFIXES = {".json", ".yml", ".yaml"}
MAX_EXPIRY_WARNING_S = 10 * 31_536_000.0


def _target_file(path: Path) -> Path:
    if path.suffix.lower() not in _SUFFIXES:
        raise ValueError(
            f"{shown(path)} ends in none of .json, .yml, .yaml; Prometheus reads no others"
        )
    return path


def _url_alone(value: object) -> object:
    return {"url": value} if isinstance(value, str) else value


TargetFile = Annotated[Path, AfterValidator(_target_file)]


class StaticTarget(BaseModel):
    """One gateway or device written in the configuration."""

    model_config = _STRICT

    name: Name = Field(description="Unique; the label `target` or `device`.")
    address: str | None = Field(
        None,
        description="`HOST:PORT`, an IPv6 address in brackets. A device may have none.",
    )
    role: Role | None = Field(
        None, description="Default: `device` where `gateway` is set, else `gateway`."
    )
    protocol: str = Field("tls", description="What is spoken before and around TLS.")
    server_name: str | None = Field(
        None,
        description="SNI, and the name that the certificate must be for. Default: the host"
        ' of `address` (an IP: no SNI, the IP is checked); `""` checks no name.',
    )
    trust_stores: tuple[str, ...] = Field(
        (),
        description="What the chain of this target's own endpoint is judged by. None given:"
        " the system's store, under the name `system`.",
    )
    holds: tuple[str, ...] | None = Field(
        None, description="What this device itself trusts. Default: what its class holds."
    )
    device_class: str = Field("", description="A name of `device_classes`.")
    rollout_group: str = Field(
        "", description="`canary`, `production` or any name; a rotation goes group by group."
    )
    gateway: str | None = Field(None, description="The gateway this device connects to.")
    peers: tuple[str, ...] = Field(
        (), description="IP addresses or networks that this device connects from."
    )
    management_api: str | None = Field(None, description="A name of `management_apis`.")
    expiry_warning: Duration | None = Field(
        None,
        gt=0,
        le=MAX_EXPIRY_WARNING_S,
        description="How long before the end of its certificates this target is worth a warning."
        " Default: what the alert rules say.",
    )


class HttpSource(BaseModel):
    """One URL that answers with targets as Prometheus' http_sd wants them."""

    model_config = _STRICT

    url: Annotated[str, AfterValidator(http_url)] = Field(description="`http://` or `https://`.")
    interval: Duration = Field(60.0, ge=1, le=86_400, description="Between two requests.")
    timeout: Duration = Field(10.0, gt=0, le=300, description="For one request.")
    token_file: Path | None = Field(None, description="File with the bearer token, one line.")
    ca_file: Path | None = Field(
        None, description="PEM file with the CAs of the server; default: the system's."
    )


class DeviceClass(BaseModel):
    """What devices of one kind have in common."""

    model_config = _STRICT

    name: Name = Field(description="Unique; targets name it in `device_class`.")
    holds: tuple[str, ...] = Field((), description="Trust stores that these devices hold.")
    signed_by: tuple[str, ...] = Field(
        (),
        description="Trust stores with the CAs that sign the certificates of these devices"
        " themselves (client certificates); for the trust map.",
    )
    contact_interval: Duration | None = Field(
        None, gt=0, description="How often such a device is heard of; default: not known."
    )
    reconnect: Duration = Field(
        3_600.0, gt=0, description="How long such a device may take to come back."
    )


class Options(BaseModel):
    """Which gateways and devices there are."""

    model_config = _STRICT

    static: tuple[StaticTarget, ...] = Field((), description="Written here.")
    files: tuple[TargetFile, ...] = Field(
        (),
        description="Prometheus file_sd files (JSON or YAML), `*` allowed; watched, a change is"
        " seen within 5 s.",
    )
    http: tuple[Annotated[HttpSource, BeforeValidator(_url_alone)], ...] = Field(
        (), description="Prometheus http_sd URLs; a plain URL stands for `{url: …}`."
    )
