import asyncio
import gzip
import json
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from exporter.targets import http_sd
from exporter.targets.entries import Known
from exporter.targets.http_sd import HttpWatch
from exporter.targets.options import HttpSource
from exporter.targets.source import Handed
from tests.fake_clock import FakeClock
from tests.pki import make_ca, make_leaf

KNOWN = Known()


def groups(*names: str) -> bytes:
    return json.dumps([{"targets": [f"{name}:1" for name in names]}]).encode()


@dataclass(slots=True)
class Inventory:
    """A real HTTP server that answers as told and remembers what it was asked."""

    status: int = 200
    body: bytes = field(default_factory=lambda: groups("a"))
    content_type: str | None = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    stalls: bool = False
    requests: list[web.Request] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        if self.stalls:
            await asyncio.Event().wait()
        headers = dict(self.headers)
        if self.content_type is not None:
            headers["Content-Type"] = self.content_type
        if headers.get("ETag") == request.headers.get("If-None-Match", "none"):
            return web.Response(status=304)
        return web.Response(status=self.status, body=self.body, headers=headers)


@pytest.fixture
def inventory() -> Inventory:
    return Inventory()


@pytest.fixture
async def url(inventory: Inventory) -> AsyncIterator[str]:
    application = web.Application()
    application.router.add_get("/targets", inventory.answer)
    async with TestServer(application, host="127.0.0.1") as server:
        yield str(server.make_url("/targets"))


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


def watch(url: str, **options: object) -> HttpWatch:
    source = HttpSource.model_validate({"url": url, **options})
    return HttpWatch(source, KNOWN, FakeClock(), None)


def hosts(one: HttpWatch) -> list[str | None]:
    return [target.host for target in one.reading.targets]


async def test_a_good_answer_gives_targets(url: str, session: aiohttp.ClientSession) -> None:
    one = watch(url)

    await one.look(session)

    assert hosts(one) == ["a"]
    assert one.reading.ok
    assert one.reading.last_success_at == FakeClock().now()
    assert one.reading.targets[0].source == url


async def test_it_asks_as_prometheus_does(
    url: str, inventory: Inventory, session: aiohttp.ClientSession
) -> None:
    await watch(url, interval=90.0).look(session)

    headers = inventory.requests[0].headers
    assert headers["Accept"] == "application/json"
    assert headers["X-Prometheus-Refresh-Interval-Seconds"] == "90"
    assert headers["User-Agent"].startswith("fleet-tls-exporter/")
    assert "Authorization" not in headers


async def test_an_unchanged_answer_is_not_sent_again(
    url: str, inventory: Inventory, session: aiohttp.ClientSession
) -> None:
    inventory.headers["ETag"] = '"v1"'
    one = watch(url)
    await one.look(session)
    before = one.reading.targets

    await one.look(session)

    assert inventory.requests[1].headers["If-None-Match"] == '"v1"'
    assert one.reading.ok
    assert one.reading.targets is before


async def test_a_changed_answer_replaces_the_targets(
    url: str, inventory: Inventory, session: aiohttp.ClientSession
) -> None:
    inventory.headers["ETag"] = '"v1"'
    one = watch(url)
    await one.look(session)

    inventory.headers["ETag"], inventory.body = '"v2"', groups("b", "c")
    await one.look(session)

    assert hosts(one) == ["b", "c"]


async def test_the_same_bytes_without_an_etag_are_not_parsed_again(
    url: str, session: aiohttp.ClientSession
) -> None:
    one = watch(url)
    await one.look(session)
    before = one.reading.targets

    await one.look(session)

    assert one.reading.targets is before


async def test_a_broken_answer_is_asked_for_in_full_again(
    url: str, inventory: Inventory, session: aiohttp.ClientSession
) -> None:
    inventory.headers["ETag"], inventory.body = '"v1"', b"["
    one = watch(url)

    await one.look(session)
    await one.look(session)

    assert "If-None-Match" not in inventory.requests[1].headers


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"status": 500}, "it answered with status 500, not 200"),
        ({"status": 304}, "it answered with status 304, not 200"),
        ({"status": 204, "body": b""}, "it answered with status 204, not 200"),
        (
            {"content_type": "text/html"},
            "it answered with the content type 'text/html', not application/json",
        ),
        (
            {"content_type": "application/json; charset=latin-1"},
            "it answered with the content type 'application/json; charset=latin-1',"
            " not application/json",
        ),
        ({"body": b"[{"}, "line 1: this is not JSON: "),
        ({"body": b"{}"}, "it is empty or not a list"),
        ({"body": b'"\xff"'}, "line 1: byte 0xff is not UTF-8"),
    ],
    ids=["500", "304", "204", "html", "charset", "cut", "mapping", "latin"],
)
async def test_any_other_answer_keeps_the_last_good_targets_and_says_so(
    url: str,
    inventory: Inventory,
    session: aiohttp.ClientSession,
    change: dict[str, object],
    why: str,
) -> None:
    one = watch(url)
    await one.look(session)

    for key, value in change.items():
        setattr(inventory, key, value)
    await one.look(session)

    assert hosts(one) == ["a"]
    assert not one.reading.ok
    assert one.reading.problem.startswith(why)
    assert one.reading.last_success_at == FakeClock().now()


async def test_utf_8_named_in_the_content_type_is_fine(
    url: str, inventory: Inventory, session: aiohttp.ClientSession
) -> None:
    inventory.content_type = "application/json; charset=UTF-8"
    one = watch(url)

    await one.look(session)

    assert one.reading.ok


async def test_nobody_listening_is_told() -> None:
    one = watch("http://127.0.0.1:1/")

    async with aiohttp.ClientSession() as session:
        await one.look(session)

    assert not one.reading.ok
    assert one.reading.problem.startswith("it cannot be reached: ")


async def test_a_server_that_stalls_is_left_after_the_timeout(
    url: str, inventory: Inventory, session: aiohttp.ClientSession
) -> None:
    inventory.stalls = True
    one = watch(url, timeout=0.05)

    await one.look(session)

    assert one.reading.problem == "there was no complete answer within 50ms"


async def test_an_endless_answer_is_cut(
    url: str,
    inventory: Inventory,
    session: aiohttp.ClientSession,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_sd, "MAX_BYTES", 1_000)
    inventory.body = gzip.compress(b" " * 1_000_000)
    inventory.headers["Content-Encoding"] = "gzip"
    one = watch(url)

    await one.look(session)

    assert one.reading.problem == "its answer is larger than 1000 bytes"


async def test_the_token_is_read_anew_for_each_request(
    url: str, inventory: Inventory, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    one = watch(url, token_file=token)

    for text in ("first\n", "second"):
        token.write_text(text)
        await one.look(session)

    sent = [request.headers["Authorization"] for request in inventory.requests]
    assert sent == ["Bearer first", "Bearer second"]


@pytest.mark.parametrize("content", [b"", b"two\nlines", b"\xff\xfe", b"nul\0"])
async def test_a_token_that_cannot_be_sent_is_told_and_not_shown(
    url: str,
    inventory: Inventory,
    session: aiohttp.ClientSession,
    tmp_path: Path,
    content: bytes,
) -> None:
    token = tmp_path / "token"
    token.write_bytes(content)
    one = watch(url, token_file=token)

    await one.look(session)

    assert one.reading.problem == f"{token} does not hold a token of one line"
    assert inventory.requests == []


async def test_a_token_file_that_is_gone_is_told(
    url: str, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    one = watch(url, token_file=tmp_path / "token")

    await one.look(session)

    expected = f"{tmp_path}/token: this file cannot be read: No such file or directory"
    assert one.reading.problem == expected


async def test_a_redirect_to_another_server_does_not_get_the_token(
    url: str, inventory: Inventory, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    async def redirect(_: web.Request) -> web.StreamResponse:
        raise web.HTTPFound(url)

    (tmp_path / "token").write_text("secret")
    application = web.Application()
    application.router.add_get("/", redirect)
    async with TestServer(application, host="127.0.0.1") as server:
        one = watch(str(server.make_url("/")), token_file=tmp_path / "token")

        await one.look(session)

    assert hosts(one) == ["a"]
    assert "Authorization" not in inventory.requests[0].headers


async def test_a_server_is_verified_by_the_cas_of_the_file(
    inventory: Inventory, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    ca, other = make_ca("inventory CA"), make_ca("other CA")
    leaf = make_leaf(ca, "127.0.0.1")
    (tmp_path / "ca.pem").write_bytes(ca.pem)
    (tmp_path / "other.pem").write_bytes(other.pem)
    (tmp_path / "leaf.pem").write_bytes(leaf.pem + leaf.key_pem)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "leaf.pem")
    application = web.Application()
    application.router.add_get("/", inventory.answer)
    server = TestServer(application, host="127.0.0.1", scheme="https")
    await server.start_server(ssl=context)
    try:
        url = str(server.make_url("/"))
        good = watch(url, ca_file=tmp_path / "ca.pem")
        bad = watch(url, ca_file=tmp_path / "other.pem")
        system = watch(url)
        for one in (good, bad, system):
            await one.look(session)
    finally:
        await server.close()

    assert hosts(good) == ["a"]
    assert "CERTIFICATE_VERIFY_FAILED" in bad.reading.problem
    assert "CERTIFICATE_VERIFY_FAILED" in system.reading.problem


@pytest.mark.parametrize("content", [None, b"not PEM"])
async def test_a_ca_file_that_cannot_be_used_is_told(
    session: aiohttp.ClientSession, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    one = watch("https://127.0.0.1:1/", ca_file=path)

    await one.look(session)

    assert one.reading.problem.startswith(f"{path} cannot be used: ")


async def test_what_was_last_good_before_a_reload_stays_until_the_url_answers(
    url: str, inventory: Inventory, session: aiohttp.ClientSession
) -> None:
    source = HttpSource.model_validate({"url": url})
    handed = Handed(body=groups("before"), at=FakeClock().now())
    one = HttpWatch(source, KNOWN, FakeClock(), handed)
    assert one.handed == handed
    await one.recall()
    inventory.status = 503

    await one.look(session)
    recalled = hosts(one)
    inventory.status = 200
    await one.look(session)

    assert recalled == ["before"]
    assert hosts(one) == ["a"]


async def test_what_can_no_longer_be_used_after_a_reload_is_forgotten(url: str) -> None:
    source = HttpSource.model_validate({"url": url})
    one = HttpWatch(source, KNOWN, FakeClock(), Handed(body=b"{}", at=FakeClock().now()))

    await one.recall()

    assert one.handed is None
    assert one.reading.targets == ()
