"""What happens at a real gateway while we are away: it goes back, or a person is at it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from exporter.journal import faults_in
from tests.rotation.forked import Forks
from tests.rotation.ground import ground_at
from tests.rotation.mortal import WITHIN_S, Ground, attended
from tests.rotation.terminators import CAMPAIGN, MOST_OFFLINE_S

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

# The agent took the new chain: before its answer is noted; after it was looked at
DEATHS = ["rotate answered", "looked written"]


def blockers(seen: Mapping[str, Any]) -> dict[str, str]:
    return {one["reason"]: one["unblocks"] for one in seen["gate"]["blockers"]}


async def died(ground: Ground, moment: str) -> None:
    """Let the service go on to a moment, and die there."""
    ground.arm([moment], line=1)
    ground.start()
    assert await ground.is_over(WITHIN_S)
    ground.kill()


async def came_to_its_end(ground: Ground) -> None:
    """Return once the rotation is done; nobody was refused, and the journal is whole."""
    await ground.until_done()
    for clients in ground.clients:
        assert clients.of_trust == []
        assert clients.offline_s < MOST_OFFLINE_S
    assert list(faults_in(await ground.journal())) == []


@pytest.mark.parametrize("moment", DEATHS if CAMPAIGN else DEATHS[:1])
async def test_a_gateway_that_nobody_confirms_goes_back_by_itself_and_waits_for_a_person(
    moment: str, tmp_path: Path, forks: Forks
) -> None:
    async with (
        ground_at(tmp_path, "nginx", forks, gateways=1, confirm_s=2.0) as ground,
        attended(ground),
    ):
        ground.is_resuming = False
        fleet = ground.fleets["gw-1"]
        before = await fleet.served()
        await died(ground, moment)
        assert ground.activations("gw-1")[:2] == ["forward", "forward"]
        await fleet.until(lambda: ground.activations("gw-1")[2:] == ["back"], "the way back")
        assert await fleet.served() == before

        ground.fate["confirm_s"] = 3_600.0
        ground.start()
        told = await ground.until_told(lambda seen: "rolled_back" in blockers(seen))
        assert "went back by itself" in blockers(told)["rolled_back"]
        assert "rotation resume" in blockers(told)["rolled_back"]
        assert told["next"] is None
        assert ground.activations("gw-1") == ["forward", "forward", "back"]

        ground.is_resuming = True
        await came_to_its_end(ground)
        assert ground.activations("gw-1") == ["forward", "forward", "back", "forward"]
        assert ground.resumed_count == 1


async def test_whoever_rotates_by_hand_stops_it_until_that_is_undone_or_adopted(
    tmp_path: Path, forks: Forks
) -> None:
    async with ground_at(tmp_path, "nginx", forks, gateways=1) as ground, attended(ground):
        fleet = ground.fleets["gw-1"]
        before, by_hand = await fleet.served(), fleet.authorities.old_intermediate
        ground.held = {"overlap"}
        await died(ground, "adding")
        await fleet.rotate(by_hand)
        ground.start()
        stopped = await ground.until_told(lambda seen: "drift" in blockers(seen))
        await ground.say("/undo", stopped)
        await ground.until_told(lambda seen: seen["phase"] == "overlap")
        undone = ground.activations("gw-1")

        new = await fleet.served()
        await fleet.rotate(by_hand)
        again = await ground.until_told(lambda seen: "drift" in blockers(seen))
        await ground.say("/adopt", again)
        await ground.until_told(lambda seen: "drift" not in blockers(seen))
        ground.held = ()
        await came_to_its_end(ground)
        assert before != new == await fleet.served()

    for one in (stopped, again):
        assert "gw-1 serves" in blockers(one)["drift"]
        assert "changed it by hand; rotation adopt, or undo" in blockers(one)["drift"]
        assert one["next"] is None
    assert undone == ["forward", "forward", "back", "forward"]
    assert ground.activations("gw-1")[4:] == ["forward", "forward"]
