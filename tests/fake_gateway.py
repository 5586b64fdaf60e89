"""A management API over real HTTP(S); answers as its document says, or as a test wants it to."""

import asyncio
import gzip
import hashlib
import json
import ssl
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from exporter.gateway.calls import CALLS, Call
from exporter.gateway.document import load_document

SHA = "ab" * 32
AT = "2026-11-24T12:00:00Z"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A request as it came."""

    call: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def device(name: str, *anchors: str, status: str = "COMPLETE") -> dict[str, object]:
    """One device as ``truststore/status`` tells of it."""
    return {
        "deviceId": name,
        "status": status,
        "anchors": list(anchors),
        "reportedAt": AT,
        "receivedAt": AT,
    }


def _certificates() -> dict[str, object]:
    return {
        "serving": {"version": 2, "fingerprint": SHA},
        "memory": {"version": 2, "fingerprint": SHA},
        "tickets": {"kept": False, "lifetimeSeconds": 7200},
        "lastOperationNumber": 4,
        "activationNumber": 2,
        "versions": [
            {
                "version": 2,
                "state": "current",
                "fingerprint": SHA,
                "notBefore": AT,
                "notAfter": AT,
                "activatedAt": AT,
                "proven": True,
            }
        ],
    }


def _answers() -> dict[str, object]:
    operation = {"operationId": "op-1", "fromVersion": 2, "toVersion": 1, "status": "SUCCESS"}
    return {
        "certificates": _certificates(),
        "rollback": operation,
        "rotate": operation,
        "confirm": operation,
        "validate": {"valid": True, "reasons": [], "trustedBy": [SHA]},
        "csr": {"csr": "-----BEGIN CERTIFICATE REQUEST-----"},
        "rehearse": {"address": "127.0.0.1:1", "fingerprint": SHA, "until": AT},
        "update_trust_store": {"operationId": "op-2", "devices": ["dev-01"]},
        "recover": {"operationId": "op-3", "accepted": ["dev-01"], "rejected": []},
        "configure": {
            "GatewayConfig.tls.debugLevel": "VERBOSE",
            "GatewayConfig.tls.logHandshakes": True,
        },
    }


@dataclass(slots=True)
class FakeGateway:
    """What it knows, and what goes wrong next.

    Attributes:
        faults: By call: what is answered first, one after the other, instead of the truth.
        token: What must be shown; None: nothing need be.
        seen: Every request, in order.
        problems: What the API's document says is wrong with a request that came.
    """

    answers: dict[str, Any] = field(default_factory=_answers)
    devices: list[dict[str, object]] = field(default_factory=lambda: [device("dev-01", SHA)])
    faults: dict[str, deque[Handler]] = field(default_factory=lambda: defaultdict(deque))
    token: str | None = None
    page_size: int = 1_000
    has_etag: bool = True
    seen: list[Seen] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def script(self, call: str, *handlers: Handler) -> None:
        """Answer the next requests of ``call`` like this, the first one first."""
        self.faults[call].extend(handlers)

    def asked(self, call: str) -> list[Seen]:
        """The requests of one call."""
        return [one for one in self.seen if one.call == call]

    @asynccontextmanager
    async def serving(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
        """Serve on a free port of loopback; gives the base URL."""
        app = web.Application(client_max_size=2**26)
        for call in CALLS.values():
            app.router.add_route(call.method, f"/api{call.path}", self._handler(call))
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
            await site.start()
            host, port = runner.addresses[0][:2]
            yield f"{'https' if tls else 'http'}://{host}:{port}/api"
        finally:
            await runner.cleanup()

    def _handler(self, call: Call) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            seen = Seen(
                call=call.name,
                query=dict(request.query),
                headers={name.lower(): value for name, value in request.headers.items()},
                body=await request.read(),
            )
            self.seen.append(seen)
            self.problems += _problems(call, seen)
            if self.token is not None:
                given = request.headers.get("Authorization", "")
                if given != f"Bearer {self.token}":
                    return refused(401, "unauthorized", f"{given} is not welcome")
            if self.faults[call.name]:
                return await self.faults[call.name].popleft()(request)
            if call.name == "trust_status":
                return self._page(request)
            return web.json_response(self.answers[call.name])

        return handle

    def _page(self, request: web.Request) -> web.Response:
        etag = f'"{hashlib.sha256(json.dumps(self.devices).encode()).hexdigest()}"'
        headers = {"ETag": etag} if self.has_etag else {}
        if self.has_etag and request.headers.get("If-None-Match") == etag:
            return web.Response(status=304, headers=headers)
        start = int(request.query.get("cursor", "0"))
        end = start + min(int(request.query.get("limit", "100")), self.page_size)
        page: dict[str, object] = {
            "total": len(self.devices),
            "complete": sum(one["status"] == "COMPLETE" for one in self.devices),
            "devices": self.devices[start:end],
        }
        if end < len(self.devices):
            page["nextCursor"] = str(end)
        return web.json_response(page, headers=headers)


_DOCUMENT: Any = load_document()
_REGISTRY: Registry[Any] = Registry().with_resource(
    "urn:api", Resource.from_contents(_DOCUMENT, default_specification=DRAFT202012)
)


def problems_of(schema: Mapping[str, object], instance: object) -> list[str]:
    """What the document says is wrong with ``instance``; its schema may refer into it."""
    text = json.dumps(schema).replace('"#/', '"urn:api#/')
    validator = Draft202012Validator(json.loads(text), registry=_REGISTRY)
    return [error.message for error in validator.iter_errors(instance)]


def _problems(call: Call, seen: Seen) -> list[str]:
    operation = _DOCUMENT["paths"][call.path][call.method.lower()]
    problems = []
    if "requestBody" in operation:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        problems += problems_of(schema, seen.json)
        if seen.headers.get("content-type") != "application/json":
            problems.append(f"content type {seen.headers.get('content-type')}")
    elif seen.body:
        problems.append("a body, where none belongs")
    for name in call.parameters:
        parameter = _DOCUMENT["components"]["parameters"][name]
        where = seen.headers if parameter["in"] == "header" else seen.query
        given = where.get(name.lower() if parameter["in"] == "header" else name)
        if given is not None:
            value = int(given) if parameter["schema"]["type"] == "integer" else given
            problems += problems_of(parameter["schema"], value)
    return [f"{call.name}: {problem}" for problem in problems]


# Faults


def refused(
    status: int, code: str = "refused", message: str = "No.", **more: object
) -> web.Response:
    """An error in the document's form; ``more`` are headers, or ``devices``."""
    error = {"code": code, "message": message}
    if "devices" in more:
        error["devices"] = more.pop("devices")  # type: ignore[assignment]  # a list, as JSON has it
    headers = {name.replace("_", "-"): str(value) for name, value in more.items()}
    return web.json_response({"error": error}, status=status, headers=headers)


def always(response: Callable[[], web.Response]) -> Handler:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return response()

    return answer


def refusing(status: int, code: str = "refused", message: str = "No.", **more: object) -> Handler:
    return always(lambda: refused(status, code, message, **dict(more)))


def saying(
    body: bytes | str,
    content_type: str = "application/json",
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Handler:
    data = body if isinstance(body, bytes) else body.encode()
    all_headers = {"Content-Type": content_type, **(headers or {})}
    return always(lambda: web.Response(status=status, body=data, headers=all_headers))


def html(status: int = 200) -> Handler:
    return saying("<html><body>Welcome</body></html>", "text/html; charset=utf-8", status)


def redirecting(location: str, status: int = 307) -> Handler:
    return saying("", status=status, headers={"Location": location})


def gzip_bomb(size_bytes: int) -> Handler:
    packed = gzip.compress(b" " * size_bytes)
    return saying(packed, headers={"Content-Encoding": "gzip"})


def stalling() -> Handler:
    async def answer(_request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError("nobody sets it")

    return answer


def stalling_mid_body() -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.content_length = 100
        await response.prepare(request)
        await response.write(b'{"serving":')
        await asyncio.Event().wait()
        return response

    return answer


def resetting_mid_body() -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.content_length = 100
        await response.prepare(request)
        await response.write(b'{"serving":')
        assert request.transport is not None
        request.transport.abort()
        return response

    return answer


def hanging_up() -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    return answer


def endless() -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        while True:
            await response.write(b" " * 65_536)

    return answer
