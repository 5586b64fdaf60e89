"""Runs the service or the agent in an event loop until a signal; it does end, whatever hangs."""

import asyncio
import gc
import logging
import os
import signal
import threading
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path

import uvloop

from exporter import systemd
from exporter.app import run_service
from exporter.cli.core_file import leave_no_core
from exporter.cli.errors import first_of

log = logging.getLogger(__name__)

# Orderly ends take 2 s at most; within 5 s it is over whatever hangs (a file on a dead server)
_LAST_MOMENT_S = 4.0
# A full collection at 10,000 targets holds the loop up for 150 ms of processor time, and finds
# nothing: what a look leaves behind has no cycles (tests/probe/test_leaks.py). With Python's 10
# there is one every 30 s, with this one every 40 minutes.
_MIDDLE_BEFORE_FULL = 1000


class _Stopped(Exception):  # noqa: N818 - a signal, not an error
    """SIGTERM or SIGINT came."""


Work = Callable[[], Coroutine[None, None, None]]


def serve(config: Path) -> None:
    """Run the service of ``config`` until SIGTERM or SIGINT.

    Raises:
        ConfigError: it cannot run.
    """
    _collect_seldom()
    run_until_stopped(partial(run_service, config))


def _collect_seldom() -> None:
    gc.collect()
    gc.freeze()  # what was imported stays anyway, and is not gone through again
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, _MIDDLE_BEFORE_FULL)


def run_until_stopped(work: Work) -> None:
    """Do ``work`` until SIGTERM or SIGINT; it ends by being cancelled.

    Raises:
        ExporterError: what ended it that somebody can act on.
    """
    leave_no_core()
    try:
        uvloop.run(_until_stopped(work))
    except BaseExceptionGroup as group:
        _, rest = group.split(_Stopped)
        if rest is not None:
            raise first_of(rest) from group
        log.info("ended")


async def _until_stopped(work: Work) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(work())
        await stopped.wait()
        _end_for_certain()
        systemd.notify("STOPPING=1")
        raise _Stopped


def _end_for_certain() -> None:
    """Start a clock that ends the process, whatever still hangs."""

    def leave() -> None:
        log.warning("something did not end in time; leaving all the same")
        os._exit(1)

    timer = threading.Timer(_LAST_MOMENT_S, leave)
    timer.daemon = True
    timer.start()
