"""A guarded fleet as it is run: with a real nginx and processes, or all in this one."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from exporter.app import App
from exporter.clock import SystemClock
from exporter.config import load
from exporter.demo.layout import Layout
from exporter.gateway.agent.agent import run_agent
from exporter.gateway.agent.driver import CHAIN, KEY, Place, Tools
from exporter.gateway.agent.drivers.embedded import mqtt
from exporter.gateway.agent.drivers.embedded.driver import EmbeddedDriver
from exporter.gateway.agent.drivers.embedded.driver import Options as EmbeddedOptions
from exporter.gateway.agent.options import Options
from exporter.web.options import ListenAddress
from tests.daemons import Daemon, free_port, nginx
from tests.drill.guarded import (
    GuardedFleet,
    Setting,
    connecting,
    new_fleet,
    write_agent_config,
    write_service_config,
)
from tests.gateway.agent.shifted_clock import ShiftedClock

TLS_LOG_FORMAT = (
    "log_format fleet_tls '$remote_addr [$time_local] $ssl_protocol $ssl_cipher"
    ' resumed=$ssl_session_reused status=$status sni="$ssl_server_name"'
    ' client="$ssl_client_s_dn" client_end="$ssl_client_v_end" took=$session_time\';'
)


@asynccontextmanager
async def guarded_fleet(directory: Path, setting: Setting) -> AsyncIterator[GuardedFleet]:
    """A healthy fleet behind a real nginx, agent and service processes of their own."""
    fleet = new_fleet(directory, setting, SystemClock())
    gateway_port, agent_port, service_port = free_port(), free_port(), free_port()
    fleet.gateway = f"127.0.0.1:{gateway_port}"
    fleet.agent_url = f"http://127.0.0.1:{agent_port}"
    fleet.exporter = f"127.0.0.1:{service_port}"
    write_service_config(fleet, [{"file": f"nginx/{name}"} for name in ("error.log", "tls.log")])
    agent_config = write_agent_config(
        fleet, listen=f"127.0.0.1:{agent_port}", terminator=_section(fleet)
    )

    def program(name: str, port: int, *arguments: str | Path) -> Daemon:
        command = (sys.executable, "-m", "exporter", *arguments)
        return Daemon(command, directory=directory / name, ports=[port])

    with program("agent-first", agent_port, "gateway-agent", "--config", agent_config):
        pass  # it has made ``current``: without that no nginx starts
    broker = await asyncio.start_server(_answer, "127.0.0.1", 0)
    upstream = broker.sockets[0].getsockname()[1]
    async with broker:
        with (
            _nginx(fleet.layout, gateway_port, upstream),
            program("agent-log", agent_port, "gateway-agent", "--config", agent_config),
            program("service", service_port, "run", "--config", fleet.layout.config),
        ):
            async with connecting(fleet):
                yield fleet


@asynccontextmanager
async def light_fleet(directory: Path, setting: Setting) -> AsyncIterator[GuardedFleet]:
    """The same with the terminator within, and all in this process but the TLS and HTTP.

    The clock of agent and service can be set forward.
    """
    clock = ShiftedClock()
    fleet = new_fleet(directory, setting, clock)
    driver = _within(fleet, clock)
    try:
        fleet.gateway = str(driver.addresses[0])
        async with asyncio.TaskGroup() as tasks:
            agent = await _agent(tasks, fleet, driver)
            write_service_config(fleet, [{"file": fleet.layout.gateway_log.name}])
            service = await _service(tasks, fleet)
            try:
                async with connecting(fleet):
                    yield fleet
            finally:
                service.cancel()
                agent.cancel()
    finally:
        driver.close()


async def _agent(
    tasks: asyncio.TaskGroup, fleet: GuardedFleet, driver: EmbeddedDriver
) -> asyncio.Task[None]:
    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    path = write_agent_config(fleet, listen="127.0.0.1:0")
    options = Options.model_validate_json(path.read_bytes(), strict=True)
    running = tasks.create_task(
        run_agent(options, fleet.clock, listening=url.set_result, driver=driver)
    )
    fleet.agent_url = await url
    return running


async def _service(tasks: asyncio.TaskGroup, fleet: GuardedFleet) -> asyncio.Task[None]:
    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    app = App(load(fleet.layout.config), fleet.clock)
    running = tasks.create_task(app.run(url.set_result))
    fleet.exporter = (await url).removeprefix("http://").rstrip("/")
    return running


def _within(fleet: GuardedFleet, clock: ShiftedClock) -> EmbeddedDriver:
    folder = fleet.layout.gateway
    options = EmbeddedOptions(
        listen=(ListenAddress(host="127.0.0.1", port=0),), log_file=fleet.layout.gateway_log
    )
    place = Place(current=folder / "current", scratch=folder / "scratch")
    return EmbeddedDriver(options, Tools(place=place, clock=clock))


def _nginx(layout: Layout, port: int, upstream: int) -> Daemon:
    current = layout.gateway / "current"
    folder = layout.directory / "nginx"
    block = (
        f"{TLS_LOG_FORMAT}\naccess_log {folder}/tls.log fleet_tls;\n"
        f"server {{ listen 127.0.0.1:{port} ssl; ssl_protocols TLSv1.2 TLSv1.3;\n"
        f"ssl_certificate {current}/{CHAIN}; ssl_certificate_key {current}/{KEY};\n"
        f"proxy_pass 127.0.0.1:{upstream}; }}"
    )
    return nginx(folder, stream=block, ports=[port])


def _section(fleet: GuardedFleet) -> dict[str, object]:
    nginx_at = fleet.layout.directory / "nginx"
    return {
        "nginx": {
            "addresses": [fleet.gateway],
            "config": f"{nginx_at}/nginx.conf",
            "pid_file": f"{nginx_at}/nginx.pid",
            "handshakes_log": f"{nginx_at}/tls.log",
            "timeout": "15s",
        }
    }


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """What is behind nginx: it accepts every MQTT CONNECT."""
    try:
        if await reader.read(1024):
            writer.write(mqtt.CONNACK)
            await writer.drain()
            await reader.read()
    except OSError:
        pass  # the device or nginx went away
    finally:
        writer.close()
