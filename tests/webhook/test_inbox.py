"""The inbox in a real store: durable before it is answered, each alert once, nothing lost."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from exporter.errors import StoreError
from exporter.journal import Kind, entries
from exporter.store import Store
from exporter.webhook.inbox import KEPT, Asked, Inbox, InboxBusyError, forget
from exporter.webhook.payload import Delivery, read_delivery
from tests.fake_clock import FakeClock
from tests.webhook.bodies import alert, body

GATEWAYS = {"gw-1", "gw-2"}


class Stand:
    """An inbox at work on a store in a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = FakeClock()
        self.store = Store(f"sqlite:///{path}")
        self.inbox = Inbox(self.store, self.clock)

    async def take(self, *alerts: dict[str, object]) -> tuple[int, int, int]:
        receipt = await self.inbox.accept(delivery(*alerts))
        return receipt.accepted, receipt.duplicate, receipt.ignored

    async def handle(self) -> list[Asked]:
        asked = await self.inbox.pending()
        for one in asked:
            await self.inbox.mark(one)
        return asked


def delivery(*alerts: dict[str, object]) -> Delivery:
    return read_delivery(body(*alerts), GATEWAYS)


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Stand]:
    made = Stand(tmp_path / "state.db")
    await made.store.open()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(made.inbox.run())
        yield made
        running.cancel()
    await made.store.close()


async def test_a_new_alert_is_accepted_once_and_a_repeat_is_a_duplicate(stand: Stand) -> None:
    first = await stand.take(alert(1), alert(2, gateway="gw-2"), alert(3, remediation=""))
    again = await stand.take(alert(1), alert(2, gateway="gw-2"), alert(3, remediation=""))

    assert (first, again) == ((2, 0, 1), (0, 2, 1))
    assert [one.gateway for one in await stand.inbox.pending()] == ["gw-1", "gw-2"]


async def test_what_was_accepted_is_there_after_a_crash(stand: Stand) -> None:
    await stand.take(alert(1))

    # Another process sees it; ours never closed the file
    with closing(sqlite3.connect(stand.path)) as other:
        rows = other.execute("SELECT gateway, state FROM webhook_alert").fetchall()

    assert rows == [("gw-1", "firing")]


async def test_two_senders_with_the_same_body_two_hundred_times_ask_once(stand: Stand) -> None:
    taken = await asyncio.gather(*(stand.take(alert(1)) for _ in range(200)))

    assert sum(accepted for accepted, _, _ in taken) == 1
    assert sum(duplicate for _, duplicate, _ in taken) == 199
    (asked,) = await stand.handle()
    assert len(asked.alerts) == 1
    assert await stand.inbox.pending() == []


async def test_a_restarted_prometheus_joins_what_is_asked_already(stand: Stand) -> None:
    await stand.take({**alert(1), "startsAt": "2026-11-25T12:01:00Z"})
    await stand.take({**alert(1), "startsAt": "2026-11-25T12:09:00Z"})

    (asked,) = await stand.inbox.pending()

    assert len(asked.alerts) == 2
    assert asked.since.minute == 1


async def test_resolved_before_a_look_asks_to_stop(stand: Stand) -> None:
    await stand.take(alert(1))
    await stand.take(alert(1, status="resolved"))

    (asked,) = await stand.handle()

    assert not asked.is_firing
    assert await stand.inbox.firing_gateways() == set()
    assert await stand.inbox.pending() == []


async def test_a_late_firing_behind_its_resolved_fires_nothing(stand: Stand) -> None:
    await stand.take(alert(1, status="resolved"))
    await stand.handle()

    assert await stand.take(alert(1)) == (0, 1, 0)
    assert await stand.inbox.pending() == []


async def test_one_of_two_resolved_still_fires(stand: Stand) -> None:
    await stand.take(alert(1), alert(2))
    await stand.handle()

    await stand.take(alert(2, status="resolved"))

    (asked,) = await stand.inbox.pending()
    assert asked.is_firing
    assert {state for _, _, state in asked.alerts} == {"firing", "resolved"}


async def test_the_same_alert_twice_in_one_delivery_counts_once(stand: Stand) -> None:
    assert await stand.take(alert(1), alert(1), alert(1, status="resolved")) == (2, 1, 0)

    (asked,) = await stand.inbox.pending()
    assert not asked.is_firing


async def test_a_gateway_that_joins_the_inventory_is_asked_for_by_the_repeat(stand: Stand) -> None:
    assert await stand.take(alert(1, gateway="gw-9")) == (0, 0, 1)
    assert await stand.inbox.pending() == []

    known = read_delivery(body(alert(1, gateway="gw-9")), {"gw-9"})
    receipt = await stand.inbox.accept(known)

    assert receipt.accepted == 1
    assert [one.gateway for one in await stand.inbox.pending()] == ["gw-9"]


async def test_ten_thousand_alerts_are_kept_in_one_delivery(stand: Stand) -> None:
    taken = await stand.take(*(alert(n) for n in range(10_000)))

    assert taken == (10_000, 0, 0)
    async with stand.store.reading() as connection:
        (entry,) = await entries(connection, kinds=[Kind.DELIVERY])
    assert entry.facts()["new_count"] == 10_000
    assert len(entry.body) < 20_000


async def test_a_delivery_with_nothing_new_writes_no_journal(stand: Stand) -> None:
    await stand.take(alert(1))
    await stand.take(alert(1))

    async with stand.store.reading() as connection:
        assert len(await entries(connection)) == 1


async def test_while_the_store_is_locked_nothing_is_acknowledged(stand: Stand) -> None:
    # The driver gives up by itself; here another process holds the lock for longer
    other = sqlite3.connect(stand.path)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(StoreError, match="locked by another process"):
        await stand.take(alert(1))
    other.rollback()
    other.close()

    assert await stand.take(alert(1)) == (1, 0, 0)


async def test_too_many_that_wait_are_refused_at_once(stand: Stand) -> None:
    # Nothing runs between these, so nothing is written yet
    waiting = [asyncio.ensure_future(stand.take(alert(n))) for n in range(500)]  # noqa: TID251 - a test may
    await asyncio.sleep(0)  # noqa: TID251 - lets them begin

    with pytest.raises(InboxBusyError, match="send it again"):
        await stand.take(alert(999))

    assert sum(accepted for accepted, _, _ in await asyncio.gather(*waiting)) == 500


async def test_something_new_wakes_whoever_looks(stand: Stand) -> None:
    await stand.take(alert(1, remediation=""))
    assert not stand.inbox.asked.is_set()

    await stand.take(alert(1))

    assert stand.inbox.asked.is_set()


async def test_a_delivery_that_waits_when_we_end_is_not_acknowledged(tmp_path: Path) -> None:
    stand = Stand(tmp_path / "state.db")
    await stand.store.open()
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(stand.inbox.accept(delivery(alert(1))))
        running = tasks.create_task(stand.inbox.run())
        await asyncio.sleep(0)  # noqa: TID251 - lets them begin
        running.cancel()
    await stand.store.close()

    assert waiting.cancelled()


async def test_what_is_not_repeated_for_a_day_fires_no_more(stand: Stand) -> None:
    await stand.take(alert(1))
    assert await stand.inbox.firing_gateways() == {"gw-1"}

    stand.clock.jump_wall(timedelta(days=1))

    assert await stand.inbox.firing_gateways() == set()


async def test_what_was_not_delivered_for_a_month_is_forgotten(stand: Stand) -> None:
    await stand.take(alert(1))

    async with stand.store.writing() as connection:
        now = stand.clock.now()
        assert await forget(connection, now=now + KEPT - timedelta(seconds=1)) == 0
        assert await forget(connection, now=now + KEPT + timedelta(seconds=1)) == 1
