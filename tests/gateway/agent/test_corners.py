"""Terminators that hang or go silent, files that are wrong at the start, certificates renewed."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from unittest.mock import patch

import pytest

from exporter.clock import SystemClock
from exporter.errors import ConfigError
from exporter.gateway.agent.agent import run_agent
from exporter.gateway.agent.driver import Address, DriverError
from exporter.gateway.agent.looking import Looker, Thoroughness
from exporter.probe.client_files import read_pair
from exporter.web.tls import TlsFiles, tls_context
from tests.gateway.agent.stand import Json, embedded, options, running, until
from tests.gateway.agent.willful import WillfulDriver
from tests.listeners import demand_client_certificate, listening, server_context
from tests.pki import CLIENT_AUTH, certificate_of, make_ca, make_leaf

CA = make_ca()


async def hang(_folder: Path) -> None:
    await asyncio.Event().wait()


async def test_a_terminator_that_hangs_is_given_up_and_gone_back_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = WillfulDriver(embedded(tmp_path / "agent"))

    async def hang_within_a_short_limit(folder: Path) -> None:
        monkeypatch.undo()  # the way back has the usual limit
        await hang(folder)

    async with running(tmp_path, driver=driver) as agent:
        chain = await agent.new_chain()
        driver.applies = [hang_within_a_short_limit]
        monkeypatch.setattr("exporter.gateway.agent.changing._APPLY_S", 0.05)
        answer = await agent.rotate(chain)

    assert answer.body["status"] == "ROLLED_BACK"
    assert "the terminator did not take it on within 0.05 s" in answer.message


class Speechless(WillfulDriver):
    """Does not tell what it holds nor whether it runs, and cannot rehearse."""

    async def is_alive(self) -> bool:
        raise DriverError("the socket is gone")

    async def in_memory(self) -> str | None:
        raise DriverError("the socket is gone")

    @asynccontextmanager
    async def rehearse(self, folder: Path, address: Address) -> AsyncIterator[Address]:
        if self.is_mute:
            raise KeyError("a fault of the driver")
        yield address  # where nobody listens


async def test_what_a_terminator_holds_may_be_unknown(tmp_path: Path) -> None:
    driver = Speechless(embedded(tmp_path / "agent"))

    async with running(tmp_path, driver=driver) as agent:
        shown = await agent.certificates()

    assert shown["memory"] == {}
    assert shown["serving"]["version"] == 1


async def test_a_terminator_that_does_not_run_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    driver = Speechless(embedded(tmp_path / "agent"))

    async def is_told() -> bool:
        return "the terminator does not run, or does not answer" in caplog.text

    async with running(tmp_path, driver=driver):
        await until(is_told, "a word on it")


@pytest.mark.parametrize("is_mute", [True, False])
async def test_a_rehearsal_counts_only_when_it_is_seen(tmp_path: Path, is_mute: bool) -> None:
    driver = Speechless(embedded(tmp_path / "agent"))
    driver.is_mute = is_mute

    proof = {"rounds": 1, "within": "1s"}
    async with running(tmp_path, driver=driver, proof=proof) as agent:
        answer = await agent.post("/gateway/certificates/rehearse", {"targetVersion": 1})

    assert (answer.status, answer.code) == (500, "gateway_failed")
    assert answer.message.startswith("it is not served on the second port: ")


async def test_what_the_terminators_check_refuses_is_no_way_back(tmp_path: Path) -> None:
    driver = WillfulDriver(embedded(tmp_path / "agent"))
    driver.checks_refused = True

    async with running(tmp_path, driver=driver) as agent:
        answer = await agent.post("/gateway/certificates/rehearse", {"targetVersion": 1})

    assert (answer.status, answer.code) == (500, "gateway_failed")
    assert answer.message == (
        "it is not served on the second port: [emerg] unknown directive in nginx.conf:7"
    )


async def test_our_own_client_certificate_is_shown_in_a_proof(tmp_path: Path) -> None:
    server = make_leaf(CA, "gw.example")
    client = make_leaf(CA, "agent", purposes=(CLIENT_AUTH,))
    (tmp_path / "client.pem").write_bytes(client.pem)
    (tmp_path / "client.key").write_bytes(client.key_pem)
    context = server_context(tmp_path, [server])
    demand_client_certificate(context, CA)
    seen = []

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tls: ssl.SSLObject = writer.get_extra_info("ssl_object")
        seen.append(tls.getpeercert())
        await reader.read()

    looker = Looker(
        SystemClock(),
        Thoroughness(rounds=1, within_s=0),
        read_pair(tmp_path / "client.pem", tmp_path / "client.key"),
    )
    async with listening(wait, tls=context) as port:
        fault = await looker.fault(
            [Address(host="127.0.0.1", port=port)], [certificate_of(server)], of_each_kind=False
        )

        async def have_all_been_seen() -> bool:
            return len(seen) >= 8

        # The server hears the end of a handshake after the client does
        await until(have_all_been_seen, "eight clients")

    assert fault is None
    assert len(seen) == 8
    assert all(seen)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("first.key", make_leaf(CA, "x").key_pem, "does not hold the key of the first"),
        ("first.pem", b"nothing", "no certificate in PEM form"),
    ],
)
async def test_what_cannot_be_taken_on_is_refused_at_the_start(
    tmp_path: Path, name: str, content: bytes, sentence: str
) -> None:
    directory = tmp_path / "agent"
    driver = embedded(directory)
    made = options(directory)
    (tmp_path / "secrets" / name).write_bytes(content)

    with pytest.raises(ConfigError, match=sentence):
        await run_agent(made, SystemClock(), driver=driver)

    assert not (directory / "current").exists()


@pytest.mark.parametrize("name", ["versions", "keys", "scratch"])
async def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path, name: str) -> None:
    directory = tmp_path / "agent"
    driver = embedded(directory)
    (directory / name).write_text("in the way")

    with pytest.raises(ConfigError, match=name):
        await run_agent(options(directory), SystemClock(), driver=driver)


async def test_a_client_certificate_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    proof: Json = {
        "client_cert_file": str(tmp_path / "no"),
        "client_key_file": str(tmp_path / "no"),
    }
    driver = embedded(tmp_path / "agent")

    with pytest.raises(ConfigError, match=r"proof\.client_cert_file"):
        await run_agent(options(tmp_path / "agent", proof=proof), SystemClock(), driver=driver)


async def test_a_renewed_certificate_of_the_api_is_taken_up(tmp_path: Path) -> None:
    first, second = make_leaf(CA, "127.0.0.1"), make_leaf(CA, "127.0.0.1")
    chain, key = tmp_path / "api.pem", tmp_path / "api.key"
    chain.write_bytes(first.pem)
    key.write_bytes(first.key_pem)
    web = {
        "cert_file": str(chain), "key_file": str(key),
        "token_file": str(tmp_path / "secrets/token"),
    }  # fmt: skip

    made: list[bytes] = []

    def recorded(files: TlsFiles) -> ssl.SSLContext | None:
        context = tls_context(files)
        made.append(chain.read_bytes())
        return context

    async def is_taken_up() -> bool:
        if second.pem not in made:
            return False  # nobody connects while the listener changes hands
        try:
            return await shown_at(agent.url) == second.pem.decode()
        except OSError:
            return False

    place = "exporter.gateway.agent.server"
    with patch(f"{place}._CERTIFICATE_CHECK_S", 0.02), patch(f"{place}.tls_context", recorded):
        async with running(tmp_path, web=web) as agent:
            before = await shown_at(agent.url)
            key.write_bytes(second.key_pem)  # does not fit yet: the first stays
            between = await shown_at(agent.url)
            chain.write_bytes(second.pem)
            await until(is_taken_up, "the renewed files to be taken up")

    assert between == before
    assert before == first.pem.decode()


async def shown_at(url: str) -> str:
    host, port = url.removeprefix("https://").split(":")
    return await asyncio.to_thread(ssl.get_server_certificate, (host, int(port)), timeout=30)
