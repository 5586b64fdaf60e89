"""Says whose handshake it was, and who refused it in the fleet's terms; pure."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton

from exporter.handshake_log.options import Side
from exporter.observations import RejectedBy, ToldBy
from exporter.targets.model import Inventory, Role, Target

REJECTED_BY: Mapping[tuple[Side, ToldBy], RejectedBy] = {
    (Side.GATEWAY, ToldBy.LOCAL): RejectedBy.GATEWAY,
    (Side.GATEWAY, ToldBy.PEER): RejectedBy.DEVICE,
    (Side.DEVICE, ToldBy.LOCAL): RejectedBy.DEVICE,
    (Side.DEVICE, ToldBy.PEER): RejectedBy.GATEWAY,
    # The platform tells of its devices: "local" is the device's own judgement
    (Side.PLATFORM, ToldBy.LOCAL): RejectedBy.DEVICE,
    (Side.PLATFORM, ToldBy.PEER): RejectedBy.GATEWAY,
}

_Places = dict[bytes, list[Target]]

_BRACKETED = re.compile(r"^\[(?P<host>[^\]]+)\](?::\d{1,5})?$")
# Postfix writes name[address]:port
_POSTFIX = re.compile(r"^[^\s\[\]]+\[(?P<host>[^\]]+)\](?::\d{1,5})?$")
_MARK = re.compile(r"^(?:/|\[AF_INET6?\]|ipv[46]:|tcp://)", re.IGNORECASE)
_PORT = re.compile(r"^(?P<host>[^:\s]+):\d{1,5}$")
_MAPPED = b"\x00" * 10 + b"\xff\xff"  # RFC 4291, 2.5.5.2
# OpenSSL's old "/C=x/CN=y" escapes nothing: a slash before "KEY=" ends a value, others are in it
_OLD_PARTS = re.compile(r"/(?=[A-Za-z][A-Za-z0-9.]*=)")
# RFC 4514 escapes what would end a value
_NEW_PARTS = re.compile(r"(?:\\.|[^,+;\\])+")
_COMMON = re.compile(r"^\s*(?:CN|commonName|2\.5\.4\.3) ?= ?(?P<cn>.+?)\s*$", re.IGNORECASE)
_SAN = re.compile(r"(?:^|[,;]\s*)(?:DNS|URI|IP Address):(?P<san>[^,;\s]+)", re.IGNORECASE)


def rejected_by(side: Side, told_by: ToldBy | None) -> RejectedBy:
    """Return who refused, for a line of a log of ``side``."""
    return RejectedBy.UNKNOWN if told_by is None else REJECTED_BY[side, told_by]


def address_in(peer: str) -> bytes | None:
    """Return the packed address of ``IP``, ``IP:port``, ``[IP]:port``, zone or not; None: no IP.

    An IPv4 address inside an IPv6 one (``::ffff:10.0.0.5``) is the IPv4 address.
    """
    text = _MARK.sub("", peer.strip())
    found = _PORT.match(text) or _BRACKETED.match(text) or _POSTFIX.match(text)
    return _packed(found["host"] if found else text)


def _packed(text: str) -> bytes | None:
    try:
        if ":" not in text:
            return inet_pton(AF_INET, text)
        address = inet_pton(AF_INET6, text.partition("%")[0])
    except (OSError, ValueError):  # ValueError: a NUL or a letter that is not ASCII
        return None
    return address[12:] if address.startswith(_MAPPED) else address


def host_in(peer: str) -> str:
    """Return ``peer`` without its port, so that each connection of one host is the same."""
    address = address_in(peer)
    if address is not None:
        return inet_ntop(AF_INET if len(address) == 4 else AF_INET6, address)
    found = _PORT.match(peer)
    return found["host"] if found else peer


def names_in(text: str) -> Iterator[str]:
    """Yield the names that ``text`` gives: as it is, a subject's CN, alternative names.

    A subject with two different common names is nobody's: one of them may be made up.
    """
    yield text
    if "=" in text:
        parts = _OLD_PARTS.split(text) if text.startswith("/") else _NEW_PARTS.findall(text)
        common = {match["cn"] for part in parts if (match := _COMMON.match(part))}
        if len(common) == 1:
            yield common.pop()
    for match in _SAN.finditer(text):
        yield match["san"]


class Identity:
    """Finds devices by what a log says of the other side."""

    def __init__(self, inventory: Inventory) -> None:
        self._names: dict[str, list[Target]] = {}
        self._addresses: _Places = {}
        self._networks: dict[tuple[int, int], _Places] = {}
        for target in inventory.targets.values():
            if target.role is Role.DEVICE:
                self._learn(target)
        self._lengths = sorted(self._networks, reverse=True)

    def _learn(self, device: Target) -> None:
        self._learn_name(device.name, device)
        if device.server_name:
            self._learn_name(device.server_name, device)
        for peer in (*device.peers, *([device.host] if device.host else [])):
            self._learn_peer(peer, device)

    def _learn_name(self, name: str, device: Target) -> None:
        self._names.setdefault(name.casefold(), []).append(device)

    def _learn_peer(self, peer: str, device: Target) -> None:
        host, _, length = peer.partition("/")
        address = _packed(host)
        if address is None:
            self._learn_name(peer, device)
            return
        if not length or int(length) == 8 * len(address):
            self._addresses.setdefault(address, []).append(device)
            return
        places = self._networks.setdefault((len(address), int(length)), {})
        places.setdefault(_masked(address, int(length)), []).append(device)

    def device_of(
        self, peer: str | None, names: Collection[str] = (), *, gateway: str | None = None
    ) -> Target | None:
        """Return whose handshake it was; None: nobody's, or more than one could be meant.

        An address that the inventory gives to one device decides, exact before the longest
        network: a name is only what a client says of itself. Names decide between devices that
        share an address or network, and where the inventory knows no address. Where sites use
        the same addresses the device of this ``gateway`` is meant.
        """
        address = None if peer is None else address_in(peer)
        placed = () if address is None else self._at(address)
        sole = _sole(placed, gateway)
        if sole is not None:
            return sole
        given = [*names, host_in(peer)] if peer is not None and address is None else names
        for text in given:
            for name in names_in(text):
                meant = self._names.get(name.casefold(), ())
                if placed:
                    meant = [device for device in meant if device in placed]
                if meant:
                    return _sole(meant, gateway)
        return None

    def _at(self, address: bytes) -> Sequence[Target]:
        """Return the devices of the most special entry that holds ``address``."""
        if (exact := self._addresses.get(address)) is not None:
            return exact
        for size, length in self._lengths:
            if size == len(address):
                places = self._networks[size, length]
                if (found := places.get(_masked(address, length))) is not None:
                    return found
        return ()


def _masked(address: bytes, length: int) -> bytes:
    """Return the network of ``length`` bits that ``address`` is in."""
    host_bits = 8 * len(address) - length
    return (int.from_bytes(address) >> host_bits << host_bits).to_bytes(len(address))


def _sole(found: Iterable[Target], gateway: str | None) -> Target | None:
    devices = {device.name: device for device in found}
    here = [device for device in devices.values() if device.gateway == gateway]
    if len(here) == 1:
        return here[0]
    return next(iter(devices.values())) if len(devices) == 1 else None
