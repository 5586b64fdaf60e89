import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from exporter.errors import ConfigError
from exporter.web.listener import Listener, bind
from exporter.web.options import ListenAddress, parse_listen


class Greeter(asyncio.Protocol):
    def __init__(self, greeted: list[asyncio.Transport]) -> None:
        self._greeted = greeted

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._greeted.append(transport)
        transport.write(b"hi")


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    greeted: list[asyncio.Transport] = []
    listener = Listener(lambda: Greeter(greeted))
    yield listener
    await listener.close()
    for one in greeted:
        one.abort()
    await steps(2)


async def said_at(port: int, host: str = "127.0.0.1") -> bytes:
    reader, writer = await asyncio.open_connection(host, port)
    word = await reader.read(100)
    writer.close()
    return word


async def test_it_answers_at_every_address_when_no_host_is_named(listener: Listener) -> None:
    bound = listener.bind(ListenAddress(host="", port=0))
    await listener.accept(bound, None)

    assert await said_at(bound.port) == b"hi"
    if socket.has_dualstack_ipv6():
        assert await said_at(bound.port, "::1") == b"hi"


async def test_a_name_is_listened_at(listener: Listener) -> None:
    bound = listener.bind(ListenAddress(host="localhost", port=0))
    await listener.accept(bound, None)

    assert await said_at(bound.port, "localhost") == b"hi"


async def test_a_new_address_replaces_the_old_one_and_open_connections_stay(
    listener: Listener,
) -> None:
    first = listener.bind(parse_listen("127.0.0.1:0"))
    await listener.accept(first, None)
    port = first.port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert await reader.read(2) == b"hi"

    second = listener.bind(parse_listen("127.0.0.2:0"))
    await listener.accept(second, None)

    assert await said_at(second.port, "127.0.0.2") == b"hi"
    with pytest.raises(ConnectionRefusedError):
        await said_at(port)
    assert not reader.at_eof()
    writer.close()


async def test_the_same_address_is_kept_bound(listener: Listener) -> None:
    address = parse_listen("127.0.0.1:0")
    bound = listener.bind(address)
    await listener.accept(bound, None)

    again = listener.bind(address)
    await listener.accept(again, None)

    assert again is bound
    assert await said_at(bound.port) == b"hi"


async def greeted(client: socket.socket) -> bytes:
    reader, writer = await asyncio.open_connection(sock=client)
    try:
        async with asyncio.timeout(30):
            return await reader.read(100)
    finally:
        writer.close()


async def steps(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)  # noqa: TID251 - one step of the loop after the other


@pytest.mark.parametrize("later", range(6))
async def test_who_comes_while_it_is_set_up_anew_is_served(listener: Listener, later: int) -> None:
    bound = listener.bind(parse_listen("127.0.0.1:0"))
    await listener.accept(bound, None)
    client = socket.create_connection(("127.0.0.1", bound.port))

    await steps(later)
    await listener.accept(bound, None)

    assert await greeted(client) == b"hi"


@pytest.mark.parametrize("later", range(6))
async def test_who_was_accepted_is_connected_however_early_it_ends(
    listener: Listener, later: int
) -> None:
    bound = listener.bind(parse_listen("127.0.0.1:0"))
    await listener.accept(bound, None)
    client = socket.create_connection(("127.0.0.1", bound.port))

    await steps(later)
    await listener.close()

    with suppress(ConnectionResetError):  # by the kernel: nobody has taken it
        assert await greeted(client) == b"hi"


def test_a_port_in_use_is_said_in_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = ListenAddress(host="127.0.0.1", port=taken.getsockname()[1])

        with pytest.raises(ConfigError, match=r"^listen: 127\.0\.0\.1:\d+ is in use; another"):
            bind(address)


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_an_address_that_is_not_ours_is_said_in_a_sentence(host: str) -> None:
    with pytest.raises(ConfigError, match=r"^listen: .* cannot be listened at: "):
        bind(ListenAddress(host=host, port=0))


def test_nothing_stays_bound_when_one_of_several_addresses_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened: list[socket.socket] = []
    real = socket.create_server

    def second_fails(*args: object, **wishes: object) -> socket.socket:
        if opened:
            raise PermissionError(13, "Permission denied")
        opened.append(real(("127.0.0.1", 0)))
        return opened[0]

    places = [
        (socket.AF_INET, 0, 0, "", ("127.0.0.1", 1)),
        (socket.AF_INET, 0, 0, "", ("127.0.0.2", 1)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_wishes: places)
    monkeypatch.setattr(socket, "create_server", second_fails)

    with pytest.raises(ConfigError, match="Permission denied"):
        bind(ListenAddress(host="both", port=1))

    assert opened[0].fileno() == -1
