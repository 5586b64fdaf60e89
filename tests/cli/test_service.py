"""``run`` as systemd starts it: signals, the end within 5 s, what it says when it cannot run."""

import asyncio
import json
import os
import re
import signal
import socket
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
import yaml

from tests.cli.running import COMMAND, run
from tests.listeners import listening, say_nothing

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

LIMIT_S = 5
_LISTENING = re.compile(rb"listening at (http://\S+)")


@dataclass(slots=True, kw_only=True)
class Running:
    process: Process
    url: str

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    async def end(self, number: signal.Signals = signal.SIGTERM) -> float:
        """Send a signal; return the seconds until the end."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        self.process.send_signal(number)
        async with asyncio.timeout(40):
            await self.process.wait()
        return loop.time() - began_s

    async def status(self, path: str) -> int:
        async with aiohttp.ClientSession() as session, session.get(self.url + path) as answer:
            return answer.status


def config(folder: Path, **sections: object) -> Path:
    path = folder / "config.yml"
    # JSON is YAML, and takes no half a minute for 20,000 targets
    path.write_text(json.dumps({"listen": "127.0.0.1:0", "targets": {}, **sections}))
    return path


@asynccontextmanager
async def service(
    path: Path, *options: str, env: Mapping[str, str] | None = None
) -> AsyncIterator[Running]:
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "run", "--config", path, *options, stdout=PIPE, stderr=PIPE, env=env
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(60):
            while not (found := _LISTENING.search(line := await process.stderr.readline())):
                assert line, "it ended before it listened"
        yield Running(process=process, url=found.group(1).decode().rstrip('",}'))
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def quickest(once: Callable[[Path], Awaitable[float]], folder: Path) -> float:
    """The seconds of the shortest end of up to three, each in a folder of its own.

    A machine that is busy with something else makes an end longer, and none shorter.
    """
    took_s: list[float] = []
    while len(took_s) < 3 and min(took_s, default=LIMIT_S) >= LIMIT_S:
        own = folder / str(len(took_s))
        own.mkdir()
        took_s.append(await once(own))
    return min(took_s)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_with_code_0(number: signal.Signals, tmp_path: Path) -> None:
    async def once(folder: Path) -> float:
        async with service(config(folder)) as running:
            took_s = await running.end(number)
        assert running.process.returncode == 0
        return took_s

    assert await quickest(once, tmp_path) < LIMIT_S


async def test_it_ends_in_time_whatever_hangs(tmp_path: Path) -> None:
    assert await quickest(hanging_in_every_way, tmp_path) < LIMIT_S


async def hanging_in_every_way(folder: Path) -> float:
    """Silent targets, a request without an end, a scrape that nobody reads, a look that waits."""
    async with listening(say_nothing) as silent:
        targets = [{"name": f"gw-{n}", "address": f"127.0.0.1:{silent}"} for n in range(300)]
        path = config(
            folder,
            targets={"static": targets},
            probe={"timeout": "60s", "concurrency": 200, "host_concurrency": 200},
        )
        async with service(path) as running:
            async with asyncio.timeout(40):
                while await running.status("/metrics") != 200:
                    pass
            hanging = []
            for said in (
                b"GET /metrics HTTP/1.1\r\nHost: a\r\n",
                b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n" * 200,
                b"GET /probe?target=gw-1 HTTP/1.1\r\nHost: a\r\n\r\n",
                b"POST /-/reload HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n",
            ):
                made = socket.create_connection(("127.0.0.1", running.port))
                made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                made.sendall(said)
                hanging.append(made)
            took_s = await running.end()
            for made in hanging:
                made.close()
    assert running.process.returncode == 0
    return took_s


@pytest.mark.timeout(400)
async def test_a_scrape_under_way_is_still_answered(tmp_path: Path) -> None:
    for _ in range(3):  # what is left of it has a second, which a busy machine may not give it
        with suppress(aiohttp.ClientPayloadError):
            text = await scrape_at_the_end(tmp_path)
            break
    else:
        pytest.fail("it was cut each time")

    assert text.count("fleet_tls_target_info{") == 20_000


async def scrape_at_the_end(folder: Path) -> str:
    """What a scrape gives that is under way when the service is told to end."""
    targets = [{"name": f"gw-{n}", "address": "127.0.0.1:1"} for n in range(20_000)]
    async with (
        service(config(folder, targets={"static": targets})) as running,
        aiohttp.ClientSession() as session,
    ):
        async with asyncio.timeout(60):
            while True:
                async with session.get(f"{running.url}/metrics") as answer:
                    if (await answer.text()).count("fleet_tls_target_info{") == 20_000:
                        break
        async with session.get(f"{running.url}/metrics") as answer:
            running.process.send_signal(signal.SIGTERM)
            text = await answer.text()
        async with asyncio.timeout(40):
            await running.process.wait()
    assert running.process.returncode == 0
    return text


async def test_a_file_that_never_answers_does_not_hold_up_the_end(tmp_path: Path) -> None:
    async def once(folder: Path) -> float:
        os.mkfifo(folder / "targets.json")  # opening it for reading waits for a writer
        path = config(folder, targets={"files": ["targets.json"]})
        async with service(path) as running:
            assert await running.status("/-/healthy") == 200
            return await running.end()

    assert await quickest(once, tmp_path) < LIMIT_S


async def test_a_reload_that_never_ends_does_not_hold_up_the_end(tmp_path: Path) -> None:
    async def once(folder: Path) -> float:
        path = config(folder)
        async with service(path) as running:
            path.unlink()
            os.mkfifo(path)
            running.process.send_signal(signal.SIGHUP)
            writer = await asyncio.to_thread(os.open, path, os.O_WRONLY)  # returns when it is read
            took_s = await running.end()
            os.close(writer)
        return took_s

    assert await quickest(once, tmp_path) < LIMIT_S


async def test_a_port_in_use_is_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = await run("run", "--config", config(tmp_path, listen=f"127.0.0.1:{port}"))

    assert ended.code == 2
    assert ended.err == (
        f"fleet-tls-exporter: listen: 127.0.0.1:{port} is in use; another program listens there,"
        " or this one runs already\n"
    )


async def test_a_broken_configuration_names_every_fault(tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    path.write_text("listen: x\nnope: 1\ntargets: {}\n")

    ended = await run("run", "--config", path)
    checked = await run("check-config", path)

    assert ended.code == 2
    assert [line.startswith("fleet-tls-exporter: ") for line in ended.err.splitlines()] == [
        True
    ] * 2
    assert checked.code == 1
    assert checked.err.splitlines()[-1] == f"{path} cannot be used: 2 faults"


async def test_a_good_configuration_is_shown_in_full_without_secrets(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t0ken")
    hashed = "$2b$10$" + "a" * 53
    path = config(tmp_path, web={"token_file": "token", "users": {"ops": hashed}})

    checked = await run("check-config", path)

    assert checked.code == 0
    assert yaml.safe_load(checked.out)["probe"]["interval"] == "1m"
    assert "t0ken" not in checked.out
    assert hashed not in checked.out


async def test_the_log_can_be_json(tmp_path: Path) -> None:
    async with service(config(tmp_path), "--log-format", "json") as running:
        await running.end()
        assert running.process.stderr is not None
        lines = (await running.process.stderr.read()).splitlines()

    assert [json.loads(line)["msg"] for line in lines][-1] == "ended"


async def test_systemd_is_told_when_it_answers_and_when_it_ends(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(tmp_path / "notify"))
        told.settimeout(60)
        environment = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")}
        async with service(config(tmp_path), env=environment) as running:
            ready = told.recv(100)
            running.process.send_signal(signal.SIGHUP)
            reloading, again = told.recv(100), told.recv(100)
            await running.end()
            stopping = told.recv(100)

    assert ready == b"READY=1"
    assert reloading.startswith(b"RELOADING=1\nMONOTONIC_USEC=")
    assert again == b"READY=1"
    assert stopping == b"STOPPING=1"
