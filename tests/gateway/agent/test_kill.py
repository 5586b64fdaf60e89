"""SIGKILL at any line of a change: afterwards the old or the new certificate in full, and told."""

import os
import random
from pathlib import Path

import pytest

from tests.gateway.agent.apart import (
    FIRST_LEAF,
    LINES,
    agent_at,
    change,
    check_disk,
    ground_of,
    is_proven,
    settled,
)
from tests.gateway.agent.real.stand import leaf_at
from tests.gateway.agent.stand import leaf_fingerprint, until

CAMPAIGN = "FLEET_TLS_CAMPAIGN" in os.environ
SEEDS = range(100 if CAMPAIGN else 10)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("terminator", ["embedded", "nginx"])
async def test_a_change_has_about_as_many_lines_as_the_strikes_are_spread_over(
    tmp_path: Path, terminator: str
) -> None:
    """Or those of a longer one would all be early, and of a shorter one too late."""
    with ground_of(terminator, tmp_path) as ground:
        async with agent_at(ground, 0) as (agent, process):
            await until(lambda: is_proven(agent), "version 1 to be proven")
            answer = await agent.rotate(await agent.new_chain())
            process.terminate()
            process.wait(20)

    assert answer.status == 200
    length = int((tmp_path / "url.lines").read_text())
    assert LINES[terminator, "rotate"] <= 1.3 * length
    if terminator == "embedded":  # nothing is waited for
        assert LINES[terminator, "rotate"] >= 0.7 * length


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", SEEDS)
async def test_a_kill_at_any_line_leaves_one_certificate_in_full_and_told(
    tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - repeatable, guards nothing
    what = chance.choice(["rotate", "rollback"])
    terminator = "nginx" if seed % 3 == 0 else "embedded"
    line = chance.randint(1, LINES[terminator, what])

    with ground_of(terminator, tmp_path) as ground:
        async with agent_at(ground, 0) as (agent, _):
            await until(lambda: is_proven(agent), "version 1 to be proven")
            chain = await agent.new_chain()
            leaves = {FIRST_LEAF: 1, leaf_fingerprint(chain): 2}
            if what == "rollback":
                assert (await agent.rotate(chain)).status == 200
        async with agent_at(ground, line) as (agent, process):
            first = await change(agent, what, chain)
            if first is not None:  # the line was behind the end of the change
                process.kill()
            process.wait(20)
        check_disk(ground)
        if terminator == "nginx":  # it lives on: one of the two, and never none
            assert leaf_at(ground.port) in leaves
        async with agent_at(ground, 0) as (agent, _):
            answer = await settled(agent, what, chain)
            shown = await agent.certificates()
            seen = leaf_at(ground.port)

    assert seen is not None
    assert shown["serving"] == {"version": leaves[seen], "fingerprint": seen}
    current = [one["version"] for one in shown["versions"] if one["state"] == "current"]
    assert current == [leaves[seen]]
    done = {"rotate": 2, "rollback": 1}[what]
    assert (answer.body["status"] == "SUCCESS") is (leaves[seen] == done), answer
    assert answer.body["toVersion"] == done
    if first is not None:
        assert answer.body == first.body
    check_disk(ground)
