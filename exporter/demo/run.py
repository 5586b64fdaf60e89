"""Runs the demo: a fleet on loopback, the service that watches it, until a signal comes."""

import asyncio
import os
import shutil
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from exporter.clock import Clock
from exporter.demo.front import missing_program
from exporter.demo.layout import GATEWAY, Layout
from exporter.demo.options import DemoOptions, Terminator, check_options
from exporter.demo.rotation import Tell, rotate
from exporter.demo.screen import Whereabouts, as_json, greeting, summary
from exporter.demo.stage import Stage
from exporter.demo.watch import DemoError, wait_for_handshakes, wait_for_looks, wait_for_reports
from exporter.demo.workspace import workspace
from exporter.errors import ConfigError, ExporterError, Fault
from exporter.text_files import read_bounded

# Seconds within which everything has been seen to work; more is a fault, and said so
_READY_S = 60.0
_MAX_TOKEN_BYTES = 4096
_SUMMARY_EVERY_S = 1.0
_COMMAND = "fleet-tls-exporter"

Say = Callable[[str], None]


class Service(Protocol):
    """The service that watches the fleet; handed in, since it stands above this package."""

    async def __call__(self, config: Path, *, listening: Callable[[str], None]) -> None:
        """Run with the file ``config`` until cancelled; tell its base URL once it answers."""
        ...


class _Stopped(Exception):  # noqa: N818 - a signal, not an error
    """SIGTERM or SIGINT came."""


async def run_demo(options: DemoOptions, service: Service, *, say: Say, clock: Clock) -> None:
    """Run the demo until SIGTERM or SIGINT; everything it made is gone afterwards.

    ``say`` prints one text on standard output.

    Raises:
        ConfigError: an option cannot be followed, or the port is taken.
        DemoError: it could not start.
    """
    check_options(options)
    _check_terminator(options.terminator)
    _check_port(options.host, options.port)
    given = options.token_file
    token = read_bounded(given, _MAX_TOKEN_BYTES) if given else None
    with workspace() as directory, _signals() as stopped:
        layout = Layout(
            directory,
            token,
            rotating=options.times if options.rotate else None,
            remediation=options.remediation,
        )
        with Stage(
            layout, clock, device_count=options.devices, terminator=options.terminator
        ) as stage:
            url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
            with _first_error():
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(stage.run())
                    tasks.create_task(_serve(options, stage, service, layout, url))
                    tasks.create_task(_show(options, stage, layout, url, say=say, clock=clock))
                    tasks.create_task(_end_when(stopped))


async def _serve(
    options: DemoOptions, stage: Stage, service: Service, layout: Layout, url: asyncio.Future[str]
) -> None:
    await stage.write_config(f"{options.host}:{options.port}")
    await service(layout.config, listening=url.set_result)


@contextmanager
def _first_error() -> Iterator[None]:
    """Let a stop pass as the good end it is, and of a group's errors show the one to act on."""
    try:
        yield
    except BaseExceptionGroup as group:
        told = group.subgroup(ExporterError)
        _, rest = group.split(_Stopped)
        if told is None and rest is None:
            return
        if told is None:
            raise
        error: BaseException = told
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from group


async def _end_when(stopped: asyncio.Event) -> None:
    await stopped.wait()
    raise _Stopped  # in a task of the group it cancels all the others


@contextmanager
def _signals() -> Iterator[asyncio.Event]:
    """Turn SIGTERM and SIGINT into an event for as long as the demo runs."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    try:
        yield stopped
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def _check_terminator(kind: Terminator) -> None:
    missing = missing_program(kind)
    if missing is not None:
        raise ConfigError([Fault(place="--terminator", message=missing)])


def _check_port(host: str, port: int) -> None:
    # Before a certificate is made or a line printed; the service binds it for good
    try:
        socket.create_server((host, port)).close()
    except OSError as error:
        fault = Fault(
            place="--port",
            message=f"{host}:{port} cannot be used ({os.strerror(error.errno or 0)}); "
            "name another one, or 0 for any that is free",
        )
        raise ConfigError([fault]) from error


async def _show(
    options: DemoOptions,
    stage: Stage,
    layout: Layout,
    url: asyncio.Future[str],
    *,
    say: Say,
    clock: Clock,
) -> None:
    """Wait until all is seen to work, break what is to be broken, print, and keep printing."""
    try:
        async with asyncio.timeout(_READY_S):
            base = await url
            await _prove(options, stage, base, clock)
    except TimeoutError as error:
        raise DemoError(
            f"the fleet was not up within {_READY_S:g} s: "
            f"{summary(stage.contacts, options.devices)}; see {layout.gateway_log}"
        ) from error
    found = Whereabouts(
        exporter=base,
        gateway=stage.gateway,
        management_api=await stage.management_api(),
        token_file=str(layout.token_file),
        directory=str(layout.directory),
    )
    say(as_json(found) if options.json else await _greeting(found, options, stage))

    def tell(text: str) -> None:
        if not options.json:
            say(f"{clock.now().astimezone():%H:%M:%S}  {text}")

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_keep_telling(stage, options.devices, tell=tell, clock=clock))
        if options.rotate:
            tasks.create_task(rotate(base, stage, layout.token_file, tell=tell, clock=clock))


async def _greeting(found: Whereabouts, options: DemoOptions, stage: Stage) -> str:
    return greeting(found, options, await stage.platforms_word(), _command())


def _command() -> str:
    """Return how this program is called here: that of a virtual environment by its whole path."""
    beside = Path(sys.executable).with_name(_COMMAND)
    is_on_path = shutil.which(_COMMAND) == str(beside)
    return str(beside) if beside.exists() and not is_on_path else _COMMAND


async def _prove(options: DemoOptions, stage: Stage, base: str, clock: Clock) -> None:
    """Return once all was seen in the state asked for: devices, looks, and what devices trust."""
    listening = [device.name for device in stage.devices if device.listens]
    start = datetime.fromtimestamp(0, tz=clock.now().tzinfo)
    # A break only counts against a certificate that every device is known to have accepted
    await stage.all_contacts(lambda contact: contact.refusal is None)
    await stage.all_known()
    await wait_for_looks(base, [GATEWAY, *listening], since=start, clock=clock)
    names = [device.name for device in stage.devices]
    await wait_for_reports(base, names, clock=clock)
    # Who was never seen to connect before a break could not bear witness after it
    await wait_for_handshakes(base, names, clock=clock)
    if options.break_ is not None:
        await stage.break_gateway(options.break_)
        await stage.all_known()
        # A log tells the second only: who refuses within that of the change is no witness of it
        after = clock.now() + timedelta(seconds=1)
        await stage.all_contacts(lambda one: one.at > after and one.refusal is not None)
        # Not by one that was under way at the change
        await wait_for_looks(base, [GATEWAY], since=after, clock=clock)


async def _keep_telling(stage: Stage, device_count: int, *, tell: Tell, clock: Clock) -> None:
    told = ""
    while True:
        now = summary(stage.contacts, device_count)
        if now != told:
            tell(now)
            told = now
        await clock.sleep(_SUMMARY_EVERY_S)
