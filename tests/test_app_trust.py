"""The whole service beside a real management API over HTTP that answers well, or nonsense."""

import json
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from exporter.clock import SystemClock
from tests.fake_gateway import FakeGateway, Handler, device, html, refusing, saying, stalling
from tests.gateway.agent.stand import until
from tests.pki import certificate_of
from tests.test_app import (
    CA,
    GATEWAY,
    OTHER_CA,
    Files,
    Samples,
    eventually,
    gateway,
    samples,
    serving,
    tls,
)
from tests.trust_store.saying import OTHER

HELD = certificate_of(CA).fingerprint_sha256
STATES = "fleet_tls_trust_store_devices"
SYNCED = f"{STATES} synced"
ACCEPTS = "fleet_tls_device_accepts_gateway"
NAMES = [f"dev-{number:02}" for number in range(1, 19)]
LAST_SUCCESS = "fleet_tls_trust_poll_last_success_timestamp_seconds site-a"


def ago(seconds: float = 0.0) -> str:
    return (SystemClock().now() - timedelta(seconds=seconds)).isoformat()


def told(name: str, *anchors: str, received_at: str | None = None) -> dict[str, object]:
    """One device as the platform tells of it, received now."""
    at = received_at or ago()
    return {**device(name, *anchors), "reportedAt": at, "receivedAt": at}


@dataclass(slots=True, kw_only=True)
class Stand:
    url: str
    api: FakeGateway
    files: Files

    async def until(self, holds: Callable[[Samples], bool]) -> Samples:
        return await eventually(self.url, holds)

    async def devices(self) -> dict[str, dict[str, object]]:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.url}/api/v1/devices?limit=1000") as answer,
        ):
            return {item["name"]: item for item in (await answer.json())["items"]}

    async def failed(self, count: int) -> Samples:
        """Wait for so many more polls without a good answer."""
        before = failures(await samples(self.url))
        return await self.until(lambda found: failures(found) >= before + count)


def failures(found: Samples) -> float:
    return sum(
        value
        for name, value in found.items()
        if name.startswith("fleet_tls_trust_poll_failures_total site-a")
    )


@asynccontextmanager
async def watching(folder: Path, *devices: dict[str, object]) -> AsyncIterator[Stand]:
    """18 devices that hold the CA of their gateway, and the API that speaks for them."""
    (folder / "ca.pem").write_bytes(CA.pem)
    (folder / "other.pem").write_bytes(OTHER_CA.pem)
    for name in ("token", "site.token", "push.token"):
        (folder / name).write_text(f"of-{name}\n")
    api = FakeGateway(devices=list(devices), token="of-site.token", page_size=7)  # noqa: S106 - of a test
    async with api.serving() as base, tls(folder, GATEWAY) as port:
        document: dict[str, object] = {
            "listen": "127.0.0.1:0",
            "web": {"token_file": "token"},
            "trust_stores": [
                {"name": "fw", "file": "ca.pem"},
                {"name": "other", "file": "other.pem"},
            ],
            "device_classes": [{"name": "sensor", "holds": ["fw"], "contact_interval": "1h"}],
            "targets": {
                "static": [
                    gateway(port, management_api="site-a"),
                    *(
                        {"name": name, "gateway": "gw-1", "device_class": "sensor"}
                        for name in NAMES
                    ),
                ]
            },
            "probe": {"interval": "1h", "timeout": "60s"},
            "management_apis": [
                {
                    "name": "site-a",
                    "url": base,
                    "token_file": "site.token",
                    "push_token_file": "push.token",
                    "poll_interval": "1s",
                    "timeout": "1s",
                }
            ],
        }
        files = Files(folder=folder, document=document)
        async with serving(files) as url:
            yield Stand(url=url, api=api, files=files)


async def test_eighteen_devices_report_and_would_accept_their_gateway(tmp_path: Path) -> None:
    async with watching(tmp_path, *(told(name, HELD) for name in NAMES)) as stand:
        found = await stand.until(
            lambda s: s.get(SYNCED) == 18 and f"{ACCEPTS} reported dev-18 gw-1" in s
        )
        devices = await stand.devices()

    assert [found[f"{ACCEPTS} reported {name} gw-1"] for name in NAMES] == [1.0] * 18
    assert [found[f"fleet_tls_trust_store_synced {name}"] for name in NAMES] == [1.0] * 18
    assert {found[f"{STATES} {state}"] for state in ("pending", "failed", "stale")} == {0}
    assert found["fleet_tls_trust_platform_complete_devices site-a"] == 18
    assert found["fleet_tls_trust_store_class_devices sensor synced"] == 18
    assert devices["dev-01"]["state"] == "synced"
    assert devices["dev-01"]["accepts_gateway"]
    assert stand.api.problems == []


async def test_the_platforms_word_is_shown_beside_what_the_devices_do_not_hold(
    tmp_path: Path,
) -> None:
    other = certificate_of(OTHER_CA).fingerprint_sha256
    async with watching(tmp_path, *(told(name, other) for name in NAMES)) as stand:
        found = await stand.until(
            lambda s: s.get(f"{STATES} failed") == 18 and f"{ACCEPTS} reported dev-18 gw-1" in s
        )

    assert found["fleet_tls_trust_platform_complete_devices site-a"] == 18
    assert found["fleet_tls_trust_store_anchor_devices missing sensor"] == 18
    assert [found[f"{ACCEPTS} reported {name} gw-1"] for name in NAMES] == [0.0] * 18


async def test_a_refusal_is_not_predicted_where_an_anchor_is_known_by_hash_only(
    tmp_path: Path,
) -> None:
    async with watching(tmp_path, *(told(name, OTHER) for name in NAMES)) as stand:
        found = await stand.until(lambda s: s.get(f"{STATES} failed") == 18)
        devices = await stand.devices()

    assert not [name for name in found if name.startswith(ACCEPTS) and found[name] == 0]
    assert devices["dev-01"]["accepts_gateway"] is not None


def answering(document: object, status: int = 200) -> Handler:
    return saying(json.dumps(document), status=status)


def half(document: object) -> Handler:
    text = json.dumps(document)
    return saying(text[: len(text) // 2])


GOOD = {"total": 18, "complete": 18, "devices": [told(name, HELD) for name in NAMES]}
NEXT_CENTURY = "2126-01-01T00:00:00Z"
BAD_ANSWERS = [
    pytest.param(html(), id="html"),
    pytest.param(html(502), id="html of a proxy"),
    pytest.param(half(GOOD), id="half json"),
    pytest.param(answering({"error": {"code": "db", "message": "down"}}), id="200 with an error"),
    pytest.param(answering([]), id="a list"),
    pytest.param(answering({**GOOD, "devices": "all"}), id="another type"),
    pytest.param(
        answering({**GOOD, "devices": [{**told("dev-01", HELD), "anchors": ["zz"]}]}),
        id="no hashes",
    ),
    pytest.param(answering({**GOOD, "devices": [told("dev-01", HELD)] * 2}), id="a device twice"),
    pytest.param(saying(b"\xff\xfe\x00", "application/json"), id="no text"),
    pytest.param(refusing(401, "unauthorized"), id="unauthorized"),
    pytest.param(stalling(), id="silent"),
]
STRANGE_ENTRIES = [
    pytest.param("unknown_device", [told(f"x-{n}", HELD) for n in range(18)], id="other names"),
    pytest.param(
        "future",
        [told(name, HELD, received_at=NEXT_CENTURY) for name in NAMES],
        id="times in the future",
    ),
    pytest.param(
        "no_time",
        [{**told(name, HELD, received_at=NEXT_CENTURY), "receivedAt": None} for name in NAMES],
        id="times in the future, no receipt",
    ),
]


@pytest.mark.parametrize("bad", BAD_ANSWERS)
async def test_of_a_bad_answer_nothing_is_taken_and_it_is_counted(
    tmp_path: Path, bad: Handler
) -> None:
    async with watching(tmp_path) as stand:
        stand.api.script("trust_status", *[bad] * 200)
        found = await stand.failed(2)
        never = found

        stand.api.faults.clear()
        stand.api.devices = [told(name, HELD) for name in NAMES]
        await stand.until(lambda s: s.get(SYNCED) == 18)
        stand.api.script("trust_status", *[bad] * 200)
        found = await stand.failed(2)
        devices = await stand.devices()

    assert (never[SYNCED], never[f"{STATES} never_reported"]) == (0, 18)
    assert found[SYNCED] == 18
    assert {name: item["state"] for name, item in devices.items()} == dict.fromkeys(
        NAMES, "synced"
    )
    assert (
        found["fleet_tls_trust_store_report_timestamp_seconds dev-01"]
        <= SystemClock().now().timestamp()
    )
    assert SystemClock().now().timestamp() - found[LAST_SUCCESS] < 60


@pytest.mark.parametrize(("reason", "entries"), STRANGE_ENTRIES)
async def test_strange_entries_are_counted_and_never_synced(
    tmp_path: Path, reason: str, entries: list[dict[str, object]]
) -> None:
    counter = f"fleet_tls_trust_poll_ignored_entries_total site-a {reason}"
    async with watching(tmp_path, *entries) as stand:
        never = await stand.until(lambda s: s.get(counter, 0) >= 18)

        stand.api.devices = [told(name, HELD) for name in NAMES]
        good = await stand.until(lambda s: s.get(SYNCED) == 18)
        stand.api.devices = entries
        after = await stand.until(lambda s: s[counter] > good[counter])

    assert (never[SYNCED], never[f"{STATES} never_reported"]) == (0, 18)
    assert after[SYNCED] == 18
    age = "fleet_tls_trust_store_report_timestamp_seconds dev-01"
    assert after[age] == good[age]


async def test_what_was_received_long_ago_is_stale_whatever_the_devices_clock_says(
    tmp_path: Path,
) -> None:
    old = ago(4 * 3_600)
    clocks = {"dev-01": ago(), "dev-02": NEXT_CENTURY, "dev-03": "1970-01-01T00:00:00Z"}
    devices = [
        {**told(name, HELD, received_at=old), "reportedAt": at} for name, at in clocks.items()
    ]
    async with watching(tmp_path, *devices) as stand:
        found = await stand.until(lambda s: s.get(f"{STATES} stale") == 3)
        shown = await stand.devices()

    assert found[SYNCED] == 0
    assert "fleet_tls_trust_store_synced dev-01" not in found
    assert found["fleet_tls_trust_store_report_timestamp_seconds dev-01"] > 0
    assert shown["dev-01"]["state"] == "stale"


async def written_in(store: Path) -> bool:
    with closing(sqlite3.connect(store)) as other:
        (count,) = other.execute("SELECT count(*) FROM trust_report").fetchone()
    return int(count) == 18


async def test_reports_outlast_a_restart_without_the_api(tmp_path: Path) -> None:
    async with watching(tmp_path, *(told(name, HELD) for name in NAMES)) as stand:
        await stand.until(lambda s: s.get(SYNCED) == 18)
        await until(lambda: written_in(tmp_path / "state.db"), "18 reports in the store")
        files = stand.files

    async with serving(files) as url:  # the API is gone
        found = await eventually(url, lambda s: SYNCED in s)

    assert found[SYNCED] == 18
    assert LAST_SUCCESS not in found


async def test_a_push_opens_by_the_apis_push_token(tmp_path: Path) -> None:
    body = {"anchors": [CA.pem.decode()], "reportedAt": ago()}
    async with watching(tmp_path) as stand, aiohttp.ClientSession() as session:
        await stand.until(lambda s: LAST_SUCCESS in s)
        path = f"{stand.url}/devices/dev-07/truststore/report"
        async with session.post(path, json=body) as answer:
            assert answer.status == web.HTTPUnauthorized.status_code
        headers = {"Authorization": "Bearer of-push.token"}
        async with session.post(path, json=body, headers=headers) as answer:
            assert answer.status == web.HTTPAccepted.status_code
        found = await stand.until(lambda s: s.get(SYNCED) == 1)

    assert found[f"{STATES} never_reported"] == 17


async def test_what_is_wanted_can_be_changed_by_a_reload(tmp_path: Path) -> None:
    async with watching(tmp_path, *(told(name, HELD) for name in NAMES)) as stand:
        await stand.until(lambda s: s.get(SYNCED) == 18)
        stand.files.document["trust_sync"] = {"desired": [{"trust_stores": ["fw", "other"]}]}
        stand.files.write()
        status, _ = await reload_with(stand)
        found = await stand.until(lambda s: s.get(f"{STATES} failed") == 18)

    assert status == 200
    since = "fleet_tls_trust_store_outstanding_since_timestamp_seconds sensor"
    assert SystemClock().now().timestamp() - found[since] < 60


async def reload_with(stand: Stand) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.post(
            f"{stand.url}/-/reload", headers={"Authorization": "Bearer of-token"}
        ) as answer,
    ):
        return answer.status, await answer.text()
