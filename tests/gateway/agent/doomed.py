"""An agent in a process of its own to which something happens at a line of a change: a program.

``doomed.py OPTIONS.json URL_FILE LINE [FILLER]``: SIGKILL at the LINE-th line of the agent's own
code after a change began, or with FILLER the disk is full from then on. 0: never, and the
change's length in lines stands in ``URL_FILE.lines`` at the end; -1: an agent as any other.
"""

import asyncio
import contextlib
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

from exporter.clock import SystemClock
from exporter.gateway.agent.agent import run_agent
from exporter.gateway.agent.options import Options

_OURS = ("/exporter/gateway/agent/", "/exporter/store.py")
_BEGIN = {"rotate", "rollback"}


class Doom:
    """Counts lines from the beginning of a change on, and strikes at one of them.

    Attributes:
        length: Of the change, in lines.
    """

    def __init__(self, line: int, filler: str) -> None:
        self.is_counting = line >= 0
        self._line = line
        self._filler = filler
        self.has_begun = False
        self.count = self.length = 0

    def trace(self, frame: FrameType, event: str, _arg: Any) -> Any:
        code = frame.f_code
        if not any(part in code.co_filename for part in _OURS):
            return None
        if code.co_name in _BEGIN and code.co_filename.endswith("switching.py"):
            self.has_begun = True
            self.length = self.count  # as of its last step, of which there is one at each wait
        if event == "line" and self.has_begun:
            self.count += 1
            if self.count == self._line:
                self._strike()
        return self.trace

    def _strike(self) -> None:
        if not self._filler:
            os.kill(os.getpid(), signal.SIGKILL)
        fill(Path(self._filler))


def fill(filler: Path) -> None:
    """Write until nothing more goes onto the disk."""
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


async def main(options: Options, url_file: Path, doom: Doom) -> None:
    def listening(url: str) -> None:
        unnamed = url_file.with_suffix(".new")
        unnamed.write_text(url)
        unnamed.rename(url_file)

    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    agent = asyncio.create_task(run_agent(options, SystemClock(), listening=listening))  # noqa: TID251 - a program
    stopping = asyncio.create_task(stopped.wait())  # noqa: TID251 - a program
    await asyncio.wait({agent, stopping}, return_when=asyncio.FIRST_COMPLETED)
    agent.cancel()
    await asyncio.wait({agent})
    url_file.with_suffix(".lines").write_text(str(doom.length))


if __name__ == "__main__":
    _, options_file, url_file, line, *filler = sys.argv
    doom = Doom(int(line), "".join(filler))
    if doom.is_counting:
        threading.settrace(doom.trace)
        sys.settrace(doom.trace)
    asyncio.run(
        main(Options.model_validate_json(Path(options_file).read_text()), Path(url_file), doom)
    )
