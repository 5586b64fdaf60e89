"""The demo's rotation from start to end: the real service, the real agent, devices that count."""

import asyncio
import os
import re
import signal
import tempfile
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from exporter.app import run_service
from exporter.clock import SystemClock
from exporter.demo.device import Contact, Counted, Device, DeviceClient
from exporter.demo.options import DemoOptions, RotationTimes
from exporter.demo.run import run_demo
from exporter.demo.screen import ending, phase
from tests.demo.test_rotation_guide import PAGE, fits

pytestmark = pytest.mark.timeout(300)

SHORT = RotationTimes(interval_s=0.3, soak_s=1.0, overlap_s=2.0)
FOUND = {"phase": "done", "devices": {"total": 18, "synced": 18, "on_new_chain": 18}}


class Screen:
    """What was said, until the rotation is over."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.is_over = asyncio.Event()

    def __call__(self, text: str) -> None:
        self.texts.append(text)
        if "rotation over: " in text:
            self.is_over.set()

    @property
    def phases(self) -> list[str]:
        words = [text.partition("rotation ")[2].split(" ")[0] for text in self.texts[1:]]
        return [word.rstrip(":") for word in words if word and word != "over:"]

    def address(self, title: str) -> str:
        lines = self.texts[0].splitlines()
        return next(line.split()[1] for line in lines if line.startswith(f"  {title} "))


class Seen:
    """What a stranger finds when it is over; it ends the demo then."""

    metrics = ""
    contact: Contact | None = None

    async def look(self, screen: Screen, folder: Path) -> None:
        await screen.is_over.wait()
        url = screen.address("metrics")
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            self.metrics = await answer.text()
        self.contact = await _left_behind(folder, screen.address("gateway")).connect_once()
        os.kill(os.getpid(), signal.SIGTERM)


def _left_behind(folder: Path, gateway: str) -> DeviceClient:
    """A device that trusts the old CA only."""
    (old_ca,) = folder.glob("*/pki/old-ca.pem")
    store = folder / "left-behind"
    store.mkdir()
    (store / old_ca.name).write_bytes(old_ca.read_bytes())
    device = Device(
        name="left-behind", address="127.0.1.250", device_class="", rollout_group="",
        trust_store=store, listens=False,
    )  # fmt: skip

    async def nobody(_contact: Contact) -> None:
        return

    return DeviceClient(device, gateway, SystemClock(), interval_s=1, tell=nobody)


async def test_a_whole_rotation_ends_with_all_devices_and_not_one_handshake_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    screen, seen = Screen(), Seen()
    options = DemoOptions(port=0, rotate=True, times=SHORT)

    async with asyncio.timeout(240), asyncio.TaskGroup() as tasks:
        tasks.create_task(seen.look(screen, tmp_path))
        await run_demo(options, run_service, say=screen, clock=SystemClock())

    told = [text for text in screen.texts[1:] if "rotation " in text or "a person" in text]
    assert told_in_order(told) == told
    assert screen.phases[0] == "planned"
    assert screen.phases[-1] == "done"
    assert {"adding", "canary", "overlap", "removing"} <= set(screen.phases)
    (over,) = (text for text in screen.texts if "rotation over: " in text)
    assert "done; 18 of 18 devices are on the new chain, 0 still trust the old CA" in over
    assert over.endswith("handshakes on the way not one failed")
    assert 'phase="done"} 1' in seen.metrics
    assert seen.contact is not None
    assert "unable to get" in str(seen.contact.refusal)  # who has the old CA only is left behind


def told_in_order(told: list[str]) -> list[str]:
    """Those lines that the guide has, in its order; a phase may be over before it is seen."""
    guide = re.search(
        r"^```text demo\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    assert guide is not None
    wanted = iter(guide[1].splitlines())
    return [line for line in told if any(fits([line], [one]) for one in wanted)]


def test_what_failed_on_the_way_is_told_with_what_was_reached() -> None:
    said = ending(FOUND, Counted(attempt_count=40, failure_count=3, last_refusal="late"), 2)

    assert said == (
        "rotation over: done; 18 of 18 devices are on the new chain, 2 still trust the old CA; "
        "of 40 handshakes on the way 3 failed, the last: late"
    )


def test_a_phase_is_told_with_how_far_devices_are() -> None:
    told = phase({"phase": "aborted", "devices": {**FOUND["devices"], "synced": 7}})  # type: ignore[dict-item] # a mapping, as JSON has it

    assert told == (
        "rotation aborted: it was given up (7 of 18 trust the new CA, 18 are proven on its chain)"
    )


def test_devices_count_what_they_tried_and_what_failed(tmp_path: Path) -> None:
    good = Contact(device="dev-01", at=SystemClock().now(), refusal=None)
    before = Counted().with_(good)

    after = before.with_(good).with_(replace(good, refusal="no"))

    assert after.since(before) == Counted(attempt_count=2, failure_count=1, last_refusal="no")
