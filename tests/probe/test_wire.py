import asyncio
import socket

import pytest

from exporter.clock import SystemClock
from exporter.observations import Reason, ToldBy
from exporter.probe.connect import connect
from exporter.probe.conversation import Conversation
from exporter.probe.failure import LookFailed
from exporter.probe.openssl import ClientContext, Session
from exporter.probe.resolve import Address
from exporter.probe.wire import TooLate, Wire
from tests.listeners import listening, reset_at_once


def at(port: int) -> Address:
    return Address(socket.AF_INET, ("127.0.0.1", port))


async def test_more_than_the_kernel_takes_at_once_is_sent_whole() -> None:
    wanted = b"x" * 8_000_000
    got = asyncio.get_running_loop().create_future()

    async def swallow(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        got.set_result(await reader.readexactly(len(wanted)))

    async with listening(swallow) as port:
        with Wire(at(port)) as wire:
            await wire.connect()
            await wire.send(wanted)
            received = await asyncio.wait_for(got, 30)

    assert received == wanted


async def test_what_comes_while_nobody_asks_waits_and_does_not_spin_the_loop() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for word in (b"one", b"two"):
            await reader.read(1)
            writer.write(word)

    async with listening(talk) as port:
        with Wire(at(port)) as wire:
            await wire.connect()
            await wire.send(b".")
            first = await wire.receive()
            await wire.send(b".")
            # the reader is still registered: it must let go when nobody waits
            await asyncio.wait_for(_readable(wire), 30)
            second = await wire.receive()
            end = await wire.receive()

    assert (first, second, end) == (b"one", b"two", b"")
    assert wire.first_bytes == b"onetwo"
    assert wire.received_bytes == 6


async def _readable(wire: Wire) -> None:
    while wire._is_reading:
        await asyncio.wait_for(asyncio.to_thread(lambda: None), 30)


async def test_closing_while_waiting_leaves_nothing_registered() -> None:
    async def stay(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with listening(stay) as port:
        wire = Wire(at(port))
        await wire.connect()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(wire.receive(), 0.02)
        number = wire._fd
        wire.close()
        wire.close()

    assert asyncio.get_running_loop().remove_reader(number) is False


async def test_one_who_does_not_take_what_is_sent_is_given_up_in_time() -> None:
    is_over = asyncio.get_running_loop().create_future()

    async def stay(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await is_over

    async with listening(stay) as port:
        with Wire(at(port)) as wire:
            await wire.connect()
            wire.allow(0.05)
            with pytest.raises(TooLate):
                await wire.send(b"x" * 50_000_000)
            with pytest.raises(TooLate):
                await wire.receive()
        is_over.set_result(None)


async def test_time_is_allowed_anew_for_each_phase() -> None:
    async def stay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"late")

    async with listening(stay) as port:
        with Wire(at(port)) as wire:
            await wire.connect()
            wire.allow(0.02)
            with pytest.raises(TooLate):
                await wire.receive()
            wire.allow(30)
            await wire.send(b".")
            assert await wire.receive() == b"late"


async def test_a_connection_lost_before_our_first_word_is_a_reset() -> None:
    async with listening(reset_at_once) as port:
        with Wire(at(port)) as wire:
            await wire.connect()
            with pytest.raises(ConnectionResetError):
                await wire.receive()
            session = Session(ClientContext(), None)
            talk = Conversation(wire, session, holds_certificate=False, max_bytes=9_999)
            with pytest.raises(LookFailed) as failed:
                await talk.shake_hands(30)

    failure = failed.value.failure
    assert (failure.reason, failure.rejected_by) == (Reason.CONNECTION_RESET, ToldBy.PEER)
    assert "reset the connection after our ClientHello" in failure.detail


async def test_an_address_of_a_family_this_machine_lacks_is_unreachable() -> None:
    with pytest.raises(LookFailed) as failed:
        await connect([Address(9_999, ("127.0.0.1", 443))], 1.0, SystemClock())

    assert failed.value.failure.reason is Reason.UNREACHABLE


def test_groups_that_the_library_does_not_know_are_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("exporter.probe.openssl._GROUPS", b"no-such-group")

    with pytest.raises(ValueError, match="no-such-group"):
        ClientContext()
