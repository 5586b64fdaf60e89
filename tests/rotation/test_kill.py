"""SIGKILL at any moment of a rotation on real terminators: it goes on, and does nothing twice."""

import random
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from exporter.journal import Kind, faults_in
from tests.rotation.forked import Forks
from tests.rotation.mortal import WITHIN_S, Ground, attended, ground_at
from tests.rotation.terminators import CAMPAIGN, MOST_OFFLINE_S

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ONES = ["nginx", "haproxy", "mosquitto"] if CAMPAIGN else ["nginx"]
SEEDS = range(3 if CAMPAIGN else 1)
KILLS = 23 if CAMPAIGN else 10
# A moment of the path, in its order: the phase, since when lines are counted, and how many
MOMENTS = (
    ("planned", "planned", 900),
    ("planned", "order", 400),
    ("planned", "order written", 300),
    ("adding", "add", 300),
    ("adding", "adding", 400),
    ("validating", "validating", 150),
    ("validating", "validate", 150),
    ("canary", "canary", 500),
    ("canary", "rotate", 400),
    ("canary", "rotate answered", 300),
    ("rotating", "rotating", 500),
    ("rotating", "rotate", 400),
    ("rotating", "confirm", 200),
    ("overlap", "overlap", 900),
    ("removing", "remove", 300),
    ("removing", "removing", 400),
    ("removing", "finish", 60),
)
PHASES = tuple(dict.fromkeys(phase for phase, _, _ in MOMENTS))
LONGEST_DELAY_S, LONGEST_MOMENT_S = 0.5, 8.0


def moments_of(seed: int) -> list[tuple[str, str, int, float]]:
    """Where it is killed: once in each phase at least, in the order of the path."""
    chance = random.Random(seed)  # noqa: S311 - repeatable
    each = [chance.choice([one for one in MOMENTS if one[0] == phase]) for phase in PHASES]
    more = chance.choices(MOMENTS, k=KILLS - len(each))
    return [
        (
            phase,
            since,
            chance.randint(1, lines),
            chance.choice([0.0, chance.uniform(0, LONGEST_DELAY_S)]),
        )
        for phase, since, lines in sorted([*each, *more], key=MOMENTS.index)
    ]


def later_than(phase: str) -> Sequence[str]:
    """What may be met in its place when an earlier kill came late."""
    return [*PHASES[PHASES.index(phase) + 1 :], "finish"]


async def kill_at(ground: Ground, moments: Sequence[tuple[str, str, int, float]]) -> list[str]:
    """Kill it at each; where it was found by what it had kept."""
    met = []
    for place, (phase, since, line, delay_s) in enumerate(moments):
        ground.held = {one[0] for one in moments[place:]}
        ground.arm([since, *later_than(phase)], line=line, delay_s=delay_s)
        ground.start()
        if not await ground.is_over(LONGEST_MOMENT_S):  # it was passed before
            ground.arm([phase, *later_than(phase)], line=line, delay_s=delay_s)
            assert await ground.is_over(WITHIN_S), f"alive after {since}, line {line}"
        ground.kill()
        met.append(await found(ground))
    ground.held = ()
    ground.disarm()
    return met


async def found(ground: Ground) -> str:
    """The phase and the last step, by the store."""
    marks = ground.marks()
    if marks is None:
        return "nothing kept"
    (*_, last) = (one.facts() for one in await ground.journal() if one.kind is Kind.ROTATION)
    return f"{marks['phase']}: {last.get('step') or last.get('what') or 'looked'}"


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", ONES)
async def test_wherever_it_is_killed_the_rotation_goes_on_and_nobody_is_dark(
    name: str, seed: int, tmp_path: Path, forks: Forks
) -> None:
    async with ground_at(tmp_path, name, forks) as ground, attended(ground):
        met = await kill_at(ground, moments_of(seed))
        ground.start()
        await ground.until_done()
        journal = await ground.journal()

    told = f"{name}, seed {seed}: killed at {dict(Counter(met))}; resumed {ground.resumed_count}"
    sys.stderr.write(f"{told} times\n")  # pytest -s shows it
    assert len(met) == KILLS
    for clients in ground.clients:
        assert clients.of_trust == []
        assert clients.offline_s < MOST_OFFLINE_S
    for gateway, fleet in ground.fleets.items():
        assert ground.activations(gateway) == ["forward", "forward"], "one change, and no other"
        old = fleet.authorities.old_ca.pem
        for device in fleet.devices:
            assert all(path.read_bytes() != old for path in device.trust_store.iterdir())
    assert list(faults_in(journal)) == []
