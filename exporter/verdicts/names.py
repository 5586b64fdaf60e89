"""The name a certificate must be for, in the form in which certificates carry names; pure."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import idna


def wanted_name(name: str) -> bytes | IPv4Address | IPv6Address | None:
    """Return an IP, or a DNS name of A-labels (RFC 5890); None: no certificate can be for it."""
    try:
        return ip_address(name)
    except ValueError:
        return _ascii_name(name)


def _ascii_name(name: str) -> bytes | None:
    if name.isascii():
        # X509_VERIFY_PARAM_set1_host takes an empty name for "check none"
        return name.encode() if name and "\0" not in name else None
    try:
        return idna.encode(name, uts46=True)
    except idna.IDNAError:
        return None
