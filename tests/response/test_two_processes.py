"""Two processes on one store: one is stopped in the middle of an action, the other takes it up."""

import os
import random
import signal
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from exporter.journal import Kind, faults_in
from tests.response.stand import Ground, Service, alert, ground_at, lasting_port, until
from tests.response.test_kill import ACT, DURABLE, SERVED

_ENDED = 'fleet_tls_remediation_actions_total{outcome="recovered"} 1'
SEEDS = range(20 if "FLEET_TLS_CAMPAIGN" in os.environ else 1)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", SEEDS)
async def test_a_process_that_was_stopped_and_goes_on_does_nothing_twice(
    seed: int, tmp_path: Path
) -> None:
    chance = random.Random(seed)  # noqa: S311 - repeatable
    async with ground_at(tmp_path, ACT) as ground:
        port = lasting_port()
        other = Service(ground, _beside(ground, port), port)
        async with Service(ground) as stopped:
            await ground.break_gateway()
            ground.arm("intent written", line=chance.randint(DURABLE, SERVED), sent=signal.SIGSTOP)
            await ground.deliver(alert(1))
            await until(lambda: _is_stopped(stopped.pid))
            async with other:
                if not _is_locked(ground):
                    await ground.until_ended(1)
                os.kill(stopped.pid, signal.SIGCONT)
                await ground.until_ended(1)
                await ground.all_back()
                await ground.until_metrics(lambda text: _ENDED in text)  # it knows of the end
        journal = await ground.entries()

    assert ground.activations() == [(1, "forward"), (2, "forward"), (1, "back")]
    assert list(faults_in(journal)) == []
    kinds = Counter(entry.kind for entry in journal)
    assert (kinds[Kind.INTENT], kinds[Kind.OUTCOME]) == (1, 1)
    assert ground.rows("SELECT ending FROM remediation_intent") == [("recovered",)]


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
    """Whether it was stopped in the middle of a transaction: the other waits for its end then."""
    with closing(sqlite3.connect(ground.database, timeout=0, isolation_level=None)) as store:
        try:
            store.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        store.execute("ROLLBACK")
    return False
