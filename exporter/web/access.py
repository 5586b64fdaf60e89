"""Which requests are answered: by password, client certificate or token; as a middleware."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from exporter.web.auth import BusyError, Passwords
from exporter.web.tokens import bearer_token, is_token_in

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Opens = Callable[[web.Request], Awaitable[bool]]
"""Whether a request carries a credential of another section."""

_ASK = {"WWW-Authenticate": 'Basic realm="fleet-tls-exporter", charset="UTF-8"'}
_READING = {"GET", "HEAD"}
# A browser adds the password or certificate it knows to whatever any page makes it send
_FOREIGN = {"cross-site", "same-site"}
_CLOSED = (
    "no credential is configured for this; set web.users, web.token_file or web.client_ca_file,"
    " or send SIGHUP to reload\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What the ``web`` section demands.

    Attributes:
        token_file: Its token opens the POST endpoints of this section, and reading where
            passwords are set; None: no token does.
        has_client_ca: Nobody gets here without a client certificate that was verified.
    """

    passwords: Passwords = field(default_factory=lambda: Passwords({}))
    token_file: Path | None = None
    has_client_ca: bool = False


class Access:
    """Lets requests through, or answers 401 or 403."""

    def __init__(self) -> None:
        self.credentials = Credentials()
        self._own: set[str] = set()
        self._openers: dict[str, Opens] = {}

    def leave_to_handler(self, path: str) -> None:
        """Ask nothing at ``path``: its handler checks the credential of another section."""
        self._own.add(path)

    def open_also(self, path: str, opens: Opens) -> None:
        """Let requests to ``path``, as it is routed, through that ``opens`` says yes to."""
        self._openers[path] = opens

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Check before the handler runs."""
        if request.path not in self._own and not await self._is_opened(request):
            await self._check(request)
        missing = request.match_info.http_exception
        if missing is not None and missing.status == web.HTTPNotFound.status_code:
            raise web.HTTPNotFound(text="there is no such page; / lists those there are\n")
        return await handler(request)

    async def _is_opened(self, request: web.Request) -> bool:
        resource = request.match_info.route.resource
        opens = self._openers.get(resource.canonical) if resource is not None else None
        return opens is not None and await opens(request)

    async def _check(self, request: web.Request) -> None:
        changes = request.method not in _READING and request.match_info.http_exception is None
        if changes and request.headers.get("Sec-Fetch-Site", "none") in _FOREIGN:
            raise web.HTTPForbidden(text="a page of another site may not change anything here\n")
        authorization = request.headers.get("Authorization")
        token = bearer_token(authorization)
        if token and await is_token_in(self.credentials.token_file, token):
            return
        if self.credentials.passwords:
            await self._check_password(authorization)
        elif changes:
            self._refuse_change(authorization)

    async def _check_password(self, authorization: str | None) -> None:
        try:
            accepted = await self.credentials.passwords.accepts(authorization)
        except BusyError as exc:
            raise web.HTTPServiceUnavailable(text=f"{exc}\n") from exc
        if not accepted:
            raise web.HTTPUnauthorized(text="user and password are needed\n", headers=_ASK)

    def _refuse_change(self, authorization: str | None) -> None:
        if self.credentials.has_client_ca:
            return
        if self.credentials.token_file is not None:
            what = "this token is not the right one" if authorization else "a token is needed"
            raise web.HTTPUnauthorized(text=f"{what}\n", headers={"WWW-Authenticate": "Bearer"})
        raise web.HTTPForbidden(text=_CLOSED)
