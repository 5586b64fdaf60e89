"""A terminator that runs for the length of a test."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from exporter.clock import SystemClock
from exporter.demo.authorities import Served
from exporter.gateway.agent.driver import CHAIN, KEY
from exporter.gateway.agent.drivers.embedded.terminator import Terminator

NOW = datetime.now(UTC)  # noqa: TID251 - real handshakes judge by the machine's clock


def written(folder: Path, served: Served) -> Path:
    """Return ``folder``, which holds what is to be served."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CHAIN).write_bytes(served.chain_pem)
    (folder / KEY).write_bytes(served.key_pem)
    return folder


@asynccontextmanager
async def running(folder: Path, served: Served | None) -> AsyncIterator[Terminator]:
    gateway = Terminator(folder / "gateway.log", SystemClock())
    if served:
        gateway.serve(written(folder, served))
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(gateway.run())
        try:
            yield gateway
        finally:
            task.cancel()
    # Also where the test ended before the task had begun
    gateway.close()


def address_of(gateway: Terminator) -> str:
    return str(gateway.addresses[0])


async def sessions(folder: Path, count: int = 1) -> str:
    """Return the gateway's log once ``count`` sessions ended in it: the client may be ahead."""
    async with asyncio.timeout(30):
        while True:
            log = (folder / "gateway.log").read_text()
            if log.count(" status=") >= count:
                return log
            await SystemClock().sleep(0.005)
