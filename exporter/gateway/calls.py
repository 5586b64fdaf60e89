"""The calls of the management API in a table; the document, the client and the agent follow it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from exporter.gateway import messages
from exporter.gateway.messages import Answer, Request

IDEMPOTENCY_KEY = "Idempotency-Key"
IF_MATCH = "If-Match"
OPERATION_NUMBER = "Operation-Number"
MAX_KEY_CHARS = 255
MAX_PAGE_DEVICES = 1_000
DEFAULT_PAGE_DEVICES = 100
MAX_REQUEST_BYTES = 32 * 2**20
"""Enough for 100,000 device ids of full length, and not much more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call.

    Attributes:
        name: The method of ``ManagementApi``, and the document's ``operationId``.
        answer: None: an answer without a body.
        status: Of a good answer.
        is_change: It changes something, so the three headers of ``Fence`` belong to it, and it
            must not be repeated before somebody has looked. A call that is no change may be.
        is_paged: It is answered page by page and knows ``ETag`` and ``If-None-Match``.
        query: What else may be asked, by the document's names.
    """

    name: str
    method: str
    path: str
    summary: str
    request: type[Request] | None = None
    answer: type[Answer] | None = None
    status: int = 200
    is_change: bool = False
    is_paged: bool = False
    query: tuple[str, ...] = ()

    @property
    def parameters(self) -> tuple[str, ...]:
        """What may be said beside the body, by name."""
        in_path = tuple(re.findall(r"{(\w+)}", self.path))
        of_change = (IDEMPOTENCY_KEY, IF_MATCH, OPERATION_NUMBER) if self.is_change else ()
        of_pages = ("cursor", "limit", "If-None-Match") if self.is_paged else ()
        return in_path + of_change + of_pages + self.query

    @property
    def headers(self) -> tuple[str, ...]:
        """The headers of a good answer that mean something."""
        return (IDEMPOTENCY_KEY,) * self.is_change + ("ETag",) * self.is_paged


_CALLS = (
    Call(
        name="certificates",
        method="GET",
        path="/gateway/certificates",
        summary="What is served, and which versions there are.",
        answer=messages.GatewayCertificates,
    ),
    Call(
        name="rollback",
        method="POST",
        path="/gateway/certificates/rollback",
        summary="Serve an earlier version; answered after proof.",
        request=messages.RollbackRequest,
        answer=messages.Operation,
        is_change=True,
    ),
    Call(
        name="rotate",
        method="POST",
        path="/gateway/certificates/rotate",
        summary="Serve a new chain; answered after proof.",
        request=messages.RotateRequest,
        answer=messages.Operation,
        is_change=True,
    ),
    Call(
        name="confirm",
        method="POST",
        path="/gateway/certificates/confirm",
        summary="Keep what `confirmWithin` would take back.",
        request=messages.ConfirmRequest,
        answer=messages.Operation,
        is_change=True,
    ),
    Call(
        name="validate",
        method="POST",
        path="/gateway/certificates/validate",
        summary="Would a device accept a chain? Changes nothing. The device `test_device` is"
        " judged against every reported store.",
        request=messages.ValidateRequest,
        answer=messages.Validation,
    ),
    Call(
        name="csr",
        method="POST",
        path="/gateway/certificates/csr",
        summary="Make a key on the gateway, which it never leaves, and return its request.",
        request=messages.CsrRequest,
        answer=messages.Csr,
        is_change=True,
    ),
    Call(
        name="rehearse",
        method="POST",
        path="/gateway/certificates/rehearse",
        summary="Serve a version or a candidate on the second port for a while.",
        request=messages.RehearseRequest,
        answer=messages.Rehearsal,
        is_change=True,
    ),
    Call(
        name="update_trust_store",
        method="POST",
        path="/devices/truststore/update",
        summary="Have an anchor added to or removed from devices. Answered when it is taken on;"
        " `truststore/status` tells when it is done.",
        request=messages.TrustStoreUpdateRequest,
        answer=messages.TrustStoreUpdate,
        is_change=True,
    ),
    Call(
        name="trust_status",
        method="GET",
        path="/devices/truststore/status",
        summary="What each device said it trusts, page by page.",
        answer=messages.TrustStoreStatus,
        is_paged=True,
    ),
    Call(
        name="report",
        method="POST",
        path="/devices/{id}/truststore/report",
        summary="What one device trusts; the device or its platform pushes it.",
        request=messages.TrustStoreReportRequest,
        status=202,
    ),
    Call(
        name="recover",
        method="POST",
        path="/devices/recovery/initiate",
        summary="Have devices updated over their fallback channel.",
        request=messages.RecoveryRequest,
        answer=messages.Recovery,
        is_change=True,
    ),
    Call(
        name="configure",
        method="PUT",
        path="/gateway/config",
        summary="Change settings; those in force are the answer.",
        request=messages.SettingsRequest,
        answer=messages.Settings,
        is_change=True,
    ),
)

CALLS: Mapping[str, Call] = {call.name: call for call in _CALLS}
"""What whoever manages gateways and devices calls."""

_DEVICE_CALLS = (
    Call(
        name="updates",
        method="GET",
        path="/devices/{id}/truststore/updates",
        summary="What one device is to do for its trust store; the device itself asks.",
        answer=messages.DeviceUpdates,
        query=("channel",),
    ),
    Call(
        name="acknowledge",
        method="POST",
        path="/devices/{id}/truststore/updates/{number}",
        summary="What became of an update, by the device's own word.",
        request=messages.AcknowledgementRequest,
        status=202,
    ),
)

DEVICE_CALLS: Mapping[str, Call] = {call.name: call for call in _DEVICE_CALLS}
"""What devices alone call, of an API that hands updates out to them: no adapter needs them."""
