"""Runs the service or the agent in an event loop until a signal; it does end, whatever hangs."""

import asyncio
import contextlib
import logging
import os
import resource
import signal
import threading
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path

import uvloop

from exporter import systemd
from exporter.app import run_service
from exporter.cli.errors import first_of

log = logging.getLogger(__name__)

# Orderly ends take 2 s at most; within 5 s it is over whatever hangs (a file on a dead server)
_LAST_MOMENT_S = 4.0


class _Stopped(Exception):  # noqa: N818 - a signal, not an error
    """SIGTERM or SIGINT came."""


Work = Callable[[], Coroutine[None, None, None]]


def serve(config: Path) -> None:
    """Run the service of ``config`` until SIGTERM or SIGINT.

    Raises:
        ConfigError: it cannot run.
    """
    run_until_stopped(partial(run_service, config))


def run_until_stopped(work: Work) -> None:
    """Do ``work`` until SIGTERM or SIGINT; it ends by being cancelled.

    Raises:
        ExporterError: what ended it that somebody can act on.
    """
    _without_core()
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


def _without_core() -> None:
    """Leave no core file behind: tokens and keys would lie in it."""
    with contextlib.suppress(OSError, ValueError):  # a sandbox may forbid it, and has set its own
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _end_for_certain() -> None:
    """Start a clock that ends the process, whatever still hangs."""

    def leave() -> None:
        log.warning("something did not end in time; leaving all the same")
        os._exit(1)

    timer = threading.Timer(_LAST_MOMENT_S, leave)
    timer.daemon = True
    timer.start()
