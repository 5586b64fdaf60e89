"""The demo's fleet with the exporter watching it, broken when the drill says so."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import yaml

from exporter.demo.layout import Layout
from exporter.demo.options import Break
from exporter.demo.stage import Stage
from tests.daemons import Daemon, free_port
from tests.demo.standing import standing

DEVICES = 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """A fleet on loopback, watched.

    Attributes:
        exporter: ``HOST:PORT`` of the service.
    """

    stage: Stage
    layout: Layout
    exporter: str

    async def serve_what_nobody_trusts(self) -> datetime:
        """Let the gateway serve a certificate of the new CA; return since when it does."""
        return await self.stage.break_gateway(Break.UNKNOWN_CA)


@asynccontextmanager
async def watched_fleet(directory: Path, *, interval: str) -> AsyncIterator[Fleet]:
    """A healthy fleet, every device of which has been accepted once; looks at this interval."""
    port = free_port()
    async with standing(directory, devices=DEVICES, listen=f"127.0.0.1:{port}") as stage:
        layout = Layout(directory)
        _look_every(interval, layout.config)
        command = (sys.executable, "-m", "exporter", "run", "--config", layout.config)
        with Daemon(command, directory=directory / "service", ports=[port]):
            async with asyncio.timeout(60):
                await stage.all_contacts(lambda contact: contact.refusal is None)
                await stage.all_known()
            yield Fleet(stage=stage, layout=layout, exporter=f"127.0.0.1:{port}")


def _look_every(interval: str, path: Path) -> None:
    config = yaml.safe_load(path.read_text("utf-8"))
    config["probe"] |= {"interval": interval, "failing_interval": interval}
    path.write_text(yaml.safe_dump(config, sort_keys=False))
