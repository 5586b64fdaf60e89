"""The HTTP server: routes, credentials, TLS, and its life from listening to the last answer."""

import logging
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from exporter.clock import Clock, every
from exporter.errors import ConfigError, Fault
from exporter.web import api, control, runbooks, scrape
from exporter.web.access import Access, Credentials, Handler, Opens
from exporter.web.auth import Passwords
from exporter.web.boards import Boards
from exporter.web.devices import Devices
from exporter.web.fleet_page import FleetPage
from exporter.web.guard import Guard
from exporter.web.handshakes import Handshakes
from exporter.web.html import ASSETS, Assets
from exporter.web.landing import landing
from exporter.web.listener import Bound, Listener
from exporter.web.live import Live
from exporter.web.options import ListenAddress, Options
from exporter.web.probe_endpoint import ProbeEndpoint
from exporter.web.service import SERVICE, Service
from exporter.web.target_page import TargetPage
from exporter.web.tls import state_of_files, tls_context
from exporter.web.trust_map import trust_map, trust_map_page

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 1 << 20
# Prometheus asks every minute by default; a connection that is idle for longer is closed
_KEEPALIVE_S = 130.0
# Given once to requests under way, and once more after they are cancelled
_GRACE_S = 1.0
_CERTIFICATE_CHECK_S = 30.0

Route = tuple[str, str, Handler]
"""Method, path and handler of an endpoint that checks its own credential."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """An endpoint that the ``web`` section's credential opens, or one that ``opens`` knows."""

    method: str
    path: str
    handler: Handler
    opens: Opens


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Everything of a configuration that can fail, done."""

    options: Options
    bound: Bound
    tls: ssl.SSLContext | None
    credentials: Credentials


class Server:
    """Serves the pages of one service.

    Args:
        further: Endpoints of other parts; each checks its own credential.
        opened: Endpoints of other parts that another credential opens as well.
    """

    def __init__(
        self,
        service: Service,
        clock: Clock,
        *,
        further: Iterable[Route] = (),
        opened: Iterable[Opened] = (),
    ) -> None:
        self._clock = clock
        self._access = Access()
        self._guard = Guard()
        self._runner = web.AppRunner(
            self._make_app(service, further, opened),
            access_log=None,
            handler_cancellation=True,
            shutdown_timeout=_GRACE_S,
            keepalive_timeout=_KEEPALIVE_S,
        )
        self._listener: Listener | None = None
        self._in_force: Prepared | None = None
        self._files: object = None

    def _make_app(
        self, service: Service, further: Iterable[Route], opened: Iterable[Opened]
    ) -> web.Application:
        app = web.Application(
            client_max_size=MAX_BODY_BYTES,
            middlewares=[self._guard.middleware, self._access.middleware],
        )
        app[SERVICE] = service
        app.router.add_get("/", landing)
        assets = Assets()
        for name in ASSETS:
            app.router.add_get(f"/{name}", assets.handle)
        boards = Boards(self._clock)
        app.router.add_get("/fleet", FleetPage(boards, self._clock).handle)
        # No HEAD: it would be a stream without an end and without a word
        events = Live(boards, self._clock).handle
        app.router.add_get("/fleet/events", events, allow_head=False)
        app.router.add_get("/targets/{name}", TargetPage(boards, self._clock).handle)
        app.router.add_get("/metrics", scrape.metrics)
        app.router.add_get("/probe", ProbeEndpoint(self._clock).handle)
        app.router.add_get("/api/v1/targets", api.targets)
        app.router.add_get("/api/v1/devices", Devices(self._clock).handle)
        app.router.add_get("/api/v1/handshakes", Handshakes(self._clock).handle)
        app.router.add_get("/api/v1/trust-map", trust_map)
        app.router.add_get("/trust-map", trust_map_page)
        app.router.add_get("/api/v1/openapi.json", api.openapi)
        app.router.add_get("/runbooks", runbooks.runbooks)
        app.router.add_get("/runbooks/{name}", runbooks.runbook)
        app.router.add_get("/-/healthy", control.healthy)
        app.router.add_get("/-/ready", control.ready)
        app.router.add_post("/-/reload", control.reload)
        for method, path, handler in further:
            app.router.add_route(method, path, handler)
            self._access.leave_to_handler(path)
        for one in opened:
            app.router.add_route(one.method, one.path, one.handler)
            self._access.open_also(one.path, one.opens)
        app.on_response_prepare.append(_add_headers)
        return app

    @asynccontextmanager
    async def listening(self, address: ListenAddress, options: Options) -> AsyncIterator[str]:
        """Listen and answer until the context ends; yield the base URL.

        Raises:
            ConfigError: address or files cannot be used.
        """
        await self._runner.setup()
        assert self._runner.server is not None  # noqa: S101 - setup has made it
        self._listener = Listener(self._guard.protocols_of(self._runner.server))
        try:
            prepared = self.prepare(address, options)
            await self.use(prepared)
            yield _url(prepared)
        finally:
            await self._listener.close()
            await self._runner.cleanup()

    def prepare(self, address: ListenAddress, options: Options) -> Prepared:
        """Do all that can fail; nothing changes for anybody yet.

        Raises:
            ConfigError: address or files cannot be used.
        """
        assert self._listener is not None  # noqa: S101 - only while listening
        tls = tls_context(options)
        credentials = _credentials(options)
        return Prepared(
            options=options,
            bound=self._listener.bind(address),
            tls=tls,
            credentials=credentials,
        )

    async def use(self, prepared: Prepared) -> None:
        """Answer new connections as ``prepared`` says."""
        assert self._listener is not None  # noqa: S101 - only while listening
        self._files = state_of_files(prepared.options)
        self._access.credentials = prepared.credentials
        before, self._in_force = self._in_force, prepared
        if before is None or before.bound is not prepared.bound or before.tls or prepared.tls:
            await self._listener.accept(prepared.bound, prepared.tls)

    async def run(self) -> None:
        """Look after the certificate files until cancelled."""
        await every(_CERTIFICATE_CHECK_S, self.follow_files, self._clock)

    async def follow_files(self) -> None:
        """Take up renewed certificate files; ones that cannot be used change nothing."""
        current = self._in_force
        if current is None or state_of_files(current.options) == self._files:
            return
        self._files = state_of_files(current.options)
        try:
            await self.use(self.prepare(current.bound.address, current.options))
        except ConfigError as exc:
            log.warning("the certificate files changed and cannot be used: %s", exc)
        else:
            log.info("the certificate files changed; new connections use them")


def _credentials(options: Options) -> Credentials:
    if options.token_file is not None:
        try:
            options.token_file.read_bytes()
        except OSError as exc:
            message = f"{options.token_file} cannot be read: {exc.strerror}"
            raise ConfigError([Fault(place="web.token_file", message=message)]) from exc
    return Credentials(
        passwords=Passwords(options.users),
        token_file=options.token_file,
        has_client_ca=options.client_ca_file is not None,
    )


def _url(prepared: Prepared) -> str:
    host = prepared.bound.address.host or "localhost"
    scheme = "https" if prepared.tls else "http"
    return f"{scheme}://{ListenAddress(host=host, port=prepared.bound.port)}"


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = "fleet-tls-exporter"
    response.headers["X-Content-Type-Options"] = "nosniff"
