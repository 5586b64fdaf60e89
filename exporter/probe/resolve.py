"""Host names to addresses, without ever blocking the event loop or the end of the program."""

import asyncio
import math
import socket
import threading
from collections import OrderedDict, deque
from contextlib import suppress
from dataclasses import dataclass

from exporter.clock import Clock

_Found = list["Address"] | OSError


@dataclass(frozen=True, slots=True)
class Address:
    """One address of an endpoint, as the socket functions want it."""

    family: int
    sockaddr: tuple[str, int] | tuple[str, int, int, int]


class Resolver:
    """Resolves names in a few threads of its own and keeps the answers for a short while.

    Threads of the default executor are waited for at the end of the program, and a lookup whose
    name servers are dead takes half a minute: these are daemons, and there are at most
    ``threads``. A name that is being looked up is looked up once, whoever asks.

    Args:
        clock: Where time comes from.
        threads: At most at the same time.
        keep_s: How long an answer is used again (``getaddrinfo`` does not tell the record's own
            time to live). Keep it below the interval between two looks. Failures are not kept.
        limit: Names kept.
    """

    def __init__(
        self, clock: Clock, *, threads: int = 16, keep_s: float = 30.0, limit: int = 20_000
    ) -> None:
        self._clock = clock
        self._keep_s = keep_s
        self._limit = limit
        self._answers: OrderedDict[tuple[str, int], tuple[float, list[Address]]] = OrderedDict()
        self._asked: dict[tuple[str, int], asyncio.Future[_Found]] = {}
        self._lookups = _Lookups(threads)

    def known(self, host: str, port: int) -> list[Address] | None:
        """Return what can be told without asking anybody: a literal address, a kept answer."""
        key = (host, port)
        kept = self._answers.get(key)
        if kept is not None and self._clock.monotonic() < kept[0]:
            return kept[1]
        if literal := _literal(host, port):
            self._keep(key, math.inf, literal)
        return literal or None

    async def resolve(self, host: str, port: int) -> list[Address]:
        """Return the addresses of ``host`` in the order of preference (RFC 6724), at least one.

        Raises:
            OSError: the name has none, or nobody can tell.
            UnicodeError: the text is no name.
        """
        if (known := self.known(host, port)) is not None:
            return known
        key = (host, port)
        found = await self._look_up(key)
        if isinstance(found, OSError):
            # one of its own: this one is for all who asked, and a local that is raised is a cycle
            raise type(found)(*found.args)
        self._keep(key, self._clock.monotonic() + self._keep_s, found)
        return found

    def _keep(self, key: tuple[str, int], until: float, found: list[Address]) -> None:
        self._answers[key] = (until, found)
        self._answers.move_to_end(key)
        if len(self._answers) > self._limit:
            self._answers.popitem(last=False)

    async def _look_up(self, key: tuple[str, int]) -> _Found:
        asked = self._asked.get(key)
        if asked is None or asked.get_loop() is not asyncio.get_running_loop():
            name = ascii_name(key[0])
            asked = self._asked[key] = asyncio.get_running_loop().create_future()
            self._lookups.add(_Lookup(key, name, asked, self._asked))
        return await asyncio.shield(asked)  # one who gives up does not take it from the others


def ascii_name(name: str) -> str:
    """Return a host name as DNS and SNI want it: A-labels (RFC 5891), without a final dot.

    Raises:
        UnicodeError: it is no name.
    """
    bare = name.removesuffix(".")
    if bare.isascii():
        # not checked further: devices do carry names with an underscore
        return bare
    import idna  # noqa: PLC0415 - 5 MB of tables, for the few fleets that have such names

    return idna.encode(bare, uts46=True).decode("ascii")


def _literal(host: str, port: int) -> list[Address]:
    """Return the address that ``host`` spells out; empty when it is a name. Does not block."""
    try:
        return _addresses(host, port, socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return []


def _addresses(host: str, port: int, flags: int) -> list[Address]:
    found = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=flags | socket.AI_NUMERICSERV
    )
    # int() since the enum's own look-ups are slow, and this is asked for in every look
    return [Address(int(family), sockaddr) for family, _, _, _, sockaddr in found]  # type: ignore[arg-type]  # bytes addresses exist only without IPv6 support


class _Lookup:
    """One name on its way through a thread."""

    def __init__(
        self,
        key: tuple[str, int],
        name: str,
        asked: asyncio.Future[_Found],
        open_ones: dict[tuple[str, int], asyncio.Future[_Found]],
    ) -> None:
        self._key = key
        self._name = name
        self._asked = asked
        self._open_ones = open_ones

    def run(self) -> None:
        """Ask the system; called in a thread."""
        found: _Found
        try:
            found = _addresses(self._name, self._key[1], 0)
        except OSError as exc:
            found = exc.with_traceback(None)  # or it would hold this frame, which holds it
        except UnicodeError as exc:  # a label that is empty or too long
            found = socket.gaierror(socket.EAI_NONAME, str(exc))
        with suppress(RuntimeError):  # the loop has ended meanwhile: nobody waits any more
            self._asked.get_loop().call_soon_threadsafe(self._land, found)

    def _land(self, found: _Found) -> None:
        if self._open_ones.get(self._key) is self._asked:
            del self._open_ones[self._key]
        if not self._asked.done():
            self._asked.set_result(found)


class _Lookups:
    """A queue worked off by daemon threads that end when it is empty."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._running = 0
        self._waiting: deque[_Lookup] = deque()
        self._lock = threading.Lock()

    def add(self, lookup: _Lookup) -> None:
        with self._lock:
            self._waiting.append(lookup)
            if self._running == self._limit:
                return
            self._running += 1
        threading.Thread(target=self._work, name="resolve", daemon=True).start()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._running -= 1
                    return
                lookup = self._waiting.popleft()
            lookup.run()
