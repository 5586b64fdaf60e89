"""Looks from outside at a real terminator."""

import asyncio
import ssl
from collections.abc import Sequence
from pathlib import Path

import pytest

from exporter.certificates import Certificate
from exporter.clock import SystemClock
from exporter.demo.authorities import Served
from exporter.gateway.agent.driver import Address
from exporter.gateway.agent.looking import Looker, Thoroughness
from exporter.gateway.agent.proof import leaf_of
from tests.daemons import free_port
from tests.gateway.agent.embedded.stand import running, written
from tests.listeners import demand_client_certificate, listening, server_context
from tests.pki import Issued, certificate_of, make_ca, make_leaf, new_key

CA = make_ca()
EC, RSA, OTHER = (
    make_leaf(CA, "gw.example", key=new_key(kind)) for kind in ("EC P-256", "RSA 2048", "EC P-256")
)
IMPATIENT = Thoroughness(rounds=1, within_s=0)


def served(leaf: Issued) -> Served:
    return Served(chain_pem=leaf.pem + CA.pem, key_pem=leaf.key_pem)


def chain(leaf: Issued) -> Sequence[Certificate]:
    return [certificate_of(leaf), certificate_of(CA)]


@pytest.mark.parametrize("leaf", [EC, RSA], ids=["EC", "RSA"])
async def test_a_chain_is_proved_by_every_way_that_its_key_allows(
    tmp_path: Path, leaf: Issued
) -> None:
    looker = Looker(SystemClock(), Thoroughness(rounds=2, within_s=5))

    async with running(tmp_path, served(leaf)) as gateway:
        fault = await looker.fault(gateway.addresses, chain(leaf))
        other = await Looker(SystemClock(), IMPATIENT).fault(gateway.addresses, chain(OTHER))

    assert fault is None
    assert other is not None
    assert "is served, not" in other


async def test_a_server_with_two_certificates_is_found_out(tmp_path: Path) -> None:
    # What mosquitto does after a change of the key's kind: clients of the other kind get the old
    context = server_context(tmp_path, [RSA, CA])
    file = tmp_path / "second.pem"
    file.write_bytes(EC.key_pem + EC.pem + CA.pem)
    context.load_cert_chain(file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2

    async def wait(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with listening(wait, tls=context) as port:
        fault = await Looker(SystemClock(), IMPATIENT).fault(
            [Address(host="127.0.0.1", port=port)], chain(EC)
        )

    assert fault is not None
    assert "RSA only: the leaf" in fault


async def ended_sessions(log: Path) -> str:
    """The log once every client that connected has left its last line there."""
    while True:
        text = await asyncio.to_thread(log.read_text)
        if text.count(" connected to ") == text.count(" status="):
            return text
        await SystemClock().sleep(0.005)


async def test_only_who_may_meet_another_certificate_comes_to_be_refused(tmp_path: Path) -> None:
    looker = Looker(SystemClock(), IMPATIENT)
    log = tmp_path / "gateway.log"

    async with running(tmp_path, served(EC)) as gateway:
        assert await looker.fault(gateway.addresses, chain(EC), of_each_kind=False) is None
        quiet = await ended_sessions(log)
        assert await looker.fault(gateway.addresses, chain(EC)) is None
        of_each_kind = await ended_sessions(log)
        await looker.round(gateway.addresses)
        evidence = await ended_sessions(log)

    assert quiet.count("SSL_do_handshake() failed") == 0
    assert of_each_kind.count("no shared cipher") + of_each_kind.count("no suitable") == 1
    assert evidence.count("SSL_do_handshake() failed") == 2


async def test_proof_waits_for_what_comes_a_moment_later(tmp_path: Path) -> None:
    looker = Looker(SystemClock(), Thoroughness(rounds=1, within_s=20))

    async with running(tmp_path, served(OTHER)) as gateway, asyncio.TaskGroup() as tasks:
        proving = tasks.create_task(looker.fault(gateway.addresses, chain(EC)))
        await SystemClock().sleep(0.05)
        gateway.serve(written(tmp_path, served(EC)))

    assert proving.result() is None


async def test_a_server_that_wants_a_client_certificate_still_shows_its_own(
    tmp_path: Path,
) -> None:
    context = server_context(tmp_path, [EC, CA])
    demand_client_certificate(context, CA)

    async def wait(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with listening(wait, tls=context) as port:
        fault = await Looker(SystemClock(), IMPATIENT).fault(
            [Address(host="127.0.0.1", port=port)], chain(EC)
        )

    assert fault is None


async def test_nobody_there_is_no_leaf_and_no_proof() -> None:
    looker, nowhere = Looker(SystemClock(), IMPATIENT), Address(host="127.0.0.1", port=free_port())

    assert leaf_of(await looker.glance([nowhere], None)) is None
    assert "no certificate was shown" in str(await looker.fault([nowhere], chain(EC)))
