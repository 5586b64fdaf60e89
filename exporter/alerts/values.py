"""What an operator may set about the alerts: every threshold, every wait, every window."""

from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from exporter.alerts.model import Severity
from exporter.durations import Duration
from exporter.urls import http_url
from exporter.wording import shown

_STRICT = ConfigDict(frozen=True, extra="forbid", strict=True)
_DAY_S = 86_400.0
_LONG_S = 3650 * _DAY_S


def _base(text: str) -> str:
    return http_url(text).rstrip("/")


def _job(text: str) -> str:
    if not text or len(text) > 200 or not text.isprintable() or set(text) & set("'\"\\"):
        raise ValueError(
            f"{shown(text)} is not usable; write the scrape job's name, or a regular expression"
            " without quotes and backslashes"
        )
    return text


Wait = Annotated[Duration, Field(ge=0, le=_LONG_S)]
"""How long something has to hold before the alert fires; 0s: at once."""
Span = Annotated[Duration, Field(gt=0, le=_LONG_S)]
Percent = Annotated[int, Field(ge=1, le=100)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Url = Annotated[str, AfterValidator(_base)]


class Links(BaseModel):
    """Where the links in the annotations lead; as the browser of the person on call reaches it."""

    model_config = _STRICT

    exporter: Url = Field(
        "http://127.0.0.1:9883", description="The exporter: runbooks, and pages of targets."
    )
    dashboards: Url = Field("http://127.0.0.1:3000", description="Grafana.")


class Refusal(BaseModel):
    """Devices that will not accept what their gateway serves: the outage."""

    model_config = _STRICT

    devices: Count = Field(
        2, description="So many behind one gateway, or all there are, page for the gateway."
    )
    predicted_for: Wait = Field(
        0.0, description="By what the devices trust and the gateway serves: page at once."
    )
    logged_for: Wait = Field(60.0, description="By the devices' own refusals in the logs.")
    mismatch_for: Wait = Field(0.0, description="The alert for each single device.")
    unknown_peers: Count = Field(
        5, description="So many refusals by peers that are no device of the inventory."
    )
    unknown_peers_window: Span = Field(900.0, description="Within so long.")
    device_certificate_for: Wait = Field(
        300.0, description="A gateway refuses a device's own certificate."
    )


class Endpoints(BaseModel):
    """What looks at endpoints tell."""

    model_config = _STRICT

    not_verified_for: Wait = Field(300.0, description="A chain with a problem.")
    gateway_unreachable_for: Wait = Field(120.0, description="No handshake with a gateway.")
    device_unreachable_for: Wait = Field(
        900.0, description="No handshake with a device that has an address."
    )
    not_looked_at: Span = Field(
        1_800.0,
        description="Since the last look. More than the longest pause between two looks:"
        " `probe.dead_interval`, by default five times `probe.interval`.",
    )
    changed_within: Span = Field(
        3_600.0, description="How long a changed certificate of a gateway is told."
    )


class ShortLived(BaseModel):
    """Certificates whose whole lifetime is short: shares of it, in place of days."""

    model_config = _STRICT

    below: Span = Field(90 * _DAY_S, description="Lifetimes shorter than this.")
    info_percent: Percent = Field(33, description="Of the lifetime is left: info.")
    warning_percent: Percent = Field(20, description="Warning.")
    critical_percent: Percent = Field(10, description="Critical.")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.critical_percent <= self.warning_percent <= self.info_percent:
            raise ValueError(
                "critical_percent, warning_percent and info_percent must not fall in this order"
            )
        return self


class Expiry(BaseModel):
    """How long before its end a certificate is told; a target's `expiry_warning` goes before."""

    model_config = _STRICT

    info: Span = Field(30 * _DAY_S, description="Before the end: info.")
    warning: Span = Field(14 * _DAY_S, description="Warning.")
    critical: Span = Field(7 * _DAY_S, description="Critical: somebody is woken.")
    pending_for: Wait = Field(600.0, description="Before either fires.")
    short_lived: ShortLived = Field(ShortLived(), description="Lifetimes below 90 days.")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.critical <= self.warning <= self.info:
            raise ValueError("critical, warning and info must not fall in this order")
        return self


class TrustSync(BaseModel):
    """What devices report of their trust stores, beside what is wanted of them."""

    model_config = _STRICT

    failed_for: Wait = Field(900.0, description="An update has failed.")
    outstanding: Span = Field(
        _DAY_S, description="So long something is wanted of a class that is not there yet."
    )
    stale_for: Wait = Field(1_800.0, description="A report is too old to say anything.")
    never_reported_for: Wait = Field(_DAY_S, description="A device has never reported.")
    api_silent: Span = Field(
        900.0,
        description="The management API has given no good answer for so long. More than its"
        " `poll_interval`.",
    )


class Handshakes(BaseModel):
    """Shares of handshakes that succeed, from the logs; only with enough of them."""

    model_config = _STRICT

    window: Span = Field(900.0, description="Over so long.")
    ratio_for: Wait = Field(300.0, description="Before either fires.")
    gateway_minimum: Count = Field(20, description="Handshakes within the window.")
    gateway_warning_percent: Percent = Field(95, description="Fewer succeed: warning.")
    gateway_critical_percent: Percent = Field(50, description="Fewer succeed: critical.")
    device_minimum: Count = Field(10, description="Handshakes of one device within the window.")
    device_percent: Percent = Field(80, description="Fewer of one device's succeed: warning.")


class Silence(BaseModel):
    """Devices that are not heard of although their class has a `contact_interval`."""

    model_config = _STRICT

    intervals: Count = Field(2, description="Contact intervals without a good handshake.")
    at_least: Span = Field(300.0, description="No silence is shorter than this.")
    silent_for: Wait = Field(60.0, description="On top.")
    gateway_devices: Count = Field(
        2, description="So many silent devices behind one gateway page for the gateway."
    )
    gateway_percent: Percent = Field(50, description="If they are so much of those once heard.")
    never_seen_for: Wait = Field(
        _DAY_S, description="A device of which no log has ever told a good handshake."
    )


class Rotations(BaseModel):
    """The phased rotation of a CA."""

    model_config = _STRICT

    blocked_for: Wait = Field(_DAY_S, description="The same gate has blockers.")
    drift_for: Wait = Field(300.0, description="Facts and journal disagree.")
    overlap_ends: Span = Field(_DAY_S, description="Before the end of the overlap.")
    overlap_overdue: Span = Field(
        4 * _DAY_S, description="After its end, when the old CA is still there."
    )


class Remediations(BaseModel):
    """The guarded rollback."""

    model_config = _STRICT

    told_within: Span = Field(3_600.0, description="How long an action is told.")
    refused_for: Wait = Field(60.0, description="A rollback is asked for and refused.")
    not_ready_for: Wait = Field(3_600.0, description="No way back for a gateway.")


class Exporters(BaseModel):
    """The exporter itself."""

    model_config = _STRICT

    job: Annotated[str, AfterValidator(_job)] = Field(
        "fleet-tls", description="Its scrape job; a regular expression, as in Prometheus."
    )
    down_for: Wait = Field(300.0, description="It cannot be scraped.")
    schedule_lag: Span = Field(10.0, description="So late start the latest 1 % of the looks.")
    log_lag: Span = Field(120.0, description="So far is reading behind a log.")
    lag_for: Wait = Field(600.0, description="Either of them.")
    fault_for: Wait = Field(
        300.0, description="A reload, a log, the store or a source of targets has failed."
    )
    series_percent: Percent = Field(90, description="Of the series budget is used.")


class Values(BaseModel):
    """Everything that can be set."""

    model_config = _STRICT

    links: Links = Field(Links(), description="Where annotations lead.")
    keep_firing_for: Wait = Field(
        300.0, description="An alert survives a gap in the data that is no longer than this."
    )
    slow_interval: Annotated[Duration, Field(ge=1, le=120)] = Field(
        120.0,
        description="How often the rules are evaluated that join the inventory and watch what"
        " ends; they cost most and change least. Prometheus forgets a value after 5m.",
    )
    refusal: Refusal = Field(Refusal(), description="The outage.")
    endpoints: Endpoints = Field(Endpoints(), description="What looks tell.")
    expiry: Expiry = Field(Expiry(), description="Before the end of certificates.")
    trust_sync: TrustSync = Field(TrustSync(), description="Reports of trust stores.")
    handshakes: Handshakes = Field(Handshakes(), description="Success ratios.")
    silence: Silence = Field(Silence(), description="Devices that are not heard of.")
    rotation: Rotations = Field(Rotations(), description="The phased rotation.")
    remediation: Remediations = Field(Remediations(), description="The guarded rollback.")
    exporter: Exporters = Field(Exporters(), description="The exporter itself.")
    severities: dict[str, Severity] = Field(
        {}, description="`ALERT: info|warning|critical`, where ours is not yours."
    )
    without: tuple[str, ...] = Field((), description="Names of alerts that are not wanted.")
