"""``GET /fleet``: the sentence, gateways with their devices, troubles, and what ends when."""

import asyncio
from collections.abc import Mapping
from datetime import datetime

from aiohttp import web

from exporter import __version__
from exporter.clock import Clock
from exporter.fleet_page.board import GATEWAY_WORDS
from exporter.fleet_page.drawing import (
    BAR_WIDTH,
    BARS,
    SPARK_HEIGHT,
    Sparkline,
    ends_of,
    level_of,
    sparkline_of,
    timeline_of,
)
from exporter.fleet_page.history import History
from exporter.fleet_page.problems import problems_on
from exporter.fleet_page.query import PROBLEM, Asked, Page, asked_in, page_of
from exporter.fleet_page.standing import (
    STANDING_MEANING,
    Standing,
    moment_of,
    standing_words,
)
from exporter.web.boards import Boards, Shown
from exporter.web.html import page, rendered
from exporter.web.service import SERVICE

# With more cells on a page each is a shape without its name
_NAMED_CELLS = 120
_OPTIONS = 200
_PROBLEMS = 50


class FleetPage:
    """The page."""

    def __init__(self, boards: Boards, clock: Clock) -> None:
        self._boards = boards
        self._clock = clock

    async def handle(self, request: web.Request) -> web.Response:
        """Answer with the page: ``?q=&state=&gateway=&class=&group=&view=&page=&limit=``."""
        service = request.app[SERVICE]
        try:
            asked = asked_in(request.query)
        except ValueError as exc:
            text = rendered("message.html", title="This cannot be shown", text=str(exc), root="")
            return page(request, text, status=400)
        shown = await self._boards.current(service)
        clients = dict(service.logs.shown.certificates)
        # A page of a large fleet takes longer than the event loop may be held
        text = await asyncio.to_thread(
            fleet_html, shown, asked, clients, service.history, self._clock.now()
        )
        return page(request, text)


def fleet_html(
    shown: Shown,
    asked: Asked,
    clients: Mapping[str, float],
    history: History,
    now: datetime,
) -> str:
    """Return the page."""
    found = page_of(shown.board, shown.snapshot, asked)
    ends = ends_of(shown.snapshot, {name: moment_of(at_s) for name, at_s in clients.items()})
    problems = problems_on(shown.board)
    return rendered(
        "fleet.html",
        root="",
        version=__version__,
        now=now,
        shown=shown,
        sentence=shown.sentence,
        board=shown.board,
        asked=asked,
        page=found,
        is_named=sum(len(part.cells) for part in found.parts) <= _NAMED_CELLS,
        sparklines=_sparklines(found, history),
        spark={"width": BARS * BAR_WIDTH, "height": SPARK_HEIGHT},
        problems=problems[:_PROBLEMS],
        more_problems=max(0, len(problems) - _PROBLEMS),
        timeline=timeline_of(ends, now),
        level_of=level_of,
        standings=tuple(Standing),
        problem=PROBLEM,
        words=standing_words,
        meanings=STANDING_MEANING,
        gateway_words=GATEWAY_WORDS,
        choices=_choices(shown),
    )


def _sparklines(found: Page, history: History) -> Mapping[str, Sparkline]:
    lines = {
        part.row.name: sparkline_of(history.samples(part.row.name))
        for part in found.parts
        if part.row.name is not None
    }
    return {name: line for name, line in lines.items() if line is not None}


def _choices(shown: Shown) -> Mapping[str, list[str]]:
    """Return what the form's lists offer; a list of one thing, or of too many, helps nobody."""
    targets = [state.target for state in shown.snapshot.targets.values()]
    found = {
        "gateway": dict.fromkeys(row.name for row in shown.board.rows if row.name),
        "class": dict.fromkeys(target.device_class for target in targets if target.device_class),
        "group": dict.fromkeys(target.rollout_group for target in targets if target.rollout_group),
    }
    return {
        name: sorted(values) if 1 < len(values) <= _OPTIONS else []
        for name, values in found.items()
    }
