"""The person in the demo's rotation: starts it, approves what waits, and tells where it is."""

import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp

from exporter.certificates import read_pem
from exporter.clock import Clock
from exporter.demo.screen import approval, ending, phase
from exporter.demo.stage import Stage
from exporter.demo.updates import anchors_in
from exporter.demo.watch import DemoError

_BASE = "/api/v1/rotation"
_BETWEEN_S = 0.2
_START_S = 60.0
_AGAIN = frozenset({409, 503})
_ENDED = frozenset({"done", "rolled_back", "aborted"})
_ANSWER = aiohttp.ClientTimeout(total=60)
_PERSON = "the person in the demo"

Tell = Callable[[str], None]
Json = Mapping[str, Any]


async def rotate(url: str, stage: Stage, token_file: Path, *, tell: Tell, clock: Clock) -> None:
    """See a rotation through from its plan to its end, as the service at ``url`` tells it.

    Raises:
        DemoError: no rotation could be started.
    """
    token = (await asyncio.to_thread(token_file.read_text)).strip()
    headers = {"Authorization": f"Bearer {token}"}
    before = stage.counted
    async with aiohttp.ClientSession(url, headers=headers, timeout=_ANSWER) as session:
        person = _Person(session, clock)
        ended = await person.see_through(await person.start(), tell)
    tell(ending(ended, stage.counted.since(before), await asyncio.to_thread(_still_old, stage)))


def _still_old(stage: Stage) -> int:
    """Return how many devices' trust stores hold the old CA."""
    (old_ca,) = read_pem(stage.authorities.old_ca.pem, what="the old CA")
    stores = [anchors_in(device.trust_store).values() for device in stage.devices]
    return sum(old_ca in store for store in stores)


class _Person:
    """Asks and tells the service what a person would, with the same credential."""

    def __init__(self, session: aiohttp.ClientSession, clock: Clock) -> None:
        self._session = session
        self._clock = clock

    async def start(self) -> str:
        """Start it and return its name; what is not ready yet is asked again."""
        until_s = self._clock.monotonic() + _START_S
        while True:
            status, text = await self._post("/start", by=_PERSON)
            if status == 200:
                return str(json.loads(text)["id"])
            if status not in _AGAIN or self._clock.monotonic() > until_s:
                raise DemoError(f"the rotation could not be started: {text.strip()}")
            await self._clock.sleep(_BETWEEN_S)

    async def see_through(self, name: str, tell: Tell) -> Json:
        """Approve each step that waits for nothing else; return the rotation as it ended."""
        told = ""
        while True:
            found = await self._found(name)
            if found is not None:
                if found["phase"] != told:
                    told = found["phase"]
                    tell(phase(found))
                if told in _ENDED:
                    return found
                if _waits_for_a_person_only(found):
                    await self._approve(found, tell)
            await self._clock.sleep(_BETWEEN_S)

    async def _found(self, name: str) -> Json | None:
        try:
            async with self._session.get(_BASE) as answer:
                rotations = (await answer.json())["rotations"] if answer.status == 200 else []
        except (aiohttp.ClientError, TimeoutError):
            return None  # busy, or ending: it is asked again
        return next((dict(one) for one in rotations if one["id"] == name), None)

    async def _approve(self, found: Json, tell: Tell) -> None:
        named = {"rotation": found["id"], "plan_hash": found["plan_hash"]}
        status, _ = await self._post("/approve", by=_PERSON, **named)
        if status == 200:  # else it is another one by now, or busy: it is looked at again
            tell(approval(found))

    async def _post(self, path: str, **body: str) -> tuple[int, str]:
        try:
            async with self._session.post(_BASE + path, json=body) as answer:
                return answer.status, await answer.text()
        except (aiohttp.ClientError, TimeoutError) as exc:
            return 503, str(exc)


def _waits_for_a_person_only(found: Json) -> bool:
    return [one["reason"] for one in found["gate"]["blockers"]] == ["awaiting_approval"]
