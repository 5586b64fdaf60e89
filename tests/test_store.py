"""The store against real files: durable, versioned, and errors that say what to do."""

import asyncio
import contextlib
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import text

from exporter.errors import ConfigError, StoreError
from exporter.store import MIGRATIONS, Store

TABLE = (("CREATE TABLE thing (name TEXT NOT NULL PRIMARY KEY)",),)


def store_at(path: Path, migrations: tuple[tuple[str, ...], ...] = TABLE) -> Store:
    return Store(f"sqlite:///{path}", migrations=migrations)


async def names_in(store: Store) -> list[str]:
    async with store.reading() as connection:
        return list(await connection.scalars(text("SELECT name FROM thing ORDER BY name")))


async def put(store: Store, name: str) -> None:
    async with store.writing() as connection:
        await connection.execute(text("INSERT INTO thing VALUES (:name)"), {"name": name})


async def test_what_was_written_is_there_when_it_is_opened_again(tmp_path: Path) -> None:
    store = store_at(tmp_path / "state.db")
    await store.open()
    await put(store, "kept")
    await store.close()

    await store.open()
    found = await names_in(store)
    await store.close()

    assert found == ["kept"]


async def test_nothing_of_a_transaction_that_fails_is_kept(tmp_path: Path) -> None:
    store = store_at(tmp_path / "state.db")
    await store.open()

    with pytest.raises(RuntimeError):  # noqa: PT012 - the error is inside the transaction
        async with store.writing() as connection:
            await connection.execute(text("INSERT INTO thing VALUES ('half')"))
            raise RuntimeError
    found = await names_in(store)
    await store.close()

    assert found == []


async def test_it_writes_ahead_and_waits_for_the_disk(tmp_path: Path) -> None:
    store = store_at(tmp_path / "state.db")
    await store.open()

    async with store.reading() as connection:
        journal = await connection.scalar(text("PRAGMA journal_mode"))
        synchronous = await connection.scalar(text("PRAGMA synchronous"))
    await store.close()

    assert (journal, synchronous) == ("wal", 2)


def modes_in(folder: Path) -> set[int]:
    return {path.stat().st_mode & 0o777 for path in folder.iterdir()}


async def test_only_its_user_may_read_it(tmp_path: Path) -> None:
    store = store_at(tmp_path / "state.db")
    await store.open()
    await put(store, "x")
    modes = modes_in(tmp_path)
    await store.close()

    assert modes == {0o600}


async def test_a_new_version_is_added_to_what_is_there(tmp_path: Path) -> None:
    old = store_at(tmp_path / "state.db")
    await old.open()
    await put(old, "kept")
    await old.close()
    newer = (*TABLE, ("CREATE TABLE other (name TEXT)", "INSERT INTO other VALUES ('new')"))

    store = store_at(tmp_path / "state.db", newer)
    await store.open()
    async with store.reading() as connection:
        other = await connection.scalar(text("SELECT name FROM other"))
    found = await names_in(store)
    await store.close()

    assert (found, other) == (["kept"], "new")


async def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    newer = store_at(tmp_path / "state.db", (*TABLE, ("CREATE TABLE other (name TEXT)",)))
    await newer.open()
    await newer.close()

    with pytest.raises(StoreError, match="schema version 2, this program knows 1") as caught:
        await store_at(tmp_path / "state.db").open()

    assert not caught.value.retryable


async def test_a_version_that_fails_leaves_the_one_before(tmp_path: Path) -> None:
    old = store_at(tmp_path / "state.db")
    await old.open()
    await old.close()

    broken = store_at(tmp_path / "state.db", (*TABLE, ("CREATE TABLE a (b TEXT)", "nonsense")))
    with pytest.raises(StoreError, match="syntax error"):
        await broken.open()
    store = store_at(tmp_path / "state.db", (*TABLE, ("CREATE TABLE a (b TEXT)",)))
    await store.open()
    await store.close()


async def test_what_is_no_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    path.write_text("my shopping list, which is longer than a hundred bytes\n" * 100)

    with pytest.raises(
        StoreError, match="is not an SQLite database; move the file away"
    ) as caught:
        await store_at(path).open()

    assert not caught.value.retryable
    assert path.read_text().startswith("my shopping list")


async def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    store = store_at(tmp_path / "absent" / "state.db")

    with pytest.raises(StoreError, match="its folder must exist and be writable") as caught:
        await store.open()

    assert caught.value.retryable


async def test_a_folder_that_cannot_be_written_is_said() -> None:
    # nobody may make a file there, not even root
    with pytest.raises(StoreError, match="must exist and be writable"):
        await store_at(Path("/sys/kernel/state.db")).open()


async def test_a_folder_in_the_place_of_the_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be opened; the file and its folder"):
        await store_at(tmp_path).open()


async def test_a_store_that_another_process_writes_is_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.store._BUSY_S", 0.05)
    store = store_at(tmp_path / "state.db")
    await store.open()
    other = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(StoreError, match="is locked by another process") as caught:
        await put(store, "x")
    other.execute("ROLLBACK")
    other.close()
    await put(store, "later")
    found = await names_in(store)
    await store.close()

    assert caught.value.retryable
    assert found == ["later"]


async def test_a_full_disk_is_said_and_can_pass(tmp_path: Path) -> None:
    store = store_at(tmp_path / "state.db")
    await store.open()
    async with store.reading() as connection:
        await connection.execute(text("PRAGMA max_page_count = 4"))

    with pytest.raises(StoreError, match="the disk is full") as caught:
        await put(store, "x" * 100_000)
    found = await names_in(store)
    await store.close()

    assert caught.value.retryable
    assert found == []


async def test_a_store_that_is_not_open_says_so(tmp_path: Path) -> None:
    store = store_at(tmp_path / "state.db")

    with pytest.raises(StoreError, match="is not open"):
        await names_in(store)


async def test_writers_wait_for_one_another(tmp_path: Path) -> None:
    store = store_at(tmp_path / "state.db")
    await store.open()

    async with asyncio.TaskGroup() as tasks:
        for number in range(20):
            tasks.create_task(put(store, f"{number:02}"))
    found = await names_in(store)
    await store.close()

    assert found == [f"{number:02}" for number in range(20)]


async def test_a_writer_that_is_cancelled_leaves_all_or_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = store_at(tmp_path / "state.db")
    await store.open()

    for number in range(40):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(number * 0.0001):
                await put(store, f"a{number}")
    await put(store, "z")
    found = await names_in(store)
    await store.close()

    assert found[-1] == "z"
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_postgresql_is_refused_with_a_sentence() -> None:
    with pytest.raises(ConfigError, match="the store postgresql:// is not supported; write"):
        Store("postgresql://fleet@db/fleet")


async def test_a_store_in_memory_lives_as_long_as_it_is_open() -> None:
    store = Store("sqlite:///:memory:", migrations=TABLE)
    await store.open()
    await put(store, "x")

    found = await names_in(store)
    await store.close()

    assert found == ["x"]


async def test_the_real_schema_can_be_made(tmp_path: Path) -> None:
    store = store_at(tmp_path / "state.db", MIGRATIONS)
    await store.open()
    await store.open()

    async with store.reading() as connection:
        version = await connection.scalar(text("SELECT max(version) FROM schema_version"))
    await store.close()

    assert version == len(MIGRATIONS)
