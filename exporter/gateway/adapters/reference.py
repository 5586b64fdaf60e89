"""The reference API: what ``openapi.json`` says, word for word."""

from dataclasses import replace
from typing import TypeVar

from exporter.gateway import calls, messages
from exporter.gateway.adapters.pages import Pages
from exporter.gateway.answers import Reply, read
from exporter.gateway.api import Fence, TrustStatus
from exporter.gateway.calls import CALLS, Call
from exporter.gateway.client import Client, Question
from exporter.gateway.messages import Answer, Request

A = TypeVar("A", bound=Answer)


class ReferenceApi:
    """A ``ManagementApi`` of the reference form."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._etag: str | None = None
        self._told: TrustStatus | None = None

    @property
    def name(self) -> str:
        """The name in the configuration."""
        return self._client.name

    @property
    def clock_offset_s(self) -> float | None:
        """Our clock minus the API's; None: not known."""
        return self._client.stats.clock_offset_s

    async def certificates(self) -> messages.GatewayCertificates:
        """Return what is served, and which versions there are."""
        return await self._ask("certificates", messages.GatewayCertificates)

    async def rollback(
        self, request: messages.RollbackRequest, fence: Fence
    ) -> messages.Operation:
        """Serve an earlier version."""
        return await self._ask("rollback", messages.Operation, request, fence)

    async def rotate(self, request: messages.RotateRequest, fence: Fence) -> messages.Operation:
        """Serve a new chain."""
        return await self._ask("rotate", messages.Operation, request, fence)

    async def confirm(self, request: messages.ConfirmRequest, fence: Fence) -> messages.Operation:
        """End the dead-man's wait of an operation."""
        return await self._ask("confirm", messages.Operation, request, fence)

    async def validate(self, request: messages.ValidateRequest) -> messages.Validation:
        """Ask whether a device would accept a chain."""
        return await self._ask("validate", messages.Validation, request)

    async def csr(self, request: messages.CsrRequest, fence: Fence) -> messages.Csr:
        """Have a key made on the gateway."""
        return await self._ask("csr", messages.Csr, request, fence)

    async def rehearse(
        self, request: messages.RehearseRequest, fence: Fence
    ) -> messages.Rehearsal:
        """Serve a version or a candidate on the second port for a while."""
        return await self._ask("rehearse", messages.Rehearsal, request, fence)

    async def update_trust_store(
        self, request: messages.TrustStoreUpdateRequest, fence: Fence
    ) -> messages.TrustStoreUpdate:
        """Have an anchor added to or removed from devices."""
        return await self._ask("update_trust_store", messages.TrustStoreUpdate, request, fence)

    async def recover(self, request: messages.RecoveryRequest, fence: Fence) -> messages.Recovery:
        """Have devices updated over their fallback channel."""
        return await self._ask("recover", messages.Recovery, request, fence)

    async def configure(
        self, request: messages.SettingsRequest, fence: Fence
    ) -> messages.Settings:
        """Change the gateway's settings."""
        return await self._ask("configure", messages.Settings, request, fence)

    async def trust_status(self) -> TrustStatus:
        """Return what each device said it trusts; what was told before when it is unchanged."""
        pages = Pages()
        async with self._client.connected() as line:
            if await line.ask(self._first_page(), lambda reply: self._is_unchanged(pages, reply)):
                assert self._told is not None  # noqa: S101 - or it would not have been asked so
                return replace(self._told, is_unchanged=True)
            while pages.next_cursor is not None:
                await line.ask(_page_at(pages.next_cursor), pages.add)
        self._told, self._etag = pages.status, pages.etag
        return self._told

    def _first_page(self) -> Question:
        question = _page_at("")
        if self._etag is None:
            return question
        return replace(question, headers={"If-None-Match": self._etag})

    def _is_unchanged(self, pages: Pages, reply: Reply) -> bool:
        if reply.status == 304 and self._etag is not None:
            return True
        pages.add(reply)
        return False

    async def _ask(
        self,
        name: str,
        answer: type[A],
        request: Request | None = None,
        fence: Fence | None = None,
    ) -> A:
        question = question_of(CALLS[name], request, fence)
        async with self._client.connected() as line:
            return await line.ask(question, lambda reply: read(reply, answer))


def question_of(call: Call, request: Request | None, fence: Fence | None) -> Question:
    """Return the request for ``call``; what was not said is not sent."""
    body = None if request is None else request.model_dump_json(by_alias=True, exclude_none=True)
    return Question(
        call=call.name,
        method=call.method,
        path=call.path,
        headers=_fence_headers(fence) if fence else {},
        body=None if body is None else body.encode(),
        is_change=call.is_change,
    )


def _fence_headers(fence: Fence) -> dict[str, str]:
    headers = {calls.IDEMPOTENCY_KEY: fence.idempotency_key}
    if fence.serving is not None:
        headers[calls.IF_MATCH] = f'"{fence.serving}"'  # an entity tag: RFC 9110, 8.8.3
    if fence.operation_number is not None:
        headers[calls.OPERATION_NUMBER] = str(fence.operation_number)
    return headers


def _page_at(cursor: str) -> Question:
    query = {"limit": str(calls.MAX_PAGE_DEVICES)}
    if cursor:
        query["cursor"] = cursor
    return replace(question_of(CALLS["trust_status"], None, None), query=query)
