"""What ``/probe`` may reach besides the inventory, also when a name leads somewhere else; pure."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network


class Reach:
    """The networks, addresses and names of ``probe_endpoint.allow``."""

    def __init__(self, allow: Iterable[str] = ()) -> None:
        self._networks = []
        self._names: set[str] = set()
        self._suffixes: list[str] = []
        for entry in allow:
            try:
                self._networks.append(ip_network(entry))
            except ValueError:
                name = _plain(entry)
                if name.startswith("*."):
                    self._suffixes.append(name[1:])
                else:
                    self._names.add(name)

    def has_networks(self) -> bool:
        """Return whether a name's addresses are worth asking for."""
        return bool(self._networks)

    def allows_name(self, host: str) -> bool:
        """Return whether ``host`` is named itself; then its addresses do not matter."""
        name = _plain(host)
        return name in self._names or any(name.endswith(suffix) for suffix in self._suffixes)

    def allows_address(self, address: str) -> bool:
        """Return whether an IP address lies in one of the networks."""
        try:
            found = ip_address(address.partition("%")[0])  # fe80::1%eth0
        except ValueError:
            return False
        real = _unmapped(found)
        return any(real in network for network in self._networks)


def _plain(name: str) -> str:
    return name.lower().removesuffix(".")


def _unmapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    # ::ffff:127.0.0.1 is 127.0.0.1 (RFC 4291, 2.5.5.2), and must not slip past its network
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
