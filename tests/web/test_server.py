"""Routes, methods, credentials, TLS: asked over real connections."""

import asyncio
import base64
import gzip
import io
import ssl
from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import aiohttp
import bcrypt
import pytest
from aiohttp import web

from exporter.clock import SystemClock
from exporter.errors import ConfigError, Fault
from exporter.web.negotiate import OPENMETRICS_TYPE, TEXT_TYPE
from exporter.web.options import Options, parse_listen
from exporter.web.service import Readiness
from tests.jumping_time import in_no_time
from tests.pki import CLIENT_AUTH, Issued, make_ca, make_leaf
from tests.web.serving import (
    FIRST_FREE,
    Endless,
    FakeService,
    gateway,
    joined_to,
    serving,
    write,
)

USERS = {"ops": bcrypt.hashpw(b"s3cret", bcrypt.gensalt(4)).decode()}
AUTH = {"Authorization": "Basic " + base64.b64encode(b"ops:s3cret").decode()}
PAGES = (
    "/", "/fleet", "/style.css", "/fleet.js", "/icon-bad.svg", "/metrics", "/api/v1/targets",
    "/api/v1/openapi.json", "/-/healthy", "/-/ready",
)  # fmt: skip


async def ask(
    url: str,
    *,
    method: str = "GET",
    tls: ssl.SSLContext | None = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[int, str, dict[str, str]]:
    async with (
        aiohttp.ClientSession(auto_decompress=False) as session,
        session.request(method, url, headers=headers, ssl=tls or True) as answer,
    ):
        body = await answer.read()
        if answer.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        return answer.status, body.decode(), dict(answer.headers)


async def status_of(url: str, method: str = "GET", **headers: str) -> int:
    return (await ask(url, method=method, headers=headers))[0]


@pytest.mark.parametrize("path", PAGES)
async def test_every_page_answers(path: str) -> None:
    async with serving(FakeService()) as (url, _):
        status, body, headers = await ask(url + path)

    assert status == 200
    assert body
    assert headers["Server"] == "fleet-tls-exporter"
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("path", PAGES)
async def test_no_page_takes_another_method(path: str) -> None:
    async with serving(FakeService()) as (url, _):
        status, body, headers = await ask(url + path, method="DELETE")

    assert status == 405
    assert headers["Content-Type"].startswith("text/plain")
    assert "405" in body


@pytest.mark.parametrize("path", ["/nothing", "/metrics/", "/..%2fetc/passwd", "/%00", "//"])
async def test_what_is_not_there_is_said_in_plain_text(path: str) -> None:
    async with serving(FakeService()) as (url, _):
        status, body, headers = await ask(url + path)

    assert status == 404
    assert headers["Content-Type"].startswith("text/plain")
    assert body == "there is no such page; / lists those there are\n"


async def test_the_scrape_comes_in_the_form_that_is_asked_for() -> None:
    service = FakeService(chunks=[b"a 1\n", b"b 2\n"])
    async with serving(service) as (url, _):
        _, body, plain = await ask(f"{url}/metrics", headers={"Accept-Encoding": "identity"})
        _, _, openmetrics = await ask(
            f"{url}/metrics?shard=2/3",
            headers={
                "Accept": "application/openmetrics-text;version=1.0.0",
                "Accept-Encoding": "identity",
            },
        )

    assert body == "a 1\nb 2\n"
    assert plain["Content-Type"] == TEXT_TYPE
    assert plain["Vary"] == "Accept, Accept-Encoding"
    assert openmetrics["Content-Type"] == OPENMETRICS_TYPE
    assert service.scrapes == [(False, False, None), (True, False, (2, 3))]


async def test_gzip_is_marked_as_such() -> None:
    service = FakeService()
    async with serving(service) as (url, _):
        _, body, headers = await ask(f"{url}/metrics", headers={"Accept-Encoding": "gzip"})

    assert body == "a 1\n"
    assert headers["Content-Encoding"] == "gzip"
    assert service.scrapes == [(False, True, None)]


async def test_a_crooked_shard_is_a_bad_request() -> None:
    async with serving(FakeService()) as (url, _):
        status, body, _ = await ask(f"{url}/metrics?shard=5/4")

    assert status == 400
    assert body.startswith("shard='5/4' is not possible; write shard=PART/COUNT")


@pytest.mark.parametrize("readiness", [True, False])
async def test_readiness_is_told_by_status_and_sentence(readiness: bool) -> None:
    service = FakeService(readiness=Readiness(is_ready=readiness, sentence="So it is."))
    async with serving(service) as (url, _):
        status, body, _ = await ask(f"{url}/-/ready")

    assert (status, body) == (200 if readiness else 503, "So it is.\n")


async def test_a_reload_without_any_credential_configured_is_refused() -> None:
    service = FakeService()
    async with serving(service) as (url, _):
        status, body, _ = await ask(f"{url}/-/reload", method="POST")

    assert status == 403
    assert body.startswith("no credential is configured for this; set web.users")
    assert service.reload_count == 0


async def test_a_token_opens_the_reload_and_is_not_needed_for_reading(tmp_path: Path) -> None:
    service = FakeService()
    options = Options(token_file=write(tmp_path / "token", b"t0ken\n"))
    async with serving(service, options) as (url, _):
        page = f"{url}/-/reload"
        missing = await status_of(page, "POST")
        wrong = await status_of(page, "POST", Authorization="Bearer nope")
        right = await status_of(page, "POST", Authorization="Bearer t0ken")
        reading = await status_of(f"{url}/metrics")

    assert (missing, wrong, right, reading) == (401, 401, 200, 200)
    assert service.reload_count == 1


async def test_a_token_that_was_taken_back_opens_nothing_from_then_on(tmp_path: Path) -> None:
    service, file = FakeService(), write(tmp_path / "token", b"t0ken\n")
    async with serving(service, Options(token_file=file)) as (url, _):
        page = f"{url}/-/reload"
        before = await status_of(page, "POST", Authorization="Bearer t0ken")
        file.write_text("another\n")
        after = await status_of(page, "POST", Authorization="Bearer t0ken")
        renewed = await status_of(page, "POST", Authorization="Bearer another")
        file.unlink()
        gone = await status_of(page, "POST", Authorization="Bearer another")

    assert (before, after, renewed, gone) == (200, 401, 200, 401)
    assert service.reload_count == 2


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_a_page_of_another_site_cannot_reload(site: str) -> None:
    service = FakeService()
    async with serving(service, Options(users=USERS)) as (url, _):
        status, _, _ = await ask(
            f"{url}/-/reload", method="POST", headers={"Sec-Fetch-Site": site, **AUTH}
        )

    assert status == 403
    assert service.reload_count == 0


async def test_with_users_every_page_asks_for_a_password() -> None:
    async with serving(FakeService(), Options(users=USERS)) as (url, _):
        closed = {path: await status_of(url + path) for path in (*PAGES, "/nothing")}
        opened = {path: await status_of(url + path, **AUTH) for path in PAGES}
        _, _, headers = await ask(url)

    assert set(closed.values()) == {401}
    assert set(opened.values()) == {200}
    assert headers["WWW-Authenticate"].startswith("Basic realm=")


async def test_a_user_may_reload() -> None:
    service = FakeService()
    async with serving(service, Options(users=USERS)) as (url, _):
        status = await status_of(f"{url}/-/reload", "POST", **AUTH)

    assert status == 200
    assert service.reload_count == 1


async def test_a_reload_that_fails_names_the_faults() -> None:
    fault = Fault(place="config.yml:3 listen", message="'x' has no port")
    service = FakeService(fault=ConfigError([fault]))
    async with serving(service, Options(users=USERS)) as (url, _):
        status, body, _ = await ask(f"{url}/-/reload", method="POST", headers=AUTH)

    assert status == 500
    assert "the last good one stays" in body
    assert "config.yml:3 listen: 'x' has no port" in body


async def test_another_part_checks_its_own_credential() -> None:
    async def push(request: web.Request) -> web.Response:
        return web.Response(text=await request.text())

    options = Options(users=USERS)
    async with (
        serving(FakeService(), options, further=[("POST", "/logs", push)]) as (url, _),
        aiohttp.ClientSession() as session,
        session.post(f"{url}/logs", data="a line") as answer,
    ):
        assert answer.status == 200
        assert await answer.text() == "a line"


def files_of(folder: Path, issued: Issued) -> dict[str, Path]:
    return {
        "cert_file": write(folder / "cert.pem", issued.pem),
        "key_file": write(folder / "key.pem", issued.key_pem),
    }


def trusting(ca: Issued) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=ca.pem.decode())


async def test_with_a_certificate_it_speaks_https(tmp_path: Path) -> None:
    ca = make_ca("web CA")
    options = Options(**files_of(tmp_path, make_leaf(ca, "127.0.0.1")))
    async with serving(FakeService(), options) as (url, _):
        status, _, _ = await ask(f"{url}/-/healthy", tls=trusting(ca))

    assert url.startswith("https://127.0.0.1:")
    assert status == 200


async def test_a_renewed_certificate_is_taken_up(tmp_path: Path) -> None:
    old, new = make_ca("old CA"), make_ca("new CA")
    options = Options(**files_of(tmp_path, make_leaf(old, "127.0.0.1")))
    async with serving(FakeService(), options) as (url, server):
        files_of(tmp_path, make_leaf(new, "127.0.0.1"))
        await server.follow_files()

        status, _, _ = await ask(f"{url}/-/healthy", tls=trusting(new))

    assert status == 200


async def test_a_broken_renewal_changes_nothing(tmp_path: Path) -> None:
    ca = make_ca("web CA")
    options = Options(**files_of(tmp_path, make_leaf(ca, "127.0.0.1")))
    async with serving(FakeService(), options) as (url, server):
        write(tmp_path / "cert.pem", b"half a certif")
        await server.follow_files()

        status, _, _ = await ask(f"{url}/-/healthy", tls=trusting(ca))

    assert status == 200


async def test_files_that_did_not_change_are_left_alone(tmp_path: Path) -> None:
    ca = make_ca("web CA")
    options = Options(**files_of(tmp_path, make_leaf(ca, "127.0.0.1")))
    async with serving(FakeService(), options) as (_, server):
        before = server._in_force
        await server.follow_files()

        assert server._in_force is before


async def test_a_client_certificate_is_demanded_and_may_reload(tmp_path: Path) -> None:
    ca, devices = make_ca("web CA"), make_ca("ops CA")
    client = make_leaf(devices, common_name="ops", purposes=(CLIENT_AUTH,))
    options = Options(
        **files_of(tmp_path, make_leaf(ca, "127.0.0.1")),
        client_ca_file=write(tmp_path / "ca.pem", devices.pem),
    )
    service = FakeService()
    known = trusting(ca)
    known.load_cert_chain(write(tmp_path / "client.pem", client.pem, client.key_pem))
    async with serving(service, options) as (url, _):
        status, _, _ = await ask(f"{url}/-/reload", method="POST", tls=known)
        with pytest.raises((aiohttp.ClientError, ssl.SSLError)):
            await ask(f"{url}/metrics", tls=trusting(ca))

    assert status == 200
    assert service.reload_count == 1


async def test_a_client_certificate_that_has_expired_opens_nothing(tmp_path: Path) -> None:
    ca, devices = make_ca("web CA"), make_ca("ops CA")
    now = SystemClock().now()
    client = make_leaf(
        devices, common_name="ops", purposes=(CLIENT_AUTH,),
        not_before=now - timedelta(days=30), not_after=now - timedelta(days=1),
    )  # fmt: skip
    options = Options(
        **files_of(tmp_path, make_leaf(ca, "127.0.0.1")),
        client_ca_file=write(tmp_path / "ca.pem", devices.pem),
    )
    known = trusting(ca)
    known.load_cert_chain(write(tmp_path / "client.pem", client.pem, client.key_pem))
    service = FakeService()
    async with serving(service, options) as (url, _):
        with pytest.raises((aiohttp.ClientError, ssl.SSLError)):
            await ask(f"{url}/-/reload", method="POST", tls=known)

    assert service.reload_count == 0


@pytest.mark.parametrize(
    ("changed", "place"),
    [("cert_file", "web.cert_file"), ("client_ca_file", "web.client_ca_file")],
)
async def test_a_file_that_cannot_be_used_is_named(
    changed: str, place: str, tmp_path: Path
) -> None:
    ca = make_ca("web CA")
    wishes = files_of(tmp_path, make_leaf(ca, "127.0.0.1"))
    wishes[changed] = write(tmp_path / "odd.pem", b"-----BEGIN CERTIFICATE-----\n")
    async with serving(FakeService()) as (_, server):
        with pytest.raises(ConfigError, match=f"^{place}: .*odd.pem cannot be used") as caught:
            server.prepare(FIRST_FREE, Options(**wishes))

    assert "PRIVATE" not in str(caught.value)


async def test_a_token_file_that_is_gone_is_named(tmp_path: Path) -> None:
    async with serving(FakeService()) as (_, server):
        with pytest.raises(ConfigError, match=r"^web.token_file: .*/gone cannot be read"):
            server.prepare(FIRST_FREE, Options(token_file=tmp_path / "gone"))


async def test_tls_can_be_switched_on_while_it_runs(tmp_path: Path) -> None:
    ca = make_ca("web CA")
    async with serving(FakeService()) as (url, server):
        assert await status_of(f"{url}/-/healthy") == 200

        options = Options(**files_of(tmp_path, make_leaf(ca, "127.0.0.1")))
        await server.use(server.prepare(FIRST_FREE, options))

        secure = url.replace("http:", "https:")
        status, _, _ = await ask(f"{secure}/-/healthy", tls=trusting(ca))

    assert status == 200


async def test_another_address_can_be_taken_while_it_runs() -> None:
    async with serving(FakeService()) as (_, server):
        prepared = server.prepare(parse_listen("127.0.0.2:0"), Options())
        await server.use(prepared)

        assert await status_of(f"http://127.0.0.2:{prepared.bound.port}/-/healthy") == 200


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nbad header\r\n\r\n",
        b"\x00" * 100,
    ],
)
async def test_what_is_no_request_is_answered_by_a_refusal(sent: bytes) -> None:
    async with serving(FakeService()) as (url, _):
        port = int(url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        async with asyncio.timeout(30):
            answer = await reader.readline()
        writer.close()

        assert answer.startswith(b"HTTP/1.")
        assert b" 400 " in answer
        assert await status_of(f"{url}/-/healthy") == 200


async def test_a_body_that_is_too_large_is_refused() -> None:
    async def push(request: web.Request) -> web.Response:
        return web.Response(text=await request.text())

    async with (
        serving(FakeService(), further=[("POST", "/logs", push)]) as (url, _),
        aiohttp.ClientSession() as session,
        session.post(f"{url}/logs", data=io.BytesIO(b"a" * 3_000_000)) as answer,
    ):
        assert answer.status == 413


HANGING = (
    b"GET /metrics HTTP/1.1\r\nHost: a\r\n",
    b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n" * 200,
    b"GET /fleet/events HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /-/reload HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n",
    b"GET /probe?target=gw-1 HTTP/1.1\r\nHost: a\r\n\r\n",
)


def test_an_end_gives_requests_a_second_twice_whatever_hangs() -> None:
    async def end_s() -> float:
        service = Endless(targets=[gateway("gw-1", "127.0.0.1:1")], chunks=[b"x" * 1_000_000])
        loop = asyncio.get_running_loop()
        async with AsyncExitStack() as clients:
            async with serving(service) as (_, server):
                for said in HANGING:
                    client = await clients.enter_async_context(joined_to(server))
                    await loop.sock_sendall(client, said)
                await service.is_looking.wait()
                began_s = loop.time()
            return loop.time() - began_s

    assert in_no_time(end_s()) == pytest.approx(2.0)
