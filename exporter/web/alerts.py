"""``POST /webhook/alertmanager``: who may ask is checked first, then it is kept, then answered."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from hashlib import blake2b
from ipaddress import ip_address, ip_network
from pathlib import Path

from aiohttp import web

from exporter.errors import StoreError
from exporter.web.auth import BusyError, Passwords
from exporter.web.bodies import read_body
from exporter.web.server import Route
from exporter.web.tokens import bearer_token, is_token_in
from exporter.webhook.inbox import Inbox, InboxBusyError
from exporter.webhook.payload import MOST_BYTES, Delivery, PayloadError, read_delivery
from exporter.webhook.stats import Answer, WebhookStats

log = logging.getLogger(__name__)

_DURABLE_S = 8.0  # Alertmanager gives up after 10 s or its group interval
_AGAIN = {"Retry-After": "5"}
_ASK = {"WWW-Authenticate": 'Bearer realm="webhook", Basic realm="webhook", charset="UTF-8"'}
_KNOWN_FAULTS = 100
_AT_ONCE_BYTES = 1 << 16  # read in less time than it takes to hand it to a thread


@dataclass(frozen=True, slots=True, kw_only=True)
class Askers:
    """Who may post alerts, by the ``webhook`` section; ``networks`` empty: from anywhere.

    Attributes:
        has_client_ca: Nobody reaches us without a client certificate that was verified; enough
            where neither token nor password is configured.
    """

    token_file: Path | None = None
    passwords: Passwords
    networks: tuple[str, ...] = ()
    has_client_ca: bool = False


class Alerts:
    """Takes deliveries.

    Args:
        askers: Who may ask, as it is in force.
        gateways: The gateways of the inventory now.
    """

    def __init__(
        self,
        inbox: Inbox,
        stats: WebhookStats,
        *,
        askers: Callable[[], Askers],
        gateways: Callable[[], Collection[str]],
    ) -> None:
        self._inbox = inbox
        self._stats = stats
        self._askers = askers
        self._gateways = gateways
        self._faults: OrderedDict[bytes, None] = OrderedDict()

    def routes(self) -> Iterable[Route]:
        """Return the endpoint; it checks its own credential."""
        return [("POST", "/webhook/alertmanager", self.take)]

    async def take(self, request: web.Request) -> web.Response:
        """Answer 202 once the delivery is durable."""
        answer = Answer.UNAVAILABLE  # also when the sender goes away in the middle
        try:
            await self._check(request)
            response = await self._take(request)
            answer = Answer.ACCEPTED
        except web.HTTPException as exc:
            answer = _ANSWERS.get(exc.status, Answer.INVALID)
            raise
        finally:
            self._stats.answers[answer] += 1
        return response

    async def _check(self, request: web.Request) -> None:
        askers = self._askers()
        if askers.networks and not _is_within(request.remote, askers.networks):
            raise web.HTTPForbidden(text="alerts are not taken from this address\n")
        header = request.headers.get("Authorization")
        if await is_token_in(askers.token_file, bearer_token(header)):
            return
        if askers.token_file is None and not askers.passwords:
            if askers.has_client_ca:
                return
            text = "no credential is configured for alerts; set webhook.token_file\n"
            raise web.HTTPForbidden(text=text)
        try:
            if askers.passwords and await askers.passwords.accepts(header):
                return
        except BusyError as exc:
            raise web.HTTPServiceUnavailable(text=f"{exc}\n", headers=_AGAIN) from exc
        raise web.HTTPUnauthorized(text="the webhook's credential is needed\n", headers=_ASK)

    async def _take(self, request: web.Request) -> web.Response:
        body = await read_body(request, most_bytes=MOST_BYTES, what="a delivery")
        try:
            delivery = await self._read(body)
        except PayloadError as exc:
            self._tell_once(body, str(exc))
            refuse = web.HTTPUnprocessableEntity if exc.is_json else web.HTTPBadRequest
            raise refuse(text=f"{exc}\n") from exc
        try:
            async with asyncio.timeout(_DURABLE_S):
                receipt = await self._inbox.accept(delivery)
        except TimeoutError as exc:
            text = f"it was not durable within {_DURABLE_S:.0f} s; send it again\n"
            raise web.HTTPServiceUnavailable(text=text, headers=_AGAIN) from exc
        except (StoreError, InboxBusyError) as exc:
            raise web.HTTPServiceUnavailable(text=f"{exc}\n", headers=_AGAIN) from exc
        self._stats.took(receipt)
        return web.json_response(
            {
                "accepted": receipt.accepted,
                "duplicate": receipt.duplicate,
                "ignored": receipt.ignored,
            },
            status=202,
        )

    async def _read(self, body: bytes) -> Delivery:
        gateways = self._gateways()
        if len(body) <= _AT_ONCE_BYTES:
            return read_delivery(body, gateways)
        # Ten thousand alerts take a tenth of a second
        return await asyncio.to_thread(read_delivery, body, frozenset(gateways))

    def _tell_once(self, body: bytes, sentence: str) -> None:
        """Log a body that can never become valid: it comes back every group interval."""
        digest = blake2b(body, digest_size=16).digest()
        if digest not in self._faults:
            log.warning("a delivery was refused: %s", sentence)
        self._faults[digest] = None
        self._faults.move_to_end(digest)
        if len(self._faults) > _KNOWN_FAULTS:
            self._faults.popitem(last=False)


_ANSWERS = {
    401: Answer.UNAUTHORIZED,
    403: Answer.FORBIDDEN,
    408: Answer.UNAVAILABLE,
    503: Answer.UNAVAILABLE,
}


def _is_within(remote: str | None, networks: Iterable[str]) -> bool:
    try:
        address = ip_address((remote or "").partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return any((mapped or address) in ip_network(network) for network in networks)
