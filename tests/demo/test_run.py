"""The demo from start to end, with a small stand-in for the service above it."""

import asyncio
import json
import os
import signal
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from aiohttp import web

from exporter.clock import SystemClock
from exporter.demo.options import Break, DemoOptions
from exporter.demo.run import run_demo
from exporter.demo.watch import DemoError
from exporter.errors import ConfigError

SMALL = DemoOptions(devices=4, port=0, json=True)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the demo makes its directory, so that what it leaves is seen."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def left_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


class StandIn:
    """Says over HTTP that it looked at every target and heard of every device just now."""

    def __init__(self, *, status: int = 200) -> None:
        self._status = status
        self._targets: list[str] = []
        self._devices: list[str] = []

    async def __call__(self, config: Path, *, listening: Callable[[str], None]) -> None:
        document = yaml.safe_load(await asyncio.to_thread(config.read_text))
        static = document["targets"]["static"]
        self._targets = [entry["name"] for entry in static if "address" in entry]
        self._devices = [entry["name"] for entry in static if "gateway" in entry]
        app = web.Application()
        app.router.add_get("/metrics", self._metrics)
        runner = web.AppRunner(app)
        await runner.setup()
        try:
            host, port = document["listen"].split(":")
            site = web.TCPSite(runner, host, int(port))
            await site.start()
            listening(f"http://{runner.addresses[0][0]}:{runner.addresses[0][1]}")
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()

    async def _metrics(self, _: web.Request) -> web.Response:
        now = SystemClock().now().timestamp()
        name = "fleet_tls_probe_last_attempt_timestamp_seconds"
        lines = [f'{name}{{target="{target}"}} {now}\n' for target in self._targets]
        name = "fleet_tls_trust_store_report_timestamp_seconds"
        lines += [f'{name}{{device="{device}"}} {now}\n' for device in self._devices]
        name = "fleet_tls_handshake_last_success_timestamp_seconds"
        lines += [
            f'{name}{{gateway="gw-1",device="{device}"}} {now}\n' for device in self._devices
        ]
        return web.Response(text="".join(lines), status=self._status)


class Screen:
    """Keeps what was said; stops the demo as a person would, after so many texts.

    ``holds``: what must be so of the gateway's log before; it may be behind its devices.
    """

    def __init__(
        self,
        folder: Path,
        *,
        stop_after: int = 1,
        by: int = signal.SIGTERM,
        holds: Callable[[str], bool] = bool,
    ) -> None:
        self.texts: list[str] = []
        self.log = ""
        self._folder = folder
        self._stop_after = stop_after
        self._by = by
        self._holds = holds

    def __call__(self, text: str) -> None:
        self.texts.append(text)
        if len(self.texts) == self._stop_after:
            self._stop()

    def _stop(self) -> None:
        (log,) = self._folder.glob("*/gateway.log")
        self.log = log.read_text()
        if self._holds(self.log):
            os.kill(os.getpid(), self._by)
        else:
            asyncio.get_running_loop().call_later(0.02, self._stop)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_one_line_of_json_and_nothing_left_behind(folder: Path, number: int) -> None:
    screen = Screen(folder, by=number)

    await run_demo(SMALL, StandIn(), say=screen, clock=SystemClock())

    (line,) = screen.texts
    found = json.loads(line)
    assert list(found) == ["exporter", "gateway", "management_api", "token_file", "directory"]
    assert found["management_api"].startswith("http://127.0.0.1:")
    assert found["token_file"].startswith(found["directory"])
    assert left_in(folder) == []
    with socket.socket() as gone:
        host, port = found["gateway"].split(":")
        assert gone.connect_ex((host, int(port))) != 0


async def test_it_breaks_only_what_every_device_has_accepted_before(folder: Path) -> None:
    devices = {f"127.0.1.{number}" for number in range(1, 5)}

    def who(log: str, status: str) -> set[str]:
        return {line.split(" ")[0] for line in log.splitlines() if status in line}

    screen = Screen(folder, holds=lambda log: who(log, "=500") >= devices)
    options = DemoOptions(devices=4, port=0, json=True, break_=Break.UNKNOWN_CA)

    await run_demo(options, StandIn(), say=screen, clock=SystemClock())

    healthy, broken = screen.log.split("SSL_do_handshake() failed", 1)
    assert who(healthy, "=200") >= devices
    assert who(broken, "=500") >= devices


async def test_a_person_is_told_what_runs_and_how_the_devices_fare(folder: Path) -> None:
    screen = Screen(folder, stop_after=2)
    options = DemoOptions(devices=4, port=0)

    await run_demo(options, StandIn(), say=screen, clock=SystemClock())

    greeting, state = screen.texts
    assert "A gateway and 4 devices are running on loopback" in greeting
    assert state.endswith("4 of 4 devices reach the gateway")


async def test_a_port_in_use_is_refused_by_a_sentence(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        options = DemoOptions(port=port)

        with pytest.raises(ConfigError) as refused:
            await run_demo(options, StandIn(), say=print, clock=SystemClock())

    assert str(refused.value) == (
        f"--port: 127.0.0.1:{port} cannot be used (Address already in use); "
        "name another one, or 0 for any that is free"
    )
    assert left_in(folder) == []


async def test_a_service_that_cannot_start_ends_the_demo_with_its_own_error(folder: Path) -> None:
    async def broken(config: Path, *, listening: Callable[[str], None]) -> None:
        raise DemoError("no store")

    with pytest.raises(DemoError, match=r"^no store$"):
        await run_demo(SMALL, broken, say=print, clock=SystemClock())

    assert left_in(folder) == []


async def test_a_fault_of_our_own_is_not_hidden(folder: Path) -> None:
    async def faulty(config: Path, *, listening: Callable[[str], None]) -> None:
        raise ZeroDivisionError

    with pytest.raises(ExceptionGroup) as found:
        await run_demo(SMALL, faulty, say=print, clock=SystemClock())

    assert found.group_contains(ZeroDivisionError)
    assert left_in(folder) == []


async def test_a_service_that_answers_no_metrics_is_said_so(folder: Path) -> None:
    with pytest.raises(DemoError, match="/metrics answers 500"):
        await run_demo(SMALL, StandIn(status=500), say=print, clock=SystemClock())

    assert left_in(folder) == []


async def test_what_does_not_come_up_is_given_up(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.demo.run._READY_S", 0.2)

    async def mute(config: Path, *, listening: Callable[[str], None]) -> None:
        await asyncio.Event().wait()

    with pytest.raises(DemoError, match=r"was not up within 0\.2 s: .* of 4 devices"):
        await run_demo(SMALL, mute, say=print, clock=SystemClock())

    assert left_in(folder) == []
