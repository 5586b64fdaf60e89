"""``trust-map`` against a real service, and what it says when there is none."""

import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from xml.etree import ElementTree

import bcrypt
import pytest
import yaml
from aiohttp import web

from exporter.anchors import trust_store
from exporter.trust_map.model import TrustMap
from exporter.web.options import Options
from tests.cli.running import run
from tests.pki import certificate_of, make_ca, make_leaf
from tests.web.serving import FakeService, device, serving

CA = make_ca("fleet CA")
SERVICE_CA = make_ca("service CA")
LEAF = make_leaf(SERVICE_CA, "exporter.example")
LOCAL = make_leaf(SERVICE_CA, "127.0.0.1")


def fleet() -> FakeService:
    return FakeService(
        targets=[device("dev-01", "gw-1", "fw"), device("dev-02", "gw-1")],
        stores=[trust_store("fw", [certificate_of(CA)])],
    )


def write(folder: Path, **files: bytes) -> None:
    for name, content in files.items():
        (folder / name).write_bytes(content)


@pytest.mark.parametrize("shape", ["text", "json", "svg", "html"])
async def test_the_map_comes_in_every_form(shape: str) -> None:
    async with serving(fleet()) as (url, _):
        ended = await run("trust-map", "--url", url, "--format", shape)

    assert (ended.code, ended.err) == (0, "")
    match shape:
        case "text":
            assert "trusted by   (no class): 1 of 2 (by the inventory)" in ended.out
            assert "nobody can say what they trust: dev-02" in ended.out
        case "json":
            assert TrustMap.model_validate(json.loads(ended.out), strict=False).classes
        case "svg":
            ElementTree.fromstring(ended.out)  # noqa: S314 - our own drawing
        case _:
            assert ended.out.startswith("<!DOCTYPE html>")


async def test_a_service_that_is_not_there_is_told_in_one_sentence() -> None:
    ended = await run("trust-map", "--url", "http://127.0.0.1:1")

    assert ended.code == 2
    assert ended.err.count("\n") == 1
    assert "http://127.0.0.1:1 cannot be asked: Connection refused" in ended.err


@pytest.mark.parametrize("url", ["ftp://a", "http://u:hunter2@a.example", "nonsense"])
async def test_what_is_no_url_is_refused_without_repeating_a_password(url: str) -> None:
    ended = await run("trust-map", "--url", url)

    assert ended.code == 2
    assert "--url" in ended.err
    assert "hunter2" not in ended.err


async def test_a_token_opens_what_passwords_protect(tmp_path: Path) -> None:
    write(tmp_path, token=b"s3cret\n", wrong=b"other\n", empty=b"\n")
    hashed = bcrypt.hashpw(b"pw", bcrypt.gensalt(4)).decode()
    options = Options(users={"admin": hashed}, token_file=tmp_path / "token")

    async with serving(fleet(), options) as (url, _):
        good = await run("trust-map", "--url", url, "--token-file", tmp_path / "token")
        wrong = await run("trust-map", "--url", url, "--token-file", tmp_path / "wrong")
        none = await run("trust-map", "--url", url)
        empty = await run("trust-map", "--url", url, "--token-file", tmp_path / "empty")

    assert good.code == 0
    for ended in (wrong, none):
        assert ended.code == 2
        assert "status 401" in ended.err
    assert "does not hold a token" in empty.err


async def test_a_ca_file_says_whom_to_believe(tmp_path: Path) -> None:
    write(tmp_path, cert=LOCAL.pem, key=LOCAL.key_pem, ca=SERVICE_CA.pem, junk=b"junk")
    options = Options(cert_file=tmp_path / "cert", key_file=tmp_path / "key")

    async with serving(fleet(), options) as (url, _):
        good = await run("trust-map", "--url", url, "--ca-file", tmp_path / "ca")
        none = await run("trust-map", "--url", url)
        junk = await run("trust-map", "--url", url, "--ca-file", tmp_path / "junk")

    assert good.code == 0
    assert none.code == junk.code == 2
    assert "certificate verify failed" in none.err
    assert "junk cannot be used" in junk.err


def config(folder: Path, port: int, **web_section: str) -> Path:
    path = folder / "config.yml"
    path.write_text(
        yaml.safe_dump({"listen": f":{port}", "targets": {"static": []}, "web": web_section})
    )
    return path


async def test_the_configuration_says_where_and_by_what_certificate(tmp_path: Path) -> None:
    write(tmp_path, cert=LEAF.pem, key=LEAF.key_pem)
    options = Options(cert_file=tmp_path / "cert", key_file=tmp_path / "key")

    async with serving(fleet(), options) as (url, _):
        port = int(url.rpartition(":")[2])
        path = config(tmp_path, port, cert_file="cert", key_file="key")
        good = await run("trust-map", "--config", path)
        # the file was renewed, and the service shows the old one still; or it is not ours
        write(tmp_path, cert=LOCAL.pem, key=LOCAL.key_pem)
        other = await run("trust-map", "--config", path)

    assert (good.code, good.err) == (0, "")
    assert other.code == 2
    assert "does not show the certificate of its configuration" in other.err


async def test_a_port_that_the_system_chose_is_not_guessed(tmp_path: Path) -> None:
    ended = await run("trust-map", "--config", config(tmp_path, 0))

    assert ended.code == 2
    assert "--url" in ended.err


@asynccontextmanager
async def answering(
    body: bytes, status: int = 200, tls: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    async def handle(_request: web.Request) -> web.Response:
        return web.Response(body=body, status=status)

    app = web.Application()
    app.router.add_get("/api/v1/trust-map", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"<html>", 200, "no trust map"),
        (b"\x1b[2Jno", 404, "status 404"),
        (b"", 302, "status 302"),
    ],
)
async def test_what_another_program_answers_is_no_map(
    body: bytes, status: int, words: str
) -> None:
    async with answering(body, status) as url:
        ended = await run("trust-map", "--url", url)

    assert ended.code == 2
    assert words in ended.err
    assert "\x1b" not in ended.err
