"""The 14 days in which both CAs stay trusted, and the end of the old one, with real devices."""

from exporter.demo.updates import anchors_in
from tests.rotation.days import OVERLAP_DAYS, Days, of_overlap
from tests.rotation.lives import Life
from tests.rotation.real import RealFleet

# Beyond the overlap, and no report counts for so long
LATE_DAY = 16


async def devices_go_away_in_the_overlap_and_are_waited_for(
    fleet: RealFleet, away: Life, late: Life
) -> None:
    """One comes back on day 9, the other after all is over; nothing is removed until then."""
    seen = await fleet.service.until(lambda seen: seen["phase"] == "overlap", within_s=120)
    days = of_overlap(seen["overlap_end"])
    away.is_on = late.is_on = False
    await fleet.service.post(
        "/approve", rotation=seen["id"], plan_hash=seen["plan_hash"], by="anna"
    )

    await both_are_trusted_until(fleet, days, 9)
    away.is_on = True
    await fleet.all_come(away.device.name)
    await both_are_trusted_until(fleet, days, OVERLAP_DAYS - 1)
    # Approved, over, and all that it needs is there; but who was not heard of may need the old CA
    await fleet.held((late.device.name, "stale"))
    await both_are_trusted_until(fleet, days, LATE_DAY)
    late.is_on = True
    await fleet.all_come(late.device.name)


async def both_are_trusted_until(fleet: RealFleet, days: Days, day: float) -> None:
    async for _ in days.until(day):
        seen = await fleet.service.rotation()
        assert seen["phase"] == "overlap"
        assert seen["gate"]["open"] is not True
        for one in fleet.lives.values():
            assert {fleet.old_ca, fleet.new_ca} <= anchors_of(one)


async def the_old_ca_goes_and_whoever_trusts_only_that_fails(fleet: RealFleet) -> None:
    done = await fleet.service.until(lambda seen: seen["phase"] in {"done", "aborted"})
    await fleet.all_come()

    count = len(fleet.lives)
    assert done["phase"] == "done"
    assert done["devices"] == {"total": count, "synced": count, "on_new_chain": count}
    for one in fleet.lives.values():
        assert fleet.old_ca not in anchors_of(one)
        assert fleet.new_ca in anchors_of(one)
    for name in fleet.gateways:
        refusal = (await fleet.left_behind(name).connect_once()).refusal
        assert "unable to get" in str(refusal)


def anchors_of(life: Life) -> set[str]:
    """The fingerprints of what a device trusts."""
    held = anchors_in(life.device.trust_store)
    return {one.fingerprint_sha256 for one in held.values()}
