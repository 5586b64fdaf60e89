"""``/probe`` against real listeners, asked as Prometheus asks."""

import asyncio
import json
import socket
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.targets.entries import SYSTEM_STORE
from exporter.web import probe_endpoint
from exporter.web.server import Server
from tests.jumping_time import found_at, in_no_time, read_to_end, timed, unix_listener
from tests.listeners import demand_client_certificate, listening, say_nothing, server_context
from tests.pki import Issued, certificate_of, make_ca, make_leaf, utc
from tests.web.serving import (
    LIMITS,
    Endless,
    FakeService,
    gateway,
    joined_to,
    serving,
    store_of,
)

CA = make_ca("endpoint CA")
GOOD = make_leaf(CA, "gw.test")
STORE = store_of("fw", certificate_of(CA))
SYSTEM = store_of(SYSTEM_STORE, certificate_of(CA))


async def probe(
    url: str, *, within: str = "10", accept: str = "", **query: str
) -> tuple[int, str]:
    headers = {"X-Prometheus-Scrape-Timeout-Seconds": within, "Accept": accept}
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{url}/probe", params=query, headers=headers) as answer,
    ):
        return answer.status, await answer.text()


def values(text: str) -> dict[str, float]:
    """Samples without labels by name, others by the first label's value behind a colon."""
    return {
        sample.name + "".join(f":{value}" for value in list(sample.labels.values())[:1]): (
            sample.value
        )
        for family in parse_text(text)
        for sample in family.samples
    }


class Stand:
    """A TLS listener that is a target of a service, or is not."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open = AsyncExitStack()

    async def __aenter__(self) -> "Stand":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    async def serve(self, *chain: Issued, demands: Issued | None = None) -> int:
        context = server_context(self._folder, chain)
        if demands is not None:
            demand_client_certificate(context, demands)
        return await self._open.enter_async_context(listening(say_nothing, tls=context))

    async def silence(self) -> int:
        return await self._open.enter_async_context(listening(say_nothing))


async def test_a_target_of_the_inventory_is_looked_at_now(tmp_path: Path) -> None:
    async with Stand(tmp_path) as stand:
        port = await stand.serve(GOOD)
        target = gateway("gw-1", f"127.0.0.1:{port}", "fw", server_name="gw.test")
        service = FakeService(targets=[target], stores=[STORE])
        async with serving(service) as (url, _):
            status, text = await probe(url, target="gw-1", module="tls")

    found = values(text)
    assert status == 200
    assert found["probe_success"] == 1
    assert found["probe_ssl_earliest_cert_expiry"] == (
        GOOD.certificate.not_valid_after_utc.timestamp()
    )
    assert found["probe_tls_version_info:TLS 1.3"] == 1


EXPIRED = make_leaf(CA, "gw.test", not_before=utc("2020-01-01"), not_after=utc("2021-01-01"))
SELF_SIGNED = make_leaf(None, "gw.test")
OTHER_NAME = make_leaf(CA, "other.test")


@pytest.mark.parametrize(
    ("served", "demands", "reason"),
    [
        pytest.param(EXPIRED, None, "expired", id="expired"),
        pytest.param(SELF_SIGNED, None, "self_signed", id="self-signed"),
        pytest.param(OTHER_NAME, None, "hostname_mismatch", id="other name"),
        pytest.param(GOOD, CA, "client_cert_required", id="demands a certificate"),
    ],
)
async def test_dates_and_reason_are_there_when_it_is_no_success(
    served: Issued, demands: Issued | None, reason: str, tmp_path: Path
) -> None:
    async with Stand(tmp_path) as stand:
        port = await stand.serve(served, demands=demands)
        target = gateway("gw-1", f"127.0.0.1:{port}", "fw", server_name="gw.test")
        async with serving(FakeService(targets=[target], stores=[STORE])) as (url, _):
            _, text = await probe(url, target="gw-1")

    found = values(text)
    end = served.certificate.not_valid_after_utc.timestamp()
    assert found["probe_success"] == 0
    assert found[f"probe_failure_reason:{reason}"] == 1
    assert found["probe_ssl_earliest_cert_expiry"] == end
    assert found[f"ssl_cert_not_after:{served.certificate.serial_number}"] == end


async def test_the_answer_comes_in_openmetrics_when_it_is_asked_for(tmp_path: Path) -> None:
    async with Stand(tmp_path) as stand:
        port = await stand.serve(GOOD)
        target = gateway("gw-1", f"127.0.0.1:{port}", "fw", server_name="gw.test")
        async with serving(FakeService(targets=[target], stores=[STORE])) as (url, _):
            _, text = await probe(
                url, target="gw-1", accept="application/openmetrics-text;version=1.0.0"
            )

    names = {family.name for family in parse_openmetrics(text)}  # type: ignore[no-untyped-call]  # the parser has no types
    assert {"probe_success", "ssl_cert_not_after"} <= names


async def test_debug_shows_the_look_itself(tmp_path: Path) -> None:
    async with Stand(tmp_path) as stand:
        port = await stand.serve(GOOD)
        target = gateway("gw-1", f"127.0.0.1:{port}", "fw", server_name="wrong.test")
        async with serving(FakeService(targets=[target], stores=[STORE])) as (url, _):
            _, text = await probe(url, target="gw-1", debug="true")

    assert json.loads(text)["reasons"] == ["hostname_mismatch"]


async def test_an_address_that_is_neither_known_nor_allowed_is_not_touched() -> None:
    service = FakeService(stores=[SYSTEM])
    async with serving(service) as (url, _):
        status, text = await probe(url, target="127.0.0.1:22")

    assert status == 400
    assert text == (
        "the target '127.0.0.1:22' is neither in the inventory nor allowed by"
        " probe_endpoint.allow of the configuration\n"
    )
    assert service.looked == []


async def test_an_address_in_an_allowed_network_is_looked_at(tmp_path: Path) -> None:
    async with Stand(tmp_path) as stand:
        port = await stand.serve(GOOD)
        service = FakeService(stores=[SYSTEM], allow=["127.0.0.0/8"])
        async with serving(service) as (url, _):
            _, text = await probe(url, target=f"127.0.0.1:{port}", hostname="gw.test")

    assert values(text)["probe_success"] == 1


async def test_a_name_is_allowed_by_the_address_it_leads_to(tmp_path: Path) -> None:
    async with Stand(tmp_path) as stand:
        port = await stand.serve(make_leaf(CA, "localhost"))
        service = FakeService(stores=[SYSTEM], allow=["127.0.0.0/8"])
        async with serving(service) as (url, _):
            _, text = await probe(url, target=f"localhost:{port}")

    assert values(text)["probe_success"] == 1
    assert service.looked[0].host == "127.0.0.1"
    assert service.looked[0].server_name == "localhost"


async def test_a_name_that_leads_elsewhere_is_refused() -> None:
    service = FakeService(stores=[SYSTEM], allow=["10.0.0.0/8"])
    async with serving(service) as (url, _):
        status, _ = await probe(url, target="localhost:22")

    assert status == 400
    assert service.looked == []


async def test_a_name_that_leads_nowhere_is_refused() -> None:
    service = FakeService(stores=[SYSTEM], allow=["10.0.0.0/8"])
    async with serving(service) as (url, _):
        status, _ = await probe(url, target="no-such-host.invalid:22")

    assert status == 400


async def test_a_name_server_that_changes_its_mind_reaches_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, asked = socket.getaddrinfo, []

    def rebinding(host: str, *args: object, **wishes: object) -> object:
        if host != "rebind.test":
            return real(host, *args, **wishes)  # type: ignore[arg-type]  # passed on
        asked.append(host)
        return real("127.0.0.1" if len(asked) == 1 else "127.0.0.9", *args, **wishes)  # type: ignore[arg-type]  # passed on

    async with Stand(tmp_path) as stand:
        port = await stand.serve(make_leaf(CA, "rebind.test"))
        service = FakeService(stores=[SYSTEM], allow=["127.0.0.1"])
        async with serving(service) as (url, _):
            monkeypatch.setattr(socket, "getaddrinfo", rebinding)
            _, text = await probe(url, target=f"rebind.test:{port}")

    assert values(text)["probe_success"] == 1
    assert [endpoint.host for endpoint in service.looked] == ["127.0.0.1"]


async def test_a_name_that_is_allowed_itself_needs_no_network(tmp_path: Path) -> None:
    async with Stand(tmp_path) as stand:
        port = await stand.serve(make_leaf(CA, "localhost"))
        service = FakeService(stores=[SYSTEM], allow=["localhost"])
        async with serving(service) as (url, _):
            _, text = await probe(url, target=f"localhost:{port}")

    assert values(text)["probe_success"] == 1


async def test_a_silent_endpoint_is_told_before_prometheus_gives_up(tmp_path: Path) -> None:
    async with Stand(tmp_path) as stand:
        port = await stand.silence()
        target = gateway("gw-1", f"127.0.0.1:{port}", "fw")
        async with serving(FakeService(targets=[target], stores=[STORE])) as (url, _):
            began_s = asyncio.get_running_loop().time()
            status, text = await probe(url, target="gw-1", within="2")
            took_s = asyncio.get_running_loop().time() - began_s

    assert status == 200
    assert took_s < LIMITS.phase_s / 2  # rather than as long as a look may take
    assert values(text)["probe_failure_reason:handshake_timeout"] == 1


async def test_whoever_waits_for_a_place_waits_within_its_own_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe_endpoint, "AT_ONCE", 1)
    async with Stand(tmp_path) as stand:
        silent, good = await stand.silence(), await stand.serve(GOOD)
        service = FakeService(
            targets=[
                gateway("silent", f"127.0.0.1:{silent}", "fw"),
                gateway("good", f"127.0.0.1:{good}", "fw", server_name="gw.test"),
            ],
            stores=[STORE],
        )
        async with serving(service) as (url, _), asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(probe(url, target="silent", within="60"))
            await service.is_looking.wait()
            status, text = await probe(url, target="good", within="1")
            waiting.cancel()

    assert status == 200
    assert values(text)["probe_success"] == 0


async def probe_s(server: Server, name: str, *, within_s: int) -> tuple[str, float]:
    """What ``/probe`` answers, and after how many seconds of the loop."""
    async with joined_to(server) as client:
        request = (
            f"GET /probe?target={name} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
            f"X-Prometheus-Scrape-Timeout-Seconds: {within_s}\r\n\r\n"
        )
        await asyncio.get_running_loop().sock_sendall(client, request.encode())
        answer, took_s = await timed(read_to_end(client))
    head, _, text = answer.decode().partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 200 ")
    return text, took_s


@pytest.mark.parametrize(("within_s", "wanted_s"), [(1, 0.5), (2, 1.5), (10, 9.5), (600, 90.0)])
def test_a_look_without_end_is_told_when_its_time_is_over(within_s: int, wanted_s: float) -> None:
    async def seconds() -> tuple[str, float]:
        service = Endless(targets=[gateway("gw-1", "127.0.0.1:1", "fw")], stores=[STORE])
        async with serving(service) as (_, server):
            return await probe_s(server, "gw-1", within_s=within_s)

    text, took_s = in_no_time(seconds())

    assert values(text)["probe_failure_reason:handshake_timeout"] == 1
    assert took_s == pytest.approx(wanted_s)


@pytest.mark.parametrize(("within_s", "wanted_s"), [(1, 0.45), (2, 1.35), (600, 30.0)])
def test_a_silent_endpoint_is_told_with_some_of_the_time_left(
    within_s: int, wanted_s: float
) -> None:
    async def seconds() -> tuple[str, float]:
        service = FakeService(targets=[gateway("gw-1", "127.0.0.1:1", "fw")], stores=[STORE])
        async with serving(service) as (_, server):
            with unix_listener() as silent, found_at(silent):
                return await probe_s(server, "gw-1", within_s=within_s)

    text, took_s = in_no_time(seconds())

    assert values(text)["probe_failure_reason:handshake_timeout"] == 1
    assert took_s == pytest.approx(wanted_s)


def test_the_time_of_whoever_waits_for_a_place_runs_already(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(probe_endpoint, "AT_ONCE", 1)

    async def seconds() -> float:
        service = Endless(targets=[gateway("gw-1", "127.0.0.1:1", "fw")], stores=[STORE])
        async with serving(service) as (_, server), asyncio.TaskGroup() as tasks:
            first = tasks.create_task(probe_s(server, "gw-1", within_s=60))
            await service.is_looking.wait()
            _, took_s = await probe_s(server, "gw-1", within_s=2)
            first.cancel()
            return took_s

    assert in_no_time(seconds()) == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"target": "gw-1", "module": "nope"}, "the module 'nope' is not known"),
        ({}, "the parameter target is missing"),
        ({"target": "'; DROP TABLE targets;--"}, "has no port"),
        ({"target": "../../etc/passwd:1"}, "neither a name nor an IP address"),
        ({"target": "\u202etest:1"}, "\\u202e"),
        ({"target": "a" * 5_000}, "longer than 300 characters"),
        ({"target": "gw-1", "hostname": "\r\nX: y"}, "is not a DNS name or IP"),
    ],
)
async def test_hostile_questions_are_refused_with_a_sentence(
    query: dict[str, str], sentence: str
) -> None:
    service = FakeService(targets=[gateway("gw-1", "192.0.2.1:1", "fw")])
    async with serving(service) as (url, _):
        status, text = await probe(url, **query)

    assert status == 400
    assert sentence in text
    assert service.looked == []
