"""Lines that are pushed: who may, what is taken, and that the answer means durable."""

import asyncio
import base64
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

import cramjam
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from exporter.clock import SystemClock
from exporter.handshake_log.loki import BodyError, joined, lines_of_json, lines_of_protobuf
from exporter.handshake_log.options import Options
from exporter.handshake_log.sources import HandshakeLogs
from exporter.store import Store
from exporter.targets.model import Inventory, Role, Target
from exporter.web import logs_push
from exporter.web.logs_push import MOST_BYTES, LogsPush
from tests.jumping_time import answer_to_post, in_no_time

TOKEN, OTHER = "of-site-a", "of-site-b"
REFUSED = (
    "2026/11/24 03:58:49 [info] 29625#29625: *5 SSL_do_handshake() failed (SSL: error:0A000418:"
    "SSL routines::tlsv1 alert unknown ca:SSL alert number 48) while SSL handshaking, client: "
    "10.0.0.1, server: 0.0.0.0:8883"
)
if TYPE_CHECKING:
    Field = descriptor_pb2.FieldDescriptorProto
    Member = tuple[str, int, Field.Type.ValueType, Field.Label.ValueType, str | None]
Client = TestClient[web.Request, web.Application]


class Stand:
    """A running reader of two pushed sources, and a client of its endpoints."""

    def __init__(self, folder: Path) -> None:
        self.tokens = {name: folder / f"{name}.token" for name in ("site-a", "site-b")}
        self.tokens["site-a"].write_text(TOKEN + "\n")
        self.tokens["site-b"].write_text(OTHER)
        self.options = [
            Options(push=name, gateway=f"gw-{name}", token_file=path)
            for name, path in self.tokens.items()
        ]
        self.store = Store(f"sqlite:///{folder}/state.db")
        self.logs = HandshakeLogs(self.options, self.store, SystemClock())
        device = Target(name="dev-01", role=Role.DEVICE, peers=("10.0.0.1",))
        self.logs.use(Inventory(targets={"dev-01": device}))
        self.push = LogsPush(lambda: self.logs.push_sources)

    def app(self) -> web.Application:
        made = web.Application()
        for method, path, handler in self.push.routes():
            made.router.add_route(method, path, handler)
        return made

    @cached_property
    def client(self) -> Client:
        return TestClient(TestServer(self.app()))

    def count(self, gateway: str = "gw-site-a") -> int:
        """Failures of the device that are shown."""
        tally = self.logs.shown.tallies.get((gateway, "dev-01"))
        return 0 if tally is None else sum(tally.failure_counts.values())


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Stand]:
    made = Stand(tmp_path)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(made.logs.run())
        async with made.client:
            await until(lambda: bool(made.logs.shown.tallies))  # the store has been read
            yield made
        running.cancel()


def bearer(token: str = TOKEN) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def text(token: str = TOKEN) -> dict[str, str]:
    return {**bearer(token), "Content-Type": "text/plain"}


def basic(password: str) -> dict[str, str]:
    pair = base64.b64encode(f"anybody:{password}".encode()).decode()
    return {"Authorization": f"Basic {pair}"}


def loki_json(*lines: str) -> bytes:
    values = [["1795492801000000000", line] for line in lines]
    return json.dumps({"streams": [{"stream": {"job": "nginx"}, "values": values}]}).encode()


def push_request(*lines: str) -> bytes:
    """A ``logproto.PushRequest`` as Promtail sends it, by a whole schema of its own."""
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="whole.proto", package="t", syntax="proto3")
    schema: dict[str, list[Member]] = {
        "Time": [("seconds", 1, kinds.TYPE_INT64, kinds.LABEL_OPTIONAL, None)],
        "Entry": [
            ("timestamp", 1, kinds.TYPE_MESSAGE, kinds.LABEL_OPTIONAL, ".t.Time"),
            ("line", 2, kinds.TYPE_STRING, kinds.LABEL_OPTIONAL, None),
        ],
        "Stream": [
            ("labels", 1, kinds.TYPE_STRING, kinds.LABEL_OPTIONAL, None),
            ("entries", 2, kinds.TYPE_MESSAGE, kinds.LABEL_REPEATED, ".t.Entry"),
            ("hash", 3, kinds.TYPE_UINT64, kinds.LABEL_OPTIONAL, None),
        ],
        "Push": [("streams", 1, kinds.TYPE_MESSAGE, kinds.LABEL_REPEATED, ".t.Stream")],
    }
    for name, fields in schema.items():
        message = file.message_type.add(name=name)
        for field, number, kind, label, type_name in fields:
            message.field.add(
                name=field, number=number, type=kind, label=label, type_name=type_name
            )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    kind_of_push = message_factory.GetMessageClass(pool.FindMessageTypeByName("t.Push"))
    streams = [
        {
            "labels": '{job="nginx"}',
            "hash": 7,
            "entries": [{"timestamp": {"seconds": 1795492801}, "line": line} for line in lines],
        }
    ]
    return bytes(kind_of_push(streams=streams).SerializeToString())


def snappy(data: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(data))


PROTOBUF = {"Content-Type": "application/x-protobuf"}


async def test_lines_are_counted_when_the_answer_comes(stand: Stand) -> None:
    body = f"{REFUSED}\n{REFUSED}"

    answer = await stand.client.post("/logs?source=site-a", data=body, headers=text())

    assert answer.status == 204
    assert stand.count() == 2
    assert stand.count("gw-site-b") == 0


async def test_what_was_answered_survives_the_process(stand: Stand, tmp_path: Path) -> None:
    await stand.client.post("/logs?source=site-a", data=REFUSED, headers=text())

    again = Stand(tmp_path)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(again.logs.run())
        await until(again.count)
        running.cancel()

    assert again.count() == 1


async def test_ndjson_and_gzip_are_understood(stand: Stand) -> None:
    lines = "".join(json.dumps({"log": REFUSED, "stream": "stderr"}) + "\n" for _ in range(3))
    headers = {
        **bearer(),
        "Content-Type": "application/x-ndjson",
        "Content-Encoding": "gzip",
    }

    answer = await stand.client.post(
        "/logs?source=site-a", data=gzip.compress(lines.encode()), headers=headers
    )

    assert answer.status == 204
    assert stand.count() == 3


async def test_the_loki_api_takes_json(stand: Stand) -> None:
    headers = {**bearer(), "Content-Type": "application/json; charset=utf-8"}

    answer = await stand.client.post(
        "/loki/api/v1/push", data=loki_json(REFUSED, "other", REFUSED), headers=headers
    )

    assert answer.status == 204
    assert stand.count() == 2


async def test_the_loki_api_takes_snappy_protobuf(stand: Stand) -> None:
    answer = await stand.client.post(
        "/loki/api/v1/push",
        data=snappy(push_request(REFUSED, "other", REFUSED)),
        headers={**PROTOBUF, **basic(TOKEN)},
    )

    assert answer.status == 204
    assert stand.count() == 2


async def test_the_token_tells_the_source_of_a_loki_client(stand: Stand) -> None:
    await stand.client.post(
        "/loki/api/v1/push",
        data=loki_json(REFUSED),
        headers={**bearer(OTHER), "Content-Type": "application/json"},
    )

    assert (stand.count("gw-site-a"), stand.count("gw-site-b")) == (0, 1)


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="none"),
        pytest.param(bearer("wrong"), id="wrong"),
        pytest.param(bearer(OTHER), id="of another source"),
        pytest.param(bearer(""), id="empty"),
        pytest.param({"Authorization": "Basic ???"}, id="damaged"),
        pytest.param({"Authorization": "Digest x"}, id="another scheme"),
        pytest.param(basic("wrong"), id="wrong password"),
    ],
)
@pytest.mark.parametrize("path", ["/logs?source=site-a", "/loki/api/v1/push?source=site-a"])
async def test_without_the_sources_own_token_nothing_is_taken(
    stand: Stand, headers: dict[str, str], path: str
) -> None:
    answer = await stand.client.post(
        path, data=REFUSED, headers={"Content-Type": "text/plain", **headers}
    )

    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert stand.count() == 0


async def test_a_source_that_is_not_there_answers_like_a_wrong_token(stand: Stand) -> None:
    missing = await stand.client.post("/logs?source=nowhere", data=REFUSED, headers=text())
    unnamed = await stand.client.post("/logs", data=REFUSED, headers=text())
    wrong = await stand.client.post("/logs?source=site-a", data=REFUSED, headers=text("wrong"))

    assert missing.status == unnamed.status == wrong.status == 401
    assert await missing.text() == await unnamed.text() == await wrong.text()


async def test_a_changed_token_counts_at_once(stand: Stand) -> None:
    stand.tokens["site-a"].write_text("renewed")

    old = await stand.client.post("/logs?source=site-a", data=REFUSED, headers=text())
    new = await stand.client.post("/logs?source=site-a", data=REFUSED, headers=text("renewed"))

    assert (old.status, new.status) == (401, 204)


@pytest.mark.parametrize("content", ["", "\n"], ids=["empty", "blank"])
async def test_an_empty_token_file_opens_nothing(stand: Stand, content: str) -> None:
    stand.tokens["site-a"].write_text(content)

    answer = await stand.client.post("/logs?source=site-a", data=REFUSED, headers=text(""))

    assert answer.status == 401


async def test_a_missing_token_file_opens_nothing(stand: Stand) -> None:
    stand.tokens["site-a"].unlink()

    answer = await stand.client.post("/logs?source=site-a", data=REFUSED, headers=text())

    assert answer.status == 401


async def test_an_empty_body_is_no_fault(stand: Stand) -> None:
    assert (await stand.client.post("/logs?source=site-a", data=b"", headers=text())).status == 204


async def test_another_content_type_is_refused_with_the_right_one(stand: Stand) -> None:
    answer = await stand.client.post(
        "/logs?source=site-a", data="<a/>", headers={**bearer(), "Content-Type": "text/xml"}
    )

    assert answer.status == 415
    assert "text/plain or application/x-ndjson" in await answer.text()


@pytest.mark.parametrize(
    ("body", "content_type", "sentence"),
    [
        (b"{", "application/json", "the body is not JSON"),
        (b"[1]", "application/json", 'no list "streams"'),
        (b'{"streams": [1]}', "application/json", 'streams[0] has no list "values"'),
        (b'{"streams": [{"values": [["1"]]}]}', "application/json", "streams[0].values"),
        (b"[" * 100_000, "application/json", "the body is not JSON"),
        (b"not snappy", "application/x-protobuf", "not one raw snappy block"),
        (snappy(b"\xff\xff\xff"), "application/x-protobuf", "no PushRequest"),
        (b"\xff\xff\xff\xff\x0f", "application/x-protobuf", "unpacks to 4294967295 bytes"),
    ],
)
async def test_a_body_that_can_never_be_right_is_refused_with_a_sentence(
    stand: Stand, body: bytes, content_type: str, sentence: str
) -> None:
    answer = await stand.client.post(
        "/loki/api/v1/push", data=body, headers={**bearer(), "Content-Type": content_type}
    )

    assert answer.status == 400
    assert sentence in await answer.text()


async def test_a_body_is_bounded_also_where_it_is_compressed(stand: Stand) -> None:
    bomb = gzip.compress(b"\n" * (MOST_BYTES + 1))
    packed = {**text(), "Content-Encoding": "gzip"}

    unpacked = await stand.client.post("/logs?source=site-a", data=bomb, headers=packed)
    snapped = await stand.client.post(
        "/loki/api/v1/push",
        data=snappy(b"\n" * (MOST_BYTES + 1)),
        headers={**bearer(), **PROTOBUF},
    )

    assert len(bomb) < 100_000
    assert unpacked.status == 413
    assert "send smaller ones" in await unpacked.text()
    assert snapped.status == 400


async def test_a_damaged_gzip_body_is_the_senders_fault(stand: Stand) -> None:
    headers = {**text(), "Content-Encoding": "gzip"}

    answer = await stand.client.post("/logs?source=site-a", data=b"plain", headers=headers)

    assert answer.status == 400


async def test_a_newline_inside_a_line_makes_no_second_line(stand: Stand) -> None:
    body = loki_json(f"harmless\n{REFUSED}")

    await stand.client.post(
        "/loki/api/v1/push", data=body, headers={**bearer(), "Content-Type": "application/json"}
    )
    stats = stand.logs.stats["push:site-a"]

    assert stats.line_count == 1


async def until(condition: Callable[[], object], within_s: float = 30) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await SystemClock().sleep(0.01)


async def test_the_answer_waits_until_the_store_can_write(stand: Stand) -> None:
    await stand.client.post("/logs?source=site-a", data=REFUSED, headers=text())
    async with stand.store.writing():  # as another process would hold it
        pending = asyncio.gather(
            stand.client.post("/logs?source=site-a", data=REFUSED, headers=text())
        )
        await SystemClock().sleep(0.3)
        held = pending.done()
    [answer] = await pending

    assert not held
    assert answer.status == 204
    assert stand.count() == 2


async def test_lines_that_were_refused_are_not_counted_later(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    async with asyncio.TaskGroup() as tasks, stand.client:
        running = tasks.create_task(stand.logs.run())
        await stand.client.post("/logs?source=site-a", data=REFUSED, headers=text())
        await stand.store.close()

        refused = await stand.client.post("/logs?source=site-a", data=REFUSED, headers=text())
        sentence = await refused.text()
        await stand.store.open()
        await until(lambda: not stand.logs.store_fault, within_s=30)
        again = await stand.client.post("/logs?source=site-a", data=REFUSED, headers=text())
        running.cancel()

    assert refused.status == 503
    assert refused.headers["Retry-After"] == "5"
    assert "the lines could not be stored" in sentence
    assert again.status == 204
    assert stand.count() == 2


async def test_too_many_deliveries_at_once_are_told_to_come_again(tmp_path: Path) -> None:
    stand = Stand(tmp_path)  # which does not read
    send: Callable[[], Awaitable[object]] = lambda: stand.client.post(  # noqa: E731 - said twice
        "/logs?source=site-a", data=REFUSED, headers=text()
    )
    async with stand.client, asyncio.TaskGroup() as tasks:
        waiting = [tasks.create_task(_ignore(send())) for _ in range(64)]
        source = stand.logs.push_sources["site-a"]
        await until(lambda: source.is_full)

        answer = await stand.client.post("/logs?source=site-a", data=REFUSED, headers=text())

        for task in waiting:
            task.cancel()

    assert answer.status == 429
    assert answer.headers["Retry-After"] == "5"


async def _ignore(sent: Awaitable[object]) -> None:
    await sent


async def test_a_delivery_that_is_not_durable_in_time_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs_push, "_DURABLE_S", 0.05)
    stand = Stand(tmp_path)  # which does not read

    async with stand.client:
        answer = await stand.client.post("/logs?source=site-a", data=REFUSED, headers=text())
        sentence = await answer.text()

    assert answer.status == 503
    assert "not durable" in sentence


def test_what_is_not_durable_is_answered_after_twenty_seconds(tmp_path: Path) -> None:
    app = Stand(tmp_path).app()  # which does not read

    post = answer_to_post(app, "/logs?source=site-a", TOKEN, REFUSED.encode())
    answer, took_s = in_no_time(post)

    assert answer.startswith("HTTP/1.1 503 ")
    assert "the lines were not durable within 20 s" in answer
    assert took_s == pytest.approx(20.0)


async def test_deliveries_that_wait_when_the_source_goes_are_answered(stand: Stand) -> None:
    await stand.client.post("/logs?source=site-a", data=REFUSED, headers=text())
    source = stand.logs.push_sources["site-a"]
    with patch.object(source, "push", wraps=source.push) as begun:
        async with stand.store.writing():
            pending = [
                asyncio.ensure_future(  # noqa: TID251 - a request that is under way
                    stand.client.post("/logs?source=site-a", data=REFUSED, headers=text())
                )
                for _ in range(2)
            ]
            # One is on its way to the store, the other waits for its turn
            await until(lambda: begun.call_count == 2 and source._waiting.qsize() == 1)
            stand.logs.read(stand.options[1:])
            await until(source._waiting.empty)
    answers = [await request for request in pending]

    assert sorted(answer.status for answer in answers) in ([204, 204], [204, 503])


# The bodies themselves


def test_lines_keep_bytes_that_are_no_text() -> None:
    body = snappy(push_request("abc").replace(b"abc", b"a\xff\x00"))

    assert lines_of_protobuf(body, most_bytes=1_000) == [b"a\xff\x00"]


def test_a_lone_surrogate_in_json_is_replaced() -> None:
    assert lines_of_json(loki_json("x").replace(b'"x"', b'"\\ud800"')) == [b"?"]


def test_an_empty_block_holds_nothing() -> None:
    assert lines_of_protobuf(snappy(b""), most_bytes=10) == []


def test_lines_are_whole() -> None:
    assert joined([b"a", b"b\r\n", b"c\nd", b""]) == b"a\nb\nc\\nd\n\n"


def test_json_that_is_no_object_has_a_sentence() -> None:
    with pytest.raises(BodyError, match="see the Loki push API"):
        lines_of_json(b"7")
