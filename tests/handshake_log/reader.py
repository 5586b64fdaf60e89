"""A reader of one log in a process of its own, to be killed at any moment."""

import asyncio
import multiprocessing
import os
import random
import shutil
from collections import Counter
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from sqlalchemy import text

from exporter.clock import SystemClock
from exporter.handshake_log.options import Options, ReadFrom
from exporter.handshake_log.sources import HandshakeLogs
from exporter.store import Store
from exporter.targets.model import Inventory, Role, Target

DEVICES = 7
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload([__name__])


def inventory() -> Inventory:
    devices = [
        Target(name=f"dev-{number}", role=Role.DEVICE, gateway="gw", peers=(f"10.0.0.{number}",))
        for number in range(DEVICES)
    ]
    return Inventory(targets={device.name: device for device in devices})


def refused(device: int, number: int = 0) -> bytes:
    """A device's refusal as nginx logs it."""
    return (
        f"2026/11/24 03:58:49 [info] 29625#29625: *{number} SSL_do_handshake() failed (SSL: error:"
        "0A000418:SSL routines::tlsv1 alert unknown ca:SSL alert number 48) while SSL handshaking,"
        f" client: 10.0.0.{device}, server: 0.0.0.0:8883\n"
    ).encode()


def store_of(folder: Path) -> Store:
    return Store(f"sqlite:///{folder / 'state.db'}")


def logs_of(folder: Path, pattern: str = "gateway.log") -> HandshakeLogs:
    options = Options(file=folder / "log" / pattern, gateway="gw", read_from=ReadFrom.BEGINNING)
    logs = HandshakeLogs([options], store_of(folder), SystemClock())
    logs.use(inventory())
    return logs


def read_forever(folder: str) -> None:
    asyncio.run(logs_of(Path(folder)).run())


def start_reader(folder: Path) -> ForkServerProcess:
    process = CONTEXT.Process(target=read_forever, args=(str(folder),))
    process.start()
    return process


async def rows_of(folder: Path, query: str) -> list[tuple[str, int]]:
    store = store_of(folder)
    await store.open()
    try:
        async with store.reading() as connection:
            return [(row[0], row[1]) for row in await connection.execute(text(query))]
    finally:
        await store.close()


async def counted(folder: Path) -> Counter[str]:
    """What is durable, by device."""
    query = "SELECT device, count FROM handshake_tally WHERE kind = 'failure'"
    return Counter(dict(await rows_of(folder, query)))


async def positions(folder: Path) -> dict[str, int]:
    """The sources that have a durable position."""
    return dict(await rows_of(folder, "SELECT source, 1 FROM log_position"))


class Writer:
    """Appends lines and rotates, and knows what it wrote."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self._folder = folder / "log"
        self._folder.mkdir()
        self.path = self._folder / "gateway.log"
        self._chance = chance
        self._log = self.path.open("ab", buffering=0)
        self.written: Counter[str] = Counter()
        self._number = 0

    def close(self) -> None:
        self._log.close()

    def append(self) -> None:
        """Write some lines, now and then in two halves."""
        lines = b""
        for _ in range(self._chance.randrange(1, 30)):
            device = self._chance.randrange(DEVICES)
            self._number += 1
            self.written[f"dev-{device}"] += 1
            lines += refused(device, self._number)
        cut = self._chance.randrange(len(lines))
        self._log.write(lines[:cut])
        self._log.write(lines[cut:])

    def rename(self) -> None:
        """Rotate as logrotate does by default; the program opens its log anew a little later."""
        self._shift()
        self.path.rename(self._folder / "gateway.log.1")
        if self._chance.random() < 0.5:
            self.append()
        self._log.close()
        self._log = self.path.open("ab", buffering=0)

    def copytruncate(self) -> None:
        """Rotate by a copy; nothing is written between it and the truncation."""
        self._shift()
        shutil.copyfile(self.path, self._folder / "gateway.log.1")
        os.truncate(self.path, 0)

    def _shift(self) -> None:
        for number in range(60, 0, -1):
            older = self._folder / f"gateway.log.{number}"
            if older.exists():
                older.rename(self._folder / f"gateway.log.{number + 1}")


Rotation = Callable[[Writer], None]
ROTATIONS: dict[str, Rotation] = {"rename": Writer.rename, "copytruncate": Writer.copytruncate}
