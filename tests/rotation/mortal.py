"""Gateways on real terminators, and a service that is killed and begun again as it rotates."""

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp

from exporter.clock import SystemClock
from exporter.demo.layout import Layout
from exporter.journal import Entry, entries
from exporter.store import Store
from tests.drill.guarded import GuardedFleet
from tests.gateway.agent.real.terminators import Real
from tests.rotation.doomed import Fate
from tests.rotation.forked import Forks, Running
from tests.rotation.service import BASE
from tests.rotation.terminators import (
    Coming,
    agent_of,
)

WITHIN_S = 120.0
_POLL_S = 0.2
_GIVEN_UP, _WAITING = {"no_candidate", "rolled_back"}, {"awaiting_approval"}
Json = Mapping[str, Any]


@dataclass(kw_only=True)
class Ground:
    """Gateways and what runs in front of them; the service of ``config`` runs or does not.

    Attributes:
        fleets: Each gateway with the devices behind it, by its name.
        clients: Of all gateways.
        held: Phases that nobody approves to leave yet.
        is_resuming: Somebody lets it try again what had failed too often; ``resumed_count`` how
            often.
    """

    layout: Layout
    port: int
    forks: Forks
    session: aiohttp.ClientSession
    fleets: Mapping[str, GuardedFleet]
    reals: Mapping[str, Real]
    fate: Fate
    agents: dict[str, Running] = field(default_factory=dict)
    clients: list[Coming] = field(default_factory=list)
    service: Running | None = None
    held: Collection[str] = ()
    is_resuming: bool = True
    resumed_count: int = 0
    _answered: datetime | None = None

    # The service's process

    @property
    def is_dead(self) -> bool:
        return self.service is None or self.service.has_ended()

    def start(self) -> None:
        log = self.layout.directory / "service.log"
        argv = ["run", "--config", str(self.layout.config)]
        self.service = self.forks.start(argv, log, self.fate)

    async def is_over(self, within_s: float) -> bool:
        """Return whether the service died, or the rotation ended, in this time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while not (self.is_dead or self.has_ended()):
                    await SystemClock().sleep(_POLL_S)
                return True
        return False

    def kill(self) -> None:
        if self.service is not None:
            self.service.kill()

    def arm(self, since: Sequence[str], *, line: int, delay_s: float = 0.0) -> None:
        """Let it be killed there (see ``doomed``)."""
        told = {"since": "|".join(since), "line": line, "delay_s": delay_s, "signal": 9}
        doom = Path(self.fate["doom"])
        unnamed = doom.with_suffix(".new")
        unnamed.write_text(json.dumps(told))
        unnamed.rename(doom)

    def disarm(self) -> None:
        Path(self.fate["doom"]).unlink(missing_ok=True)

    # Agents and devices

    def start_agent(self, name: str) -> None:
        """Return once it listens."""
        fleet = self.fleets[name]
        self.agents[name] = agent_of(fleet, self.forks)

    async def kill_agent(self, name: str) -> None:
        """Kill it, and start it again; the clients go on meanwhile."""
        self.agents[name].kill()
        await asyncio.to_thread(self.start_agent, name)

    def slow_down(self) -> None:
        """Let each device take a second for what it is asked to add or remove."""
        for fleet in self.fleets.values():
            for device in fleet.devices:
                (device.trust_store.parent / "update-delay").write_text("1s")

    # A person, who bears with a service that is away

    async def ask(self, path: str = "", **body: object) -> Json | None:
        """What the service's answer says; None: there is none, or it is a refusal."""
        headers = {"Authorization": f"Bearer {self.layout.token_file.read_text().strip()}"}
        method = "POST" if path else "GET"
        url = f"http://127.0.0.1:{self.port}{BASE}{path}"
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with self.session.request(
                method, url, headers=headers, json=body or None
            ) as answer:
                return dict(await answer.json()) if answer.status == 200 else None
        return None

    async def say(self, what: str, seen: Json) -> None:
        """Say a word that is heeded."""
        assert await self.ask(what, rotation=seen["id"], by="anna") is not None

    async def rotation(self) -> Json | None:
        """The rotation as the service tells it; None: it does not, or there is none."""
        told = await self.ask()
        return dict(told["rotations"][-1]) if told and told["rotations"] else None

    async def attend(self) -> None:
        """Start the rotation, approve what waits for nothing else, resume what was given up."""
        while True:
            told = await self.ask()
            if told is not None and self.marks() is None:
                await self.ask("/start", by="anna")
            elif told is not None and told["rotations"]:
                await self._answer(told["rotations"][-1])
            await SystemClock().sleep(_POLL_S)

    async def _answer(self, seen: Json) -> None:
        if self._answered and datetime.fromisoformat(seen["observed_at"]) <= self._answered:
            return  # what came of our word is not looked at yet
        reasons = {one["reason"] for one in seen["gate"]["blockers"]}
        is_stuck = seen["next"] is None and reasons & _GIVEN_UP
        if self.is_resuming and is_stuck and reasons <= _GIVEN_UP | _WAITING:
            said = await self.ask("/resume", rotation=seen["id"], by="anna")
            self.resumed_count += said is not None
            self._answered = SystemClock().now()
        if reasons == _WAITING and seen["phase"] not in self.held:
            await self.ask("/approve", rotation=seen["id"], plan_hash=seen["plan_hash"], by="anna")

    async def until_told(self, holds: Callable[[Json], bool]) -> Json:
        """Return the rotation once the service tells it as wanted."""
        seen: Json | None = None
        try:
            async with asyncio.timeout(WITHIN_S):
                while True:
                    seen = await self.rotation()
                    if seen is not None and holds(seen):
                        return seen
                    await SystemClock().sleep(_POLL_S)
        except TimeoutError:
            raise AssertionError(f"not in time; it is {json.dumps(seen, indent=1)}") from None

    async def abort(self) -> None:
        """Have a person leave nothing but the way back."""
        seen = await self.until_told(lambda _seen: True)
        body = {"rotation": seen["id"], "by": "anna", "reason": "a test"}
        async with asyncio.timeout(WITHIN_S):
            while await self.ask("/abort", **body) is None:
                await SystemClock().sleep(_POLL_S)

    # What is kept, as it lies there

    def marks(self) -> Json | None:
        """The rotation's marks; None: nothing is kept of one."""
        with contextlib.suppress(sqlite3.OperationalError):
            rows = _rows(self.layout.directory / "state.db", "SELECT marks FROM rotation")
            return dict(json.loads(rows[-1][0])) if rows else None
        return None

    def has_ended(self) -> bool:
        marks = self.marks()
        return marks is not None and marks["ended"] is not None

    async def until_ended(self) -> Json:
        """Return the marks once the rotation has ended, and every device came once more."""
        async with asyncio.timeout(WITHIN_S):
            while not self.has_ended():
                await SystemClock().sleep(_POLL_S)
        for clients in self.clients:
            await clients.until_all_came()
        marks = self.marks()
        assert marks is not None
        return marks

    async def until_done(self) -> None:
        """Return once the rotation is done, and every device came once more."""
        marks = await self.until_ended()
        assert marks["ended"] == "done", marks

    async def journal(self) -> Sequence[Entry]:
        store = Store(f"sqlite:///{self.layout.directory / 'state.db'}")
        await store.open()
        try:
            async with store.reading() as connection:
                return await entries(connection)
        finally:
            await store.close()

    def activations(self, name: str) -> list[str]:
        """Which way each change of a gateway went, by its agent, the oldest first."""
        (path,) = self.fleets[name].layout.gateway.glob("*.db")
        return [way for (way,) in _rows(path, "SELECT way FROM activation ORDER BY number")]


def _rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path, timeout=30)) as store:
        return list(store.execute(query))


@asynccontextmanager
async def attended(ground: Ground) -> AsyncIterator[None]:
    """Somebody starts the rotation and approves."""
    async with asyncio.TaskGroup() as tasks:
        attending = tasks.create_task(ground.attend())
        try:
            yield
        finally:
            attending.cancel()
