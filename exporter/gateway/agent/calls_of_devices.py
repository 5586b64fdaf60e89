"""The calls about devices as they come over HTTP: reports, status, and what is to be done."""

import base64
from collections.abc import Mapping

from aiohttp import web

from exporter.gateway.agent import asking
from exporter.gateway.agent.answers import RefusedError, answered
from exporter.gateway.agent.devices.book import Devices
from exporter.gateway.agent.server import Handler, response_of
from exporter.gateway.agent.versions import pem_of
from exporter.gateway.messages import (
    AcknowledgementRequest,
    DeviceUpdate,
    DeviceUpdates,
    ErrorCode,
    TrustStoreReportRequest,
)

_MAX_BYTES = 65_536


class DeviceCalls:
    """Answers devices, and those who ask about them."""

    def __init__(self, devices: Devices) -> None:
        self._devices = devices

    async def report(self, request: web.Request, body: TrustStoreReportRequest) -> web.Response:
        """Take what a device trusts."""
        await self._devices.report(device_in(request), body)
        return web.Response(status=202)

    async def status(self, request: web.Request, _body: None) -> web.Response:
        """Return one page of what the devices said."""
        limit, cursor = asking.page_limit(request), asking.page_cursor(request)
        known = request.headers.get("If-None-Match", "")
        etag = await self._devices.status.etag()
        if etag in {part.strip() for part in known.split(",")}:
            return web.Response(status=304, headers={"ETag": etag})
        page = await self._devices.status.page(_device_after(cursor), limit)
        after = page.status.next_cursor
        shown = page.status.model_copy(
            update={"next_cursor": None if after is None else _cursor(after)}
        )
        response = response_of(answered(shown))
        response.headers["ETag"] = page.etag
        return response

    @property
    def further(self) -> Mapping[str, Handler]:
        """What devices alone call, by the name of the call."""
        return {"updates": self.updates, "acknowledge": self.acknowledge}

    async def updates(self, request: web.Request) -> web.Response:
        """Return what a device is to do, by its usual channel or ``?channel=fallback``."""
        channel = request.query.get("channel", "usual")
        if channel not in {"usual", "fallback"}:
            raise RefusedError(ErrorCode.BAD_REQUEST, "channel is usual or fallback")
        found = await self._devices.to_do(device_in(request), by_fallback=channel == "fallback")
        updates = tuple(
            DeviceUpdate(
                number=update.number,
                operation_id=update.operation_id,
                operation=update.operation,
                certificate=pem_of([certificate]),
                fingerprint=update.fingerprint,
                priority=update.priority,
            )
            for update, certificate in found
        )
        return response_of(answered(DeviceUpdates(updates=updates)))

    async def acknowledge(self, request: web.Request) -> web.Response:
        """Take a device's word on one update."""
        body = await asking.body_of(request, AcknowledgementRequest, _MAX_BYTES)
        number = int(request.match_info["number"])
        await self._devices.acknowledge(device_in(request), number, body.error)
        return web.Response(status=202)


def device_in(request: web.Request) -> str:
    """Return the device that the path names."""
    return request.match_info["id"]


def _cursor(device: str) -> str:
    return base64.urlsafe_b64encode(device.encode()).decode()


def _device_after(cursor: str) -> str:
    try:
        return base64.b64decode(cursor.encode(), altchars=b"-_", validate=True).decode()
    except ValueError as exc:  # binascii.Error and UnicodeError are such
        message = "cursor is none that was given out; take nextCursor of the page before"
        raise RefusedError(ErrorCode.BAD_REQUEST, message) from exc
