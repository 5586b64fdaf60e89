"""All dashboards, as the files that ship in ``dashboards/``."""

from collections.abc import Mapping

from tools.dashboards.changes import CHANGES_BOARD
from tools.dashboards.device import DEVICE_BOARD
from tools.dashboards.drawing import text_of
from tools.dashboards.fleet import FLEET_BOARD
from tools.dashboards.gateway import GATEWAY_BOARD
from tools.dashboards.service import EXPORTER_BOARD

BOARDS = (FLEET_BOARD, GATEWAY_BOARD, DEVICE_BOARD, CHANGES_BOARD, EXPORTER_BOARD)


def committed() -> Mapping[str, str]:
    """Return the texts that ship, by file name."""
    return {f"{board.uid}.json": text_of(board) for board in BOARDS}
