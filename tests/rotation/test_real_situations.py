"""What a rotation meets on its way, on real terminators, with real devices that fail or lie.

One standing fleet goes through many situations; each is named in ``test_table``.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from exporter.clock import SystemClock
from exporter.demo.pki import Issued, Wishes, issue
from tests.gateway.agent.doomed import fill
from tests.gateway.agent.real.terminators import Start, haproxy, mosquitto, nginx
from tests.rotation import days
from tests.rotation.lives import Life
from tests.rotation.overlap import (
    anchors_of,
    devices_go_away_in_the_overlap_and_are_waited_for,
    the_old_ca_goes_and_whoever_trusts_only_that_fails,
)
from tests.rotation.real import RealFleet, real_fleet
from tests.rotation.small_disk import small_disk
from tests.rotation.terminators import CAMPAIGN, STARTS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

DAY = timedelta(days=1)
ENDED = {"done", "rolled_back", "aborted"}
# Of a device that is off: its last report counts for a week
OFF = ("pending", "stale")
# Each terminator is minutes of CPU: that is for the campaign
ONES = list(STARTS) if CAMPAIGN else ["nginx"]
KEEPS_TICKETS: Mapping[str, Start] = {
    "nginx": partial(
        nginx, chosen=True, more="ssl_session_ticket_key keys; ssl_session_timeout 1h;"
    ),
    "haproxy": haproxy,
    "mosquitto": mosquitto,
}


def another_ca(name: str, *, by_key_of: Issued | None = None) -> str:
    now = SystemClock().now()
    wishes = Wishes(
        common_name=name, is_ca=True, not_before=now - DAY, not_after=now + 3_000 * DAY
    )
    return issue(wishes, key=None if by_key_of is None else by_key_of.key).pem.decode()


@pytest.mark.parametrize("name", ONES)
async def test_whatever_a_ca_a_signer_or_a_device_lacks_keeps_the_gate_until_it_is_mended(
    name: str, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "small") as disk:
        async with real_fleet(
            tmp_path, STARTS[name], {"gw-1": 5}, silent={"dev-02"},
            stores={"dev-04": disk / "truststore"}, times=days.TIMES, sections=days.SECTIONS,
        ) as fleet:  # fmt: skip
            lives = fleet.lives
            await fleet.all_reported(silent_count=1)

            await no_ca_that_carries_what_the_old_one_has(fleet)
            await no_chain_that_lacks_something(fleet)
            await no_device_that_lacks_the_anchor(fleet, disk / "filler")
            if CAMPAIGN:
                await devices_go_away_in_the_overlap_and_are_waited_for(
                    fleet, lives["dev-03"], lives["dev-05"]
                )
                await the_old_ca_goes_and_whoever_trusts_only_that_fails(fleet)

    assert {one: life.refusals for one, life in lives.items() if life.refusals} == {}


async def no_ca_that_carries_what_the_old_one_has(fleet: RealFleet) -> None:
    old = fleet.authorities.old_ca
    subject = old.certificate.subject.rfc4514_string().removeprefix("CN=")
    for new_ca, said in (
        (another_ca(subject), "bears the old one's subject with another key"),
        (another_ca("Another name", by_key_of=old), "has the old one's key"),
    ):
        plan = await fleet.service.post("/plan", new_ca=new_ca)

        told = [one for one in plan["gate"]["blockers"] if one["reason"] == "new_ca"]
        assert said in told[0]["unblocks"]
        assert len(told) == 1


async def no_chain_that_lacks_something(fleet: RealFleet) -> None:
    fleet.sign_with_fault("intermediate")
    started = await fleet.service.post("/start", by="anna")
    for said, next_fault in (("unknown_ca", "name"), ("lacks the names 127.0.0.1", "")):
        await fleet.service.until(partial(is_faulty, said))
        fleet.sign_with_fault(next_fault)
        await fleet.service.post("/resume", rotation=started["id"], by="anna")


def is_faulty(said: str, seen: Mapping[str, Any]) -> bool:
    """Whether the gateway's chain is refused with these words."""
    return any(
        (one["name"], one["reason"]) == ("gw-1", "candidate_fault") and said in one["unblocks"]
        for one in seen["gate"]["blockers"]
    )


async def no_device_that_lacks_the_anchor(fleet: RealFleet, filler: Path) -> None:
    lives, served = fleet.lives, await fleet.gateways["gw-1"].served()
    lives["dev-03"].is_lying = True
    held = files_of(lives["dev-04"])
    fill(filler)
    lives["dev-05"].is_on = False
    await fleet.service.approve()
    since = days.from_now()

    await each_device_that_lacks_the_anchor_is_named(fleet)
    # It is tried again and again, and nothing half done stays
    await fleet.until(lambda: files_of(lives["dev-04"]) == held, "the full store to be whole")
    await fleet.all_come("dev-01", "dev-02", "dev-03", "dev-04")
    await each_device_at_hand_is_mended_in_turn(fleet, filler)
    async for _ in since.until(9):
        seen = await fleet.service.rotation()
        assert seen["phase"] == "adding"
        assert "dev-05" in [one["name"] for one in seen["gate"]["blockers"]]
        assert await fleet.gateways["gw-1"].served() == served

    lives["dev-05"].is_on = True
    await fleet.service.until(lambda seen: seen["phase"] not in {"adding", "validating"})
    await fleet.all_come()
    assert fleet.new_ca in anchors_of(lives["dev-05"])


def files_of(life: Life) -> tuple[set[str], set[str]]:
    """The names of all that lies in a device's trust store, and what it trusts by it."""
    return {one.name for one in life.device.trust_store.iterdir()}, anchors_of(life)


async def each_device_that_lacks_the_anchor_is_named(fleet: RealFleet) -> None:
    told = await fleet.held(
        ("dev-02", "never_reported"),
        ("dev-03", "anchor_missing"),
        ("dev-04", "failed"),
        ("dev-05", *OFF),
    )
    assert "COMPLETE" in told["dev-03"]
    assert "No space left on device" in told["dev-04"]
    counts = {"total": 5, "synced": 1, "on_new_chain": 0}
    await fleet.service.until(lambda seen: seen["devices"] == counts)


async def each_device_at_hand_is_mended_in_turn(fleet: RealFleet, filler: Path) -> None:
    lives, rotation = fleet.lives, await fleet.service.rotation()
    lives["dev-03"].is_lying = False
    await asyncio.to_thread(filler.unlink)
    # They had failed too often to be asked again without a person
    await fleet.service.post("/resume", rotation=rotation["id"], by="anna")
    await fleet.held(("dev-02", "never_reported"), ("dev-05", *OFF))
    lives["dev-02"].is_silent = False
    await fleet.held(("dev-05", *OFF))


@pytest.mark.parametrize("name", ONES)
async def test_canaries_by_ticket_only_or_that_fail_hold_all_others_and_go_back_alone(
    name: str, tmp_path: Path
) -> None:
    behind = {"gw-1": 2, "gw-2": 2}
    async with real_fleet(tmp_path, KEEPS_TICKETS[name], behind) as fleet:
        one, two = fleet.gateways.values()
        old = {await one.served(), await two.served()}
        await fleet.service.post("/start", by="anna")
        await fleet.service.approve()

        await a_canary_that_fails_goes_back(fleet)
        assert {await one.served(), await two.served()} == old
        by_ticket = await a_canary_by_ticket_only_keeps_the_gate(fleet)
        assert await two.served() in old
        assert await one.served() not in old
        if fleet.gateways["gw-1"].real.name != "mosquitto":
            # Where nobody tells which handshake is full, the tickets' two hours are waited for
            await a_batch_that_fails_goes_back_alone(fleet)
            assert await two.served() in old
            assert await one.served() not in old
        await it_ends_as_rolled_back(fleet)
        assert {await one.served(), await two.served()} == old
        await fleet.all_come()

    # By its ticket a device goes on whatever is served: that is the trap
    assert by_ticket.refusals == []
    assert fleet.lives["dev-04"].refusals == []


async def a_canary_that_fails_goes_back(fleet: RealFleet) -> None:
    failing = fleet.lives["dev-02"]
    only_the_old(fleet, failing)
    told = await fleet.held(("gw-1", "rolled_back"))
    assert f"devices refuse the new chain: {failing.device.device_class}" in told["gw-1"]
    await fleet.all_come()
    assert failing.refusals


def only_the_old(fleet: RealFleet, life: Life) -> None:
    """Let a device say that it trusts the new CA, and verify by the old one alone."""
    life.client.only = fleet.only_the_old(life.device.name)


async def a_canary_by_ticket_only_keeps_the_gate(fleet: RealFleet) -> Life:
    life, rotation = fleet.lives["dev-01"], await fleet.service.rotation()
    life.client.by_ticket = True
    fleet.lives["dev-02"].client.only = None
    await fleet.service.post("/resume", rotation=rotation["id"], by="anna")
    if fleet.gateways["gw-1"].real.name == "mosquitto":
        await fleet.held(
            ("dev-01", "tickets_only"), ("dev-02", "tickets_only"), ("gw-1", "unconfirmed")
        )
        return life
    await fleet.held(("dev-01", "tickets_only"))
    await fleet.all_come()
    assert (await fleet.held(("dev-01", "tickets_only")))["dev-01"].startswith("it came back by")
    return life


async def a_batch_that_fails_goes_back_alone(fleet: RealFleet) -> None:
    only_the_old(fleet, fleet.lives["dev-03"])
    fleet.lives["dev-01"].client.by_ticket = False
    await fleet.held(("gw-2", "rolled_back"))
    await fleet.all_come()
    seen = await fleet.service.rotation()
    assert seen["phase"] == "rotating"
    assert {one["gateway"]: one["state"] for one in seen["gateways"]} == {
        "gw-1": "settled", "gw-2": "rolled_back",
    }  # fmt: skip


async def it_ends_as_rolled_back(fleet: RealFleet) -> None:
    rotation = await fleet.service.rotation()
    await fleet.service.post("/abort", rotation=rotation["id"], by="anna", reason="not today")
    ended = await fleet.service.until(lambda seen: seen["phase"] in ENDED)
    assert ended["phase"] == "rolled_back"


@pytest.mark.parametrize("name", ONES)
async def test_certificates_that_end_soon_are_renewed_one_by_one_and_no_device_refuses(
    name: str, tmp_path: Path
) -> None:
    behind, signer = {"gw-1": 2, "gw-2": 2}, "old-intermediate"
    async with real_fleet(tmp_path, STARTS[name], behind, left=5 * DAY, signer=signer) as fleet:
        await fleet.service.until_all(partial(are_renewed, behind))
        await fleet.all_come()
        served = {await gateway.served() for gateway in fleet.gateways.values()}
        await fleet.until_nothing_is_due(behind)
        history = await fleet.service.get("/history?limit=1000")

    facts = [one["facts"] for one in history["items"]]
    assert served == {one["candidate"] for one in facts if "candidate" in one}
    words = [(one["what"], one["by"]) for one in facts if "what" in one]
    assert words == [("start", "automatic renewal")] * 2
    assert {one: life.refusals for one, life in fleet.lives.items() if life.refusals} == {}


def are_renewed(names: Collection[str], rotations: Sequence[Mapping[str, Any]]) -> bool:
    """Whether each gateway has a rotation of its own that is done."""
    done = [one["gateways"][0]["gateway"] for one in rotations if one["phase"] == "done"]
    return set(done) == set(names)
