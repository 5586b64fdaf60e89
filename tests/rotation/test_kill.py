"""SIGKILL at any moment of a rotation on real terminators: it goes on, and does nothing twice."""

import random
import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from exporter.journal import Kind, faults_in
from tests.rotation.forked import Forks
from tests.rotation.ground import ground_at
from tests.rotation.mortal import WITHIN_S, Ground, attended
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
# When a person aborts it, and when it is killed on the way back
TURNS, MIDDLE = ("rotate answered", "looked written", "rotating"), ("canary", "rotating")
WAY_BACK, KILLS_BACK = ("roll_back", "roll_back written", "looked", "finish"), 4
PHASES = tuple(dict.fromkeys(phase for phase, _, _ in MOMENTS))
GATEWAYS, AGENTS_RATIO = ("gw-1", "gw-2"), 0.3 if CAMPAIGN else 0.1
LONGEST_DELAY_S, LONGEST_MOMENT_S = 0.5, 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """When it is killed: at that line since then, and some time after it; ``agent`` dies too."""

    phase: str
    since: str
    line: int
    delay_s: float
    agent: str | None


def moments_of(seed: int) -> list[Moment]:
    """When it is killed: once in each phase at least, in the order of the path."""
    chance = random.Random(seed)  # noqa: S311 - repeatable
    each = [chance.choice([one for one in MOMENTS if one[0] == phase]) for phase in PHASES]
    more = chance.choices(MOMENTS, k=KILLS - len(each))
    return [
        Moment(
            phase=phase,
            since=since,
            line=chance.randint(1, lines),
            delay_s=chance.choice([0.0, chance.uniform(0, LONGEST_DELAY_S)]),
            agent=chance.choice(GATEWAYS) if chance.random() < AGENTS_RATIO else None,
        )
        for phase, since, lines in sorted([*each, *more], key=MOMENTS.index)
    ]


def later_than(phase: str) -> Sequence[str]:
    """What may be met in its place when an earlier kill came late."""
    return [*PHASES[PHASES.index(phase) + 1 :], "finish"]


async def kill_at(ground: Ground, moments: Sequence[Moment]) -> list[str]:
    """Kill it at each; where it was found by what it had kept."""
    met = []
    for place, one in enumerate(moments):
        ground.held = {later.phase for later in moments[place:]}
        ground.arm([one.since, *later_than(one.phase)], line=one.line, delay_s=one.delay_s)
        ground.start()
        if not await ground.is_over(LONGEST_MOMENT_S):  # it was passed before
            ground.arm([one.phase, *later_than(one.phase)], line=one.line, delay_s=one.delay_s)
            assert await ground.is_over(WITHIN_S), f"alive after {one}"
        ground.kill()
        if one.agent is not None:
            await ground.kill_agent(one.agent)
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


def is_one_change(ways: Sequence[str], was_killed: bool) -> bool:
    """Whether a gateway was changed once; an agent that died in the middle may go back before."""
    path = "".join(way[0] for way in ways)
    return re.fullmatch("f(fb)*f" if was_killed else "ff", path) is not None


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", ONES)
async def test_wherever_it_is_killed_the_rotation_goes_on_and_nobody_is_dark(
    name: str, seed: int, tmp_path: Path, forks: Forks
) -> None:
    async with ground_at(tmp_path, name, forks) as ground, attended(ground):
        ground.slow_down()  # so that there is something to be in the middle of
        moments = moments_of(seed)
        met = await kill_at(ground, moments)
        ground.start()
        await ground.until_done()
        journal = await ground.journal()

    agents = Counter(one.agent for one in moments if one.agent is not None)
    told = f"{name}, seed {seed}: killed at {dict(Counter(met))}, agents too {dict(agents)}"
    sys.stderr.write(f"{told}; resumed {ground.resumed_count} times\n")  # pytest -s shows it
    assert len(met) == KILLS
    for clients in ground.clients:
        assert clients.of_trust == []
        assert clients.offline_s < MOST_OFFLINE_S
    for gateway, fleet in ground.fleets.items():
        assert is_one_change(ground.activations(gateway), gateway in agents), gateway
        old = fleet.authorities.old_ca.pem
        for device in fleet.devices:
            assert all(path.read_bytes() != old for path in device.trust_store.iterdir())
    assert list(faults_in(journal)) == []


if CAMPAIGN:  # each of these takes as long as a whole rotation

    @pytest.mark.parametrize("seed", range(12))
    async def test_wherever_it_is_killed_on_the_way_back_both_cas_stay_trusted(
        seed: int, tmp_path: Path, forks: Forks
    ) -> None:
        chance, name = random.Random(seed), ONES[seed % len(ONES)]  # noqa: S311 - repeatable
        async with ground_at(tmp_path, name, forks) as ground, attended(ground):
            ground.slow_down()
            ground.arm([chance.choice(TURNS)], line=chance.randint(1, 300))
            ground.start()
            assert await ground.is_over(WITHIN_S)
            ground.start()
            await ground.until_told(lambda seen: seen["phase"] in MIDDLE)
            await ground.abort()
            for _ in range(KILLS_BACK):
                ground.kill()
                ground.arm([chance.choice(WAY_BACK), *MIDDLE], line=chance.randint(1, 300))
                ground.start()
                await ground.is_over(LONGEST_MOMENT_S)
            ground.kill()
            ground.disarm()
            ground.start()
            marks = await ground.until_ended()
            journal = await ground.journal()

        assert marks["ended"] == "rolled_back"
        for clients in ground.clients:
            assert clients.of_trust == []
            assert clients.offline_s < MOST_OFFLINE_S
        for gateway, fleet in ground.fleets.items():
            assert ground.activations(gateway) in (["forward"], ["forward", "forward", "back"])
            old = fleet.authorities.old_ca.pem
            for device in fleet.devices:
                assert old in {path.read_bytes() for path in device.trust_store.iterdir()}
        assert list(faults_in(journal)) == []
