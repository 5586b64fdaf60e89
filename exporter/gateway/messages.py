"""The management API's messages, as client and agent read and write them; pure values.

Requests are closed (an unknown key is a mistake that must not be carried out half), answers are
open (a newer platform may say more). Keys are camelCase on the wire, snake_case here.
"""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)
from pydantic.alias_generators import to_camel

_MAX_PEM_CHARS = 256 * 1024
_MAX_DEVICES = 100_000

Pem = Annotated[str, StringConstraints(min_length=1, max_length=_MAX_PEM_CHARS)]
"""One or more PEM blocks as text."""
Fingerprint = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256 of a certificate's DER, lower-case hex."""
DeviceId = Annotated[str, StringConstraints(min_length=1, max_length=200)]
"""The inventory's name of a device."""
VersionNumber = Annotated[int, Field(ge=1)]


class Request(BaseModel):
    """What is asked; an unknown key is refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True
    )


class Answer(BaseModel):
    """What is answered; further keys are ignored."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True
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
    preserve_device_certs: Literal[True] = True


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
    """Answer of ``rollback`` and ``rotate``; given after proof, not after the reload.

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
    confirm_by: AwareDatetime | None = None


class ConfirmRequest(Request):
    """``POST /gateway/certificates/confirm``: ends the dead-man's wait."""

    operation_id: Annotated[str, StringConstraints(min_length=1, max_length=200)]


class ValidateRequest(Request):
    """``POST /gateway/certificates/validate``; changes nothing."""

    device_id: DeviceId
    certificate_chain: Pem
    dry_run: Literal[True]


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
    an existing version. The gateway's own port is not touched.
    """

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
    until: AwareDatetime


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
        chain: PEM, leaf first; public. Empty where the platform does not give it.
    """

    version: VersionNumber
    state: VersionState
    fingerprint: Fingerprint
    not_before: AwareDatetime
    not_after: AwareDatetime
    activated_at: AwareDatetime | None = None
    proven: bool = False
    key_usable: bool | None = None
    chain: str = ""


class GatewayCertificates(Answer):
    """Answer of ``GET /gateway/certificates``.

    Attributes:
        serving: By the agent's own look from outside.
        memory: What the terminator holds; differs from the disk after a runtime commit.
        activation_number: Rises with every change of what is served.
        pending_confirmation: The operation that still waits for ``confirm``.
    """

    serving: Serving
    memory: Serving = Serving()
    tickets: Tickets = Tickets()
    last_operation_number: int = 0
    activation_number: int = 0
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
    reported_at: AwareDatetime | None = None
    received_at: AwareDatetime | None = None
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
    reported_at: AwareDatetime


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
    verbose_until: AwareDatetime | None = None


# Errors


class ErrorDetail(Answer):
    """What went wrong, in a word for programs and a sentence for people."""

    code: str
    message: str
    devices: tuple[str, ...] = ()


class ErrorAnswer(Answer):
    """Body of every 4xx and 5xx."""

    error: ErrorDetail
