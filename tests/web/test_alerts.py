"""The webhook over real connections: who may, what is taken, and that 202 means durable."""

import asyncio
import base64
import gzip
import io
import logging
import sqlite3
from collections.abc import AsyncIterator
from functools import cached_property
from pathlib import Path

import bcrypt
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from exporter.clock import SystemClock
from exporter.store import Store
from exporter.web import alerts as module
from exporter.web import bodies
from exporter.web.alerts import Alerts, Askers
from exporter.web.auth import Passwords
from exporter.webhook.inbox import Inbox
from exporter.webhook.stats import WebhookStats
from tests.jumping_time import answer_to_post, in_no_time
from tests.webhook.bodies import alert, body

TOKEN, RENEWED = "of-alertmanager", "renewed"
PATH = "/webhook/alertmanager"


class Stand:
    """An endpoint with its inbox on a store in a file."""

    def __init__(self, folder: Path) -> None:
        self.token_file = folder / "token"
        self.token_file.write_text(TOKEN + "\n")
        self.database = folder / "state.db"
        self.store = Store(f"sqlite:///{self.database}")
        self.inbox = Inbox(self.store, SystemClock())
        self.stats = WebhookStats(lambda: None)
        self.askers = Askers(token_file=self.token_file, passwords=Passwords({}))
        self.alerts = Alerts(
            self.inbox, self.stats, askers=lambda: self.askers, gateways=lambda: {"gw-1"}
        )

    def app(self) -> web.Application:
        made = web.Application()
        for method, path, handler in self.alerts.routes():
            made.router.add_route(method, path, handler)
        return made

    @cached_property
    def client(self) -> TestClient[web.Request, web.Application]:
        return TestClient(TestServer(self.app()))

    async def post(
        self, data: bytes, token: str | None = TOKEN, **more: object
    ) -> tuple[int, str]:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        given = {"headers": headers, **more}
        async with self.client.post(PATH, data=io.BytesIO(data), **given) as response:  # type: ignore[arg-type] # as the caller knows
            return response.status, await response.text()

    def samples(self) -> set[str]:
        families = ("deliveries", "alerts")
        lines = [self.stats.lines_of(f"fleet_tls_webhook_{name}_total") for name in families]
        return {line.decode().strip() for some in lines for line in some}


def basic(pair: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Stand]:
    made = Stand(tmp_path)
    await made.store.open()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(made.inbox.run())
        async with made.client:
            yield made
        running.cancel()
    await made.store.close()


async def test_a_delivery_is_durable_when_it_is_answered(stand: Stand) -> None:
    status, text = await stand.post(body(alert(1), alert(2, gateway="gw-9")))

    assert (status, text) == (202, '{"accepted": 1, "duplicate": 0, "ignored": 1}')
    with sqlite3.connect(stand.database) as other:
        assert other.execute("SELECT count(*) FROM webhook_alert").fetchone() == (2,)
    assert 'fleet_tls_webhook_deliveries_total{answer="accepted"} 1' in stand.samples()
    assert 'fleet_tls_webhook_alerts_total{outcome="ignored"} 1' in stand.samples()


async def test_a_compressed_delivery_is_taken(stand: Stand) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Encoding": "gzip"}

    status, _ = await stand.post(gzip.compress(body(alert(1))), headers=headers)

    assert status == 202


@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN + "x", TOKEN.upper()])
async def test_without_the_right_token_nothing_is_read(stand: Stand, token: str | None) -> None:
    # The body would be refused as no JSON, if anybody looked at it
    status, text = await stand.post(b"{", token)

    assert status == 401
    assert "credential" in text
    assert 'fleet_tls_webhook_deliveries_total{answer="unauthorized"} 1' in stand.samples()


async def test_a_token_in_the_query_opens_nothing(stand: Stand) -> None:
    async with stand.client.post(f"{PATH}?token={TOKEN}", data=body(alert(1))) as response:
        assert response.status == 401


async def test_a_changed_token_file_counts_at_once(stand: Stand) -> None:
    stand.token_file.write_text(RENEWED)

    assert (await stand.post(body(alert(1))))[0] == 401
    assert (await stand.post(body(alert(1)), RENEWED))[0] == 202


async def test_an_empty_token_file_opens_nothing(stand: Stand) -> None:
    stand.token_file.write_text("\n")

    assert (await stand.post(body(alert(1)), ""))[0] == 401


async def test_a_user_with_a_password_may_ask(stand: Stand) -> None:
    hashed = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
    stand.askers = Askers(passwords=Passwords({"alertmanager": hashed}))

    right = await stand.post(body(alert(1)), headers=basic("alertmanager:secret"))
    wrong = await stand.post(body(alert(1)), headers=basic("alertmanager:guess"))

    assert (right[0], wrong[0]) == (202, 401)


async def test_with_no_credential_configured_it_is_closed(stand: Stand) -> None:
    stand.askers = Askers(passwords=Passwords({}))

    status, text = await stand.post(body(alert(1)))

    assert status == 403
    assert "webhook.token_file" in text


async def test_a_client_certificate_is_enough_where_nothing_else_is_configured(
    stand: Stand,
) -> None:
    stand.askers = Askers(passwords=Passwords({}), has_client_ca=True)

    assert (await stand.post(body(alert(1)), None))[0] == 202


async def test_a_token_is_needed_beside_the_client_certificate_where_one_is_configured(
    stand: Stand,
) -> None:
    stand.askers = Askers(token_file=stand.token_file, passwords=Passwords({}), has_client_ca=True)

    assert (await stand.post(body(alert(1)), None))[0] == 401


async def test_only_the_networks_of_the_list_may_ask(stand: Stand) -> None:
    kept = stand.askers
    stand.askers = Askers(
        token_file=kept.token_file, passwords=kept.passwords, networks=("10.1.0.0/16",)
    )
    outside = await stand.post(body(alert(1)))
    stand.askers = Askers(
        token_file=kept.token_file, passwords=kept.passwords, networks=("127.0.0.0/8", "::/0")
    )
    inside = await stand.post(body(alert(1)))

    assert (outside[0], inside[0]) == (403, 202)


@pytest.mark.parametrize(
    ("data", "status", "sentence"),
    [
        (b"", 400, "this is not JSON"),
        (b"[" * 100_000, 400, "this is not JSON"),
        (body(version="3"), 422, "version '3'"),
        (b'{"text": "disk full"}', 422, "version"),
        (b" " * (17 << 20), 413, "at most 16777216 bytes"),
        (gzip.compress(b" " * (17 << 20)), 413, "at most 16777216 bytes"),
    ],
    ids=[
        "nothing",
        "deep nesting",
        "another version",
        "a payload of one's own",
        "oversized",
        "a bomb in gzip",
    ],
)
async def test_what_can_never_become_valid_is_refused_with_a_sentence(
    stand: Stand, data: bytes, status: int, sentence: str
) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    if data.startswith(b"\x1f\x8b"):
        headers["Content-Encoding"] = "gzip"

    answered = await stand.post(data, headers=headers)

    assert answered[0] == status
    assert sentence in answered[1]
    assert 'fleet_tls_webhook_deliveries_total{answer="invalid"} 1' in stand.samples()


async def test_what_comes_back_every_group_interval_is_logged_once(
    stand: Stand, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            await stand.post(body(version="3"))

    assert len([one for one in caplog.records if "was refused" in one.message]) == 1
    assert TOKEN not in caplog.text


async def test_while_the_store_cannot_write_alertmanager_is_told_to_come_again(
    stand: Stand,
) -> None:
    await stand.store.close()

    status, text = await stand.post(body(alert(1)))

    assert status == 503
    assert "not open" in text
    assert 'fleet_tls_webhook_deliveries_total{answer="unavailable"} 1' in stand.samples()


async def test_a_store_that_takes_too_long_is_answered_before_alertmanager_gives_up(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_DURABLE_S", 0.05)
    other = sqlite3.connect(stand.database)
    other.execute("BEGIN IMMEDIATE")

    status, text = await stand.post(body(alert(1)))
    other.rollback()
    other.close()

    assert status == 503
    assert "was not durable" in text


async def test_a_body_that_drips_is_given_up(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "_BODY_S", 0.1)

    async def dripping() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with stand.client.post(PATH, data=dripping(), headers=headers) as response:
        assert response.status == 408
        assert "did not come in" in await response.text()
    assert 'fleet_tls_webhook_deliveries_total{answer="unavailable"} 1' in stand.samples()


def answer_of(stand: Stand, sent: bytes, length: int) -> tuple[str, float]:
    """What an endpoint whose inbox writes nothing answers, and after how many seconds."""
    answer = answer_to_post(stand.app(), PATH, TOKEN, sent, length=length)
    return in_no_time(answer)


def test_what_is_not_durable_is_answered_after_eight_seconds_where_alertmanager_has_ten(
    tmp_path: Path,
) -> None:
    sent = body(alert(1))

    answer, took_s = answer_of(Stand(tmp_path), sent, len(sent))

    assert answer.startswith("HTTP/1.1 503 ")
    assert "it was not durable within 8 s" in answer
    assert took_s == pytest.approx(8.0)


def test_a_body_that_does_not_end_is_given_up_after_half_a_minute(tmp_path: Path) -> None:
    answer, took_s = answer_of(Stand(tmp_path), b"{", 100)

    assert answer.startswith("HTTP/1.1 408 ")
    assert "the body did not come in 30 s" in answer
    assert took_s == pytest.approx(30.0)


async def test_a_delivery_of_forty_megabytes_holds_up_nobody(stand: Stand) -> None:
    async def small() -> int:
        return (await stand.post(body(alert(1))))[0]

    async with asyncio.TaskGroup() as tasks:
        large = tasks.create_task(stand.post(b"x" * (40 << 20)))
        others = [tasks.create_task(small()) for _ in range(20)]

    assert large.result()[0] == 413
    assert [one.result() for one in others] == [202] * 20
