"""``GET /``: what runs here, how the fleet is in numbers, and where to find what."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from aiohttp import web

from exporter import __version__
from exporter.fleet import TargetState
from exporter.report import rfc3339
from exporter.targets.model import Role
from exporter.web.html import page, rendered
from exporter.web.service import SERVICE

_LINKS = (
    ("fleet", "the fleet for people: what is wrong, since when, and what to do"),
    ("trust-map", "which devices trust which CAs, and who would go dark without each"),
    ("metrics", "everything that is known, for Prometheus"),
    ("api/v1/targets", "the same as JSON; ?problem=any shows what is not healthy"),
    ("api/v1/devices", "what each device trusts, beside what it is to trust, as JSON"),
    ("api/v1/handshakes", "what the handshake logs tell of each device, as JSON"),
    ("api/v1/trust-map", "which devices trust which CAs, and what hangs on each, as JSON"),
    ("api/v1/openapi.json", "what the API can be asked"),
    ("runbooks", "what to do about each alert"),
    ("-/healthy", "answers while the process lives"),
    ("-/ready", "answers 200 once every target had its first look"),
)
_COLUMNS = ("targets", "verified", "not verified", "no handshake", "not known")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One number."""

    number: int
    is_bad: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The numbers of one role."""

    name: str
    cells: tuple[Cell, ...]


def rows_of(targets: Mapping[str, TargetState]) -> tuple[Row, ...]:
    """Return how many gateways, devices and predictions there are in each state."""
    states = list(targets.values())
    reachable = [state for state in states if state.target.host is not None]
    accepted = [state.acceptance and state.acceptance.accepts for state in states]
    behind = [
        told
        for told, state in zip(accepted, states, strict=True)
        if state.target.role is Role.DEVICE
    ]
    return (
        _row("gateways", (s for s in reachable if s.target.role is Role.GATEWAY)),
        _row("devices that listen", (s for s in reachable if s.target.role is Role.DEVICE)),
        Row(
            name="devices, of their gateway",
            cells=(
                Cell(number=len(behind)),
                Cell(number=behind.count(True)),
                _bad(behind.count(False)),
                Cell(number=0),
                _bad(behind.count(None)),
            ),
        ),
    )


def _row(name: str, states: Iterable[TargetState]) -> Row:
    found = list(states)
    shaken = [state.is_handshake_done for state in found]
    good = [state.is_success for state in found]
    return Row(
        name=name,
        cells=(
            Cell(number=len(found)),
            Cell(number=good.count(True)),
            _bad(sum(done is True and ok is False for done, ok in zip(shaken, good, strict=True))),
            _bad(shaken.count(False)),
            _bad(good.count(None)),
        ),
    )


def _bad(number: int) -> Cell:
    return Cell(number=number, is_bad=number > 0)


async def landing(request: web.Request) -> web.Response:
    """Answer with the page."""
    service = request.app[SERVICE]
    text = rendered(
        "landing.html",
        root="",
        version=__version__,
        started_at=rfc3339(service.started_at.replace(microsecond=0)),
        readiness=service.readiness,
        counts=[{"name": name} for name in _COLUMNS],
        rows=rows_of(service.snapshot().targets),
        links=[{"path": path, "about": about} for path, about in _LINKS],
    )
    return page(request, text)
