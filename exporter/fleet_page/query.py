"""What the query string asks to see: search, filter, page; pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from urllib.parse import urlencode

from exporter.fleet import FleetSnapshot
from exporter.fleet_page.board import Board, Row
from exporter.fleet_page.standing import Cell, Standing
from exporter.targets.model import Target
from exporter.trust_store.model import Standing as TrustStanding
from exporter.trust_store.model import SyncState
from exporter.wording import listed, shown

PAGE_SIZE = 500
MAX_PAGE_SIZE = 2_000
_MAX_TEXT = 200
PROBLEM = "problem"
"""Besides the standings: all of them but ``good``."""

_KNOWN = ("q", "state", "gateway", "class", "group", "trust", "view", "page", "limit")
_VIEWS = ("matrix", "list")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What to show.

    Attributes:
        text: Stands somewhere in the device's name, class, group or gateway, in any case.
        page: From 1.
    """

    text: str = ""
    state: str = ""
    gateway: str = ""
    device_class: str = ""
    group: str = ""
    trust: str = ""
    view: str = "matrix"
    page: int = 1
    limit: int = PAGE_SIZE

    @property
    def is_filtered(self) -> bool:
        """Something is left out besides other pages."""
        return bool(self.gateway) or self.picks_devices

    @property
    def picks_devices(self) -> bool:
        """Of a gateway's devices some are left out."""
        return bool(self.text or self.state or self.device_class or self.group or self.trust)

    def query(self, **other: str | int) -> str:
        """Return the query string of the same question with ``other`` fields; ``""`` or ``?…``."""
        asked = replace(self, **other)  # type: ignore[arg-type]  # fields by name
        fields = {
            "q": asked.text,
            "state": asked.state,
            "gateway": asked.gateway,
            "class": asked.device_class,
            "group": asked.group,
            "trust": asked.trust,
            "view": "" if asked.view == "matrix" else asked.view,
            "page": "" if asked.page == 1 else asked.page,
            "limit": "" if asked.limit == PAGE_SIZE else asked.limit,
        }
        told = urlencode({key: value for key, value in fields.items() if value != ""})
        return f"?{told}" if told else "?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One gateway's share of a page.

    Attributes:
        cells: Those on this page.
        matching_count: All that match the filter, on whatever page.
    """

    row: Row
    cells: tuple[Cell, ...]
    matching_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What is to be shown.

    Attributes:
        parts: Gateways with something on this page; without a filter also those with no device.
        first: The number of the first cell, from 1; 0: there is none.
    """

    parts: tuple[Part, ...]
    number: int
    page_count: int
    matching_count: int
    first: int
    last: int


def asked_in(query: Mapping[str, str]) -> Asked:
    """Return what ``query`` asks for.

    Raises:
        ValueError: with a sentence.
    """
    for key in query:
        if key not in _KNOWN:
            raise ValueError(f"{shown(key)} cannot be asked for; there are: {listed(_KNOWN)}")
    for key in ("q", "gateway", "class", "group"):
        if len(query.get(key, "")) > _MAX_TEXT:
            raise ValueError(f"{key} is too long; at most {_MAX_TEXT} characters")
    return Asked(
        text=query.get("q", "").strip(),
        state=_one_of("state", query, (PROBLEM, *Standing)),
        gateway=query.get("gateway", ""),
        device_class=query.get("class", ""),
        group=query.get("group", ""),
        trust=_one_of("trust", query, tuple(SyncState)),
        view=_one_of("view", query, _VIEWS) or "matrix",
        page=_number("page", query, 1, 100_000),
        limit=_number("limit", query, PAGE_SIZE, MAX_PAGE_SIZE),
    )


def _one_of(key: str, query: Mapping[str, str], known: tuple[str, ...]) -> str:
    text = query.get(key, "")
    if text and text not in known:
        raise ValueError(f"{key} {shown(text)} is not known; there are: {listed(known)}")
    return text


def _number(key: str, query: Mapping[str, str], default: int, most: int) -> int:
    text = query.get(key) or str(default)
    if text.isascii() and text.isdigit() and len(text) <= 6 and 1 <= int(text) <= most:
        return int(text)
    raise ValueError(f"{key} {shown(text)} is not possible; 1 to {most} are")


def page_of(
    board: Board,
    snapshot: FleetSnapshot,
    asked: Asked,
    trust: Mapping[str, TrustStanding] = MappingProxyType({}),
) -> Page:
    """Return the page of ``board`` that is asked for; behind the last page: the last."""
    matches = _matcher(snapshot, trust, asked)
    found = [
        (
            row,
            tuple(cell for cell in row.cells if matches(cell)) if asked.is_filtered else row.cells,
        )
        for row in board.rows
        if not asked.gateway or row.name == asked.gateway
    ]
    total = sum(len(cells) for _, cells in found)
    page_count = max(1, -(-total // asked.limit))
    number = min(asked.page, page_count)
    begin = (number - 1) * asked.limit
    parts: list[Part] = []
    before = 0
    for row, cells in found:
        low, high = max(0, begin - before), max(0, begin + asked.limit - before)
        before += len(cells)
        part = Part(row=row, cells=cells[low:high], matching_count=len(cells))
        if part.cells or (not row.cells and number == 1 and not asked.picks_devices):
            parts.append(part)
    return Page(
        parts=tuple(parts),
        number=number,
        page_count=page_count,
        matching_count=total,
        first=begin + 1 if total else 0,
        last=min(total, begin + asked.limit),
    )


def _matcher(
    snapshot: FleetSnapshot, trust: Mapping[str, TrustStanding], asked: Asked
) -> Callable[[Cell], bool]:
    needle = asked.text.casefold()

    def matches(cell: Cell) -> bool:
        target = snapshot.targets[cell.device].target
        if asked.state == PROBLEM:
            is_state = cell.standing is not Standing.GOOD
        else:
            is_state = asked.state in ("", cell.standing.value)
        return (
            is_state
            and asked.device_class in ("", target.device_class)
            and asked.group in ("", target.rollout_group)
            and (not asked.trust or _sync_state(trust.get(cell.device)) == asked.trust)
            and (not needle or any(needle in text.casefold() for text in _texts(target, cell)))
        )

    return matches


def _sync_state(standing: TrustStanding | None) -> SyncState | None:
    return standing.state if standing else None


def _texts(target: Target, cell: Cell) -> tuple[str, ...]:
    return (
        target.name,
        target.device_class,
        target.rollout_group,
        cell.gateway or "",
        cell.reason,
        target.address or "",
    )
