"""A terminator of its own beside the demo's agent: started, watched, ended."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from exporter.clock import SystemClock
from exporter.demo.attended import Attended
from exporter.demo.front import Front, missing_program
from exporter.demo.layout import Layout
from exporter.demo.options import Terminator
from exporter.demo.setups import Setup
from exporter.demo.watch import DemoError
from exporter.errors import ConfigError
from exporter.gateway.agent.driver import Place, Tools
from exporter.gateway.agent.drivers.embedded import mqtt
from exporter.gateway.agent.drivers.embedded.driver import EmbeddedDriver, Options
from exporter.gateway.agent.processes import process
from exporter.web.options import ListenAddress

CLOCK = SystemClock()


@pytest.fixture
def real(tmp_path: Path) -> Iterator[EmbeddedDriver]:
    """A driver with an address where somebody listens."""
    place = Place(current=tmp_path / "current", scratch=tmp_path)
    listen = (ListenAddress(host="127.0.0.1", port=0),)
    options = Options(listen=listen, log_file=tmp_path / "gateway.log")
    driver = EmbeddedDriver(options, Tools(place=place, clock=CLOCK))
    yield driver
    driver.close()


def attended(real: EmbeddedDriver, folder: Path, script: str, *, running: str = "") -> Attended:
    """One whose program is a shell."""
    return Attended(
        real,
        Setup(arguments=("-c", script), files={}, section={}, running=running),
        CLOCK,
        program="/bin/sh",
        log=folder / "gateway.log",
        broker=socket.create_server(("127.0.0.1", 0)),
    )


@asynccontextmanager
async def running(one: Attended) -> AsyncIterator[None]:
    try:
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(one.run())
            yield
            task.cancel()
    finally:
        one.close()


async def ended(one: Attended) -> str:
    """What is said of a terminator that does not go on."""
    with pytest.raises(ExceptionGroup) as found:
        async with running(one), asyncio.timeout(50):
            await asyncio.Event().wait()
    error: BaseException = found.value
    while isinstance(error, ExceptionGroup):
        (error,) = error.exceptions
    assert isinstance(error, DemoError)
    return str(error)


async def test_one_that_ends_by_itself_ends_the_demo_with_its_last_words(
    real: EmbeddedDriver, tmp_path: Path
) -> None:
    said = await ended(attended(real, tmp_path, "echo no such port; exit 3"))

    assert said == "/bin/sh ended by itself (3): no such port"


async def test_one_that_never_serves_is_given_up(
    real: EmbeddedDriver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.demo.attended._UP_WITHIN_S", 0.1)

    said = await ended(attended(real, tmp_path, "sleep 600", running="it runs"))

    assert said.startswith("/bin/sh did not serve within 0.1 s: ")


async def test_one_that_does_not_want_to_end_is_ended(
    real: EmbeddedDriver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.demo.attended._GOODBYE_S", 0.1)
    script = f"trap '' TERM; echo $$ > {tmp_path}/pid; while :; do sleep 600; done"
    one = attended(real, tmp_path, script)

    async with running(one):
        assert await one.is_alive()
        while not (text := await asyncio.to_thread(text_of, tmp_path / "pid")).endswith("\n"):
            await CLOCK.sleep(0.01)

    assert process(int(text)) is None


def text_of(path: Path) -> str:
    return path.read_text() if path.exists() else ""


async def test_what_stands_behind_it_accepts_every_device(
    real: EmbeddedDriver, tmp_path: Path
) -> None:
    broker = socket.create_server(("127.0.0.1", 0))
    one = Attended(
        real, Setup(arguments=("-c", "exec sleep 600"), files={}, section={}), CLOCK,
        program="/bin/sh", log=tmp_path / "gateway.log", broker=broker,
    )  # fmt: skip

    async with running(one):
        assert await one.is_alive()
        reader, writer = await asyncio.open_connection(*broker.getsockname()[:2])
        writer.write(mqtt.connect("dev-01"))
        answer = await reader.readexactly(len(mqtt.CONNACK))
        writer.close()

    assert answer == mqtt.CONNACK


@pytest.mark.parametrize("kind", list(Terminator))
def test_a_program_that_is_not_installed_is_said_so(
    kind: Terminator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.gateway.agent.terminator._SBIN", "/nowhere")
    monkeypatch.setitem(os.environ, "PATH", "/nowhere")

    said = missing_program(kind)

    if kind is Terminator.EMBEDDED:
        assert said is None
    else:
        assert said is not None
        assert f"there is no program '{kind}' on this machine; install it (Debian:" in said


def test_a_folder_that_no_configuration_could_name_is_refused(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "with a space")

    with pytest.raises(ConfigError, match=r"^TMPDIR: .*choose another TMPDIR"):
        Front(Terminator.NGINX, layout, CLOCK)
