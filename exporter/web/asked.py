"""What a request to ``/probe`` asks for; pure but for the inventory it is given."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from exporter.fleet import FleetSnapshot
from exporter.probe.model import Limits
from exporter.targets.addresses import parse_address
from exporter.targets.entries import SYSTEM_STORE
from exporter.targets.model import Role, Target
from exporter.wording import listed, shown

MODULES = ("tls", "https", "tcp", "tls_connect")
"""All look alike: TLS from the first byte. The others are the names that the examples of
ssl_exporter (``https``, ``tcp``) and blackbox_exporter (``tls_connect``) use."""

MARGIN_S = 0.5
"""Kept back of Prometheus' own timeout, as in blackbox_exporter (``--timeout-offset``)."""

_HTTPS_PORT = 443
_LONGEST = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One look that is asked for.

    Attributes:
        target: From the inventory, or made up of the address with the system's trust store.
        is_known: It is in the inventory.
        budget_s: For everything, the answer included.
    """

    target: Target
    is_known: bool
    budget_s: float


def asked_in(
    query: Mapping[str, str], scrape_timeout: str | None, snapshot: FleetSnapshot, limits: Limits
) -> Asked:
    """Return what the query string and Prometheus' header ask for.

    Raises:
        ValueError: with a sentence.
    """
    module = query.get("module") or MODULES[0]
    if module not in MODULES:
        raise ValueError(f"the module {shown(module)} is not known; there are: {listed(MODULES)}")
    target, is_known = _target(query.get("target", ""), module, snapshot)
    hostname = query.get("hostname")
    if hostname:
        if len(hostname) > 253 or not hostname.isprintable():
            raise ValueError(f"the hostname {shown(hostname)} is not a DNS name or IP")
        target = replace(target, server_name=hostname)
    return Asked(target=target, is_known=is_known, budget_s=_budget_s(scrape_timeout, limits))


def _target(text: str, module: str, snapshot: FleetSnapshot) -> tuple[Target, bool]:
    if not text:
        raise ValueError("the parameter target is missing; write target=HOST:PORT or a name")
    if len(text) > _LONGEST:
        raise ValueError(f"the target {shown(text)} is longer than {_LONGEST} characters")
    known = snapshot.targets.get(text)
    if known is not None:
        if known.target.host is None:
            raise ValueError(f"the target {shown(text)} has no address of its own to look at")
        return known.target, True
    host, port = _address(text, module)
    made = Target(name=text, role=Role.GATEWAY, host=host, port=port, trust_stores=(SYSTEM_STORE,))
    for state in snapshot.targets.values():
        if state.target.address == made.address:
            return state.target, True
    return made, False


def _address(text: str, module: str) -> tuple[str, int]:
    """Return host and port; ``https://HOST[:PORT]/…`` is taken as the peers take it."""
    if text.startswith("https://"):
        try:
            parts = urlsplit(text)
            text = parts.netloc.rpartition("@")[2]
        except ValueError:
            raise ValueError(f"the target {shown(text)} is not a URL that can be read") from None
        module = "https"
    if module == "https" and not text.rpartition("]")[2].count(":"):
        text = f"{text}:{_HTTPS_PORT}"
    return parse_address(text)


def _budget_s(header: str | None, limits: Limits) -> float:
    """Return the seconds until the answer must be on its way."""
    longest = 3 * limits.phase_s
    if header is None:
        return longest
    try:
        given = float(header)
    except ValueError:
        given = math.nan
    if not given >= 0 or math.isinf(given):
        raise ValueError(
            f"X-Prometheus-Scrape-Timeout-Seconds is {shown(header)}; it must be a number"
        )
    if given == 0:
        return longest
    return min(longest, max(given - MARGIN_S, given / 2))
