"""The client against a real server at which things go wrong."""

import asyncio
import gzip
import json
import logging
import select
import socket
import ssl
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from exporter.gateway.api import GatewayError, GatewayReason
from exporter.gateway.failures import Attempt
from exporter.gateway.failures import failure_of as failure_of_exception
from tests.daemons import free_port
from tests.fake_gateway import (
    FakeGateway,
    Handler,
    endless,
    gzip_bomb,
    hanging_up,
    html,
    redirecting,
    refused,
    refusing,
    resetting_mid_body,
    saying,
    stalling,
    stalling_mid_body,
)
from tests.gateway.apis import ASKING, CHANGE, SAFE, EagerClock, api_of
from tests.jumping_time import in_no_time, jumping_loop, timed

R = GatewayReason
TOKEN = "s3cr3t-t0k3n"  # noqa: S105 - the one that must not be seen


async def failure_of(url: str, call: str, **more: Any) -> GatewayError:
    api, _ = api_of(url, **more)
    with pytest.raises(GatewayError) as caught:
        await ASKING[call](api)
    return caught.value


NONSENSE: list[tuple[str, Handler]] = [
    ("html", html()),
    ("half_json", saying('{"serving": {"version": 2, "finger')),
    ("other_json", saying('{"hello": "world"}')),
    ("a_list", saying("[]")),
    ("wrong_types", saying('{"operationId": 7, "toVersion": "one", "status": "SUCCESS"}')),
    ("error_inside", saying('{"error": {"code": "broken", "message": "Sorry."}}')),
    ("wrong_content_type", saying("{}", "text/plain")),
    ("wrong_charset", saying("{}", "application/json; charset=utf-16")),
    ("too_large", saying(b" " * 10_000_000)),
    ("endless", endless()),
    ("gzip_bomb", gzip_bomb(300_000_000)),
    ("not_gzip", saying("{}", headers={"Content-Encoding": "gzip"})),
    ("brotli", saying("{}", headers={"Content-Encoding": "br"})),
    ("redirect", redirecting("https://elsewhere.example/?token=1")),
    ("created", saying("{}", status=201)),
    ("not_modified", saying("", status=304)),
]


@pytest.mark.parametrize("call", [SAFE, CHANGE])
@pytest.mark.parametrize("fault", [pytest.param(fault, id=name) for name, fault in NONSENSE])
async def test_nonsense_is_no_answer_and_leaves_a_change_unknown(
    gateway: FakeGateway, url: str, fault: Handler, call: str
) -> None:
    gateway.script(call, fault)

    error = await failure_of(url, call)

    assert error.reason is R.NONSENSE
    assert error.is_outcome_unknown == (call == CHANGE)
    assert error.retryable == (call == SAFE)
    assert len(gateway.asked(call)) == 1


def limit_s_of(reason: GatewayReason) -> float:
    """Short only where it is waited for: a busy machine does not answer at once."""
    return 0.5 if reason is R.TIMEOUT else 30.0


@pytest.mark.parametrize(
    ("fault", "reason", "is_unknown"),
    [
        pytest.param(refusing(400), R.REFUSED, False, id="400"),
        pytest.param(refusing(401), R.UNAUTHORIZED, False, id="401"),
        pytest.param(refusing(403), R.UNAUTHORIZED, False, id="403"),
        pytest.param(refusing(404), R.NOT_FOUND, False, id="404"),
        pytest.param(html(404), R.NOT_FOUND, False, id="404_html"),
        pytest.param(refusing(408), R.TIMEOUT, True, id="408"),
        pytest.param(refusing(409, "in_progress"), R.CONFLICT, True, id="409_running"),
        pytest.param(refusing(409, "operation_number_too_low"), R.CONFLICT, False, id="409"),
        pytest.param(refusing(412), R.PRECONDITION_FAILED, False, id="412"),
        pytest.param(refusing(422), R.REFUSED, False, id="422"),
        pytest.param(refusing(500), R.FAILED, True, id="500"),
        pytest.param(refusing(501), R.REFUSED, False, id="501"),
        pytest.param(html(502), R.FAILED, True, id="502_html"),
        pytest.param(refusing(503, Retry_After=1), R.FAILED, True, id="503"),
        pytest.param(stalling(), R.TIMEOUT, True, id="slow"),
        pytest.param(stalling_mid_body(), R.TIMEOUT, True, id="slow_body"),
        pytest.param(hanging_up(), R.UNREACHABLE, True, id="hung_up"),
        pytest.param(resetting_mid_body(), R.UNREACHABLE, True, id="reset"),
    ],
)
async def test_a_change_is_sent_once_and_its_outcome_unknown_unless_it_was_refused(
    gateway: FakeGateway, url: str, fault: Handler, reason: GatewayReason, is_unknown: bool
) -> None:
    gateway.script(CHANGE, fault)

    error = await failure_of(url, CHANGE, change_timeout=limit_s_of(reason))

    assert (error.reason, error.is_outcome_unknown) == (reason, is_unknown)
    assert len(gateway.asked(CHANGE)) == 1


class HoldingClock(EagerClock):
    """Lets the loop's time stand still, after a pause, until the next request has arrived."""

    async def sleep(self, seconds: float) -> None:
        jumping_loop().hold()


@pytest.mark.parametrize(("call", "tries", "wanted_s"), [(SAFE, 3, 9.0), (CHANGE, 1, 20.0)])
def test_an_answer_is_waited_for_as_long_as_it_is_configured(
    call: str, tries: int, wanted_s: float
) -> None:
    async def stall(_request: web.Request) -> web.StreamResponse:
        jumping_loop().release()
        await asyncio.Event().wait()
        raise AssertionError("nobody sets it")

    async def failure() -> tuple[GatewayError, float]:
        gateway = FakeGateway()
        gateway.script(call, *[stall] * tries)
        limits = {"timeout": 3, "change_timeout": 20}
        async with gateway.serving() as url:
            jumping_loop().hold()
            return await timed(failure_of(url, call, clock=HoldingClock(), **limits))

    error, took_s = in_no_time(failure())

    assert error.reason is R.TIMEOUT
    assert took_s == pytest.approx(wanted_s)


@pytest.mark.parametrize(("change_timeout", "wanted_s"), [(4, 2.0), (20, 10.0), (60, 10.0)])
def test_a_connection_has_half_of_the_time_and_ten_seconds_at_most(
    change_timeout: int, wanted_s: float
) -> None:
    with (
        socket.create_server(("127.0.0.1", 0), backlog=0) as full,
        socket.create_connection(full.getsockname()),
    ):
        select.select([full], [], [], 30)  # the only place of its queue is taken from now on
        url = f"http://127.0.0.1:{full.getsockname()[1]}"
        clock = EagerClock()
        failure = failure_of(url, CHANGE, clock=clock, change_timeout=change_timeout)
        _, took_s = in_no_time(timed(failure))

    assert took_s == pytest.approx(wanted_s * (1 + len(clock.slept_s)))


async def test_no_library_sends_a_change_again_behind_our_back(
    gateway: FakeGateway, url: str
) -> None:
    gateway.script("configure", hanging_up())  # PUT counts as idempotent

    error = await failure_of(url, "configure")

    assert error.is_outcome_unknown
    assert len(gateway.asked("configure")) == 1


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        pytest.param(refusing(500), R.FAILED, id="500"),
        pytest.param(html(502), R.FAILED, id="502_html"),
        pytest.param(refusing(503, Retry_After=1), R.FAILED, id="503"),
        pytest.param(refusing(429, Retry_After=1), R.RATE_LIMITED, id="429"),
        pytest.param(refusing(408), R.TIMEOUT, id="408"),
        pytest.param(stalling(), R.TIMEOUT, id="slow"),
        pytest.param(hanging_up(), R.UNREACHABLE, id="hung_up"),
        pytest.param(resetting_mid_body(), R.UNREACHABLE, id="reset"),
    ],
)
async def test_a_question_is_asked_again_where_that_can_help(
    gateway: FakeGateway, url: str, fault: Handler, reason: GatewayReason
) -> None:
    gateway.script(SAFE, fault, fault)
    clock = EagerClock()
    api, client = api_of(url, clock, timeout=limit_s_of(reason))

    await api.certificates()

    assert len(gateway.asked(SAFE)) == 3
    assert len(clock.slept_s) == 2
    assert client.stats.failure_counts == {(SAFE, reason): 2}
    assert client.stats.request_counts == {SAFE: 3}
    assert client.stats.last_success_at == {SAFE: clock.now()}


async def test_a_question_is_asked_three_times_and_no_more(gateway: FakeGateway, url: str) -> None:
    gateway.script(SAFE, *[refusing(500)] * 9)
    clock = EagerClock()
    api, client = api_of(url, clock)

    with pytest.raises(GatewayError):
        await api.certificates()

    assert len(gateway.asked(SAFE)) == 3
    assert clock.slept_s == [0.5, 2.0]
    assert client.stats.last_success_at == {}


async def test_a_change_that_was_not_taken_on_is_sent_again_with_the_same_key(
    gateway: FakeGateway, url: str
) -> None:
    gateway.script(CHANGE, refusing(429, Retry_After=2))
    clock = EagerClock()
    api, _ = api_of(url, clock)

    await ASKING[CHANGE](api)

    first, second = gateway.asked(CHANGE)
    assert clock.slept_s == [2.0]
    assert first.body == second.body
    for name in ("idempotency-key", "if-match", "operation-number"):
        assert first.headers[name] == second.headers[name]


async def test_a_change_is_tried_again_while_nobody_listens_and_nothing_is_unknown() -> None:
    clock = EagerClock()
    api, _ = api_of(f"http://127.0.0.1:{free_port()}", clock)

    with pytest.raises(GatewayError) as caught:
        await ASKING[CHANGE](api)

    assert caught.value.reason is R.UNREACHABLE
    assert not caught.value.is_outcome_unknown
    assert clock.slept_s == [0.5, 2.0]


async def test_a_host_that_does_not_take_connections_is_given_up_in_time() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(deaf.getsockname())
        api, _ = api_of(f"http://127.0.0.1:{deaf.getsockname()[1]}", change_timeout=4)

        with pytest.raises(GatewayError) as caught:
            await ASKING[CHANGE](api)
        for one in waiting:
            one.close()

    assert caught.value.reason is R.TIMEOUT
    assert not caught.value.is_outcome_unknown


async def test_a_name_that_cannot_be_resolved_is_unreachable() -> None:
    error = await failure_of("http://nowhere.invalid", SAFE)

    assert error.reason is R.UNREACHABLE


async def test_what_does_not_speak_http_is_nonsense(gateway: FakeGateway) -> None:
    async def banner(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(banner, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]

        error = await failure_of(f"http://127.0.0.1:{port}", CHANGE)

    assert error.reason is R.NONSENSE
    assert error.is_outcome_unknown


async def test_who_wants_to_be_left_alone_for_longer_is_left_alone(
    gateway: FakeGateway, url: str
) -> None:
    gateway.script(SAFE, refusing(429, Retry_After=120))
    clock = EagerClock()
    api, _ = api_of(url, clock)

    for left_s in (120.0, 60.0):
        with pytest.raises(GatewayError) as caught:
            await api.certificates()
        assert caught.value.reason is R.RATE_LIMITED
        assert caught.value.retry_after_s == left_s
        await clock.advance(60)

    assert len(gateway.asked(SAFE)) == 1
    await api.trust_status()  # another call was not complained about
    await api.certificates()
    assert len(gateway.asked(SAFE)) == 2


async def test_no_limit_keeps_a_change_from_being_tried(gateway: FakeGateway, url: str) -> None:
    gateway.script(CHANGE, refusing(429, Retry_After=3_000))
    api, _ = api_of(url)
    with pytest.raises(GatewayError):
        await ASKING[CHANGE](api)

    await ASKING[CHANGE](api)

    assert len(gateway.asked(CHANGE)) == 2


async def test_a_refusal_names_code_devices_and_the_platforms_sentence(
    gateway: FakeGateway, url: str
) -> None:
    gateway.script(
        "rotate", refusing(422, "refused", "2 devices would refuse it.", devices=["a", "b"])
    )

    error = await failure_of(url, "rotate")

    assert (error.code, error.devices) == ("refused", ("a", "b"))
    assert str(error) == (
        "refused: rotate was answered with status 422: 'refused: 2 devices would refuse it.'"
    )


async def test_a_redirect_is_named_by_its_host_alone_and_not_followed(
    gateway: FakeGateway, url: str
) -> None:
    other = FakeGateway()
    async with other.serving() as elsewhere:
        gateway.script(SAFE, redirecting(f"{elsewhere}/gateway/certificates?key=hidden"))

        error = await failure_of(url, SAFE)

    assert other.seen == []
    assert "redirects are not followed" in str(error)
    assert "hidden" not in str(error)


async def test_the_token_is_in_no_error_log_or_repr(
    gateway: FakeGateway, url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    (tmp_path / "token").write_text(f"{TOKEN}\n")

    def echo() -> web.Response:
        return refused(422, TOKEN, f"Bearer {TOKEN}? No." * 100, devices=[TOKEN])

    async def echoing(_request: web.Request) -> web.StreamResponse:
        return echo()

    inside = f'{{"error": {{"code": "{TOKEN}", "message": "{TOKEN}"}}}}'
    for fault in (echoing, saying(inside), saying("", TOKEN), redirecting(f"http://{TOKEN}/")):
        gateway.script(CHANGE, fault)
        api, client = api_of(url, token_file=tmp_path / "token")
        with pytest.raises(GatewayError) as caught:
            await ASKING[CHANGE](api)
        error = caught.value
        told = (
            f"{error!r} {error} {error.code} {error.devices} {error.__dict__} {api!r} {client!r}"
        )
        assert TOKEN not in told

    assert gateway.seen[0].headers["authorization"] == f"Bearer {TOKEN}"
    assert TOKEN not in caplog.text


async def test_a_token_that_ran_out_is_renewed_from_its_file(
    gateway: FakeGateway, url: str, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text("old")
    gateway.token = "old"  # noqa: S105 - of a fake
    api, client = api_of(url, token_file=file)
    await api.certificates()

    gateway.token = "new"  # noqa: S105 - of a fake
    with pytest.raises(GatewayError) as caught:
        await api.certificates()
    assert caught.value.reason is R.UNAUTHORIZED
    assert not caught.value.retryable
    file.write_text("new\n")
    await api.certificates()

    shown = [one.headers["authorization"] for one in gateway.asked(SAFE)]
    assert shown == ["Bearer old", "Bearer old", "Bearer new"]
    assert client.stats.failure_counts == {(SAFE, R.UNAUTHORIZED): 1}


async def test_a_token_renewed_while_it_was_refused_is_shown_at_once(
    gateway: FakeGateway, url: str, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text("old")

    async def renewing(_request: web.Request) -> web.StreamResponse:
        file.write_text("new")
        return refused(401, "unauthorized", "The token ran out.")

    gateway.script(CHANGE, renewing)
    api, _ = api_of(url, token_file=file)

    await ASKING[CHANGE](api)

    shown = [one.headers["authorization"] for one in gateway.asked(CHANGE)]
    assert shown == ["Bearer old", "Bearer new"]


@pytest.mark.parametrize("content", [None, "", "two\nlines", "ümlaut", "x" * 70_000])
async def test_nothing_is_sent_without_a_usable_token(
    gateway: FakeGateway, url: str, tmp_path: Path, content: str | None
) -> None:
    if content is not None:
        (tmp_path / "token").write_text(content)

    error = await failure_of(url, SAFE, token_file=tmp_path / "token")

    assert error.reason is R.CREDENTIALS
    assert str(tmp_path / "token") in str(error)
    assert gateway.seen == []
    assert not content or content not in str(error)


async def test_a_packed_answer_is_unpacked(gateway: FakeGateway, url: str) -> None:
    body = gzip.compress(json.dumps(gateway.answers[SAFE]).encode())
    gateway.script(SAFE, saying(body, headers={"Content-Encoding": "gzip"}))
    api, _ = api_of(url)

    told = await api.certificates()

    assert told.serving.version == 2
    gateway.script(SAFE, saying(body[:-20], headers={"Content-Encoding": "gzip"}))
    assert (await failure_of(url, SAFE)).reason is R.NONSENSE


async def test_the_clock_offset_is_told_by_the_answers_date(
    gateway: FakeGateway, url: str
) -> None:
    date = {"Date": "Tue, 24 Nov 2026 11:58:00 GMT"}
    clock = EagerClock()  # 12:00:00
    api, _ = api_of(url, clock)
    assert api.clock_offset_s is None

    gateway.script(SAFE, saying("", "text/plain", 500, headers=date))
    await api.certificates()
    gateway.script(SAFE, saying("{}", headers=date))
    with pytest.raises(GatewayError):
        await api.certificates()

    assert api.clock_offset_s == 119.5


@pytest.mark.parametrize("date", ["yesterday", "", "Tue, 24 Nov 2026 11:58:00"])
async def test_a_date_that_is_none_says_nothing(gateway: FakeGateway, url: str, date: str) -> None:
    gateway.script(SAFE, saying("{}", headers={"Date": date}))
    api, _ = api_of(url)

    with pytest.raises(GatewayError):
        await api.certificates()

    assert api.clock_offset_s is None


async def test_the_base_url_may_have_a_path_and_end_in_a_slash(
    gateway: FakeGateway, url: str
) -> None:
    api, _ = api_of(f"{url}/")

    await api.certificates()

    assert len(gateway.asked(SAFE)) == 1


async def test_an_error_of_megabytes_is_told_by_its_status(gateway: FakeGateway, url: str) -> None:
    gateway.script(CHANGE, saying(b" " * 10_000_000, status=422))

    error = await failure_of(url, CHANGE)

    assert error.reason is R.REFUSED
    assert len(str(error)) < 300


async def test_a_token_lost_while_it_was_refused_leaves_the_refusal(
    gateway: FakeGateway, url: str, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text("old")

    async def losing(_request: web.Request) -> web.StreamResponse:
        file.unlink()
        return refused(401, "unauthorized", "The token ran out.")

    gateway.script(SAFE, losing)

    error = await failure_of(url, SAFE, token_file=file)

    assert error.reason is R.UNAUTHORIZED
    assert "The token ran out." in str(error)


def test_a_tls_error_behind_another_is_found() -> None:
    def attempt(*, is_tls: bool) -> Attempt:
        return Attempt(call=CHANGE, is_change=True, is_tls=is_tls, limit_s=1)

    alert = aiohttp.ClientOSError(1, "closed")
    alert.__cause__ = ssl.SSLError(1, "[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED]")

    refused_so = failure_of_exception(alert, attempt(is_tls=True))
    hung_up = failure_of_exception(aiohttp.ServerDisconnectedError(), attempt(is_tls=True))

    assert (refused_so.reason, refused_so.is_outcome_unknown) == (R.TLS, True)
    assert "a client certificate is wanted" in str(hung_up)
