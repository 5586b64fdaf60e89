"""``GET /targets/NAME``: all that is known of one target, in plain words."""

import asyncio

from aiohttp import web

from exporter import __version__
from exporter.chain_tree import tree_of
from exporter.clock import Clock
from exporter.fleet_page.drawing import BAR_WIDTH, BARS, SPARK_HEIGHT, level_of, sparkline_of
from exporter.fleet_page.standing import STANDING_MEANING, moment_of, standing_words
from exporter.fleet_page.target import look_failures, view_of
from exporter.fleet_page.trust import trust_view
from exporter.web.boards import Boards
from exporter.web.html import page, rendered
from exporter.web.service import SERVICE
from exporter.wording import nearest, shown

# The path's part; of more characters no name is
_MAX_NAME = 200


class TargetPage:
    """The page."""

    def __init__(self, boards: Boards, clock: Clock) -> None:
        self._boards = boards
        self._clock = clock

    async def handle(self, request: web.Request) -> web.Response:
        """Answer with the page; 404 with a sentence for what is not in the inventory."""
        service = request.app[SERVICE]
        name = request.match_info["name"]
        board = await self._boards.current(service)
        if name not in board.snapshot.targets:
            text = await asyncio.to_thread(_not_there, name, list(board.snapshot.targets))
            return page(request, text, status=404)
        view = view_of(name, board.board, board.snapshot, board.facts.tallies)
        standing = board.facts.trust.get(name)
        client_s = service.logs.shown.certificates.get(name)
        history = service.history
        text = rendered(
            "target.html",
            root="../",
            version=__version__,
            now=self._clock.now(),
            name_of_target=name,
            view=view,
            state=view.state,
            target=view.state.target,
            tree=tree_of(view.state.chain),
            failures=look_failures(view.state),
            served_since=history.served_since(name),
            changed_at=history.changed_at(name),
            past=history.past_chains(name),
            trust=trust_view(standing, service.trust.certificate),
            remedy=next((one for one in board.remedies if one.gateway == name), None),
            client_end=moment_of(client_s) if client_s else None,
            sparkline=sparkline_of(history.samples(name)) if view.row else None,
            spark={"width": BARS * BAR_WIDTH, "height": SPARK_HEIGHT},
            level_of=level_of,
            moment_of=moment_of,
            words=standing_words,
            meanings=STANDING_MEANING,
        )
        return page(request, text)


def _not_there(name: str, known: list[str]) -> str:
    hint = nearest(name[:_MAX_NAME], known)
    text = f"{shown(name)} is not in the inventory. {hint}".strip()
    return rendered("message.html", root="../", title="There is no such target", text=text)
