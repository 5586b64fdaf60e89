"""``GET /fleet``: the sentence, gateways with their devices, troubles, and what ends when."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web
from markupsafe import Markup

from exporter import __version__
from exporter.clock import Clock
from exporter.fleet_page.board import GATEWAY_WORDS, GatewayStanding, Row
from exporter.fleet_page.drawing import (
    BAR_WIDTH,
    BARS,
    SPARK_HEIGHT,
    Sparkline,
    Timeline,
    ends_of,
    level_of,
    sparkline_of,
    timeline_of,
)
from exporter.fleet_page.history import History
from exporter.fleet_page.problems import gateway_problems_on, problems_on
from exporter.fleet_page.query import PROBLEM, Asked, Page, asked_in, page_of
from exporter.fleet_page.reached import REACHED_WORDS
from exporter.fleet_page.remedies import MODE_WORDS
from exporter.fleet_page.rotations import GATEWAY_WORDS as ROTATION_GATEWAYS
from exporter.fleet_page.rotations import MODE_WORDS as ROTATION_MODES
from exporter.fleet_page.rotations import PHASE_WORDS
from exporter.fleet_page.standing import (
    STANDING_MEANING,
    Standing,
    moment_of,
    standing_words,
)
from exporter.fleet_page.trust import SYNC_LEVELS, SYNC_WORDS
from exporter.trust_map.html import drawing_of
from exporter.web.boards import Boards, Shown
from exporter.web.html import page, rendered
from exporter.web.service import SERVICE, Service

# With more cells on a page each is a shape without its name
_NAMED_CELLS = 120
_OPTIONS = 200
_PROBLEMS = 50
_REMEDIES = 20
_OVERVIEW = 60
_DRAWN_TARGETS = 500
# The ends of ten thousand certificates do not move by the second
_BESIDE_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What of a page is the same whatever is asked, and changes seldom.

    Attributes:
        key: What the gateways serve; when it is another, this is out of date.
    """

    key: tuple[object, ...]
    timeline: Timeline
    choices: Mapping[str, list[str]]


class FleetPage:
    """The page. All who ask the same within a second get the same, and one is made at a time."""

    def __init__(self, boards: Boards, clock: Clock) -> None:
        self._boards = boards
        self._clock = clock
        self._making = asyncio.Lock()
        self._shown: Shown | None = None
        self._pages: dict[Asked, str] = {}
        self._beside: Beside | None = None
        self._beside_until_s = 0.0

    async def handle(self, request: web.Request) -> web.Response:
        """Answer with the page: ``?q=&state=&gateway=&class=&group=&view=&page=&limit=``."""
        try:
            asked = asked_in(request.query)
        except ValueError as exc:
            text = rendered("message.html", title="This cannot be shown", text=str(exc), root="")
            return page(request, text, status=400)
        async with self._making:
            text = await self._page(request.app[SERVICE], asked)
        return page(request, text)

    async def _page(self, service: Service, asked: Asked) -> str:
        shown = await self._boards.current(service)
        if shown is not self._shown:
            self._shown, self._pages = shown, {}
        if asked not in self._pages:
            beside = await self._current_beside(service, shown)
            drawing = await _drawing(service, shown)
            # A page of a large fleet takes longer than the event loop may be held
            self._pages[asked] = await asyncio.to_thread(
                fleet_html, shown, asked, beside, service.history, drawing
            )
        return self._pages[asked]

    async def _current_beside(self, service: Service, shown: Shown) -> Beside:
        now_s = self._clock.monotonic()
        is_old = now_s >= self._beside_until_s
        if self._beside is None or is_old or self._beside.key != served_by(shown):
            clients = dict(service.logs.shown.certificates)
            self._beside = await asyncio.to_thread(beside_of, shown, clients)
            self._beside_until_s = now_s + _BESIDE_S
        return self._beside


async def _drawing(service: Service, shown: Shown) -> Markup:
    """Return the trust map; empty for a fleet of which it takes seconds to make."""
    if len(shown.snapshot.targets) > _DRAWN_TARGETS:
        return Markup()
    return drawing_of(await service.trust_map())


def served_by(shown: Shown) -> tuple[object, ...]:
    """Return what the gateways serve."""
    return tuple((row.name, row.state and row.state.chain) for row in shown.board.rows)


def beside_of(shown: Shown, clients: Mapping[str, float]) -> Beside:
    """Return what stands beside the devices; ``clients`` as logs tell of their certificates."""
    ends = ends_of(shown.snapshot, {name: moment_of(at_s) for name, at_s in clients.items()})
    return Beside(
        key=served_by(shown),
        timeline=timeline_of(ends, shown.board.at),
        choices=_choices(shown),
    )


def fleet_html(
    shown: Shown, asked: Asked, beside: Beside, history: History, drawing: Markup
) -> str:
    """Return the page as of the board's moment; ``drawing`` of the trust map, if there is one."""
    found = page_of(shown.board, shown.snapshot, asked, shown.facts.trust)
    problems = problems_on(shown.board)
    return rendered(
        "fleet.html",
        root="",
        version=__version__,
        now=shown.board.at,
        shown=shown,
        sentence=shown.sentence,
        board=shown.board,
        asked=asked,
        page=found,
        overview=_overview(shown, found),
        is_named=sum(len(part.cells) for part in found.parts) <= _NAMED_CELLS,
        sparklines=_sparklines(found, history),
        spark={"width": BARS * BAR_WIDTH, "height": SPARK_HEIGHT},
        problems=problems[:_PROBLEMS],
        more_problems=max(0, len(problems) - _PROBLEMS),
        gateway_problems=gateway_problems_on(shown.board),
        sync_words=SYNC_WORDS,
        sync_shapes=SYNC_LEVELS,
        mode_words=MODE_WORDS,
        remedies=[one for one in shown.remedies if one.is_news],
        most_remedies=_REMEDIES,
        rotation_modes=ROTATION_MODES,
        rotation_gateways=ROTATION_GATEWAYS,
        phase_words=PHASE_WORDS,
        reached_words=REACHED_WORDS,
        timeline=beside.timeline,
        drawing=drawing,
        choices=beside.choices,
        level_of=level_of,
        standings=tuple(Standing),
        problem=PROBLEM,
        words=standing_words,
        meanings=STANDING_MEANING,
        gateway_words=GATEWAY_WORDS,
        overview_limit=_OVERVIEW,
    )


def _overview(shown: Shown, found: Page) -> tuple[Row, ...]:
    """Return the gateways, the worst first, where one page does not show them all."""
    if found.page_count == 1 and len(found.parts) == len(shown.board.rows):
        return ()
    urgency = list(GatewayStanding)

    def key(row: Row) -> tuple[object, ...]:
        return (
            -sum(row.counts.values()) + row.counts.get(Standing.GOOD, 0),
            urgency.index(row.standing),
        )

    return tuple(sorted(shown.board.rows, key=key)) if len(shown.board.rows) > 1 else ()


def _sparklines(found: Page, history: History) -> Mapping[str, Sparkline]:
    lines = {
        part.row.name: sparkline_of(history.samples(part.row.name))
        for part in found.parts
        if part.row.name is not None
    }
    return {name: line for name, line in lines.items() if line is not None}


def _choices(shown: Shown) -> Mapping[str, list[str]]:
    """Return what the form's lists offer; a list of one thing, or of too many, helps nobody."""
    found: dict[str, set[str]] = {
        "gateway": {row.name for row in shown.board.rows if row.name},
        "class": set(),
        "group": set(),
    }
    for state in shown.snapshot.targets.values():
        found["class"].add(state.target.device_class)
        found["group"].add(state.target.rollout_group)
    return {
        name: sorted(values - {""}) if 1 < len(values - {""}) <= _OPTIONS else []
        for name, values in found.items()
    }
