"""What any management API can be asked, whatever platform is behind it."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from exporter.errors import ExporterError
from exporter.gateway.messages import (
    ConfirmRequest,
    Csr,
    CsrRequest,
    DeviceTrustStore,
    GatewayCertificates,
    Operation,
    Recovery,
    RecoveryRequest,
    Rehearsal,
    RehearseRequest,
    RollbackRequest,
    RotateRequest,
    Settings,
    SettingsRequest,
    TrustStoreUpdate,
    TrustStoreUpdateRequest,
    ValidateRequest,
    Validation,
)

_KEY = re.compile("[!-~]{1,255}")
_FINGERPRINT = re.compile("[0-9a-f]{64}")


class GatewayReason(StrEnum):
    """Why a management API did not do as asked."""

    CREDENTIALS = "credentials"
    """Our own token, certificate or CA file cannot be used; nothing was sent."""
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    TLS = "tls"
    UNAUTHORIZED = "unauthorized"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    """409: still running, or a lower operation number."""
    PRECONDITION_FAILED = "precondition_failed"
    """412: something else is served than ``If-Match`` says."""
    REFUSED = "refused"
    """Any other 4xx: the request as it is will never be carried out."""
    RATE_LIMITED = "rate_limited"
    FAILED = "failed"
    """5xx."""
    NONSENSE = "nonsense"
    """An answer that is not what the API's document says."""


class GatewayError(ExporterError):
    """A management API did not do as asked.

    Attributes:
        retryable: The same call may succeed unchanged.
        is_outcome_unknown: The request may have been carried out all the same (timeout, reset,
            5xx): look before anything is sent again.
        retry_after_s: How long it asked to be left alone; None: it did not.
        code: The platform's own word for it; empty when it gave none.
        devices: Those that the platform names as the reason, for example of ``strict``.
    """

    def __init__(  # noqa: PLR0913 - each is a fact of one answer, given by name
        self,
        reason: GatewayReason,
        detail: str,
        *,
        retryable: bool,
        is_outcome_unknown: bool = False,
        retry_after_s: float | None = None,
        code: str = "",
        devices: tuple[str, ...] = (),
    ) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.retryable = retryable
        self.is_outcome_unknown = is_outcome_unknown
        self.retry_after_s = retry_after_s
        self.code = code
        self.devices = devices


@dataclass(frozen=True, slots=True, kw_only=True)
class Fence:
    """What keeps a change from being made twice, late, or on something else than was looked at.

    Attributes:
        idempotency_key: Same key, same answer, done once.
        serving: Fingerprint that must be served at that moment (``If-Match``); None: any.
        operation_number: Of the lease; a lower one than the last is refused. None: no lease.
    """

    idempotency_key: str
    serving: str | None = None
    operation_number: int | None = None

    def __post_init__(self) -> None:
        """Raise ValueError for what no header can carry."""
        if not _KEY.fullmatch(self.idempotency_key):
            raise ValueError("an idempotency key is 1 to 255 visible ASCII characters")
        if self.serving is not None and not _FINGERPRINT.fullmatch(self.serving):
            raise ValueError("serving is a SHA-256 in lower-case hex")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustStatus:
    """All pages of ``truststore/status`` together.

    Attributes:
        is_unchanged: The platform says that it is what it was (``304``): the devices are those
            that were told before.
        total: The platform's own count of devices, ``complete`` its count of updated ones.
    """

    devices: tuple[DeviceTrustStore, ...]
    total: int
    complete: int
    is_unchanged: bool = False


class ManagementApi(Protocol):
    """One management API: one gateway and the devices behind it.

    Every call raises GatewayError and nothing else. A call that is no change is repeated a few
    times where that can help. A change is sent again only when it is certain that nothing was
    carried out; else ``is_outcome_unknown`` is raised, and whoever called looks before it sends
    the same fence again.
    """

    @property
    def name(self) -> str:
        """The name in the configuration."""
        ...

    @property
    def clock_offset_s(self) -> float | None:
        """Our clock minus the API's, by its latest ``Date`` (a second at best); None: unknown."""
        ...

    async def certificates(self) -> GatewayCertificates:
        """Return what is served, and which versions there are."""
        ...

    async def rollback(self, request: RollbackRequest, fence: Fence) -> Operation:
        """Serve an earlier version; returns after the platform's own proof."""
        ...

    async def rotate(self, request: RotateRequest, fence: Fence) -> Operation:
        """Serve a new chain; returns after the platform's own proof."""
        ...

    async def confirm(self, request: ConfirmRequest, fence: Fence) -> Operation:
        """End the dead-man's wait of an operation; returns that operation."""
        ...

    async def validate(self, request: ValidateRequest) -> Validation:
        """Ask whether a device would accept a chain; changes nothing."""
        ...

    async def csr(self, request: CsrRequest, fence: Fence) -> Csr:
        """Have a key made on the gateway, and return the request for its certificate."""
        ...

    async def rehearse(self, request: RehearseRequest, fence: Fence) -> Rehearsal:
        """Serve a version or a candidate on the second port for a while."""
        ...

    async def update_trust_store(
        self, request: TrustStoreUpdateRequest, fence: Fence
    ) -> TrustStoreUpdate:
        """Have an anchor added to or removed from devices; ``trust_status`` tells when it is."""
        ...

    async def trust_status(self) -> TrustStatus:
        """Return what each device said it trusts."""
        ...

    async def recover(self, request: RecoveryRequest, fence: Fence) -> Recovery:
        """Have devices updated over their fallback channel."""
        ...

    async def configure(self, request: SettingsRequest, fence: Fence) -> Settings:
        """Change the gateway's settings; returns those in force."""
        ...
