"""Who may call, and what is refused by a sentence: with nothing changed."""

import asyncio
import json
import ssl
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest

from exporter.gateway.calls import CALLS, DEVICE_CALLS, MAX_REQUEST_BYTES
from tests.gateway.agent.stand import FIRST, NEW_CA, NOW, TOKEN, Agent, running
from tests.pki import CLIENT_AUTH, Issued, certificate_of, make_ca, make_leaf

PATHS = sorted(
    (call.method, call.path.format(id="dev-01", number=1))
    for call in (*CALLS.values(), *DEVICE_CALLS.values())
)
REPORT = "/devices/dev-01/truststore/report"
ROTATE = "/gateway/certificates/rotate"


@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN + "x", "ü"])
async def test_nobody_is_let_in_without_the_token(tmp_path: Path, token: str | None) -> None:
    async with running(tmp_path, ["dev-01"]) as agent:
        before = agent.files()
        agent.token = token
        answers = [await agent.call(method, path, {}) for method, path in PATHS]
        answers.append(await agent.get("/no/such/page"))
        after = agent.files()

    assert {answer.status for answer in answers} == {401}
    assert {answer.code for answer in answers} == {"unauthorized"}
    assert {answer.headers["WWW-Authenticate"] for answer in answers} == {
        'Bearer realm="management API"'
    }
    assert before == after


async def test_a_changed_token_file_counts_at_once_and_a_lost_one_lets_nobody_in(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as agent:
        (tmp_path / "secrets/token").write_text("another\n")
        old = await agent.get("/gateway/certificates")
        agent.token = "another"  # noqa: S105 - as it says
        new = await agent.get("/gateway/certificates")
        (tmp_path / "secrets/token").write_text("\n")
        agent.token = ""
        empty = await agent.get("/gateway/certificates")
        (tmp_path / "secrets/token").unlink()
        none = await agent.get("/gateway/certificates")

    assert [one.status for one in (old, new, empty, none)] == [401, 200, 401, 401]


async def test_a_device_speaks_for_itself_only(tmp_path: Path) -> None:
    for name in ("dev-01", "all"):
        (tmp_path / name).write_text(f"token-of-{name}\n")
    devices = [{"name": "dev-01", "token_file": str(tmp_path / "dev-01")}, {"name": "dev-02"}]
    web = {
        "token_file": str(tmp_path / "secrets/token"),
        "report_token_file": str(tmp_path / "all"),
    }

    async with running(tmp_path, devices, web=web) as agent:
        statuses = {}
        for token in ("token-of-dev-01", "token-of-all"):
            agent.token = token
            statuses[token] = [
                (await agent.report("dev-01", NEW_CA)).status,
                (await agent.report("dev-02", NEW_CA)).status,
                (await agent.get("/devices/dev-02/truststore/updates")).status,
                (await agent.get("/devices/truststore/status")).status,
                (await agent.rollback()).status,
            ]

    assert statuses == {
        "token-of-dev-01": [202, 401, 401, 401, 401],
        "token-of-all": [202, 202, 200, 401, 401],
    }


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        pytest.param(b"", 400, "the body is no JSON", id="empty"),
        pytest.param(b"{", 400, "the body is no JSON", id="half"),
        pytest.param(b"<html>", 400, "the body is no JSON", id="HTML"),
        pytest.param(b"\xff\xfe", 400, "the body is no JSON", id="no UTF-8"),
        pytest.param(b"[" * 100_000, 400, "the body is no JSON", id="deep"),
        pytest.param(b"[]", 422, "the body: Input should be an object", id="a list"),
        pytest.param(b"{}", 422, "newCertificate: Field required", id="nothing in it"),
        pytest.param(
            b'{"newCertificate": "x", "mode": 1}',
            422,
            "mode: Extra inputs are not permitted",
            id="an unknown key",
        ),
        pytest.param(
            b'{"newCertificate": 5}',
            422,
            "newCertificate: Input should be a valid string",
            id="a number for text",
        ),
        pytest.param(
            b'{"newCertificate": "x", "confirmWithin": "60"}',
            422,
            "confirmWithin: Input should be a valid number",
            id="text for a number",
        ),
        pytest.param(
            b'{"newCertificate": "x", "validationMode": "lax"}',
            422,
            "validationMode: Input should be 'strict' or 'none'",
            id="an unknown mode",
        ),
        pytest.param(
            json.dumps({"newCertificate": "x" * 300_000}).encode(),
            422,
            "newCertificate: String should have at most 262144 characters",
            id="a long certificate",
        ),
        pytest.param(b" " * (2 * 2**20 + 1), 413, "the body is larger than", id="too large"),
    ],
)
async def test_a_body_that_cannot_be_is_refused_by_a_sentence(
    tmp_path: Path, body: bytes, status: int, sentence: str
) -> None:
    async with running(tmp_path) as agent:
        before = agent.files()
        answer = await agent.call("POST", ROTATE, raw=body)
        after = agent.files()

    assert answer.status == status
    assert sentence in answer.message
    assert before == after


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
async def test_only_json_is_taken(tmp_path: Path, kind: str) -> None:
    async with running(tmp_path) as agent:
        answer = await agent.call("POST", ROTATE, raw=b"{}", Content_Type=kind)

    assert (answer.status, answer.code) == (415, "unsupported_media_type")
    assert "send Content-Type: application/json" in answer.message


async def test_a_body_without_end_is_cut_off(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        host, port = agent.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            b"POST /devices/truststore/update HTTP/1.1\r\nHost: x\r\n"
            + f"Authorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n".encode()
            + b"Transfer-Encoding: chunked\r\n\r\n"
        )
        chunk = b"100000\r\n" + b" " * 2**20 + b"\r\n"
        sent = 0
        answer = b""
        with suppress(ConnectionError):  # which may overtake the answer
            while sent <= 2 * MAX_REQUEST_BYTES:
                writer.write(chunk)
                await writer.drain()
                sent += 2**20
            answer = await reader.read(4096)
        writer.close()

    assert sent < 2 * MAX_REQUEST_BYTES or b" 413 " in answer.splitlines()[0]


async def test_what_is_not_there_is_said_in_the_apis_own_form(tmp_path: Path) -> None:
    async with running(tmp_path, ["dev-01"]) as agent:
        nowhere = await agent.get("/gateway")
        method = await agent.call("DELETE", "/gateway/config")
        device = await agent.report("dev-99", NEW_CA)
        slash = await agent.report("dev%2F..%2F01", NEW_CA)
        operation = await agent.post("/gateway/certificates/confirm", {"operationId": "op-1"})

    assert (nowhere.status, nowhere.code) == (404, "not_found")
    assert (method.status, method.code) == (405, "method_not_allowed")
    assert method.headers["Allow"] == "PUT"
    assert (device.status, device.code) == (404, "unknown_device")
    assert device.body["error"]["devices"] == ["dev-99"]
    assert slash.code == "unknown_device"
    assert (operation.status, operation.code) == (404, "unknown_operation")


@pytest.mark.parametrize(
    ("headers", "sentence"),
    [
        ({"Idempotency_Key": "a b"}, "Idempotency-Key is 1 to 255 printable ASCII characters"),
        ({"Idempotency_Key": "x" * 256}, "Idempotency-Key is 1 to 255"),
        ({"If_Match": "AB" * 32}, "If-Match is the SHA-256 of a leaf"),
        ({"Operation_Number": "-1"}, "Operation-Number is '-1'; a whole number from 0"),
        ({"Operation_Number": "1.5"}, "Operation-Number is '1.5'"),
        ({"Operation_Number": str(2**53)}, "a whole number from 0 to 9007199254740991"),
    ],
)
async def test_a_header_that_cannot_be_is_refused(
    tmp_path: Path, headers: dict[str, str], sentence: str
) -> None:
    async with running(tmp_path) as agent:
        answer = await agent.rollback(**headers)

    assert (answer.status, answer.code) == (400, "bad_request")
    assert sentence in answer.message


async def test_a_key_is_made_for_who_brings_none_unless_it_must_be_brought(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as agent:
        made = await agent.post("/gateway/certificates/csr", {})
    async with running(tmp_path, require_idempotency_key=True) as agent:
        refused = await agent.post("/gateway/certificates/csr", {})
        brought = await agent.post("/gateway/certificates/csr", {}, Idempotency_Key="mine")

    assert made.headers["Idempotency-Key"].startswith("made-")
    assert (refused.status, refused.code) == (400, "idempotency_key_required")
    assert (brought.status, brought.headers["Idempotency-Key"]) == (200, "mine")


@pytest.mark.parametrize(
    ("anchors", "sentence"),
    [
        (["ab" * 32] * 10_000, "anchors: Tuple should have at most 1000 items"),
        (["AB" * 32], "anchors[0] is"),
        (["ab" * 32, ""], "anchors.1: String should have at least 1 character"),
        ([NEW_CA.pem.decode() + FIRST.pem.decode()], "anchors[0] holds 2 certificates"),
        ([NEW_CA.pem.decode() + NEW_CA.key_pem.decode()], "it holds a private key"),
    ],
)
async def test_a_report_that_cannot_be_is_refused(
    tmp_path: Path, anchors: list[str], sentence: str
) -> None:
    async with running(tmp_path, ["dev-01"]) as agent:
        answer = await agent.post(REPORT, {"anchors": anchors, "reportedAt": NOW.isoformat()})
        status = await agent.get("/devices/truststore/status")

    assert answer.status == 422
    assert sentence in answer.message
    assert "PRIVATE KEY-----\\nMI" not in answer.message
    assert status.body["devices"] == [{"deviceId": "dev-01", "status": "PENDING"}]


@pytest.mark.parametrize(
    "moment", ["2026-11-24T12:00:00", "yesterday", "9999-12-31T23:59:59-12:00", 5]
)
async def test_a_moment_without_zone_or_beyond_all_calendars_is_refused(
    tmp_path: Path, moment: object
) -> None:
    async with running(tmp_path, ["dev-01"]) as agent:
        answer = await agent.post(REPORT, {"anchors": [], "reportedAt": moment})

    assert answer.status == 422
    assert "reportedAt" in answer.message


def context(anchor: Issued, folder: Path, client: Issued | None = None) -> ssl.SSLContext:
    made = ssl.create_default_context(cadata=anchor.pem.decode())
    if client is not None:
        (folder / "client.pem").write_bytes(client.key_pem + client.pem)
        made.load_cert_chain(folder / "client.pem")
    return made


async def test_a_client_certificate_opens_everything_where_it_is_asked_for(
    tmp_path: Path,
) -> None:
    ca = make_ca()
    server = make_leaf(ca, "127.0.0.1")
    client = make_leaf(ca, "exporter", purposes=(CLIENT_AUTH,))
    for name, data in {"ca": ca.pem, "server": server.pem, "key": server.key_pem}.items():
        (tmp_path / name).write_bytes(data)
    web = {
        "cert_file": str(tmp_path / "server"), "key_file": str(tmp_path / "key"),
        "client_ca_file": str(tmp_path / "ca"),
    }  # fmt: skip

    async with running(tmp_path, web=web) as agent, aiohttp.ClientSession() as session:
        url = f"{agent.url}/gateway/certificates"
        good = await session.get(url, ssl=context(ca, tmp_path, client))
        body = await good.json()
        with pytest.raises((aiohttp.ClientError, ConnectionError)):
            await session.get(url, ssl=context(ca, tmp_path))

    assert agent.url.startswith("https://")
    assert body["serving"]["fingerprint"] == certificate_of(FIRST).fingerprint_sha256


async def test_whether_it_is_alive_everybody_may_ask(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        agent.token = None
        answer = await agent.get("/-/healthy")

    assert (answer.status, answer.body) == (200, {"status": "ok"})


async def test_no_key_is_ever_answered_or_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    async with running(tmp_path, ["dev-01"]) as agent:
        answers = await everything(agent)
        keys = [path.read_text() for path in agent.directory.rglob("key.pem")]
        keys += [path.read_text() for path in (agent.directory / "keys").iterdir()]

    told = str(answers) + caplog.text
    assert len(keys) >= 3
    assert all(key.splitlines()[1] not in told for key in keys)
    assert "PRIVATE KEY" not in told
    assert TOKEN not in told


async def everything(agent: Agent) -> list[object]:
    """The answers of a whole day's work."""
    chain = await agent.new_chain()
    return [
        chain,
        await agent.rotate(chain),
        await agent.rotate(FIRST.key_pem.decode() + chain),
        await agent.certificates(),
        await agent.rollback(),
        await agent.report("dev-01", NEW_CA),
        await agent.get("/devices/truststore/status"),
        await agent.post(
            "/gateway/certificates/validate",
            {"deviceId": "test_device", "certificateChain": chain, "dryRun": True},
        ),
    ]
