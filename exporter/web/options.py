"""How the service is reached: ``listen``, ``web`` and ``probe_endpoint`` of the configuration."""

import re
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    InstanceOf,
    PlainSerializer,
    model_validator,
)

from exporter.targets.addresses import is_host, parse_network, split_address
from exporter.wording import shown

_STRICT = ConfigDict(frozen=True, extra="forbid", strict=True)
_BCRYPT = re.compile(r"\$2[abxy]?\$(?P<cost>\d\d)\$[./A-Za-z0-9]{53}")
# One check at cost 15 takes about 2 s; a request may not hold a thread longer
_DEAREST_BCRYPT = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenAddress:
    """Where the service listens.

    Attributes:
        host: Name or IP, no brackets; empty: every address of the machine, IPv4 and IPv6.
        port: 0: any free one.
    """

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_listen(text: str) -> ListenAddress:
    """Return the address of ``HOST:PORT``, ``[IPV6]:PORT`` or ``:PORT``.

    Raises:
        ValueError: with a sentence.
    """
    host, port = split_address(text)
    return ListenAddress(host=host, port=port)


def _listen(value: object) -> object:
    if isinstance(value, ListenAddress):
        return value
    return parse_listen(str(value))  # a bare 9883 is a number, and has its own sentence


Listen = Annotated[
    InstanceOf[ListenAddress],
    BeforeValidator(_listen),
    PlainSerializer(str, return_type=str, when_used="json"),
]
"""A pydantic field written ``HOST:PORT``, a ``ListenAddress`` inside."""


def _users(users: dict[str, str]) -> dict[str, str]:
    for name, hashed in users.items():
        if not name or ":" in name or not name.isprintable():  # RFC 7617, 2
            raise ValueError(f"{shown(name)} is not a user's name; it may hold no colon")
        found = _BCRYPT.fullmatch(hashed)
        if found is None:
            raise ValueError(
                f"the value of user {shown(name)} is not a bcrypt hash;"
                " make one with: htpasswd -nBC 10 NAME"
            )
        if int(found["cost"]) > _DEAREST_BCRYPT:
            raise ValueError(
                f"the bcrypt hash of user {shown(name)} has cost {found['cost']};"
                f" at most {_DEAREST_BCRYPT}, or each request takes seconds"
            )
    return users


Users = Annotated[dict[str, str], AfterValidator(_users)]
"""Passwords by user, as bcrypt hashes."""


class Options(BaseModel):
    """TLS and passwords of the service's own HTTP server; names as in the exporter-toolkit."""

    model_config = _STRICT

    cert_file: Path | None = Field(
        None, description="PEM chain that the service shows; with it, it speaks HTTPS only."
    )
    key_file: Path | None = Field(None, description="Its private key, PEM, not encrypted.")
    client_ca_file: Path | None = Field(
        None, description="PEM with the CAs of client certificates; then every client needs one."
    )
    users: Users = Field(
        {}, description="`NAME: bcrypt hash`; with any, every request needs a password."
    )
    token_file: Path | None = Field(
        None,
        description="File with a bearer token, one line, that opens every POST of this section"
        " (`/-/reload`, `/api/v1/remediation/…`, `/api/v1/rotation/…`), and reading where"
        " passwords are set. Read for each request.",
    )

    @model_validator(mode="after")
    def _together(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file go together; one is missing")
        if self.client_ca_file is not None and self.cert_file is None:
            raise ValueError("client_ca_file needs cert_file and key_file beside it")
        return self


def _allowed(text: str) -> str:
    name = text.removeprefix("*.")
    if "/" not in text and name and is_host(name) and (name == text or not _is_ip(name)):
        return text.lower()
    try:
        return parse_network(text)
    except ValueError as exc:
        if "/" in text:
            raise
        raise ValueError(
            f"{shown(text)} is neither a network like 10.1.0.0/16, an IP address, a host name"
            " nor *.DOMAIN; write it without a port"
        ) from exc


def _is_ip(text: str) -> bool:
    try:
        ip_network(text)
    except ValueError:
        return False
    return True


class ProbeEndpointOptions(BaseModel):
    """What ``/probe`` may reach."""

    model_config = _STRICT

    allow: tuple[Annotated[str, AfterValidator(_allowed)], ...] = Field(
        (),
        description="Networks, IP addresses and host names (`*.DOMAIN` for all below one) that"
        " `/probe` may reach besides the inventory.",
    )
