"""Which failed handshakes a program writes no line about; the same as in docs/logging.md.

``tests/handshake_log/test_producers.py`` makes each of them with the real programs.
"""

from collections.abc import Collection, Mapping
from enum import StrEnum


class Failing(StrEnum):
    """The ways in which a handshake fails, in an operator's words."""

    DEVICE_REFUSES = "the device's refusal"
    GATEWAY_REFUSES = "the gateway's own refusal of a device's certificate"
    NO_CERTIFICATE = "a missing client certificate"
    VERSION = "no common version"
    CIPHER = "no common cipher"
    NOT_TLS = "plain HTTP on the TLS port"
    RESET = "a reset connection"
    TIMEOUT = "a timeout"


# A program that waits for ever (mosquitto, gnutls-serv) has no timeout to write about.
AT_DEFAULTS: Mapping[str, frozenset[Failing]] = {
    "nginx": frozenset(Failing),
    "haproxy": frozenset({Failing.TIMEOUT}),  # by Debian's "option dontlognull"
    "apache": frozenset(Failing) - {Failing.GATEWAY_REFUSES},
    "mosquitto": frozenset({Failing.RESET}),
    "stunnel": frozenset({Failing.TIMEOUT}),
    "go": frozenset({Failing.NOT_TLS}),
    "gnutls": frozenset(),
}
SET_UP: Mapping[str, frozenset[Failing]] = {
    **dict.fromkeys(AT_DEFAULTS, frozenset[Failing]()),
    "nginx": frozenset({Failing.TIMEOUT}),  # in stream; http tells
    "haproxy": frozenset({Failing.TIMEOUT}),  # the same option
    "mosquitto": frozenset({Failing.RESET}),
    "go": frozenset({Failing.NOT_TLS}),
}
"""With the settings of docs/logging.md."""
APACHE_AT_INFO = frozenset({Failing.RESET, Failing.TIMEOUT})
"""Which Apache httpd writes at ``ssl:debug`` only."""


def listed(failings: Collection[Failing]) -> str:
    """Return ``a, b and c``, in the order of the enum; empty for none."""
    words = [str(one) for one in Failing if one in failings]
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))
