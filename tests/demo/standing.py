"""A stage that runs for the length of a test, the service's configuration written."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from exporter.clock import SystemClock
from exporter.demo.layout import Layout
from exporter.demo.stage import Stage


@asynccontextmanager
async def standing(
    folder: Path, *, devices: int = 18, listen: str = "127.0.0.1:0"
) -> AsyncIterator[Stage]:
    with Stage(Layout(folder), SystemClock(), device_count=devices) as stage:
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(stage.run())
            try:
                await stage.write_config(listen)
                yield stage
            finally:
                running.cancel()
