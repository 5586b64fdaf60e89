"""The whole service before a fleet of which nearly all is dead: real listeners, real time."""

import asyncio
import json
import socket
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.app import App
from exporter.clock import SystemClock
from exporter.config import load
from tests.listeners import listening, say_nothing, server_context
from tests.pki import make_leaf

INTERVAL_S = 45
ROUND_S = 200
SILENT, REFUSING, LIVE = 950, 950, 100

_WANTED = (
    "# TYPE ",
    "fleet_tls_probe_last_attempt_timestamp_seconds",
    "fleet_tls_probe_handshake_success",
    "fleet_tls_exporter_missed_intervals",
    "fleet_tls_exporter_schedule_lag_max_seconds",
)

Samples = dict[str, list[tuple[dict[str, str], float]]]


def write_config(folder: Path, *, silent: int, closed: int, live: int) -> Path:
    def some(count: int, word: str, network: int, port: int) -> list[dict[str, object]]:
        # each at an address of its own, or the bound per host would be what is tested
        return [
            {
                "name": f"{word}-{n}",
                "address": f"127.{network}.{n // 250}.{n % 250 + 1}:{port}",
                "trust_stores": ["fw"],
            }
            for n in range(count)
        ]

    targets = [
        *some(SILENT, "silent", 1, silent),
        *some(REFUSING, "closed", 2, closed),
        *some(LIVE, "live", 3, live),
    ]
    # More looks hang at a time (950 x 5 s / 45 s) than there are places
    pace = {"interval": f"{INTERVAL_S}s", "failing_interval": f"{INTERVAL_S}s", "timeout": "5s"}
    document = {
        "listen": "127.0.0.1:0",
        "trust_stores": [{"name": "fw", "file": "ca.pem"}],
        "probe": {**pace, "concurrency": 90},
        "targets": {"static": targets},
    }
    (folder / "config.yml").write_text(json.dumps(document))
    return folder / "config.yml"


@asynccontextmanager
async def serving(path: Path) -> AsyncIterator[str]:
    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(App(load(path), SystemClock()).run(url.set_result))
        yield await url
        running.cancel()


async def scraped(session: aiohttp.ClientSession, url: str) -> Samples:
    async with session.get(f"{url}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    # All of it would keep the loop that looks busy for seconds
    families = parse_text("\n".join(line for line in lines if line.startswith(_WANTED)))
    return {
        family.name: [(sample.labels, sample.value) for sample in family.samples]
        for family in families
    }


def of_the_living(found: Samples, name: str) -> dict[str, float]:
    samples = found.get(f"fleet_tls_{name}", [])
    by_target = {labels["target"]: value for labels, value in samples}
    return {target: value for target, value in by_target.items() if target.startswith("live-")}


async def round_of(session: aiohttp.ClientSession, url: str) -> tuple[list[float], Samples]:
    """What lies between two looks at each of the living from now on; what the last scrape says."""
    moments: dict[str, list[float]] = defaultdict(list)
    async with asyncio.timeout(ROUND_S):
        while True:
            found = await scraped(session, url)
            for target, at_s in of_the_living(
                found, "probe_last_attempt_timestamp_seconds"
            ).items():
                if at_s not in moments[target][-1:]:
                    moments[target].append(at_s)
            if len(moments) == LIVE and min(map(len, moments.values())) >= 3:
                break
            await SystemClock().sleep(5)
    # the first may be the look at the start, which comes sooner than a target's own moment
    return [after - before for at_s in moments.values() for before, after in pairwise(at_s[1:])], (
        found
    )


def of_answering(found: Samples, name: str) -> float:
    [value] = [
        value
        for labels, value in found[f"fleet_tls_exporter_{name}"]
        if labels["answering"] == "yes"
    ]
    return value


async def kept(url: str) -> Samples:
    """The last scrape of a round in which the living kept their interval.

    A machine that was busy with something else is given more than one round; targets that the dead
    hold up would keep it in none.
    """
    missed, said = 0.0, ""
    async with aiohttp.ClientSession() as session:
        for _ in range(3):
            gaps, found = await round_of(session, url)
            more = of_answering(found, "missed_intervals") - missed
            good = sum(of_the_living(found, "probe_handshake_success").values())
            is_kept = gaps == pytest.approx([INTERVAL_S] * len(gaps), abs=INTERVAL_S / 2)
            if more == 0 and is_kept and good == LIVE:
                return found
            missed += more
            said += f" {more:.0f} missed, {min(gaps):.1f} - {max(gaps):.1f} s between looks,"
            said += f" {good:.0f} good handshakes;"
    pytest.fail(f"rounds:{said}")


@pytest.mark.slow
@pytest.mark.timeout(4 * ROUND_S)
async def test_of_two_thousand_targets_the_hundred_that_live_keep_their_interval(
    tmp_path: Path,
) -> None:
    leaf = make_leaf(None, "gw.test")
    (tmp_path / "ca.pem").write_bytes(leaf.pem)
    tls = server_context(tmp_path / "tls", (leaf,))
    with socket.create_server(("", 0), backlog=16) as silent, socket.socket() as closed:
        closed.bind(("", 0))  # taken, and nobody listens
        async with listening(say_nothing, host="0.0.0.0", tls=tls) as live:  # noqa: S104 - any of 127.0.0.0/8
            path = write_config(
                tmp_path,
                silent=silent.getsockname()[1],
                closed=closed.getsockname()[1],
                live=live,
            )
            async with serving(path) as url:
                found = await kept(url)

    assert of_answering(found, "schedule_lag_max_seconds") < INTERVAL_S / 2
    handshakes = found["fleet_tls_probe_handshake_success"]
    dead = [labels["target"] for labels, value in handshakes if value == 0]
    assert len(dead) > 0.9 * (SILENT + REFUSING)
