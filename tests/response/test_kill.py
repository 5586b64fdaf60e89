"""SIGKILL at any moment between the alert and the devices' return: it ends, and acts once."""

import asyncio
import os
import random
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from exporter.journal import Kind, faults_in
from tests.response.stand import Ground, Service, alert, ground_at, until

CAMPAIGN = "FLEET_TLS_CAMPAIGN" in os.environ
OUTAGES = 10 if CAMPAIGN else 2  # of one fleet, one after the other
GROUPS = range(20 if CAMPAIGN else 2)
KILLS = 1 if CAMPAIGN else 3  # in each, or more: a start costs more than an outage
ACT = {"mode": "act", "hold": "0s", "max_actions_per_hour": 100}
# Lines of our code, measured: from the delivery to the outcome; from the intent's entry to where
# it is durable and to where it is served; from a start that takes it up to the outcome
LINES, DURABLE, SERVED, LEFT = 3_800, 250, 1_000, 2_000
MIDDLE = {"intent", "sent", "answered", "served"}
AGAIN = 0.2


@pytest.mark.slow
@pytest.mark.timeout(3_000 if CAMPAIGN else 600)
@pytest.mark.parametrize("group", GROUPS)
async def test_wherever_it_is_killed_it_acts_once_and_comes_to_an_end(
    group: int, tmp_path: Path
) -> None:
    met: list[str] = []
    async with ground_at(tmp_path, ACT) as ground:
        async with Service(ground) as service:
            for number in range(1, OUTAGES + 1):
                chance = random.Random(group * OUTAGES + number)  # noqa: S311 - repeatable
                met += await _outage(ground, service, number, chance)
        journal = await ground.entries()

    sys.stderr.write(f"group {group}: killed when {dict(Counter(met))}\n")  # pytest -s shows it
    assert list(faults_in(journal)) == []


async def _outage(
    ground: Ground, service: Service, number: int, chance: random.Random
) -> Sequence[str]:
    """One outage with a kill, or more; how far it had come at each."""
    before = ground.activations()
    met: list[str] = []
    await ground.break_gateway()
    begun_at = ground.journal_length()
    if number % 2:
        _kill_somewhere(ground, chance, "delivery", LINES)
    else:
        # From where it is durable: how long a disk takes until then is no number of lines
        ground.arm("taken up", line=chance.randint(1, SERVED - DURABLE))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(ground.deliver(alert(number)))
        while True:
            await _until_dead_or_over(ground, service, number)
            met.append(_reached(ground, begun_at))
            await service.stop()
            if len(met) >= KILLS and chance.random() >= AGAIN:
                break
            _kill_somewhere(ground, chance, "taken up", LEFT)
            await service.start()
        ground.disarm()
        await service.start()
    await ground.until_ended(number)
    await ground.all_back()
    await ground.deliver(alert(number, is_firing=False))

    assert number % 2 or met[0] in MIDDLE, met
    bad = max(version for version, _ in before) + 1
    assert ground.activations() == [*before, (bad, "forward"), (1, "back")]
    kinds = Counter(kind for kind, _ in ground.journal(begun_at))
    assert kinds[Kind.INTENT] == 1, "one action"
    assert kinds[Kind.OUTCOME] == 1, "one end"
    endings = ground.rows("SELECT ending FROM remediation_intent ORDER BY intended_at")
    assert endings == [("recovered",)] * number
    return met


def _kill_somewhere(ground: Ground, chance: random.Random, since: str, lines: int) -> None:
    """At some line, or some time after it: while it waits for an answer, say."""
    delay_s = chance.choice([0.0, chance.uniform(0.0, 0.5)])
    ground.arm(since, line=chance.randint(1, lines), delay_s=delay_s)


async def _until_dead_or_over(ground: Ground, service: Service, number: int) -> None:
    """Return once it has died; it is killed when all is over before."""
    await until(lambda: service.is_dead or ground.ended() >= number)
    if service.process is not None:
        service.process.kill()
        service.process.wait(20)


def _reached(ground: Ground, begun_at: int) -> str:
    """How far it had come by what is durable."""
    step = "nothing kept"
    for kind, facts in ground.journal(begun_at):
        match kind:
            case Kind.DELIVERY | Kind.DECISION | Kind.INTENT | Kind.OUTCOME:
                step = kind
            case Kind.ATTEMPT:
                step = str(facts.get("stage") or ("sent" if "sends" in facts else "answered"))
            case _:
                pass
    return step
