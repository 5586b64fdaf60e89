"""How long a look takes of whoever keeps it waiting: to the instant, in a loop's own time.

The same over real TCP stands in test_rude_endpoints.py, test_tls.py and
test_client_certificates.py; there a machine that is busy needs some time of its own.
"""

import asyncio
import select
import socket
import ssl
from pathlib import Path

import pytest

from exporter.observations import Observation, Reason
from exporter.probe.client_files import ClientFiles
from exporter.probe.conversation import Conversation
from exporter.probe.model import Limits
from exporter.probe.openssl import Session
from exporter.probe.wire import TooLate, Wire
from tests.daemons import write_key, write_pem
from tests.jumping_time import (
    LoopClock,
    address_of,
    found_at,
    in_no_time,
    timed,
    unix_listener,
)
from tests.listeners import (
    Handler,
    demand_client_certificate,
    dripping,
    greeting,
    listening,
    say_nothing,
    server_context,
)
from tests.probe.conftest import Pki, at, new_prober
from tests.probe.test_rude_endpoints import HELLO_BEGUN

LIMITS = Limits(phase_s=0.3)


@pytest.mark.parametrize(("addresses", "share"), [(1, "0.3"), (3, "0.1")])
def test_who_does_not_answer_the_connection_request_is_given_up_at_the_phase_s_limit(
    addresses: int, share: str
) -> None:
    prober = new_prober(clock=LoopClock())
    with (
        socket.create_server(("127.0.0.1", 0), backlog=0) as full,
        socket.create_connection(full.getsockname()),
        found_at(*[full] * addresses),
    ):
        select.select([full], [], [], 30)  # the only place of its queue is taken from now on
        seen, took_s = in_no_time(timed(prober(at(1), LIMITS)))

    assert (seen.connected, seen.reason) == (False, Reason.CONNECT_TIMEOUT)
    assert f"within {share} s" in seen.detail
    assert took_s == pytest.approx(0.3)


def look_at(handler: Handler, limits: Limits) -> tuple[Observation, float]:
    """What a look at ``handler`` tells, and the seconds until then."""
    prober = new_prober(clock=LoopClock())

    async def look() -> tuple[Observation, float]:
        with unix_listener() as listener, found_at(listener):
            async with listening(handler, at=listener):
                return await timed(prober(at(1), limits))

    return in_no_time(look())


@pytest.mark.parametrize(
    "handler",
    [
        pytest.param(say_nothing, id="silent"),
        pytest.param(greeting(HELLO_BEGUN), id="begins"),
        pytest.param(dripping(HELLO_BEGUN + b"\x00" * 99, 0.07), id="drips"),
    ],
)
def test_silence_and_a_slow_drip_end_at_the_phase_s_limit(handler: Handler) -> None:
    seen, took_s = look_at(handler, LIMITS)

    assert (seen.connected, seen.reason) == (True, Reason.HANDSHAKE_TIMEOUT)
    assert took_s == pytest.approx(0.3)


def staying(context: ssl.SSLContext) -> Handler:
    """Shakes hands, then stays without a word: asyncio's own TLS would answer a goodbye."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_side=True)
        is_done = False
        while not is_done:
            incoming.write(await reader.read(65_536))
            try:
                tls.do_handshake()
                is_done = True
            except ssl.SSLWantReadError:
                pass
            writer.write(outgoing.read())
        await asyncio.Event().wait()

    return handler


@pytest.mark.parametrize(("phase_s", "wanted_s"), [(20.0, 0.5), (0.2, 0.2)])
def test_a_listener_that_never_closes_costs_half_a_second_or_a_phase(
    phase_s: float, wanted_s: float, pki: Pki, tmp_path: Path
) -> None:
    handler = staying(server_context(tmp_path, pki.chain))

    seen, took_s = look_at(handler, Limits(phase_s=phase_s))

    assert seen.handshake
    assert took_s == pytest.approx(wanted_s)


def without_tickets(pki: Pki, folder: Path) -> ssl.SSLContext:
    """Asks for a client certificate, and says nothing once it has accepted it."""
    context = server_context(folder, pki.chain)
    demand_client_certificate(context, pki.client_root)
    context.num_tickets = 0
    return context


def client_files(pki: Pki, folder: Path) -> ClientFiles:
    return ClientFiles(
        write_pem(folder, "client.pem", pki.client),
        write_key(folder, "client.key", pki.client),
        LoopClock(),
    )


def test_a_look_at_a_server_without_tickets_takes_half_a_second_more_than_its_handshake(
    pki: Pki, tmp_path: Path
) -> None:
    prober = new_prober(client_files(pki, tmp_path), LoopClock())
    context = without_tickets(pki, tmp_path)

    async def look() -> tuple[Observation, float]:
        with unix_listener() as listener, found_at(listener):
            async with listening(say_nothing, at=listener, tls=context):
                return await timed(prober(at(1), Limits(phase_s=20.0)))

    seen, took_s = in_no_time(look())

    assert seen.handshake
    assert seen.durations_s.handshake == 0.0  # no time passes while both have something to do
    assert took_s == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("handshake_s", "phase_s", "patience_s"),
    [
        pytest.param(0.1, 20.0, 0.5, id="at-least"),
        pytest.param(0.3, 20.0, 1.2, id="four-handshakes"),
        pytest.param(0.3, 0.9, 0.9, id="one-phase"),
    ],
)
def test_a_refusal_is_waited_for_as_long_as_the_handshake_lets_expect(
    handshake_s: float, phase_s: float, patience_s: float, pki: Pki, tmp_path: Path
) -> None:
    files, context = client_files(pki, tmp_path), without_tickets(pki, tmp_path)

    async def goodbye() -> float:
        with unix_listener() as listener:
            async with listening(say_nothing, at=listener, tls=context):
                with Wire(address_of(listener)) as wire:
                    await wire.connect()
                    shown = await files.context()
                    assert shown is not None
                    talk = Conversation(
                        wire, Session(shown, None), holds_certificate=True, max_bytes=99_999
                    )
                    await talk.shake_hands(phase_s)
                    end = talk.say_goodbye(handshake_s=handshake_s, phase_s=phase_s)
                    _, took_s = await timed(end)
                    return took_s

    assert in_no_time(goodbye()) == pytest.approx(patience_s)


def test_what_is_left_of_a_phase_does_not_cut_the_next_one_short() -> None:
    async def two_phases() -> None:
        with unix_listener() as listener, Wire(address_of(listener)) as wire:
            wire.allow(1.0)
            await wire.connect()
            await LoopClock().sleep(0.9)
            wire.allow(1.0)
            with pytest.raises(TooLate):
                await wire.receive()

    _, took_s = in_no_time(timed(two_phases()))

    assert took_s == pytest.approx(1.9)
