"""The demo's fleet with the real service rotating it, in times of seconds."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from exporter.app import App
from exporter.clock import SystemClock
from exporter.config import load
from exporter.demo.device import Contact
from exporter.demo.stage import Stage
from tests.demo.standing import standing
from tests.rotation.signer import write_signer

BASE = "/api/v1/rotation"
Json = Mapping[str, Any]


@dataclass(kw_only=True)
class Service:
    """The service over a fleet; ``refusals`` are the handshakes that devices refused."""

    stage: Stage
    folder: Path
    url: str
    session: aiohttp.ClientSession = field(repr=False)
    refusals: list[Contact] = field(default_factory=list)

    async def get(self, path: str = "", base: str = BASE) -> Json:
        async with self.session.get(base + path) as answer:
            assert answer.status == 200, await answer.text()
            return dict(await answer.json())

    async def post(self, path: str, status: int = 200, base: str = BASE, **body: object) -> Json:
        async with self.session.post(base + path, json=body) as answer:
            text = await answer.text()
            assert answer.status == status, text
            return dict(json.loads(text)) if status == 200 else {"said": text}

    async def rotation(self) -> Json:
        return dict((await self.get())["rotations"][-1])

    async def until(self, holds: Callable[[Json], bool], *, within_s: float = 60.0) -> Json:
        """Return the newest rotation once it is as wanted."""
        found = await self.until_all(lambda found: holds(found[-1]), within_s=within_s)
        return dict(found[-1])

    async def until_all(
        self, hold: Callable[[Sequence[Json]], bool], *, within_s: float = 60.0
    ) -> Sequence[Json]:
        """Return the rotations, of which there are any, once they are as wanted."""
        found: Sequence[Json] = ()
        try:
            async with asyncio.timeout(within_s):
                while not (found and hold(found)):
                    await SystemClock().sleep(0.1)
                    found = (await self.get())["rotations"]
        except TimeoutError:
            raise AssertionError(f"not in time; it is {json.dumps(found, indent=1)}") from None
        return found

    async def approve(self) -> None:
        """Say yes to what waits for it."""
        seen = await self.until(_waits_for_approval_only)
        await self.post("/approve", rotation=seen["id"], plan_hash=seen["plan_hash"], by="a test")

    async def reload(self, **options: object) -> None:
        """Let the service take up other options of its section."""
        configure(self.folder, **options)
        async with self.session.post("/-/reload") as answer:
            assert answer.status == 200, await answer.text()

    async def samples(self, family: str) -> dict[str, float]:
        """The samples of one family, by their labels."""
        async with self.session.get("/metrics") as answer:
            text = await answer.text()
        lines = [line for line in text.splitlines() if line.startswith(family + "{")]
        return {
            line[len(family) :].rpartition(" ")[0]: float(line.rpartition(" ")[2])
            for line in lines
        }

    async def looked(self) -> None:
        """Return once it is seen what each target serves: a first look may fail."""
        good: list[float] = []
        async with asyncio.timeout(60):
            while not (good and min(good) == 1 and await self._is_ready()):
                await SystemClock().sleep(0.1)
                seen = await self.samples("fleet_tls_probe_handshake_success")
                good = list(seen.values())

    async def _is_ready(self) -> bool:
        """Whether each target was looked at."""
        async with self.session.get("/-/ready") as answer:
            return answer.status == 200

    def new_ca(self) -> str:
        return (self.folder / "pki" / "new-ca.pem").read_text()


def configure(folder: Path, **options: object) -> None:
    """Write other options of the section; a service that runs does not take them up by itself."""
    path = folder / "config.yml"
    config = yaml.safe_load(path.read_text("utf-8"))
    config["rotation"] |= options
    path.write_text(yaml.safe_dump(config, sort_keys=False))


def _waits_for_approval_only(seen: Json) -> bool:
    reasons = [one["reason"] for one in seen["gate"]["blockers"]]
    return reasons == ["awaiting_approval"]


@asynccontextmanager
async def fleet(
    folder: Path, *, devices: int = 4, signer: str = "new-intermediate", **options: object
) -> AsyncIterator[tuple[Stage, list[Contact]]]:
    """A fleet that is known and well, its service configured, and whatever a device refuses."""
    async with standing(folder, devices=devices) as stage:
        _configure(folder, signer, options)
        keep, refusals = stage._keep, list[Contact]()

        async def note(contact: Contact) -> None:
            if contact.refusal is not None:
                refusals.append(contact)
            await keep(contact)

        stage._keep = note  # type: ignore[method-assign] # each contact, also those between two looks
        async with asyncio.timeout(60):
            await stage.all_contacts(lambda contact: contact.refusal is None)
            await stage.all_known()
        yield stage, refusals


@asynccontextmanager
async def served(folder: Path, stage: Stage, refusals: list[Contact]) -> AsyncIterator[Service]:
    """The service over a fleet, which goes on when the service is stopped."""
    token = (folder / "token").read_text().strip()
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        serving(folder / "config.yml") as url,
        aiohttp.ClientSession(url, headers=headers) as session,
    ):
        made = Service(stage=stage, folder=folder, url=url, session=session, refusals=refusals)
        await made.looked()
        yield made


@asynccontextmanager
async def serving(config: Path) -> AsyncIterator[str]:
    """The service with this file; its base URL."""
    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as tasks:
        app = App(load(config), SystemClock())
        running = tasks.create_task(app.run(url.set_result))
        try:
            yield await url
        finally:
            running.cancel()


def _configure(folder: Path, signer: str, options: Mapping[str, object]) -> None:
    path = folder / "config.yml"
    config = yaml.safe_load(path.read_text("utf-8"))
    config["rotation"] = {
        "mode": "act",
        "signer": {"command": write_signer(folder, folder / "pki" / signer)},
        "interval": "300ms",
        "overlap": "3s",
        "soak": "1s",
        "retry_pause": "10s",
        **options,
    }
    path.write_text(yaml.safe_dump(config, sort_keys=False))
