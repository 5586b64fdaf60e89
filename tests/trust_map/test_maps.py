"""The map of a running service: made when it is asked for, and not for everybody anew."""

import asyncio
from pathlib import Path

from exporter.fleet import FleetSnapshot
from exporter.store import Store
from exporter.trust_map.maps import TrustMaps
from tests.fake_clock import FakeClock
from tests.trust_map.scene import NOW, OLD, authority, typical


def maps(clock: FakeClock, path: Path) -> TrustMaps:
    facts = typical().facts()
    snapshot = FleetSnapshot(
        at=NOW, targets=facts.targets, stores=facts.stores, reported=facts.reported
    )
    return TrustMaps(
        lambda: snapshot, lambda: facts.signed_by, Store(f"sqlite:///{path / 'state.db'}"), clock
    )


async def test_whoever_asks_within_seconds_gets_the_same(tmp_path: Path) -> None:
    clock = FakeClock(NOW)
    made = maps(clock, tmp_path)

    first, second = await asyncio.gather(made.map(), made.map())
    await clock.advance(10)
    third = await made.map()

    assert first is second
    assert third is not first
    assert authority(first, OLD).if_removed.dark_count == 18


async def test_since_when_is_noted_while_it_runs(tmp_path: Path) -> None:
    clock = FakeClock(NOW)
    made = maps(clock, tmp_path)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(made.run())
        async with asyncio.timeout(30):
            while (trusts := authority(await made.map(), OLD).trusted_by)[1].since is None:
                await clock.advance(60)
                await asyncio.to_thread(lambda: None)
        running.cancel()

    assert [one.device_class for one in trusts] == ["meter", "sensor"]
    assert trusts[1].since is not None
    assert trusts[1].since > NOW
