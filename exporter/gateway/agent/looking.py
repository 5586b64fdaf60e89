"""Looks at the terminator from outside: fresh full handshakes over every way there is."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

from exporter.certificates import Certificate, CertificateCache, names_of
from exporter.clock import Clock
from exporter.gateway.agent.driver import Address
from exporter.gateway.agent.proof import Seen, Way, fault_of, seen_in
from exporter.probe.model import Endpoint, Limits, Tools
from exporter.probe.openssl import ClientContext, Credential, Manner, Signatures, Version
from exporter.probe.tls import TlsProber

_AT_ONCE = 8
_BETWEEN_S = 0.2
_PHASE_S = 3.0
_MAX_NAMES = 3

_USUAL = Manner()
_KEYS = {"RSA": Signatures.RSA, "EC": Signatures.ECDSA}
_ONE_KIND = tuple(Manner(signatures=signatures) for signatures in Signatures)
_MANNERS = tuple(
    Manner(version=version, signatures=signatures)
    for version, signatures in product(Version, (None, *Signatures))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Thoroughness:
    """How much it takes until a chain counts as served.

    Attributes:
        rounds: Handshakes by each way, to meet each worker of the terminator.
        within_s: Old and new may both be seen until then.
        server_names: Sent as SNI; None: the first names of the leaf.
        without_sni: Come without a server name, too.
    """

    rounds: int = 3
    within_s: float = 30.0
    server_names: tuple[str, ...] | None = None
    without_sni: bool = True


class Looker:
    """Looks as clients of all kinds would; it never resumes a session.

    Args:
        credential: Our client certificate, for a terminator that asks for one.
    """

    def __init__(
        self, clock: Clock, thoroughness: Thoroughness, credential: Credential | None = None
    ) -> None:
        self._clock = clock
        self._thoroughness = thoroughness
        tools = Tools(clock=clock, certificates=CertificateCache(limit=1_000))
        self._limits = Limits(phase_s=_PHASE_S)
        self._probers = {
            manner: TlsProber(tools, bare=ClientContext(credential, manner))
            for manner in (_USUAL, *_ONE_KIND, *_MANNERS)
        }

    async def glance(self, addresses: Sequence[Address], name: str | None) -> list[Seen]:
        """Return what each address serves to a client that asks for ``name``."""
        ways = [Way(address=one, server_name=name, manner=_USUAL) for one in addresses]
        return await self._look(ways)

    async def round(self, addresses: Sequence[Address]) -> list[Seen]:
        """Return what each address serves to clients of all kinds, by the server names we know.

        Whoever can use the key that is served comes by every way; of the others one client comes
        to each address, since its refusal is a line in the terminator's log.
        """
        names: list[str | None] = [*(self._thoroughness.server_names or ()), None]
        first = await self._look(_ways((_USUAL,), addresses, names))
        kinds = {_signatures_of(one.key) for one in first}
        able = [one for one in _MANNERS if one.signatures is None or one.signatures in kinds]
        rest = [one for one in _ONE_KIND if one.signatures not in kinds]
        ways = [*_ways(able, addresses, names), *_ways(rest, addresses, names[:1])]
        return [*first, *await self._look(ways)]

    async def rounds(self, addresses: Sequence[Address], expected: Sequence[str]) -> list[Seen]:
        """Return likewise what as many rounds were shown as it takes to meet each worker.

        The first one that was shown something else than ``expected`` is the last; who was refused
        does not come again.
        """
        seen = await self.round(addresses)
        again = [one.way for one in seen if not one.is_refused]
        for _ in range(self._thoroughness.rounds - 1):
            if fault_of(seen, expected) is not None:
                break
            seen += await self._look(again)
        return seen

    async def fault(
        self,
        addresses: Sequence[Address],
        chain: Sequence[Certificate],
        *,
        within_s: float | None = None,
        of_each_kind: bool = True,
    ) -> str | None:
        """Return why ``addresses`` do not serve ``chain``; None: it is proved that they do.

        Tries again until it is proved or the time is over (None: the usual one). With
        ``of_each_kind`` a client that cannot use a key of this kind comes last: it finds a leaf
        of another kind where there is one, and is otherwise refused, which a terminator logs.
        """
        usual = self._ways(addresses, chain[0])
        unable = self._unable(addresses, chain[0]) if of_each_kind else []
        expected = [one.fingerprint_sha256 for one in chain]
        patience_s = self._thoroughness.within_s if within_s is None else within_s
        end = self._clock.monotonic() + patience_s
        while True:
            fault = await self._fault(usual, unable, expected)
            if fault is None or self._clock.monotonic() >= end:
                return fault
            await self._clock.sleep(_BETWEEN_S)

    async def _fault(
        self, usual: Sequence[Way], unable: Sequence[Way], expected: Sequence[str]
    ) -> str | None:
        looks: list[Seen] = []
        for _ in range(self._thoroughness.rounds):
            looks = await self._look(usual)
            fault = fault_of(looks, expected)
            if fault is not None:
                return fault
        return fault_of([*looks, *await self._look(unable)], expected)

    def _ways(self, addresses: Sequence[Address], leaf: Certificate) -> list[Way]:
        names: list[str | None] = list(self._server_names(leaf))
        if self._thoroughness.without_sni or not names:
            names.append(None)
        return [
            Way(address=address, server_name=name, manner=manner)
            for manner, address, name in product(_MANNERS, addresses, names)
            if _can_use(manner, leaf)
        ]

    def _unable(self, addresses: Sequence[Address], leaf: Certificate) -> list[Way]:
        name = next(iter(self._server_names(leaf)), None)
        # One is enough, by whatever version it is met: each refusal is a line in somebody's log
        return [
            Way(address=address, server_name=name, manner=manner)
            for manner, address in product(_ONE_KIND, addresses)
            if not _can_use(manner, leaf)
        ]

    def _server_names(self, leaf: Certificate) -> Iterable[str]:
        if self._thoroughness.server_names is not None:
            return self._thoroughness.server_names
        return [name for name in names_of(leaf).dns if "*" not in name][:_MAX_NAMES]

    async def _look(self, ways: Sequence[Way]) -> list[Seen]:
        free = asyncio.Semaphore(_AT_ONCE)

        async def look(way: Way) -> Seen:
            endpoint = Endpoint(
                target=str(way.address),
                host=way.address.host,
                port=way.address.port,
                server_name=way.server_name,
            )
            async with free:
                observation = await self._probers[way.manner](endpoint, self._limits)
            return seen_in(way, observation)

        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(look(way)) for way in ways]
        return [one.result() for one in running]


def _ways(
    manners: Iterable[Manner], addresses: Iterable[Address], names: Iterable[str | None]
) -> list[Way]:
    return [
        Way(address=address, server_name=name, manner=manner)
        for manner, address, name in product(manners, addresses, names)
    ]


def _can_use(manner: Manner, leaf: Certificate) -> bool:
    """Whether such a client can check what a key of this kind signs."""
    return manner.signatures is None or manner.signatures is _signatures_of(leaf.public_key)


def _signatures_of(public_key: str) -> Signatures | None:
    return _KEYS.get(public_key.partition(" ")[0])
