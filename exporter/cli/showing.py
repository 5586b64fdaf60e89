"""Runs the demo in an event loop."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import uvloop

from exporter.app import run_service
from exporter.clock import SystemClock
from exporter.demo.options import Break, DemoOptions, Remediation, Terminator
from exporter.demo.run import run_demo
from exporter.log_output import LogFormat, set_up_logging


def show_demo(given: Mapping[str, Any]) -> None:
    """Run the demo that the options ask for.

    Raises:
        ConfigError: an option cannot be followed.
        DemoError: it could not start.
    """
    options = DemoOptions(
        devices=given["devices"],
        host=given["host"],
        port=given["port"],
        token_file=given["token_file"],
        terminator=Terminator(given["terminator"]),
        break_=Break(given["break_"]) if given["break_"] else None,
        rotate=given["rotate"],
        remediation=Remediation(given["remediation"]),
        json=given["json"],
    )
    # The service's own log would bury what the demo has to tell; of a rotation it tells all
    set_up_logging(LogFormat.TEXT, "error" if options.rotate else "warning")
    say = partial(print, flush=True)
    uvloop.run(run_demo(options, run_service, say=say, clock=SystemClock()))
