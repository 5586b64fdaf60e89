"""Speaks HTTP with one management API: bounded, timed, repeated only where that is safe."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeVar

import aiohttp
from aiohttp import hdrs

from exporter import __version__
from exporter.clock import Clock
from exporter.durations import format_duration
from exporter.gateway.answers import Reply, http_date, nonsense
from exporter.gateway.api import GatewayError, GatewayReason
from exporter.gateway.bodies import BodyError, read_body
from exporter.gateway.credentials import Credentials
from exporter.gateway.failures import Attempt, failure_of
from exporter.gateway.options import Options
from exporter.gateway.retries import pause_s

MAX_ANSWER_BYTES = 8 * 2**20
MAX_ERROR_BYTES = 256 * 2**10
_LONGEST_CONNECT_S = 10.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A request as an adapter words it.

    Attributes:
        call: The method of ``ManagementApi``; for messages and metrics.
        path: Below the base URL, beginning with a slash.
        is_change: It changes something; it is not sent again while its outcome is unknown.
    """

    call: str
    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    is_change: bool = False


@dataclass(slots=True)
class ApiStats:
    """What is counted of one API.

    Attributes:
        request_counts: Requests sent or tried, by call; repeated ones count each time.
        failure_counts: Those that brought no good answer, by call and reason.
        last_success_at: Of the latest good answer, by call.
        clock_offset_s: Our clock minus the API's; None: not known.
    """

    request_counts: Counter[str] = field(default_factory=Counter)
    failure_counts: Counter[tuple[str, GatewayReason]] = field(default_factory=Counter)
    last_success_at: dict[str, datetime] = field(default_factory=dict)
    clock_offset_s: float | None = None


class Client:
    """What an adapter asks its platform by; holds no connection between two calls.

    A connection that was kept may be closed by the other side at the moment it is used again,
    and then nobody knows whether a change arrived. So each call has its own.
    """

    def __init__(self, options: Options, clock: Clock, stats: ApiStats | None = None) -> None:
        self.name = options.name
        self.stats = stats or ApiStats()
        self._options = options
        self._clock = clock
        self._base = options.url.rstrip("/")
        self._credentials = Credentials(options)
        self._left_alone_until_s: dict[str, float] = {}

    @asynccontextmanager
    async def connected(self) -> AsyncIterator["Line"]:
        """Give a line for the requests of one call; they share a connection."""
        async with aiohttp.ClientSession(
            auto_decompress=False,  # read_body does that, within bounds
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),  # set for each request
        ) as session:
            # or aiohttp sends a PUT whose connection broke once more, without asking
            session._retry_connection = False  # noqa: SLF001 - there is no public switch
            yield Line(self, session)

    async def ask(
        self,
        session: aiohttp.ClientSession,
        question: Question,
        understand: Callable[[Reply], T],
    ) -> T:
        """Return what ``understand`` makes of the answer, which raises GatewayError.

        Raises:
            GatewayError: there was no answer, or not the one that was asked for.
        """
        self._leave_alone(question)
        token, attempt = "", 0
        while True:
            attempt += 1
            try:
                token = await self._credentials.token()
                reply = await self._exchange(session, question, token)
                answer = understand(reply)
            except GatewayError as exc:
                self._note_failure(question, exc)
                pause = pause_s(exc, attempt)
                if attempt == 1 and await self._is_token_renewed(exc, token):
                    pause = 0.0
                if pause is None:
                    raise
                await self._clock.sleep(pause)
            else:
                self._note_success(question)
                return answer

    async def _exchange(
        self, session: aiohttp.ClientSession, question: Question, token: str
    ) -> Reply:
        tls = await self._credentials.tls()
        sent_at = self._clock.now()
        limit_s = self._options.change_timeout if question.is_change else self._options.timeout
        connect_s = min(_LONGEST_CONNECT_S, limit_s / 2)
        try:
            async with session.request(
                question.method,
                self._base + question.path,
                params=question.query or None,
                data=question.body,
                headers=self._headers(question, token),
                ssl=tls,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=limit_s, connect=connect_s),
            ) as response:
                self._note_date(response, sent_at)
                return await _reply(response, question, token)
        except (aiohttp.ClientError, OSError) as exc:
            attempt = Attempt(
                call=question.call,
                is_change=question.is_change,
                is_tls=self._base.startswith("https:"),
                limit_s=limit_s,
            )
            # not "from exc": the library's exceptions hold the request's headers, and the token
            raise failure_of(exc, attempt) from None

    async def _is_token_renewed(self, error: GatewayError, token: str) -> bool:
        """Tell whether the token was refused and its file holds another one already."""
        if error.reason is not GatewayReason.UNAUTHORIZED:
            return False
        try:
            return await self._credentials.token() != token
        except GatewayError:
            return False  # what was answered is the better sentence

    def _headers(self, question: Question, token: str) -> dict[str, str]:
        headers = {
            hdrs.ACCEPT: "application/json",
            hdrs.ACCEPT_ENCODING: "gzip",
            hdrs.USER_AGENT: f"fleet-tls-exporter/{__version__}",
            **question.headers,
        }
        if question.body is not None:
            headers[hdrs.CONTENT_TYPE] = "application/json"
        if token:
            headers[hdrs.AUTHORIZATION] = f"Bearer {token}"
        return headers

    def _leave_alone(self, question: Question) -> None:
        """Refuse what the API asked not to be asked yet; a change is worth a try all the same."""
        left_s = self._left_alone_until_s.get(question.call, 0.0) - self._clock.monotonic()
        if left_s > 0 and not question.is_change:
            more = format_duration(left_s)
            raise GatewayError(
                GatewayReason.RATE_LIMITED,
                f"{question.call}: the API asked to be left alone for {more} more",
                retryable=True,
                retry_after_s=left_s,
            )

    def _note_failure(self, question: Question, error: GatewayError) -> None:
        self.stats.request_counts[question.call] += 1
        self.stats.failure_counts[question.call, error.reason] += 1
        if error.retry_after_s is not None:
            until_s = self._clock.monotonic() + error.retry_after_s
            self._left_alone_until_s[question.call] = until_s

    def _note_success(self, question: Question) -> None:
        self.stats.request_counts[question.call] += 1
        self.stats.last_success_at[question.call] = self._clock.now()
        self._left_alone_until_s.pop(question.call, None)

    def _note_date(self, response: aiohttp.ClientResponse, sent_at: datetime) -> None:
        said_at = http_date(response.headers.get(hdrs.DATE, ""))
        if said_at is not None:
            # the answer was written about half way, and its Date cut to the second
            half_way = sent_at + (self._clock.now() - sent_at) / 2
            offset = half_way - said_at - timedelta(seconds=0.5)
            self.stats.clock_offset_s = offset.total_seconds()


class Line:
    """The requests of one call."""

    def __init__(self, client: Client, session: aiohttp.ClientSession) -> None:
        self._client = client
        self._session = session

    async def ask(self, question: Question, understand: Callable[[Reply], T]) -> T:
        """Return what ``understand`` makes of the answer; see ``Client.ask``."""
        return await self._client.ask(self._session, question, understand)


async def _reply(response: aiohttp.ClientResponse, question: Question, token: str) -> Reply:
    reply = Reply(
        call=question.call,
        is_change=question.is_change,
        status=response.status,
        headers={name.lower(): response.headers[name] for name in response.headers},
        body=b"",
        hidden=token,
    )
    is_good = response.status < 300
    try:
        body = await read_body(response, MAX_ANSWER_BYTES if is_good else MAX_ERROR_BYTES)
    except BodyError as exc:
        if is_good:
            raise nonsense(reply, str(exc)) from None
        return reply  # the status says enough
    return replace(reply, body=body)
