"""A fleet whose gateway is a real nginx with the agent in front; devices connect and tell."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from exporter.clock import SystemClock
from exporter.demo.authorities import (
    Authorities,
    gateway_certificate,
    make_authorities,
)
from exporter.demo.device import Contact, Device, DeviceClient
from exporter.demo.fleet import devices_of, pace_of
from exporter.demo.layout import Layout
from exporter.gateway.agent.driver import CHAIN, KEY
from exporter.gateway.agent.drivers.embedded import mqtt
from tests.daemons import Daemon, free_port, nginx
from tests.gateway.agent.stand import signed

_FORMAT = (
    "log_format fleet_tls '$remote_addr [$time_local] $ssl_protocol $ssl_cipher"
    ' resumed=$ssl_session_reused status=$status sni="$ssl_server_name"'
    ' client="$ssl_client_s_dn" client_end="$ssl_client_v_end" took=$session_time\';'
)
_READY_WITHIN_S = 60.0


@dataclass(slots=True, kw_only=True)
class GuardedFleet:
    """What runs, and how each device fared.

    Attributes:
        exporter: ``HOST:PORT`` of the service.
        token: Opens the agent, the webhook and the service's API.
        contacts: Each device's latest attempt; every one is a full handshake.
    """

    layout: Layout
    exporter: str
    agent_url: str
    token: str
    authorities: Authorities
    devices: Sequence[Device]
    contacts: dict[str, Contact] = field(default_factory=dict)

    async def keep(self, contact: Contact) -> None:
        """Remember how one attempt went."""
        self.contacts[contact.device] = contact

    def connected(self, since: datetime) -> int:
        """Devices whose latest attempt was made since then, and was good."""
        return sum(one.refusal is None and one.at >= since for one in self.contacts.values())

    def refused(self, since: datetime) -> int:
        """Devices whose latest attempt was made since then, and failed."""
        return sum(one.refusal is not None and one.at >= since for one in self.contacts.values())

    async def call(self, session: aiohttp.ClientSession, path: str, body: object) -> Any:
        """Call the agent; the answer's body."""
        headers = {"Authorization": f"Bearer {self.token}"}
        url = f"{self.agent_url}/gateway/certificates{path}"
        method = "GET" if body is None else "POST"
        async with session.request(method, url, json=body, headers=headers) as answer:
            found = await answer.json()
        assert answer.status < 300, found
        return found

    async def rotate_to_what_nobody_trusts(self, session: aiohttp.ClientSession) -> None:
        """Force the gateway to serve a certificate of the new CA, proven by the agent."""
        csr = (await self.call(session, "/csr", {}))["csr"]
        chain = signed(csr, self.authorities.new_intermediate)
        body = {"newCertificate": chain, "validationMode": "none"}
        done = await self.call(session, "/rotate", body)
        assert done["status"] == "SUCCESS", done


@asynccontextmanager
async def guarded_fleet(
    directory: Path, *, count: int, interval: str
) -> AsyncIterator[GuardedFleet]:
    """A healthy fleet with remediation in mode ``act``; every device was accepted once."""
    clock = SystemClock()
    layout = Layout(directory)
    authorities = make_authorities(clock.now())
    devices = devices_of(count, layout.devices)
    layout.write_secrets(authorities)
    layout.write_trust_stores(authorities, devices)
    gateway_port, agent_port, service_port = free_port(), free_port(), free_port()
    fleet = GuardedFleet(
        layout=layout, exporter=f"127.0.0.1:{service_port}",
        agent_url=f"http://127.0.0.1:{agent_port}", token=layout.token_file.read_text().strip(),
        authorities=authorities, devices=devices,
    )  # fmt: skip
    _write_service_config(fleet, gateway_port, interval)
    agent_config = _write_agent_config(fleet, gateway_port, agent_port)

    def program(name: str, port: int, *arguments: str | Path) -> Daemon:
        command = (sys.executable, "-m", "exporter", *arguments)
        return Daemon(command, directory=directory / name, ports=[port])

    with program("agent-first", agent_port, "gateway-agent", "--config", agent_config):
        pass  # it has made ``current``: without that no nginx starts
    broker = await asyncio.start_server(_answer, "127.0.0.1", 0)
    upstream = broker.sockets[0].getsockname()[1]
    async with broker:
        with (
            _nginx(layout, gateway_port, upstream),
            program("agent-log", agent_port, "gateway-agent", "--config", agent_config),
            program("service", service_port, "run", "--config", layout.config),
        ):
            async with _connecting(fleet, gateway_port):
                yield fleet


@asynccontextmanager
async def _connecting(fleet: GuardedFleet, port: int) -> AsyncIterator[None]:
    clock = SystemClock()
    pace = pace_of(len(fleet.devices)).contact_s
    async with asyncio.TaskGroup() as tasks:
        running = [
            tasks.create_task(
                DeviceClient(
                    device, f"127.0.0.1:{port}", clock, interval_s=pace, tell=fleet.keep
                ).run()
            )
            for device in fleet.devices
        ]
        try:
            async with asyncio.timeout(_READY_WITHIN_S):
                began_at = clock.now()
                while fleet.connected(began_at) < len(fleet.devices):
                    await clock.sleep(0.1)
            yield
        finally:
            for one in running:
                one.cancel()


def _nginx(layout: Layout, port: int, upstream: int) -> Daemon:
    current = layout.gateway / "current"
    folder = layout.directory / "nginx"
    block = (
        f"{_FORMAT}\naccess_log {folder}/tls.log fleet_tls;\n"
        f"server {{ listen 127.0.0.1:{port} ssl; ssl_protocols TLSv1.2 TLSv1.3;\n"
        f"ssl_certificate {current}/{CHAIN}; ssl_certificate_key {current}/{KEY};\n"
        f"proxy_pass 127.0.0.1:{upstream}; }}"
    )
    return nginx(folder, stream=block, ports=[port])


def _write_agent_config(fleet: GuardedFleet, gateway_port: int, agent_port: int) -> Path:
    """The demo's agent, in front of nginx in place of the terminator within."""
    layout = fleet.layout
    nginx_at = layout.directory / "nginx"
    gateway = f"127.0.0.1:{gateway_port}"
    served = gateway_certificate(fleet.authorities, SystemClock().now())
    terminator = {
        "nginx": {
            "addresses": [gateway],
            "config": f"{nginx_at}/nginx.conf",
            "pid_file": f"{nginx_at}/nginx.pid",
            "handshakes_log": f"{nginx_at}/tls.log",
            "timeout": "15s",
        }
    }
    document = {
        **layout.write_agent_config(fleet.devices, served, gateway),
        "listen": f"127.0.0.1:{agent_port}",
        "terminator": terminator,
    }
    path = layout.directory / "agent.yml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


def _write_service_config(fleet: GuardedFleet, gateway_port: int, interval: str) -> None:
    layout = fleet.layout
    layout.write_config(
        fleet.devices, listen=fleet.exporter, gateway=f"127.0.0.1:{gateway_port}",
        management_api=fleet.agent_url, device_addresses={}, pace=pace_of(len(fleet.devices)),
    )  # fmt: skip
    config = yaml.safe_load(layout.config.read_text("utf-8"))
    config["probe"] |= {"interval": interval, "failing_interval": interval}
    log = config["handshake_logs"][0]
    config["handshake_logs"] = [
        log | {"file": f"nginx/{name}"} for name in ("error.log", "tls.log")
    ]
    config["remediation"] = {"mode": "act"}
    layout.config.write_text(yaml.safe_dump(config, sort_keys=False))


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
