"""``POST /devices/{id}/truststore/report``: a device, or its platform, says what it trusts."""

import asyncio
import json
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path

from aiohttp import web
from pydantic import ValidationError

from exporter.certificates import Certificate, read_pem
from exporter.clock import Clock
from exporter.errors import CertificateError, StoreError
from exporter.gateway.messages import TrustStoreReportRequest
from exporter.observations import TrustReport
from exporter.trust_store.keep import BusyError
from exporter.trust_store.merge import in_utc
from exporter.trust_store.sync import TrustSync
from exporter.web.bodies import read_body
from exporter.web.server import Opened
from exporter.web.tokens import bearer_token, is_token_in
from exporter.wording import shown

PATH = "/devices/{device}/truststore/report"
MOST_BYTES = 1 << 20

_DURABLE_S = 20.0
_AGAIN = {"Retry-After": "5"}
_HASH = re.compile("[0-9a-f]{64}")


class TrustPush:
    """Takes reports, and answers once they are durable.

    The ``web`` section's credential opens it for all devices, an API's push token for those that
    the API speaks for.

    Args:
        token_files: The push tokens' files in force, by the name of the management API.
    """

    def __init__(
        self, trust: TrustSync, clock: Clock, token_files: Callable[[], Mapping[str, Path]]
    ) -> None:
        self._trust = trust
        self._clock = clock
        self._token_files = token_files

    def endpoints(self) -> Iterable[Opened]:
        """Return the endpoint with what opens it beside the ``web`` section's credential."""
        return [Opened(method="POST", path=PATH, handler=self.take, opens=self.opens)]

    async def opens(self, request: web.Request) -> bool:
        """Return whether the request carries the push token of the API that speaks for the device.

        For a device that is not there any push token will do: its sender is to be told so.
        """
        given = bearer_token(request.headers.get("Authorization"))
        device, files = request.match_info["device"], self._token_files()
        if self._trust.is_device(device):
            path = files.get(self._trust.speaker_of(device) or "")
            return await is_token_in(path, given)
        return any([await is_token_in(path, given) for path in files.values()])

    async def take(self, request: web.Request) -> web.Response:
        """Answer 202 once the report is durable."""
        counts = self._trust.pushed
        try:
            response = await self._take(request)
        except web.HTTPClientError as exc:
            is_busy = isinstance(exc, web.HTTPTooManyRequests)
            counts.failed, counts.refused = counts.failed + is_busy, counts.refused + (not is_busy)
            raise
        except web.HTTPException:
            counts.failed += 1
            raise
        counts.accepted += 1
        return response

    async def _take(self, request: web.Request) -> web.Response:
        device = self._device_in(request)
        body = await read_body(request, most_bytes=MOST_BYTES, what="a report")
        now = self._clock.now()
        try:
            # A thousand certificates take some tens of milliseconds
            report, certificates = await asyncio.to_thread(report_in, body, device, now)
        except ValueError as exc:
            refuse = web.HTTPUnprocessableEntity if _is_json(body) else web.HTTPBadRequest
            raise _refusal(refuse, "bad_report", str(exc)) from exc
        await self._keep(report, certificates)
        answer = {"deviceId": device, "receivedAt": now.isoformat()}
        return web.json_response(answer, status=202)

    def _device_in(self, request: web.Request) -> str:
        device = request.match_info["device"]
        if not self._trust.is_device(device):
            message = f"the inventory has no device {shown(device)}"
            raise _refusal(web.HTTPNotFound, "unknown_device", message)
        return device

    async def _keep(self, report: TrustReport, certificates: Iterable[Certificate]) -> None:
        try:
            async with asyncio.timeout(_DURABLE_S):
                await self._trust.push(report, certificates)
        except TimeoutError as exc:
            message = f"the report was not durable within {_DURABLE_S:.0f} s; send it again"
            raise _refusal(web.HTTPServiceUnavailable, "not_durable", message, again=True) from exc
        except BusyError as exc:
            raise _refusal(web.HTTPTooManyRequests, "busy", str(exc), again=True) from exc
        except StoreError as exc:
            message = f"the report could not be stored: {exc}; send it again"
            raise _refusal(web.HTTPServiceUnavailable, "not_durable", message, again=True) from exc


def report_in(
    body: bytes, device: str, now: datetime
) -> tuple[TrustReport, tuple[Certificate, ...]]:
    """Return what ``body`` says the device trusts, and the anchors that came as certificates.

    Raises:
        ValueError: with a sentence.
    """
    try:
        said = TrustStoreReportRequest.model_validate_json(body)
    except ValidationError as exc:
        first = exc.errors(include_input=False, include_url=False, include_context=False)[0]
        place = ".".join(str(step) for step in first["loc"]) or "the body"
        raise ValueError(f"{place}: {first['msg'].removeprefix('Value error, ')}") from None
    anchors: set[str] = set()
    certificates: list[Certificate] = []
    for position, text in enumerate(said.anchors):
        if _HASH.fullmatch(text.strip().lower()):
            anchors.add(text.strip().lower())
            continue
        certificate = _certificate_in(text, f"anchors.{position}")
        anchors.add(certificate.fingerprint_sha256)
        certificates.append(certificate)
    report = TrustReport(
        device=device,
        anchors=frozenset(anchors),
        reported_at=in_utc(said.reported_at),
        received_at=now,
    )
    return report, tuple(certificates)


def _certificate_in(text: str, what: str) -> Certificate:
    if "-----BEGIN" not in text:
        raise ValueError(
            f"{what}: {shown(text, 20)} is neither a SHA-256 in hex nor a certificate in PEM form"
        )
    try:
        found = read_pem(text.encode(), what=what)
    except CertificateError as exc:
        raise ValueError(str(exc)) from exc
    if len(found) != 1:
        raise ValueError(f"{what}: {len(found)} certificates; give each an entry of its own")
    return found[0]


def _is_json(body: bytes) -> bool:
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return False
    return True


def _refusal(
    kind: type[web.HTTPException], code: str, message: str, *, again: bool = False
) -> web.HTTPException:
    body = json.dumps({"error": {"code": code, "message": message}})
    return kind(text=body, content_type="application/json", headers=_AGAIN if again else None)
