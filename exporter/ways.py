"""Where a gateway is reached from here, and its second port."""

from collections.abc import Sequence
from ipaddress import ip_address
from socket import AF_INET, AF_INET6

from exporter.clock import Clock
from exporter.gateway.agent.driver import Address
from exporter.probe.resolve import Resolver
from exporter.targets.addresses import parse_address
from exporter.targets.model import Target


class Ways:
    """Resolves what the inventory and an agent say, in threads of its own."""

    def __init__(self, clock: Clock) -> None:
        self._resolver = Resolver(clock, threads=2, keep_s=1.0, limit=1_000)

    async def to(self, gateway: Target) -> Sequence[Address]:
        """Return the gateway's addresses; none where it has none, or its name is not resolved."""
        if gateway.host is None or gateway.port is None:
            return ()
        return await self._resolved(gateway.host, gateway.port)

    async def to_second_port(self, gateway: Target, told: str) -> Sequence[Address]:
        """Return where the second port is met, which the gateway's API said is at ``told``."""
        try:
            host, port = parse_address(told)
        except ValueError:
            return ()
        return as_we_reach_it(await self._resolved(host, port), await self.to(gateway))

    async def _resolved(self, host: str, port: int) -> Sequence[Address]:
        try:
            found = await self._resolver.resolve(host, port)
        except (OSError, UnicodeError):
            return ()
        return [
            Address(host=one.sockaddr[0], port=one.sockaddr[1])
            for one in found
            if one.family in {AF_INET, AF_INET6}
        ]


def as_we_reach_it(told: Sequence[Address], own: Sequence[Address]) -> Sequence[Address]:
    """Return where a gateway's second port is to be met, which it says is ``told``.

    ``own``: the gateway's addresses, as we reach it. Its loopback is ours when it is on this
    machine only; on another one we would meet ourselves.
    """
    port = told[0].port if told else 0
    if any(ip_address(one.host).is_unspecified for one in told):
        return [Address(host=one.host, port=port) for one in own]
    is_here = any(ip_address(one.host).is_loopback for one in own)
    return [one for one in told if is_here or not ip_address(one.host).is_loopback]
