"""The management API over HTTP: routes, credentials, errors; follows the table of calls."""

import asyncio
import json
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from exporter.clock import Clock, every
from exporter.errors import ConfigError, StoreError
from exporter.gateway.agent import asking
from exporter.gateway.agent.access import Access
from exporter.gateway.agent.answers import RefusedError, Reply
from exporter.gateway.agent.once import Asked, Once, Ticket, digest_of
from exporter.gateway.calls import CALLS, DEVICE_CALLS, IDEMPOTENCY_KEY, MAX_REQUEST_BYTES, Call
from exporter.gateway.messages import ErrorCode, Fingerprint, Request
from exporter.web.guard import Guard
from exporter.web.listener import Bound, Listener
from exporter.web.options import ListenAddress
from exporter.web.tls import TlsFiles, state_of_files, tls_context

log = logging.getLogger(__name__)

_KEEPALIVE_S = 130.0
_GRACE_S = 1.0
_CERTIFICATE_CHECK_S = 30.0
_MAX_SMALL_BYTES = 2 << 20
_OF_MANY_DEVICES = {"update_trust_store", "recover"}
_HEALTHY = "/-/healthy"

Handler = Callable[[web.Request], Awaitable[web.Response]]
_Next = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Handlers:
    """What carries out each call.

    Attributes:
        changes: By the name of a call that is a change: body, ticket, and what must be served.
        questions: By the name of any other call: request and body.
        further: The devices' own calls, by name.
    """

    changes: Mapping[str, Callable[[Any, Ticket, Fingerprint | None], Awaitable[Reply]]]
    questions: Mapping[str, Callable[[web.Request, Any], Awaitable[web.Response]]]
    further: Mapping[str, Handler]


class Server:
    """Serves one agent's management API.

    Args:
        access: Who may call.
        once: Remembers what was asked for with which key.
        require_key: Refuse changes without an idempotency key.
    """

    def __init__(
        self, clock: Clock, access: Access, once: Once, handlers: Handlers, *, require_key: bool
    ) -> None:
        self._clock = clock
        self._access = access
        self._once = once
        self._handlers = handlers
        self._require_key = require_key
        self._guard = Guard()
        self._runner = web.AppRunner(
            self._make_app(),
            access_log=None,
            handler_cancellation=True,
            shutdown_timeout=_GRACE_S,
            keepalive_timeout=_KEEPALIVE_S,
        )

    def _make_app(self) -> web.Application:
        app = web.Application(
            client_max_size=MAX_REQUEST_BYTES,
            middlewares=[self._guard.middleware, self._errors, self._credentials],
        )
        app.router.add_get(_HEALTHY, _healthy)
        for call in CALLS.values():
            app.router.add_route(call.method, call.path, self._handler_of(call))
        for call in DEVICE_CALLS.values():
            path = call.path.replace("{number}", "{number:[0-9]{1,15}}")
            app.router.add_route(call.method, path, self._handlers.further[call.name])
        app.on_response_prepare.append(_add_headers)
        return app

    def _handler_of(self, call: Call) -> Handler:
        async def change(request: web.Request) -> web.Response:
            return await self._change(call, request)

        async def question(request: web.Request) -> web.Response:
            body = await _body(call, request)
            return await self._handlers.questions[call.name](request, body)

        return change if call.is_change else question

    async def _change(self, call: Call, request: web.Request) -> web.Response:
        key = asking.idempotency_key(request)
        if key is None and self._require_key:
            raise RefusedError(
                ErrorCode.IDEMPOTENCY_KEY_REQUIRED,
                f"this agent takes no change without {IDEMPOTENCY_KEY}",
            )
        key = key or f"made-{secrets.token_hex(16)}"
        served = asking.expected_fingerprint(request)
        number = asking.operation_number(request)
        body = await _body(call, request)
        assert body is not None  # noqa: S101 - every change has one
        asked = Asked(key=key, call=call.name, body=digest_of(body), operation_number=number)
        carry_out = self._handlers.changes[call.name]

        async def work(ticket: Ticket) -> Reply:
            return await carry_out(body, ticket, served)

        try:
            reply = await self._once.answer(asked, work)
        except RefusedError as exc:
            reply = exc.reply
        response = response_of(reply)
        response.headers[IDEMPOTENCY_KEY] = key
        return response

    @web.middleware
    async def _credentials(self, request: web.Request, handler: _Next) -> web.StreamResponse:
        if request.path == _HEALTHY:
            return await handler(request)
        device = request.match_info.get("id")
        if device is None:
            await self._access.check(request)
        else:
            await self._access.check_device(request, device)
        return await handler(request)

    @web.middleware
    async def _errors(self, request: web.Request, handler: _Next) -> web.StreamResponse:
        """Answer every error in the API's own form."""
        try:
            return await handler(request)
        except RefusedError as exc:
            return response_of(exc.reply)
        except StoreError as exc:
            log.error("the store failed path=%s: %s", request.path, exc)  # noqa: TRY400 - a sentence says it all
            return response_of(RefusedError(ErrorCode.UNAVAILABLE, str(exc)).reply)
        except web.HTTPException as exc:
            return _translated(exc)
        except Exception:
            log.exception("a call failed by a fault of our own path=%s", request.path)
            what = "a fault of the agent, see its log; look at what is served before asking again"
            return response_of(RefusedError(ErrorCode.INTERNAL, what).reply)

    @asynccontextmanager
    async def listening(self, address: ListenAddress, files: TlsFiles) -> AsyncIterator[str]:
        """Listen and answer until the context ends; yield the base URL.

        Raises:
            ConfigError: address or files cannot be used.
        """
        await self._runner.setup()
        assert self._runner.server is not None  # noqa: S101 - setup has made it
        listener = Listener(self._guard.protocols_of(self._runner.server))
        try:
            bound = listener.bind(address)
            await listener.accept(bound, tls_context(files))
            async with asyncio.TaskGroup() as tasks:
                following = tasks.create_task(self._follow(listener, bound, files))
                yield _url(address, bound.port, is_secure=files.cert_file is not None)
                following.cancel()
        finally:
            await listener.close()
            await self._runner.cleanup()

    async def _follow(self, listener: Listener, bound: Bound, files: TlsFiles) -> None:
        """Take up renewed certificate files; ones that cannot be used change nothing."""
        seen = state_of_files(files)

        async def look() -> None:
            nonlocal seen
            if state_of_files(files) == seen:
                return
            seen = state_of_files(files)
            try:
                await listener.accept(bound, tls_context(files))
            except ConfigError as exc:
                log.warning("the certificate files changed and cannot be used: %s", exc)

        if files.cert_file is not None:
            await every(_CERTIFICATE_CHECK_S, look, self._clock)


def response_of(reply: Reply) -> web.Response:
    """Return ``reply`` for aiohttp."""
    headers = {}
    if reply.retry_after_s is not None:
        headers["Retry-After"] = str(reply.retry_after_s)
    if reply.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="management API"'
    return web.Response(
        status=reply.status,
        text=reply.body or None,
        content_type="application/json" if reply.body else None,
        headers=headers,
    )


async def _body(call: Call, request: web.Request) -> Request | None:
    if call.request is None:
        return None
    limit = MAX_REQUEST_BYTES if call.name in _OF_MANY_DEVICES else _MAX_SMALL_BYTES
    return await asking.body_of(request, call.request, limit)


def _translated(exc: web.HTTPException) -> web.Response:
    code, what = {
        404: (ErrorCode.NOT_FOUND, "there is no such call"),
        405: (ErrorCode.METHOD_NOT_ALLOWED, "this call has another method"),
        413: (ErrorCode.TOO_LARGE, f"the body is larger than {MAX_REQUEST_BYTES} bytes"),
    }.get(exc.status, (ErrorCode.BAD_REQUEST, exc.reason or "this is no request"))
    response = response_of(RefusedError(code, what).reply)
    if "Allow" in exc.headers:
        response.headers["Allow"] = exc.headers["Allow"]
    return response


async def _healthy(_request: web.Request) -> web.Response:
    return web.Response(text=json.dumps({"status": "ok"}), content_type="application/json")


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = "fleet-tls-exporter"
    response.headers["X-Content-Type-Options"] = "nosniff"


def _url(address: ListenAddress, port: int, *, is_secure: bool) -> str:
    host = ListenAddress(host=address.host or "localhost", port=port)
    return f"{'https' if is_secure else 'http'}://{host}"
