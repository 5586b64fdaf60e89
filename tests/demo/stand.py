"""A gateway that runs for the length of a test."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from exporter.clock import SystemClock
from exporter.demo.authorities import Served
from exporter.demo.gateway import Files, Gateway

NOW = datetime.now(UTC)  # noqa: TID251 - real handshakes judge by the machine's clock


def files(folder: Path) -> Files:
    return Files(
        certificate=folder / "chain.pem", key=folder / "key.pem", log=folder / "gateway.log"
    )


@asynccontextmanager
async def running(folder: Path, served: Served | None) -> AsyncIterator[Gateway]:
    gateway = Gateway(files(folder), SystemClock())
    if served:
        gateway.serve(served)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(gateway.run())
        try:
            yield gateway
        finally:
            task.cancel()
    # Also where the test ended before the task had begun
    gateway.close()


async def sessions(folder: Path, count: int = 1) -> str:
    """Return the gateway's log once ``count`` sessions ended in it: the client may be ahead."""
    async with asyncio.timeout(10):
        while True:
            log = (folder / "gateway.log").read_text()
            if log.count(" status=") >= count:
                return log
            await SystemClock().sleep(0.005)
