"""The whole path for real: devices, agent, terminator, and the service as a process of its own."""

import asyncio
import contextlib
import json
import re
import secrets
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import aiohttp
import yaml

from exporter.clock import SystemClock
from exporter.demo.fleet import Pace
from exporter.demo.layout import GATEWAY, Layout
from exporter.demo.options import Break
from exporter.demo.stage import Stage
from exporter.journal import Entry, entries
from exporter.store import Store
from tests.daemons import is_listening, unmeasured

ROOT = Path(__file__).resolve().parents[2]
DEVICES = 4
_PACE = Pace(contact_s=0.4, probe_s=1)
_WITHIN_S = 120.0  # a start alone took a minute on an overloaded machine
_LOG_LAG = timedelta(seconds=0.4)
_FAILURES = re.compile(
    r'^fleet_tls_handshake_failures_total\{.*device="(dev-\d+)".*reason="unknown_ca".*\} (\d+)',
    re.MULTILINE,
)
_SUCCESSES = re.compile(
    r'^fleet_tls_handshake_last_success_timestamp_seconds\{.*device="(dev-\d+)"', re.MULTILINE
)
_POLL_S = 0.03
_YESTERDAY = SystemClock().now().replace(microsecond=0) - timedelta(days=1)
_ALERT = {"alertname": "FleetTlsTrustStoreMismatch", "gateway": GATEWAY}
Json = dict[str, Any]


@dataclass(kw_only=True)
class Ground:
    """A fleet with its agent, and where a service that watches it runs.

    Attributes:
        url: Of the service; nothing answers there while none runs.
        reader: The header that opens what is read.
    """

    stage: Stage
    layout: Layout
    port: int
    session: aiohttp.ClientSession
    reader: Mapping[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def token(self) -> str:
        return self.layout.token_file.read_text().strip()

    @property
    def database(self) -> Path:
        return self.layout.directory / "state.db"

    @property
    def doom(self) -> Path:
        return self.layout.directory / "doom"

    def arm(
        self,
        since: str,
        *,
        line: int,
        delay_s: float = 0.0,
        sent: signal.Signals = signal.SIGKILL,
        is_between: bool = False,
    ) -> None:
        """Let this happen to the service (see ``doomed``)."""
        told = {
            "since": since, "line": line, "delay_s": delay_s, "signal": int(sent),
            "is_between": is_between,
        }  # fmt: skip
        unnamed = self.doom.with_suffix(".new")
        unnamed.write_text(json.dumps(told))
        unnamed.rename(self.doom)

    def disarm(self) -> None:
        self.doom.unlink(missing_ok=True)

    # The fleet

    async def break_gateway(self) -> None:
        """Rotate to what nobody trusts; return once the service knows that every device refuses.

        The log tells whole seconds: what failed in the second of the change may have been before.
        """
        await self._know_who_connects()
        changed_at = await self.stage.break_gateway(Break.UNKNOWN_CA)
        counted_from = changed_at.replace(microsecond=0) + timedelta(seconds=1) + _LOG_LAG
        await until(lambda: SystemClock().now() >= counted_from)
        before = _failures(await self.get("/metrics"))
        await self.until_metrics(lambda text: _have_all_grown(before, _failures(text)))

    async def _know_who_connects(self) -> None:
        """Return once each device's full handshake is known, and its second is over.

        The log is read from its end on: what was before the service's start is no evidence.
        """
        await self.until_metrics(lambda text: len(set(_SUCCESSES.findall(text))) >= DEVICES)
        known_at = SystemClock().now()
        next_second = known_at.replace(microsecond=0) + timedelta(seconds=1)
        await until(lambda: SystemClock().now() >= next_second)

    async def all_back(self) -> None:
        async with asyncio.timeout(_WITHIN_S):
            await self.stage.all_contacts(lambda contact: contact.refusal is None)

    def activations(self) -> list[tuple[int, str]]:
        """Version and way of each that the agent ever made, in order."""
        (path,) = self.layout.gateway.glob("*.db")
        with closing(sqlite3.connect(path, timeout=30)) as agents:
            return list(agents.execute("SELECT version, way FROM activation ORDER BY number"))

    # The service, from outside

    async def deliver(self, *alerts: Mapping[str, object], token: str | None = None) -> None:
        """Send as Alertmanager does: until it is taken."""
        async with asyncio.timeout(_WITHIN_S):
            while await self.post(delivery(*alerts), token) != 202:
                await SystemClock().sleep(_POLL_S)

    async def post(self, body: bytes, token: str | None = None) -> int | None:
        """The status of one delivery's answer; None: there was none."""
        headers = {"Authorization": f"Bearer {self.token if token is None else token}"}
        try:
            async with self.session.post(
                f"{self.url}/webhook/alertmanager", data=body, headers=headers
            ) as answer:
                await answer.read()
                return answer.status
        except aiohttp.ClientError:
            return None

    async def get(self, path: str, port: int = 0) -> str:
        """What our service answers, or one at another ``port``; nothing: it does not."""
        headers = self.reader or {"Authorization": f"Bearer {self.token}"}
        url = f"http://127.0.0.1:{port or self.port}{path}"
        try:
            async with self.session.get(url, headers=headers) as answer:
                return await answer.text()
        except aiohttp.ClientError:
            return ""

    async def until_metrics(self, is_so: Any, port: int = 0) -> None:
        async with asyncio.timeout(_WITHIN_S):
            while not is_so(await self.get("/metrics", port)):
                await SystemClock().sleep(_POLL_S)

    # The store, as it lies there

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.database, timeout=30)) as store:
            return list(store.execute(query, values))

    def journal(self, after: int = 0) -> list[tuple[str, Json]]:
        """Kind and facts of each entry since the ``after``-th."""
        query = "SELECT kind, body FROM journal WHERE number > ? ORDER BY number"
        return [(kind, json.loads(body)) for kind, body in self.rows(query, after)]

    def journal_length(self) -> int:
        return int(self.rows("SELECT coalesce(max(number), 0) FROM journal")[0][0])

    async def entries(self) -> list[Entry]:
        store = Store(f"sqlite:///{self.database}")
        await store.open()
        try:
            async with store.reading() as connection:
                return await entries(connection)
        finally:
            await store.close()

    def ended(self) -> int:
        """As many intents have an end."""
        query = "SELECT count(*) FROM remediation_intent WHERE stage = 'ended'"
        return int(self.rows(query)[0][0])

    async def until_ended(self, count: int) -> None:
        """Return once so many intents have an end."""
        await until(lambda: self.ended() >= count)


def lasting_port() -> int:
    """A free port that no connection takes while the service is down, as one from port 0 may."""
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = secrets.choice(range(10_000, first))
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@asynccontextmanager
async def ground_at(folder: Path, remediation: Mapping[str, object]) -> AsyncIterator[Ground]:
    """A healthy fleet; no service runs yet. ``remediation``: that section of its configuration."""
    port = lasting_port()
    layout = Layout(folder)
    with Stage(layout, SystemClock(), device_count=DEVICES) as stage:
        stage.pace = _PACE
        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as tasks:
            running = tasks.create_task(stage.run())
            try:
                await stage.write_config(f"127.0.0.1:{port}")
                config = yaml.safe_load(layout.config.read_text("utf-8"))
                config["remediation"] = dict(remediation)
                layout.config.write_text(yaml.safe_dump(config, sort_keys=False))
                ground = Ground(stage=stage, layout=layout, port=port, session=session)
                await ground.all_back()
                async with asyncio.timeout(_WITHIN_S):
                    await (
                        stage.all_known()
                    )  # else the first version is not proven, and no way back
                yield ground
            finally:
                running.cancel()


class Service:
    """The service's process while the block runs; it may die meanwhile, and be started again."""

    def __init__(self, ground: Ground, config: Path | None = None, port: int = 0) -> None:
        self._ground = ground
        self._config = config or ground.layout.config
        self._port = port or ground.port
        self.process: subprocess.Popen[bytes] | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def is_dead(self) -> bool:
        return self.process is None or self.process.poll() is not None

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    async def start(self) -> None:
        """Return once it listens, or has died."""
        command = (sys.executable, "-m", "tests.response.doomed", self._config, self._ground.doom)
        with (self._ground.layout.directory / "service.log").open("ab") as output:
            self.process = subprocess.Popen(  # noqa: ASYNC220 - it starts in no time
                command,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=unmeasured(),
            )
        await until(lambda: is_listening(self._port) or self.is_dead)

    async def stop(self) -> None:
        """End it, however it is; may be called twice."""
        process, self.process = self.process, None
        if process is None:
            return
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            await asyncio.to_thread(process.wait, 20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(20)


async def until(is_so: Callable[[], bool]) -> None:
    """Return once it is so; meanwhile the fleet lives on."""
    async with asyncio.timeout(_WITHIN_S):
        while not is_so():
            await SystemClock().sleep(_POLL_S)


def began(number: int) -> str:
    """A start of its own for each of a thousand: past for any clock of today, and it stays."""
    return (_YESTERDAY + timedelta(minutes=number % 1_440)).isoformat()


def alert(number: int, *, is_firing: bool = True, **labels: str) -> Json:
    """What the rule sends; one number is one start of it."""
    return {
        "status": "firing" if is_firing else "resolved",
        "labels": {**_ALERT, "remediation": "rollback", **labels},
        "startsAt": began(number),
        "fingerprint": f"{number:016x}",
    }


def delivery(*alerts: Mapping[str, object]) -> bytes:
    return json.dumps({"version": "4", "alerts": list(alerts)}).encode()


def _failures(metrics: str) -> Mapping[str, int]:
    return {device: int(count) for device, count in _FAILURES.findall(metrics)}


def _have_all_grown(before: Mapping[str, int], now: Mapping[str, int]) -> bool:
    return sum(count > before.get(device, 0) for device, count in now.items()) >= DEVICES
