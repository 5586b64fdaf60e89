"""Prometheus http_sd: targets from URLs that are asked again and again."""

import asyncio
import ssl
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from aiohttp import hdrs

from exporter import __version__
from exporter.clock import Clock
from exporter.durations import format_duration
from exporter.errors import ConfigError
from exporter.targets.entries import Known
from exporter.targets.groups import MAX_BYTES, Form, Groups, groups_in
from exporter.targets.options import HttpSource
from exporter.targets.source import Handed, Reading, SourceState
from exporter.text_files import read_bounded
from exporter.wording import shown

_MAX_TOKEN_BYTES = 65_536
_MAX_REDIRECTS = 5
_CHUNK_BYTES = 65_536


class _UnusableError(Exception):
    """A file or an answer cannot be used; the text is the sentence."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """What the server said; ``body`` is None when it is the one we have."""

    body: bytes | None
    etag: str | None


class HttpWatch:
    """One URL; ``look`` asks it once."""

    def __init__(
        self, source: HttpSource, known: Known, clock: Clock, last_good: Handed | None
    ) -> None:
        self._source = source
        self._known = known
        self._clock = clock
        self._state = SourceState(source.url)
        self._etag: str | None = None
        self._handed = last_good

    @property
    def url(self) -> str:
        """Where it asks."""
        return self._source.url

    @property
    def interval_s(self) -> float:
        """Seconds between two looks."""
        return self._source.interval

    @property
    def reading(self) -> Reading:
        """What the URL said last that was usable, and whether that is current."""
        return self._state.reading

    @property
    def handed(self) -> Handed | None:
        """The last good text; None before there was one."""
        return self._state.handed or self._handed

    async def recall(self) -> None:
        """Take over what the same URL said last before a reload."""
        handed, self._handed = self._handed, None
        if handed is not None:
            try:
                groups = await self._groups(handed.body)
            except ValueError:
                return  # it was usable once, so this is a limit that was lowered
            self._state.succeed(handed.at, handed.body, groups)

    async def look(self, session: aiohttp.ClientSession) -> None:
        """Ask once; whatever goes wrong, the last good entries stay."""
        try:
            async with asyncio.timeout(self._source.timeout):
                answer = await self._ask(session)
            await self._take(answer)
        except TimeoutError:
            waited = format_duration(self._source.timeout)
            self._state.fail(f"there was no complete answer within {waited}")
        except (aiohttp.ClientError, OSError) as exc:
            self._state.fail(f"it cannot be reached: {shown(str(exc) or type(exc).__name__, 200)}")
        except ConfigError as exc:
            fault = exc.faults[0]
            self._state.fail(f"{fault.place}: {fault.message}")
        except (_UnusableError, ValueError) as exc:
            self._state.fail(str(exc))

    async def _ask(self, session: aiohttp.ClientSession) -> _Answer:
        tls = await asyncio.to_thread(_tls_context, self._source.ca_file)
        async with session.get(
            self.url, headers=await self._headers(), ssl=tls, max_redirects=_MAX_REDIRECTS
        ) as response:
            if response.status == 304 and self._etag is not None:
                return _Answer(None, self._etag)
            if response.status != 200:
                raise _UnusableError(f"it answered with status {response.status}, not 200")
            # As Prometheus: application/json, in UTF-8 (discovery/http, matchContentType)
            if response.content_type != "application/json" or (
                response.charset or "utf-8"
            ).lower() not in {"utf-8", "utf8"}:
                given = shown(response.headers.get(hdrs.CONTENT_TYPE, ""))
                raise _UnusableError(
                    f"it answered with the content type {given}, not application/json"
                )
            return _Answer(await _bounded_body(response), response.headers.get(hdrs.ETAG))

    async def _headers(self) -> dict[str, str]:
        headers = {
            hdrs.ACCEPT: "application/json",
            hdrs.USER_AGENT: f"fleet-tls-exporter/{__version__}",
            "X-Prometheus-Refresh-Interval-Seconds": f"{self.interval_s:g}",
        }
        if self._etag is not None:
            headers[hdrs.IF_NONE_MATCH] = self._etag
        if self._source.token_file is not None:
            token = await asyncio.to_thread(_token, self._source.token_file)
            headers[hdrs.AUTHORIZATION] = f"Bearer {token}"
        return headers

    async def _take(self, answer: _Answer) -> None:
        handed = self._state.handed
        if answer.body is None or (handed is not None and handed.body == answer.body):
            self._state.confirm(self._clock.now())
        else:
            groups = await self._groups(answer.body)
            self._state.succeed(self._clock.now(), answer.body, groups)
        self._etag = answer.etag  # only now: a broken answer must come again in full

    async def _groups(self, body: bytes) -> Groups:
        return await asyncio.to_thread(groups_in, body, Form.JSON, self._known, source=self.url)


async def _bounded_body(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
        body += chunk
        if len(body) > MAX_BYTES:
            raise _UnusableError(f"its answer is larger than {MAX_BYTES} bytes")
    return bytes(body)


def _token(path: Path) -> str:
    """Return the token in the file; read anew each time, so that it can be changed."""
    token = read_bounded(path, _MAX_TOKEN_BYTES).decode("latin-1").strip()
    if not token or not token.isascii() or not token.isprintable():
        raise _UnusableError(f"{path} does not hold a token of one line")
    return token


def _tls_context(ca_file: Path | None) -> ssl.SSLContext | bool:
    """Return how the server is verified; True: by the system's CAs."""
    if ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=str(ca_file))
    except OSError as exc:
        raise _UnusableError(f"{ca_file} cannot be used: {exc.strerror or exc}") from exc
