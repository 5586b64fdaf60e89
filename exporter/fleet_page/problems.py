"""What is wrong or unknown, the same trouble of many devices as one; pure."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from exporter.fleet_page.board import Board, GatewayStanding, Row
from exporter.fleet_page.standing import (
    MISSING_ADVICE,
    MISSING_WORDS,
    Cell,
    Missing,
    Standing,
    earliest,
)
from exporter.observations import Reason
from exporter.plain_words import ADVICE, REASON_WORDS

_SHOWN = 12
_ADVICE: Mapping[Standing, str] = {
    Standing.SILENT: "Look whether it is switched on and reaches its gateway.",
    Standing.AWAITED: "Wait for its next connection; restart it where that can be done.",
}
# In a refusal, what is trusted is the device's own
_BY_DEVICE: Mapping[Reason, str] = {
    Reason.UNKNOWN_CA: "what is served leads to no CA that is trusted there",
    Reason.SELF_SIGNED: "what is served is signed by itself, and is not held there",
}
_REFUSED_ADVICE = (
    "The device's own certificate is the trouble, not the gateway's: a rollback does not help."
)


_NOT_JUDGED = "no recent look that was judged"
_RUNBOOKS: Mapping[Standing, str] = {
    Standing.REFUSES: "FleetTLSDevicesRefuseGateway",
    Standing.WOULD_REFUSE: "FleetTLSGatewayNotAccepted",
    Standing.REFUSED: "FleetTLSDeviceCertificateRefused",
    Standing.FAILING: "FleetTLSGatewayHandshakesFail",
    Standing.SILENT: "FleetTLSDeviceSilent",
    Standing.AWAITED: "FleetTLSDevicesRefuseGateway",
}
_MISSING_RUNBOOKS: Mapping[Missing, str] = {
    Missing.SERVED_UNKNOWN: "FleetTLSNotLookedAt",
    Missing.NOT_LOOKED_AT: "FleetTLSNotLookedAt",
    Missing.NEVER_HEARD: "FleetTLSDeviceNeverSeen",
}
_GATEWAY_RUNBOOKS: Mapping[GatewayStanding, str] = {
    GatewayStanding.UNREACHED: "FleetTLSGatewayUnreachable",
    GatewayStanding.NOT_VERIFIED: "FleetTLSChainNotVerified",
    GatewayStanding.UNKNOWN: "FleetTLSNotLookedAt",
}
_AWAY = frozenset(
    {
        Reason.HANDSHAKE_TIMEOUT,
        Reason.CONNECTION_RESET,
        Reason.NOT_TLS,
        Reason.DNS_FAILURE,
        Reason.CONNECT_REFUSED,
        Reason.CONNECT_TIMEOUT,
        Reason.UNREACHABLE,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Devices with the same trouble.

    Attributes:
        gateways: Where, and how many devices of each; those with the most come first.
        words: The reason in plain words; empty where the standing says all.
        devices: The first of them.
        since: Since when the first of them stands so; None: not known of all.
        runbook: Name of the alert's runbook; empty: there is none.
    """

    standing: Standing
    reason: str
    words: str
    advice: str
    count: int
    gateways: tuple[tuple[str | None, int], ...]
    devices: tuple[str, ...]
    since: datetime | None
    runbook: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayProblem:
    """Gateways with the same trouble of their own endpoint.

    Attributes:
        since: Since when the first of them stands so; None: not known of all.
    """

    standing: GatewayStanding
    reason: str
    words: str
    advice: str
    count: int
    gateways: tuple[str, ...]
    since: datetime | None
    runbook: str


def gateway_problems_on(board: Board) -> tuple[GatewayProblem, ...]:
    """Return what is wrong with gateways' own endpoints, unless their devices' refusal says it."""
    groups: dict[tuple[GatewayStanding, str], list[Row]] = {}
    for row in board.gateways:
        is_refused = row.counts.get(Standing.REFUSES) or row.counts.get(Standing.WOULD_REFUSE)
        if row.standing is GatewayStanding.GOOD or (
            is_refused and row.standing is GatewayStanding.NOT_VERIFIED
        ):
            continue
        groups.setdefault((row.standing, row.reason.value if row.reason else ""), []).append(row)
    urgency = list(GatewayStanding)
    return tuple(
        _gateway_problem(standing, reason, rows)
        for (standing, reason), rows in sorted(
            groups.items(), key=lambda item: (urgency.index(item[0][0]), -len(item[1]))
        )
    )


def _gateway_problem(standing: GatewayStanding, reason: str, rows: list[Row]) -> GatewayProblem:
    return GatewayProblem(
        standing=standing,
        reason=reason,
        words=REASON_WORDS[Reason(reason)] if reason else _NOT_JUDGED,
        advice=ADVICE[Reason(reason)] if reason else MISSING_ADVICE[Missing.NOT_LOOKED_AT],
        count=len(rows),
        gateways=tuple(row.name or "" for row in rows[:_SHOWN]),
        since=earliest(row.since for row in rows),
        runbook=_GATEWAY_RUNBOOKS[standing],
    )


def problems_on(board: Board) -> tuple[Problem, ...]:
    """Return all that is not good, by urgency and then by how many it hits."""
    groups: dict[tuple[Standing, str], list[Cell]] = {}
    for row in board.rows:
        if row.counts.keys() == {Standing.GOOD}:
            continue
        for cell in row.cells:
            if cell.standing is not Standing.GOOD:
                groups.setdefault((cell.standing, cell.reason), []).append(cell)
    urgency = list(Standing)
    return tuple(
        _problem(standing, reason, cells)
        for (standing, reason), cells in sorted(
            groups.items(), key=lambda item: (urgency.index(item[0][0]), -len(item[1]))
        )
    )


def _problem(standing: Standing, reason: str, cells: list[Cell]) -> Problem:
    return Problem(
        standing=standing,
        reason=reason,
        words=words_of(standing, reason),
        advice=advice_for(standing, reason),
        count=len(cells),
        gateways=tuple(Counter(cell.gateway for cell in cells).most_common()),
        devices=tuple(cell.device for cell in cells[:_SHOWN]),
        since=earliest(cell.since for cell in cells),
        runbook=runbook_of(standing, reason),
    )


def runbook_of(standing: Standing, reason: str) -> str:
    """Return the name of the runbook for devices that stand so; empty: there is none."""
    if standing is Standing.OWN_FAULT:
        is_away = reason in _AWAY
        return "FleetTLSDeviceUnreachable" if is_away else "FleetTLSChainNotVerified"
    if standing is Standing.UNKNOWN:
        return _MISSING_RUNBOOKS.get(Missing(reason), "")
    return _RUNBOOKS.get(standing, "")


def words_of(standing: Standing, reason: str) -> str:
    """Return why devices stand so in plain words; empty where the standing says all."""
    if not reason:
        return ""
    if reason in set(Missing):
        return MISSING_WORDS[Missing(reason)]
    if standing in {Standing.REFUSES, Standing.WOULD_REFUSE} and reason in _BY_DEVICE:
        return _BY_DEVICE[Reason(reason)]
    return REASON_WORDS[Reason(reason)]


def advice_for(standing: Standing, reason: str) -> str:
    """Return what to do about a device that stands so."""
    if standing in _ADVICE:
        return _ADVICE[standing]
    if reason in set(Missing):
        return MISSING_ADVICE[Missing(reason)]
    if not reason:
        return ""
    advice = ADVICE[Reason(reason)]
    return f"{_REFUSED_ADVICE} {advice}" if standing is Standing.REFUSED else advice
