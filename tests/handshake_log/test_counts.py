"""Counting handshakes: what a device's state is after which events, and that it is durable."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from exporter.handshake_log.counts import Change, Counts, Event, Tally, Why, write
from exporter.observations import Reason, RejectedBy
from exporter.store import Store

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
UNKNOWN_CA: Why = (Reason.UNKNOWN_CA, RejectedBy.DEVICE)
EXPIRED: Why = (Reason.EXPIRED, RejectedBy.GATEWAY)


def failed(after_s: float = 0.0, *, why: Why = UNKNOWN_CA, source: str = "errors") -> Event:
    at = NOON + timedelta(seconds=after_s)
    return Event(gateway="gw-1", device="dev-01", source=source, at=at, why=why)


def succeeded(
    after_s: float = 0.0, *, resumed: bool | None = False, source: str = "errors"
) -> Event:
    return replace(failed(after_s, source=source), why=None, is_resumed=resumed)


def after(*events: Event) -> Tally:
    tally = Tally()
    for event in events:
        tally = tally.after(event)
    return tally


def test_the_total_includes_failures() -> None:
    tally = after(failed(), failed(why=EXPIRED), succeeded())

    assert tally.full_count == 3
    assert tally.failure_counts == {UNKNOWN_CA: 1, EXPIRED: 1}
    assert tally.success_count == 1


def test_the_latest_full_handshake_tells_the_state() -> None:
    assert after(succeeded(), failed()).failing == UNKNOWN_CA
    assert after(failed(), failed(why=EXPIRED)).failing == EXPIRED
    assert after(failed(), succeeded()).failing is None


def test_it_is_kept_since_when_a_device_fails() -> None:
    failing = after(succeeded(), failed(5), failed(9, why=EXPIRED))

    assert failing.failing_since_s == NOON.timestamp() + 5
    assert failing.after(succeeded(10)).failing_since_s is None
    assert after(failed(1), succeeded(2), failed(3)).failing_since_s == NOON.timestamp() + 3


def test_the_begin_of_a_failure_from_an_older_store_stays_unknown() -> None:
    tally = Tally(failing=UNKNOWN_CA, told_s=NOON.timestamp(), told_by="errors")

    assert tally.after(failed(60)).failing_since_s is None


def test_a_resumed_session_proves_nothing_and_is_counted_apart() -> None:
    tally = after(failed(), succeeded(5, resumed=True))

    assert tally.failing == UNKNOWN_CA
    assert tally.success_s is None
    assert (tally.resumed_count, tally.full_count) == (1, 1)


def test_a_resumed_session_is_a_sign_of_life() -> None:
    assert after(failed()).contact_s is None
    assert after(succeeded(5), failed(7)).contact_s == NOON.timestamp() + 5
    assert after(succeeded(5), succeeded(9, resumed=True)).contact_s == NOON.timestamp() + 9


def test_a_success_of_unknown_kind_ends_a_failure_but_is_no_proof() -> None:
    tally = after(failed(), succeeded(5, resumed=None))

    assert tally.failing is None
    assert tally.success_s == NOON.timestamp() + 5
    assert (tally.success_count, tally.proven_count, tally.proven_s) == (1, 0, None)


def test_a_full_success_is_proof() -> None:
    tally = after(succeeded(5), succeeded(9, resumed=None))

    assert (tally.success_count, tally.proven_count) == (2, 1)
    assert tally.proven_s == NOON.timestamp() + 5
    assert tally.success_s == NOON.timestamp() + 9


@pytest.mark.parametrize(
    ("first", "second", "failing"),
    [
        pytest.param(failed(0), succeeded(2, source="access"), False, id="recovered"),
        pytest.param(failed(2), succeeded(0, source="access"), True, id="older success"),
        pytest.param(succeeded(2, source="access"), failed(0), False, id="older failure"),
        pytest.param(succeeded(0, source="access"), failed(2), True, id="failed anew"),
        pytest.param(failed(0.9), succeeded(0, source="access"), True, id="same second"),
        pytest.param(succeeded(0, source="access"), failed(0.9), True, id="same second, reverse"),
        pytest.param(failed(0.1), succeeded(0.9, source="access"), True, id="within a second"),
        pytest.param(succeeded(0.5), succeeded(0.1, source="x"), False, id="two successes"),
    ],
)
def test_of_two_logs_the_later_second_tells_and_the_failure_in_a_tie(
    first: Event, second: Event, failing: bool
) -> None:
    assert (after(first, second).failing is not None) is failing


def test_one_log_is_in_order_whatever_its_moments_say() -> None:
    assert after(failed(10), succeeded(0)).failing is None
    assert after(succeeded(10), failed(0)).failing == UNKNOWN_CA


def test_the_last_success_never_goes_back() -> None:
    assert after(succeeded(10), succeeded(3)).success_s == NOON.timestamp() + 10


def test_nothing_is_shown_before_it_is_published() -> None:
    counts, change = Counts(), Change()

    counts.apply(change, failed())
    counts.apply(change, failed())
    before = dict(counts.tallies)
    counts.publish(change)

    assert before == {}
    assert counts.tallies["gw-1", "dev-01"].failure_counts == {UNKNOWN_CA: 2}


def test_the_end_of_a_devices_certificate_is_kept_for_devices_only() -> None:
    counts, change = Counts(), Change()
    end = NOON + timedelta(days=30)

    counts.apply(change, replace(succeeded(), client_not_after=end))
    counts.apply(change, replace(succeeded(), device="", client_not_after=end))

    assert change.certificates == {"dev-01": end.timestamp()}


async def stored(store: Store, *changes: Change) -> Counts:
    """What a new process reads after ``changes``."""
    await store.open()
    for change in changes:
        async with store.writing() as connection:
            await write(connection, change)
    counts = Counts()
    async with store.reading() as connection:
        await counts.load(connection)
    await store.close()
    return counts


async def test_everything_survives_a_restart(tmp_path: Path) -> None:
    events = [
        failed(), failed(1), failed(2, why=EXPIRED), succeeded(3), succeeded(4, resumed=True),
        succeeded(5, resumed=None), failed(6, why=EXPIRED),
        replace(failed(7), device=""),
        replace(succeeded(8), device="dev-02", client_not_after=NOON),
    ]  # fmt: skip
    counts, change = Counts(), Change()
    for event in events:
        counts.apply(change, event)
    change.positions["file:a.log"] = ('{"files": {}}', '{"": "x"}')
    change.positions["push:p"] = (None, "")
    counts.publish(change)

    again = await stored(Store(f"sqlite:///{tmp_path}/state.db"), change)

    assert dict(again.tallies) == dict(counts.tallies)
    assert dict(again.certificates) == {"dev-02": NOON.timestamp()}
    assert again.position("file:a.log") == ('{"files": {}}', '{"": "x"}')
    assert again.position("push:p") == (None, "")
    assert again.position("never seen") == (None, "")


async def test_a_later_change_replaces_an_earlier_one(tmp_path: Path) -> None:
    tallies = [after(failed()), after(failed(), failed()), after(failed(), failed(), succeeded())]
    changes = [Change(tallies={("gw-1", "dev-01"): tally}) for tally in tallies]

    again = await stored(Store(f"sqlite:///{tmp_path}/state.db"), *changes)

    assert again.tallies["gw-1", "dev-01"] == tallies[-1]


async def test_many_devices_are_written_at_once(tmp_path: Path) -> None:
    tallies = {("gw-1", f"dev-{number}"): after(failed()) for number in range(1_234)}

    again = await stored(Store(f"sqlite:///{tmp_path}/state.db"), Change(tallies=dict(tallies)))

    assert dict(again.tallies) == tallies


def test_peers_that_are_nobodys_are_a_bounded_list_of_the_latest() -> None:
    counts = Counts()

    for number in range(250):
        counts.note_peer(replace(failed(number), device="", peer=f"192.0.2.{number}"))
    counts.note_peer(replace(failed(300), device="", peer="192.0.2.200", why=EXPIRED))
    counts.note_peer(replace(failed(301), peer="10.0.0.1"))  # a device's
    counts.note_peer(replace(failed(302), device="", peer=None))

    assert len(counts.peers) == 100
    key, latest = list(counts.peers.items())[-1]
    assert key == ("gw-1", "192.0.2.200")
    assert (latest.count, latest.why) == (2, EXPIRED)
    assert ("gw-1", "192.0.2.100") not in counts.peers


def test_the_latest_ten_shapes_are_kept() -> None:
    counts = Counts()

    for number in range(12):
        counts.note_shape(f"shape {number}")
    counts.note_shape("shape 5")

    assert list(counts.shapes) == [
        *(f"shape {number}" for number in (2, 3, 4, 6, 7, 8, 9, 10, 11)),
        "shape 5",
    ]
    assert counts.shapes["shape 5"] == 2


def test_counts_only_grow() -> None:
    tallies = [Tally()]
    for event in (failed(), succeeded(1), succeeded(2, resumed=True), failed(0), succeeded(0)):
        tallies.append(tallies[-1].after(event))

    grown = [tally.full_count + tally.resumed_count for tally in tallies]

    assert all(later == earlier + 1 for earlier, later in pairwise(grown))
