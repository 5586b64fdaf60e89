"""Alertmanager's webhook body (``version: "4"``, template.Data in alertmanager 0.25 - 0.28); pure.

What the program goes by is taken out and bounded; all other keys and labels are ignored.
"""

from collections.abc import Container, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)

from exporter.errors import ExporterError
from exporter.wording import shown

MOST_BYTES = 16 << 20
"""Of one delivery: ten thousand alerts with long labels."""
MOST_ALERTS = 20_000
_MOST_CHARS = 200
_WANTED = "rollback"

_Short = Annotated[str, StringConstraints(max_length=100)]


class PayloadError(ExporterError):
    """A body that is no delivery of Alertmanager's, and will not become one.

    Attributes:
        is_json: It is JSON, of another shape (422); else it is no JSON at all (400).
    """

    def __init__(self, detail: str, *, is_json: bool) -> None:
        super().__init__(detail)
        self.is_json = is_json


class Ignored(StrEnum):
    """Why an alert asks for nothing."""

    NOT_FOR_US = "not_for_us"
    """It has no label ``remediation="rollback"``."""
    NO_GATEWAY = "no_gateway"
    UNKNOWN_GATEWAY = "unknown_gateway"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alert of a delivery.

    Attributes:
        fingerprint: Of its labels, by Alertmanager.
        name: Its ``alertname``; ``gateway`` its label, both empty where there is none.
        ignored: None: it asks for a look at ``gateway``.
    """

    fingerprint: str
    starts_at: datetime
    is_firing: bool
    name: str
    gateway: str
    ignored: Ignored | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What was delivered.

    Attributes:
        truncated_count: Alerts that Alertmanager left out (``max_alerts``).
        newest_at: The latest moment in those that ask for a look that is past for its sender;
            None: none of them asks.
    """

    alerts: tuple[Alert, ...]
    truncated_count: int
    newest_at: datetime | None = None


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:  # in the year 1 or 9999, by a few hours
        return moment.replace(tzinfo=UTC)


_Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]


class _Alert(BaseModel):
    model_config = ConfigDict(extra="ignore")

    status: Literal["firing", "resolved"]
    labels: dict[str, str]
    starts_at: _Moment = Field(alias="startsAt")
    ends_at: _Moment | None = Field(None, alias="endsAt")
    fingerprint: _Short


class _Payload(BaseModel):
    model_config = ConfigDict(extra="ignore")

    version: Literal["4"]
    truncated_alerts: int = Field(0, alias="truncatedAlerts", ge=0, le=10**9)
    alerts: list[_Alert] = Field(max_length=MOST_ALERTS)


def read_delivery(body: bytes, gateways: Container[str]) -> Delivery:
    """Return what ``body`` asks for; ``gateways`` are those of the inventory.

    Raises:
        PayloadError: with a sentence; nothing of the delivery counts.
    """
    try:
        payload = _Payload.model_validate_json(body)
    except ValidationError as exc:
        raise _refused(exc) from exc
    alerts = tuple(_alert(one, gateways) for one in payload.alerts)
    asking = (one for one, alert in zip(payload.alerts, alerts, strict=True) if not alert.ignored)
    return Delivery(
        alerts=alerts,
        truncated_count=payload.truncated_alerts,
        newest_at=max((moment for one in asking for moment in _past(one)), default=None),
    )


def _past(given: _Alert) -> Iterator[datetime]:
    yield given.starts_at
    # Of one that fires it is when it would be over, or the year 1
    if given.status == "resolved" and given.ends_at is not None:
        yield given.ends_at


def _alert(given: _Alert, gateways: Container[str]) -> Alert:
    gateway = given.labels.get("gateway", "")
    return Alert(
        fingerprint=given.fingerprint,
        starts_at=given.starts_at,
        is_firing=given.status == "firing",
        name=given.labels.get("alertname", "")[:_MOST_CHARS],
        gateway=gateway[:_MOST_CHARS],
        ignored=_why_ignored(given.labels, gateway, gateways),
    )


def _why_ignored(labels: dict[str, str], gateway: str, gateways: Container[str]) -> Ignored | None:
    if labels.get("remediation") != _WANTED:
        return Ignored.NOT_FOR_US
    if not gateway:
        return Ignored.NO_GATEWAY
    return None if gateway in gateways else Ignored.UNKNOWN_GATEWAY


def _refused(exc: ValidationError) -> PayloadError:
    first = exc.errors(include_url=False)[0]
    if first["type"] == "json_invalid":
        return PayloadError(
            f"this is not JSON ({first['msg']}); send what Alertmanager's webhook_config sends",
            is_json=False,
        )
    place = ".".join(map(str, first["loc"])) or "the body"
    if place == "version":
        return PayloadError(
            f"version {shown(first['input'])} of the webhook's body is not known; Alertmanager"
            ' 0.6 and newer send version "4"',
            is_json=True,
        )
    return PayloadError(
        f"{place}: {first['msg']}; this is not the body of Alertmanager's webhook_config"
        " (a receiver with a template of its own sends another)",
        is_json=True,
    )
