import asyncio
import socket

import pytest

from exporter.errors import ConfigError
from exporter.web.listener import Listener, bind
from exporter.web.options import ListenAddress, parse_listen


class Greeter(asyncio.Protocol):
    def __init__(self, word: bytes) -> None:
        self._word = word

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(self._word)


async def said_at(port: int, host: str = "127.0.0.1") -> bytes:
    reader, writer = await asyncio.open_connection(host, port)
    word = await reader.read(100)
    writer.close()
    return word


async def test_it_answers_at_every_address_when_no_host_is_named() -> None:
    listener = Listener(lambda: Greeter(b"hi"))
    bound = listener.bind(ListenAddress(host="", port=0))
    await listener.accept(bound, None)

    assert await said_at(bound.port) == b"hi"
    if socket.has_dualstack_ipv6():
        assert await said_at(bound.port, "::1") == b"hi"
    listener.close()


async def test_a_name_is_listened_at() -> None:
    listener = Listener(lambda: Greeter(b"hi"))
    bound = listener.bind(ListenAddress(host="localhost", port=0))
    await listener.accept(bound, None)

    assert await said_at(bound.port, "localhost") == b"hi"
    listener.close()


async def test_a_new_address_replaces_the_old_one_and_open_connections_stay() -> None:
    listener = Listener(lambda: Greeter(b"hi"))
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
    listener.close()


async def test_the_same_address_is_kept_bound() -> None:
    listener = Listener(lambda: Greeter(b"hi"))
    address = parse_listen("127.0.0.1:0")
    bound = listener.bind(address)
    await listener.accept(bound, None)

    again = listener.bind(address)
    await listener.accept(again, None)

    assert again is bound
    assert await said_at(bound.port) == b"hi"
    listener.close()


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
