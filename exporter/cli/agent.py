"""Runs the gateway agent in an event loop until a signal."""

from functools import partial
from pathlib import Path

from exporter import systemd
from exporter.cli.service import run_until_stopped
from exporter.clock import SystemClock
from exporter.config.agent import load_agent
from exporter.gateway.agent.agent import run_agent


def check_agent(config: Path) -> None:
    """Return when the agent's file can be used.

    Raises:
        ConfigError: with all its faults.
    """
    options = load_agent(config)
    (kind,) = options.terminator.given
    print(f"{config} can be used: {kind}, {len(options.devices)} devices")


def serve_agent(config: Path) -> None:
    """Run the agent of ``config`` until SIGTERM or SIGINT.

    Raises:
        ConfigError: it cannot run.
        StoreError: its store cannot be used.
    """

    def listening(_url: str) -> None:
        systemd.notify("READY=1")

    run_until_stopped(partial(run_agent, load_agent(config), SystemClock(), listening=listening))
