"""Reading ``HOST:PORT`` and the addresses or networks that devices connect from."""

import re
from ipaddress import IPv6Address, ip_address, ip_network

from exporter.wording import shown

_BRACKETED = re.compile(r"\[([^\[\]]*)\](?::(.*))?", re.DOTALL)
# Underscores stand in many internal names although RFC 952 has none; letters beyond ASCII are
# turned into their A-label where the name is looked up (RFC 5891).
_NAME = re.compile(r"(?:[\w](?:[\w-]{0,61}[\w])?\.)*[\w](?:[\w-]{0,61}[\w])?\.?")
_NUMERIC_END = re.compile(r"(?:.*\.)?(?:[0-9]+|0[xX][0-9a-fA-F]*)\.?")


def parse_address(text: str) -> tuple[str, int]:
    """Return host (no brackets) and port of ``HOST:PORT``.

    Raises:
        ValueError: with a sentence that says what is wrong and what would be right.
    """
    host, port = split_address(text)
    if not host:
        raise ValueError(f"{shown(text)} has no host; write HOST:PORT, like gw-1.example:8883")
    if port == 0:
        raise ValueError(f"{shown(text)} has port 0; a port is a number from 1 to 65535")
    return host, port


def split_address(text: str) -> tuple[str, int]:
    """Return host and port of ``HOST:PORT``; the host may be empty and the port 0 (``:9883``).

    Raises:
        ValueError: with a sentence.
    """
    if "://" in text:
        raise ValueError(f"{shown(text)} is a URL; write HOST:PORT alone, like gw-1.example:8883")
    bracketed = _BRACKETED.fullmatch(text)
    if bracketed:
        inside, port = bracketed.group(1), bracketed.group(2)
        if port is None:
            raise _no_port(text)
        if not _is_ipv6(inside):
            raise ValueError(
                f"{shown(text)} has brackets around what is not an IPv6 address;"
                " write [2001:db8::1]:8883, and names and IPv4 addresses without brackets"
            )
        return inside, _port(text, port)
    host, colon, port = text.rpartition(":")
    if not colon:
        raise _no_port(text)
    if ":" in host:
        raise ValueError(
            f"{shown(text)} has more than one colon; write an IPv6 address in brackets,"
            " like [2001:db8::1]:8883"
        )
    if host and not is_host(host):
        raise ValueError(f"{shown(text)} has a host that is neither a name nor an IP address")
    return host, _port(text, port)


def _no_port(text: str) -> ValueError:
    return ValueError(f"{shown(text)} has no port; write HOST:PORT, like gw-1.example:8883")


def _port(text: str, port: str) -> int:
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65_535):
        raise ValueError(
            f"{shown(text)} has the port {shown(port)}; a port is a number from 1 to 65535"
        )
    return int(port)


def _is_ipv6(text: str) -> bool:
    try:
        return isinstance(ip_address(text), IPv6Address)
    except ValueError:
        return False


def is_host(text: str) -> bool:
    """Return whether ``text`` can be a host name or is an IP address (no brackets)."""
    if len(text) > 253:  # RFC 1035, 2.3.4
        return False
    # What ends in a number is an IPv4 address or nothing (the WHATWG URL rule): "300.1.1.1"
    # would be looked up as a name otherwise, "127.1" would mean 127.0.0.1 to some resolvers
    if _NUMERIC_END.fullmatch(text) or ":" in text:
        try:
            ip_address(text)
        except ValueError:
            return False
        return True
    return _NAME.fullmatch(text) is not None


def parse_network(text: str) -> str:
    """Return an IP address or CIDR network in its usual form.

    Raises:
        ValueError: with a sentence.
    """
    try:
        network = ip_network(text)
    except ValueError:
        raise ValueError(_network_problem(text)) from None
    return str(network) if "/" in text else str(network.network_address)


def _network_problem(text: str) -> str:
    try:
        whole = ip_network(text, strict=False)
    except ValueError:
        return f"{shown(text)} is neither an IP address nor a network like 10.1.0.0/16"
    address = text.partition("/")[0]
    return f"{shown(text)} is an address inside a network; write {whole} or {address}"
