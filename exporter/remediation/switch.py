"""The kill switch and the mode: whether anything may be changed at this moment."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from exporter.errors import StoreError
from exporter.modes import Mode
from exporter.remediation.intents import Intent
from exporter.remediation.model import Asker
from exporter.remediation.options import Options
from exporter.remediation.records import Records


class Switch:
    """Asked between permit and send, and before each decision; nothing is remembered."""

    def __init__(self, records: Records, options: Callable[[], Options]) -> None:
        self._records = records
        self._options = options

    async def is_killed(self) -> bool | None:
        """Return whether the kill switch is on, by hand or by its file; None: not known."""
        path = self._options().kill_switch_file
        try:
            if path is not None and await asyncio.to_thread(_is_there, path):
                return True
            return await self._records.is_killed()
        except (StoreError, OSError):
            return None

    async def why_stopped(self, intent: Intent) -> str:
        """Return why nothing may be sent for ``intent``; empty: it may."""
        mode = self._options().mode
        if mode is Mode.DISABLED:
            return "remediation was switched off"
        if mode is not Mode.ACT and intent.asker is Asker.AUTOMATION:
            return f"the mode became {mode}"
        match await self.is_killed():
            case True:
                return "the kill switch is on"
            case None:
                return "it is not known whether the kill switch is on"
            case _:
                return ""


def _is_there(path: Path) -> bool:
    """Return whether ``path`` exists; a folder that cannot be read is an error, not a no."""
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    return True
