"""Two processes on one store: one is stopped in the middle of an action, the other takes it up."""

import asyncio
import os
import random
import signal
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from exporter.clock import SystemClock
from exporter.journal import Kind, faults_in
from tests.response.stand import Ground, Service, alert, ground_at, lasting_port, until
from tests.response.test_kill import ACT, DURABLE, SERVED

_COUNTED = 'fleet_tls_remediation_actions_total{outcome="recovered"} 1'
_ENDED = 'fleet_tls_remediation_last_action_outcome{gateway="gw-1",outcome="recovered"} 1'
CAMPAIGN = "FLEET_TLS_CAMPAIGN" in os.environ
SEEDS = range(20 if CAMPAIGN else 1)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("is_there_already", [False, True], ids=["starts then", "is there"])
@pytest.mark.parametrize("seed", SEEDS)
async def test_what_a_stopped_process_leaves_another_one_ends_and_nothing_is_done_twice(
    seed: int, is_there_already: bool, tmp_path: Path
) -> None:
    async with ground_at(tmp_path, ACT) as ground:
        is_locked, told = await _played(ground, seed, is_there_already=is_there_already)
        journal = await ground.entries()

    assert ground.activations() == [(1, "forward"), (2, "forward"), (1, "back")]
    assert list(faults_in(journal)) == []
    kinds = Counter(entry.kind for entry in journal)
    assert (kinds[Kind.INTENT], kinds[Kind.OUTCOME]) == (1, 1)
    assert ground.rows("SELECT ending FROM remediation_intent") == [("recovered",)]
    assert sum(_COUNTED in text for text in told) == 1
    told_by = [entry.facts() for entry in journal if "taken_up_by" in entry.facts()]
    numbers = [one["operation_number"] for one in told_by]
    # On a machine that is busy for long one that works may look as if it hung: no harm either
    assert numbers == list(range(2, 2 + len(numbers)))
    assert numbers or is_locked


async def _played(ground: Ground, seed: int, *, is_there_already: bool) -> tuple[bool, list[str]]:
    """Whether the store was locked while one was stopped, and what both tell in the end."""
    chance = random.Random(seed)  # noqa: S311 - repeatable
    port = lasting_port()
    first, second = Service(ground), Service(ground, _beside(ground, port), port)
    async with first:
        try:
            if is_there_already:
                await second.start()
            await ground.break_gateway()
            line = chance.randint(DURABLE, SERVED)
            # Every other one anywhere, also within a transaction: nobody can write then
            is_between = not seed % 2
            ground.arm("intent written", line=line, sent=signal.SIGSTOP, is_between=is_between)
            await ground.deliver(alert(1))
            # Whichever of them looks first; the alert is in the store that both read
            at_work = [first, second] if is_there_already else [first]
            await until(lambda: any(_is_stopped(one.pid) for one in at_work))
            if not is_there_already:
                await second.start()
            is_locked = _is_locked(ground)
            if not is_locked:
                await ground.until_ended(1)
            os.kill(next(one.pid for one in at_work if _is_stopped(one.pid)), signal.SIGCONT)
            await ground.until_ended(1)
            await ground.all_back()
            for at in (ground.port, port):  # both know of the end; one of them has counted it
                await ground.until_metrics(lambda text: _ENDED in text, at)
            return is_locked, await _told(ground, port)
        finally:
            await second.stop()


async def _told(ground: Ground, port: int) -> list[str]:
    """What both tell, once the end is counted: the store may tell of it a moment before."""
    async with asyncio.timeout(60):
        while True:
            told = [await ground.get("/metrics", at) for at in (ground.port, port)]
            if any(_COUNTED in text for text in told):
                return told
            await SystemClock().sleep(0.05)


def _beside(ground: Ground, port: int) -> Path:
    """The same configuration, for another address."""
    config = yaml.safe_load(ground.layout.config.read_text("utf-8"))
    config["listen"] = f"127.0.0.1:{port}"
    path = ground.layout.directory / "beside.yml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return path


def _is_stopped(pid: int) -> bool:
    """Whether the kernel calls it stopped (proc_pid_stat(5))."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def _is_locked(ground: Ground) -> bool:
    """Whether it was stopped in the middle of a transaction: the other waits for its end then.

    What the other one writes itself is over sooner.
    """
    with closing(sqlite3.connect(ground.database, timeout=2, isolation_level=None)) as store:
        try:
            store.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        store.execute("ROLLBACK")
    return False
