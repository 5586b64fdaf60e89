"""The management API's messages, as client and agent read and write them; pure values.

Requests are closed (an unknown key is a mistake that must not be carried out half), answers are
open (a newer platform may say more). Both are strict: what comes over the wire is read with
``model_validate_json``, where "5" is no number and 1 is no truth. Keys are camelCase on the wire,
snake_case here.
"""

import re
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.config import JsonDict

_MAX_PEM_CHARS = 256 * 1024
_MAX_DEVICES = 100_000

Pem = Annotated[str, StringConstraints(min_length=1, max_length=_MAX_PEM_CHARS)]
"""One or more PEM blocks as text."""
Fingerprint = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256 of a certificate's DER, lower-case hex."""
DeviceId = Annotated[str, StringConstraints(min_length=1, max_length=200)]
"""The inventory's name of a device."""
VersionNumber = Annotated[int, Field(ge=1, le=2**31 - 1)]
Rising = Annotated[int, Field(ge=0, le=2**53 - 1)]
"""A number that only rises; as large as every JSON reader can hold."""


def _no_number(value: object) -> object:
    if type(value) is int:  # 1 == True, which is enough for Literal
        raise ValueError("write true")
    return value


Yes = Annotated[Literal[True], BeforeValidator(_no_number)]
"""``true``: the caller must say it, and cannot say anything else."""


# RFC 3339, 5.6. pydantic would take "0" for the beginning of 1970
_WRITTEN_OUT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")


def _written_out(value: object) -> object:
    if not isinstance(value, str):
        return value
    if not _WRITTEN_OUT.fullmatch(value):
        raise ValueError("write a moment as in RFC 3339, like 2026-11-24T12:00:00Z")
    return datetime.fromisoformat(value.upper())


Moment = Annotated[AwareDatetime, BeforeValidator(_written_out)]
"""With an offset, always."""


def _exactly_one_of(schema: JsonDict) -> None:
    """Say in JSON Schema what the validator below says."""
    schema["oneOf"] = [
        {
            "required": [said],
            "properties": {said: {"not": {"type": "null"}}, silent: {"type": "null"}},
        }
        for said, silent in (
            ("targetVersion", "newCertificate"),
            ("newCertificate", "targetVersion"),
        )
    ]


class Request(BaseModel):
    """What is asked; an unknown key is refused."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        allow_inf_nan=False,
        alias_generator=to_camel,
        populate_by_name=True,
    )


class Answer(BaseModel):
    """What is answered; further keys are ignored."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="ignore",
        allow_inf_nan=False,
        alias_generator=to_camel,
        populate_by_name=True,
    )


# The gateway's certificate


class OperationStatus(StrEnum):
    """How a change of the gateway's certificate ended."""

    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    ROLLED_BACK = "ROLLED_BACK"


class ValidationMode(StrEnum):
    """What a rotation asks of the devices' trust stores."""

    STRICT = "strict"
    NONE = "none"


class RollbackRequest(Request):
    """``POST /gateway/certificates/rollback``."""

    target_version: Literal["previous"] | VersionNumber = "previous"
    scope: Literal["gateway-only"] = "gateway-only"
    preserve_device_certs: Yes = True


class RotateRequest(Request):
    """``POST /gateway/certificates/rotate``.

    Attributes:
        new_certificate: PEM chain, leaf first, without a key.
        confirm_within: Seconds within which ``confirm`` must come, else the gateway goes back.
    """

    new_certificate: Pem
    validation_mode: ValidationMode = ValidationMode.STRICT
    confirm_within: Annotated[float, Field(gt=0, le=7 * 86_400)] | None = None


class Operation(Answer):
    """Answer of ``rollback``, ``rotate`` and ``confirm``; given after proof, not after the reload.

    Attributes:
        from_version: None where nothing was served before.
        detail: A sentence; why, when it is not a success.
        confirm_by: Until when ``confirm`` must come; None: nothing waits for it.
    """

    operation_id: str
    from_version: int | None = None
    to_version: int
    status: OperationStatus
    detail: str = ""
    confirm_by: Moment | None = None


class ConfirmRequest(Request):
    """``POST /gateway/certificates/confirm``: ends the dead-man's wait of an operation."""

    operation_id: Annotated[str, StringConstraints(min_length=1, max_length=200)]


class ValidateRequest(Request):
    """``POST /gateway/certificates/validate``; changes nothing."""

    device_id: DeviceId
    certificate_chain: Pem
    dry_run: Yes


class Validation(Answer):
    """Answer of ``validate``.

    Attributes:
        reasons: Members of ``Reason`` or a platform's own words; empty when valid.
        trusted_by: The anchors (SHA-256) or stores that the chain leads to.
    """

    valid: bool
    reasons: tuple[str, ...] = ()
    trusted_by: tuple[str, ...] = ()


class CsrRequest(Request):
    """``POST /gateway/certificates/csr``; what is not said is taken from the current leaf."""

    subject: Annotated[str, StringConstraints(max_length=1024)] | None = None
    dns_names: Annotated[tuple[str, ...], Field(max_length=100)] | None = None


class Csr(Answer):
    """Answer of ``csr``: PKCS #10 as PEM; the key stays on the gateway."""

    csr: str


class RehearseRequest(Request):
    """``POST /gateway/certificates/rehearse``: serve a version on the second port for a while.

    Exactly one of the two says what: a version, or a chain for the key of the last ``csr`` or of
    an existing version. The gateway's own port is not touched; the next rehearsal ends this one.
    """

    model_config = ConfigDict(json_schema_extra=_exactly_one_of)

    target_version: Literal["previous"] | VersionNumber | None = None
    new_certificate: Pem | None = None
    seconds: Annotated[float, Field(gt=0, le=86_400)] = 60.0

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.target_version is None) == (self.new_certificate is None):
            raise ValueError("say either targetVersion or newCertificate")
        return self


class Rehearsal(Answer):
    """Answer of ``rehearse``.

    Attributes:
        address: ``HOST:PORT`` of the second port.
        version: None for a chain that is no version yet.
        fingerprint: The leaf that is served there.
    """

    address: str
    version: int | None = None
    fingerprint: Fingerprint
    until: Moment


class Serving(Answer):
    """A certificate in use: on disk, or in the terminator's memory."""

    version: int | None = None
    fingerprint: Fingerprint | None = None


class Tickets(Answer):
    """What becomes of session tickets when the certificate changes.

    Attributes:
        kept: True: clients may resume without seeing the new certificate. None: not known.
        lifetime_seconds: For how long a ticket is accepted; None: not known.
    """

    kept: bool | None = None
    lifetime_seconds: float | None = None


class VersionState(StrEnum):
    """What a version is now."""

    CURRENT = "current"
    PREVIOUS = "previous"
    OLD = "old"


class CertificateVersion(Answer):
    """One version of the gateway's certificate.

    Attributes:
        proven: It was served and shaken hands with. ``previous`` is the last such one.
        key_usable: Its key is there and is the leaf's; None: not known.
        chain: PEM, leaf first; public. Empty where the platform does not give it.
    """

    version: VersionNumber
    state: VersionState
    fingerprint: Fingerprint
    not_before: Moment
    not_after: Moment
    activated_at: Moment | None = None
    proven: bool = False
    key_usable: bool | None = None
    chain: str = ""


class GatewayCertificates(Answer):
    """Answer of ``GET /gateway/certificates``.

    Attributes:
        serving: By the agent's own look from outside.
        memory: What the terminator holds; differs from the disk after a runtime commit.
        last_operation_number: The highest ``Operation-Number`` so far; a lease starts above it.
        activation_number: Rises with every change of what is served.
        pending_confirmation: The operation that still waits for ``confirm``.
    """

    serving: Serving
    memory: Serving = Serving()
    tickets: Tickets = Tickets()
    last_operation_number: Rising = 0
    activation_number: Rising = 0
    pending_confirmation: str | None = None
    versions: tuple[CertificateVersion, ...] = ()


# What the devices trust


class TrustStoreOperation(StrEnum):
    """What an update does to the devices' trust stores."""

    ADD = "ADD"
    REMOVE = "REMOVE"


class TrustStoreUpdateRequest(Request):
    """``POST /devices/truststore/update``.

    Attributes:
        priority: Of an anchor that is added; not said with REMOVE.
        device_ids: None: all devices behind the gateway.
    """

    operation: TrustStoreOperation
    certificate: Pem
    priority: Literal["primary", "secondary"] | None = None
    device_ids: Annotated[tuple[DeviceId, ...], Field(max_length=_MAX_DEVICES)] | None = None


class TrustStoreUpdate(Answer):
    """Answer of ``truststore/update``: taken on, not done; ``truststore/status`` tells."""

    operation_id: str
    devices: tuple[str, ...]


class DeviceUpdateStatus(StrEnum):
    """What the platform says of a device's update; its word, not a fact."""

    COMPLETE = "COMPLETE"
    PENDING = "PENDING"
    FAILED = "FAILED"


class DeviceTrustStore(Answer):
    """One device in ``truststore/status``.

    Attributes:
        anchors: SHA-256 of each anchor the device reported. Empty means "trusts nothing"; None
            means that it never reported.
        reported_at: By the device's own clock, which may be wrong.
        received_at: By the platform's clock.
    """

    device_id: DeviceId
    status: DeviceUpdateStatus
    anchors: tuple[Fingerprint, ...] | None = None
    reported_at: Moment | None = None
    received_at: Moment | None = None
    error: str | None = None


class TrustStoreStatus(Answer):
    """One page of ``GET /devices/truststore/status``."""

    total: Annotated[int, Field(ge=0)]
    complete: Annotated[int, Field(ge=0)]
    devices: tuple[DeviceTrustStore, ...]
    next_cursor: str | None = None


class TrustStoreReportRequest(Request):
    """``POST /devices/{id}/truststore/report``: what one device trusts.

    Attributes:
        anchors: SHA-256 in hex, or a PEM certificate, each.
    """

    anchors: Annotated[tuple[Pem, ...], Field(max_length=1_000)]
    reported_at: Moment


class DeviceUpdate(Answer):
    """One thing that a device is to do for its trust store.

    Attributes:
        number: To acknowledge it by.
        certificate: The anchor that is to be added or removed.
    """

    number: Rising
    operation_id: str
    operation: TrustStoreOperation
    certificate: Pem
    fingerprint: Fingerprint
    priority: str | None = None


class DeviceUpdates(Answer):
    """What a device is to do, in that order."""

    updates: tuple[DeviceUpdate, ...]


class AcknowledgementRequest(Request):
    """What became of an update, by the device's word.

    Attributes:
        error: Why not, in the device's words; with FAILED only.
    """

    status: Literal["COMPLETE", "FAILED"]
    error: Annotated[str, StringConstraints(min_length=1, max_length=500)] | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.status == "FAILED") != (self.error is not None):
            raise ValueError("error goes with FAILED, and with nothing else")
        return self


class RecoveryRequest(Request):
    """``POST /devices/recovery/initiate``."""

    device_ids: Annotated[tuple[DeviceId, ...], Field(min_length=1, max_length=_MAX_DEVICES)]
    method: Literal["FALLBACK_CHANNEL"]
    action: Literal["UPDATE_TRUSTSTORE"]


class Recovery(Answer):
    """Answer of ``recovery/initiate``.

    Attributes:
        rejected: Devices without a fallback channel, or unknown ones.
    """

    operation_id: str
    accepted: tuple[str, ...]
    rejected: tuple[str, ...] = ()


# Settings


class DebugLevel(StrEnum):
    """How much the terminator logs of handshakes."""

    VERBOSE = "VERBOSE"
    NORMAL = "NORMAL"


class SettingsRequest(Request):
    """``PUT /gateway/config``; what is not said stays."""

    debug_level: DebugLevel | None = Field(None, alias="GatewayConfig.tls.debugLevel")
    log_handshakes: bool | None = Field(None, alias="GatewayConfig.tls.logHandshakes")


class Settings(Answer):
    """The settings in force.

    Attributes:
        verbose_until: When verbose logging goes off by itself; None: it is off.
    """

    debug_level: DebugLevel = Field(alias="GatewayConfig.tls.debugLevel")
    log_handshakes: bool = Field(alias="GatewayConfig.tls.logHandshakes")
    verbose_until: Moment | None = None


# Errors


class ErrorCode(StrEnum):
    """The reference API's words for what went wrong; a platform may have more."""

    BAD_REQUEST = "bad_request"
    IDEMPOTENCY_KEY_REQUIRED = "idempotency_key_required"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    UNKNOWN_DEVICE = "unknown_device"
    UNKNOWN_VERSION = "unknown_version"
    UNKNOWN_OPERATION = "unknown_operation"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    IN_PROGRESS = "in_progress"
    """409: the same call, or another change, is still being carried out."""
    OPERATION_NUMBER_TOO_LOW = "operation_number_too_low"
    PRECONDITION_FAILED = "precondition_failed"
    TOO_LARGE = "too_large"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    INVALID = "invalid"
    """422: a body that is not what the document says."""
    KEY_REUSED = "key_reused"
    """422: the idempotency key came before, with another body."""
    REFUSED = "refused"
    """422: understood and not done, for example by ``strict``; ``devices`` names who objects."""
    RATE_LIMITED = "rate_limited"
    INTERNAL = "internal"
    GATEWAY_FAILED = "gateway_failed"
    """5xx: the terminator did not do it; the message says what is served now."""
    UNAVAILABLE = "unavailable"


class ErrorDetail(Answer):
    """What went wrong, in a word for programs and a sentence for people.

    Attributes:
        code: One of the reference API's codes, or a platform's own word.
        devices: Those that are the reason.
    """

    code: str
    message: str
    devices: tuple[str, ...] = ()


class ErrorAnswer(Answer):
    """Body of every 4xx and 5xx."""

    error: ErrorDetail
