"""A disk that is full in the middle of a change: a small tmpfs in a namespace of its own."""

import os
import random
from pathlib import Path

import pytest

from tests.daemons import need
from tests.gateway.agent.apart import (
    FIRST_LEAF,
    LINES,
    Ground,
    agent_at,
    change,
    ground_of,
    is_proven,
    settled,
)
from tests.gateway.agent.doomed import fill
from tests.gateway.agent.real.stand import leaf_at
from tests.gateway.agent.stand import leaf_fingerprint, until

SEEDS = range(60 if "FLEET_TLS_CAMPAIGN" in os.environ else 6)


def on_a_small_disk(ground: Ground) -> list[str]:
    """What makes the agent's folder a disk of its own that nobody else sees."""
    ground.directory.mkdir()
    script = f'mount -t tmpfs -o size=2m,mode=700 small {ground.directory} && exec "$@"'
    return [need("unshare"), "--map-root-user", "--mount", need("sh"), "-c", script, "sh"]


def make_room(filler: Path) -> bool:
    """Whether the disk was full; it is not any more."""
    was_full = filler.exists()
    filler.unlink(missing_ok=True)
    return was_full


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", SEEDS)
async def test_a_disk_that_fills_up_in_a_change_leaves_one_certificate_in_full_and_told(
    tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - repeatable, guards nothing
    what = chance.choice(["rotate", "rollback"])
    line = chance.randint(1, LINES["embedded", what])
    filler = tmp_path / "agent/filler"

    with ground_of("embedded", tmp_path) as ground:
        before = on_a_small_disk(ground)
        async with agent_at(ground, line, full=str(filler), before=before) as (agent, process):
            await until(lambda: is_proven(agent), "version 1 to be proven")
            chain = await agent.new_chain()
            leaves = {FIRST_LEAF: 1, leaf_fingerprint(chain): 2}
            if what == "rollback":  # then it fills up in either of the two
                await agent.rotate(chain, Idempotency_Key="first")
            first = await change(agent, what, chain)
            during = leaf_at(ground.port)
            # The agent's disk as only the agent sees it
            was_full = make_room(Path(f"/proc/{process.pid}/root{filler}"))
            answer = await settled(agent, what, chain)
            shown = await agent.certificates()
            seen = leaf_at(ground.port)

    assert first is not None
    assert during in leaves
    assert seen in leaves
    assert shown["serving"] == {"version": leaves[seen], "fingerprint": seen}
    current = [one["version"] for one in shown["versions"] if one["state"] == "current"]
    assert current == [leaves[seen]]
    assert all(one["keyUsable"] for one in shown["versions"])
    if what == "rotate":
        assert (answer.body.get("status") == "SUCCESS") is (leaves[seen] == 2), answer
    if first.status == 200:
        assert answer.body == first.body
    assert was_full or first.status == 200


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_disk_that_was_full_before_is_told_and_nothing_begun(tmp_path: Path) -> None:
    with ground_of("embedded", tmp_path) as ground:
        before = on_a_small_disk(ground)
        async with agent_at(ground, -1, before=before) as (agent, process):
            await until(lambda: is_proven(agent), "version 1 to be proven")
            chain = await agent.new_chain()
            filler = Path(f"/proc/{process.pid}/root{tmp_path}/agent/filler")
            fill(filler)
            refused = await change(agent, "rotate", chain)
            csr = await agent.post("/gateway/certificates/csr", {})
            shown = await agent.certificates()
            make_room(filler)
            done = await settled(agent, "rotate", chain)
            seen = leaf_at(ground.port)

    assert refused is not None
    assert csr.status == 503
    assert "disk is full" in csr.message or "No space" in csr.message
    assert shown["serving"] == {"version": 1, "fingerprint": FIRST_LEAF}
    # What could not even be noted is done when there is room; what was and failed has its answer
    if refused.status == 503:
        assert (done.status, seen) == (200, leaf_fingerprint(chain))
    else:
        assert refused.status == 500
        assert (done.body, seen) == (refused.body, FIRST_LEAF)
