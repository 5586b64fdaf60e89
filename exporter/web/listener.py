"""The sockets that are listened at; address and TLS can change while connections go on."""

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from exporter.errors import ConfigError, Fault
from exporter.web.options import ListenAddress

_BACKLOG = 128
_TLS_HANDSHAKE_S = 10.0
# Of the loop, from the accepting of a connection: its transport is made, its protocol hears of it
_STEPS_TO_CONNECT = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """An address that is ours."""

    address: ListenAddress
    sockets: tuple[socket.socket, ...]

    @property
    def port(self) -> int:
        """The real one, where any was asked for."""
        return int(self.sockets[0].getsockname()[1])

    def close(self) -> None:
        """Give the address back."""
        for one in self.sockets:
            one.close()


def bind(address: ListenAddress) -> Bound:
    """Return sockets bound to ``address``.

    Raises:
        ConfigError: it is in use, not ours, or not allowed.
    """
    opened: list[socket.socket] = []
    try:
        for family, where in _places(address):
            is_any = not address.host and family is socket.AF_INET6
            opened.append(
                socket.create_server(where, family=family, backlog=_BACKLOG, dualstack_ipv6=is_any)
            )
    except OSError as exc:
        for one in opened:
            one.close()
        raise ConfigError([Fault(place="listen", message=_sentence(address, exc))]) from exc
    return Bound(address=address, sockets=tuple(opened))


def _places(address: ListenAddress) -> Sequence[tuple[socket.AddressFamily, tuple[str, int]]]:
    if not address.host:
        family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
        return [(family, ("", address.port))]
    found = socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    places = dict.fromkeys((family, (str(where[0]), int(where[1]))) for family, *_, where in found)
    # Any free port is a different one for each address
    return list(places)[:1] if address.port == 0 else list(places)


def _sentence(address: ListenAddress, exc: OSError) -> str:
    if exc.errno == errno.EADDRINUSE:
        return f"{address} is in use; another program listens there, or this one runs already"
    return f"{address} cannot be listened at: {exc.strerror or exc}"


class Listener:
    """Accepts connections; what is open stays open when address or TLS change."""

    def __init__(self, factory: Callable[[], asyncio.Protocol]) -> None:
        self._factory = factory
        self._bound: Bound | None = None
        self._servers: list[asyncio.Server] = []

    def bind(self, address: ListenAddress) -> Bound:
        """Return ``address``, bound; what is bound already where it is the same.

        Raises:
            ConfigError: see ``bind``.
        """
        if self._bound is not None and self._bound.address == address:
            return self._bound
        return bind(address)

    async def accept(self, bound: Bound, tls: ssl.SSLContext | None) -> None:
        """Accept at ``bound``, with or without TLS, and no longer as before."""
        before, bound_before = self._servers, self._bound
        self._bound = bound
        self._servers = [
            # a copy: the server closes its socket at its end, and another one may follow
            await asyncio.get_running_loop().create_server(
                self._factory,
                sock=one.dup(),
                ssl=tls,
                backlog=_BACKLOG,
                ssl_handshake_timeout=_TLS_HANDSHAKE_S if tls else None,
            )
            for one in bound.sockets
        ]
        try:
            await _end(before)
        finally:
            if bound_before is not None and bound_before is not bound:
                bound_before.close()

    async def close(self) -> None:
        """Accept no more; who was accepted is connected by then."""
        before, self._servers = self._servers, []
        try:
            await _end(before)
        finally:
            if self._bound is not None:
                self._bound.close()
                self._bound = None


async def _end(servers: Sequence[asyncio.Server]) -> None:
    """Close servers, but not between the accepting of a connection and its first step.

    CPython 3.11 would forget that connection without a word, its socket unclosed (gh-109564).
    """
    loop = asyncio.get_running_loop()
    try:
        for server in servers:
            for one in server.sockets:
                loop.remove_reader(one.fileno())
        for _ in range(_STEPS_TO_CONNECT):
            await asyncio.sleep(0)  # noqa: TID251 - one step of the loop, no time
    finally:
        for server in servers:
            server.close()
