"""What ends the devices' TLS connections in the demo: the one within, or a real program."""

import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path

from exporter.clock import Clock
from exporter.demo.attended import Attended
from exporter.demo.layout import Layout
from exporter.demo.options import Terminator
from exporter.demo.setups import SETUPS, Site
from exporter.errors import ConfigError, Fault
from exporter.gateway.agent.driver import Address, Closeable, Driver, Place, Tools
from exporter.gateway.agent.drivers import Terminator as Section
from exporter.gateway.agent.drivers import make_driver
from exporter.gateway.agent.drivers.embedded.driver import EmbeddedDriver
from exporter.gateway.agent.drivers.embedded.driver import Options as EmbeddedOptions
from exporter.gateway.agent.terminator import find_program, free_port, plain_path
from exporter.web.options import ListenAddress

_LOOPBACK = "127.0.0.1"
_STREAM_MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")  # Debian's
_PACKAGES = {
    Terminator.NGINX: "nginx-light libnginx-mod-stream",
    Terminator.HAPROXY: "haproxy",
    Terminator.MOSQUITTO: "mosquitto",
}


class Front:
    """The gateway's terminator and its driver; holds ports until ``close``.

    Attributes:
        driver: Of the agent.
        section: What the agent's configuration says of it.
    """

    def __init__(self, kind: Terminator, layout: Layout, clock: Clock) -> None:
        place = Place(current=layout.gateway / "current", scratch=layout.gateway / "scratch")
        tools = Tools(place=place, clock=clock)
        self.driver: Driver
        self.section: Mapping[str, object]
        if kind is Terminator.EMBEDDED:
            self.driver, self.section = _embedded(layout, tools)
        else:
            self.driver, self.section = _attended(kind, layout, tools)

    def close(self) -> None:
        """Give back what the driver holds, also where it never ran."""
        assert isinstance(self.driver, Closeable)  # noqa: S101 - both kinds are
        self.driver.close()


def missing_program(kind: Terminator) -> str | None:
    """Return the sentence for a terminator that is not installed; None: it is, or needs not be."""
    if kind is Terminator.EMBEDDED:
        return None
    try:
        find_program(kind, "--terminator")
    except ConfigError:
        return (
            f"there is no program {str(kind)!r} on this machine; install it (Debian: apt-get"
            f" install {_PACKAGES[kind]}), or leave --terminator out"
        )
    return None


def _embedded(layout: Layout, tools: Tools) -> tuple[Driver, Mapping[str, object]]:
    listen = (ListenAddress(host=_LOOPBACK, port=0),)
    driver = EmbeddedDriver(EmbeddedOptions(listen=listen, log_file=layout.gateway_log), tools)
    addresses = [str(one) for one in driver.addresses]
    section = {"embedded": {"listen": addresses, "log_file": str(layout.gateway_log)}}
    return driver, section


def _attended(
    kind: Terminator, layout: Layout, tools: Tools
) -> tuple[Driver, Mapping[str, object]]:
    _check_path(layout.directory)
    program = find_program(kind, "--terminator")
    broker = socket.create_server((_LOOPBACK, 0), backlog=256)
    try:
        setup = SETUPS[kind](
            Site(
                folder=layout.terminator,
                current=tools.place.current,
                log=layout.gateway_log,
                listen=Address(host=_LOOPBACK, port=free_port(_LOOPBACK)),
                broker=Address(host=_LOOPBACK, port=broker.getsockname()[1]),
                is_root=os.geteuid() == 0,
                modules=(_STREAM_MODULE,) if _STREAM_MODULE.exists() else (),
            )
        )
        layout.write_terminator(setup.files)
        section = Section.model_validate_json(json.dumps(setup.section), strict=True)
        driver = Attended(
            make_driver(section, tools),
            setup,
            tools.clock,
            program=program,
            log=layout.gateway_log,
            broker=broker,
        )
    except BaseException:
        broker.close()
        raise
    return driver, setup.section


def _check_path(directory: Path) -> None:
    try:
        plain_path(directory)
    except ValueError as exc:
        message = f"{exc}: the terminator's configuration names it; choose another TMPDIR"
        raise ConfigError([Fault(place="TMPDIR", message=message)]) from exc
