"""The journal in a real store: order, chain, and what a changed entry looks like."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from exporter.journal import GENESIS, JOURNAL, Entry, Kind, append, entries, faults_in, head, prune
from exporter.store import Store

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    made = Store(f"sqlite:///{tmp_path}/state.db", migrations=(JOURNAL,))
    await made.open()
    yield made
    await made.close()


async def write(store: Store, count: int, *, start: datetime = NOW, gateway: str = "gw-1") -> None:
    for number in range(count):
        async with store.writing() as connection:
            await append(
                connection,
                Kind.DECISION,
                {"number": number, "text": "ü \n\x1b"},
                at=start + timedelta(seconds=number),
                gateway=gateway,
            )


async def all_of(store: Store) -> list[Entry]:
    async with store.reading() as connection:
        return await entries(connection)


async def tamper(store: Store, statement: str, fitting: str = "") -> None:
    async with store.writing() as connection:
        await connection.execute(text(statement), {"hash": fitting})


async def test_entries_come_back_in_order_and_chained(store: Store) -> None:
    await write(store, 5)

    found = await all_of(store)

    assert [entry.number for entry in found] == [1, 2, 3, 4, 5]
    assert found[0].previous_hash == GENESIS
    assert [one.previous_hash for one in found[1:]] == [one.hash for one in found[:-1]]
    assert found[0].facts() == {"number": 0, "text": "ü \n\x1b"}
    assert list(faults_in(found)) == []


async def test_an_entry_is_not_there_when_its_transaction_fails(store: Store) -> None:
    with pytest.raises(RuntimeError):  # noqa: PT012 - the error is inside the transaction
        async with store.writing() as connection:
            await append(connection, Kind.INTENT, {}, at=NOW)
            raise RuntimeError

    assert await all_of(store) == []


async def test_the_entries_of_one_gateway_and_kind_are_found(store: Store) -> None:
    await write(store, 2)
    await write(store, 3, gateway="gw-2")
    async with store.writing() as connection:
        await append(connection, Kind.HOLD, {}, at=NOW, gateway="gw-2")

    async with store.reading() as connection:
        of_gateway = await entries(connection, gateway="gw-2")
        of_kind = await entries(connection, kinds=[Kind.HOLD, Kind.RELEASE])
        behind = await entries(connection, after=4, limit=1)

    assert [one.number for one in of_gateway] == [3, 4, 5, 6]
    assert [one.number for one in of_kind] == [6]
    assert [one.number for one in behind] == [5]


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("UPDATE journal SET body = '{}' WHERE number = 3", "entry 3 was changed"),
        ("UPDATE journal SET gateway = 'gw-2' WHERE number = 3", "entry 3 was changed"),
        ("DELETE FROM journal WHERE number = 3", "between entries 2 and 4 some are missing"),
        ("DELETE FROM journal WHERE number = 1", "begins at entry 2, and no checkpoint says why"),
    ],
)
async def test_what_was_changed_or_taken_away_is_found(
    store: Store, statement: str, fault: str
) -> None:
    await write(store, 5)

    await tamper(store, statement)

    assert any(fault in found for found in faults_in(await all_of(store)))


async def test_an_entry_made_anew_with_a_fitting_hash_breaks_the_chain_behind_it(
    store: Store,
) -> None:
    await write(store, 4)
    forged = (await all_of(store))[1]
    forged = Entry(
        number=2, at=forged.at, gateway="gw-1", kind=forged.kind, body="{}",
        previous_hash=forged.previous_hash, hash="",
    )  # fmt: skip

    fitting = forged.expected_hash()
    await tamper(store, "UPDATE journal SET body = '{}', hash = :hash WHERE number = 2", fitting)

    assert list(faults_in(await all_of(store))) == ["entry 3 does not follow entry 2"]


async def test_the_past_is_pruned_behind_a_checkpoint(store: Store) -> None:
    await write(store, 10)

    async with store.writing() as connection:
        count = await prune(connection, before=NOW + timedelta(seconds=6), keep_from=None, at=NOW)
    await write(store, 2)
    found = await all_of(store)

    assert count == 6
    assert [one.number for one in found] == [7, 8, 9, 10, 11, 12, 13]
    assert found[4].kind is Kind.CHECKPOINT
    assert list(faults_in(found)) == []


async def test_what_is_unfinished_is_never_pruned(store: Store) -> None:
    await write(store, 10)

    async with store.writing() as connection:
        count = await prune(connection, before=NOW + timedelta(days=1), keep_from=4, at=NOW)

    assert count == 3
    assert (await all_of(store))[0].number == 4


async def test_the_last_entry_stays_so_that_the_chain_goes_on(store: Store) -> None:
    await write(store, 3)

    async with store.writing() as connection:
        await prune(connection, before=NOW + timedelta(days=1), keep_from=None, at=NOW)
    found = await all_of(store)

    assert [one.number for one in found] == [3, 4]
    assert list(faults_in(found)) == []


async def test_pruning_twice_keeps_the_chain_whole(store: Store) -> None:
    await write(store, 10)
    for seconds in (3, 3, 7):
        async with store.writing() as connection:
            before = NOW + timedelta(seconds=seconds)
            await prune(connection, before=before, keep_from=None, at=NOW + timedelta(hours=1))

    found = await all_of(store)

    assert [one.number for one in found] == [8, 9, 10, 11, 12]
    assert list(faults_in(found)) == []


async def test_an_empty_journal_has_no_head_and_nothing_to_prune(store: Store) -> None:
    async with store.writing() as connection:
        assert await head(connection) is None
        assert await prune(connection, before=NOW, keep_from=None, at=NOW) == 0
    assert list(faults_in([])) == []
