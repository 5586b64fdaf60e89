"""The durable store: one SQLite file with ordered schema versions; errors as sentences."""

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from exporter.errors import ConfigError, Fault, StoreError
from exporter.journal import JOURNAL
from exporter.transaction import Transaction, to_the_end
from exporter.urls import SQLITE, fault_of_store

_MEMORY = ":memory:"
_BUSY_S = 5

# Each entry is one version; what was released is never changed, only followed by another.
# Nothing in here that PostgreSQL would not take.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE log_position (source TEXT NOT NULL PRIMARY KEY, position TEXT,"
        " joins TEXT NOT NULL)",
        "CREATE TABLE handshake_tally (gateway TEXT NOT NULL, device TEXT NOT NULL,"
        " kind TEXT NOT NULL, reason TEXT NOT NULL, rejected_by TEXT NOT NULL,"
        " count BIGINT NOT NULL, PRIMARY KEY (gateway, device, kind, reason, rejected_by))",
        "CREATE TABLE handshake_state (gateway TEXT NOT NULL, device TEXT NOT NULL,"
        " reason TEXT NOT NULL, rejected_by TEXT NOT NULL, told_at DOUBLE PRECISION NOT NULL,"
        " source TEXT NOT NULL, success_at DOUBLE PRECISION, proven_at DOUBLE PRECISION,"
        " PRIMARY KEY (gateway, device))",
        "CREATE TABLE client_certificate (device TEXT NOT NULL PRIMARY KEY,"
        " not_after DOUBLE PRECISION NOT NULL)",
    ),
    (
        # Moments in whole microseconds: what is read again must be equal to what is polled again
        "CREATE TABLE trust_report (device TEXT NOT NULL PRIMARY KEY, anchor_set TEXT,"
        " reported_at BIGINT, received_at BIGINT, status TEXT, error TEXT NOT NULL,"
        " told_at BIGINT)",
        "CREATE TABLE trust_anchor_set (digest TEXT NOT NULL PRIMARY KEY, anchors TEXT NOT NULL)",
        "CREATE TABLE trust_wanted (device TEXT NOT NULL PRIMARY KEY, digest TEXT NOT NULL,"
        " since BIGINT NOT NULL)",
        "CREATE TABLE trust_certificate (fingerprint TEXT NOT NULL PRIMARY KEY,"
        " der TEXT NOT NULL)",
    ),
    JOURNAL,
    (
        "CREATE TABLE webhook_alert (fingerprint TEXT NOT NULL, starts_at TEXT NOT NULL,"
        " name TEXT NOT NULL, gateway TEXT NOT NULL, state TEXT NOT NULL,"
        " ignored TEXT NOT NULL, handled TEXT NOT NULL, first_at TEXT NOT NULL,"
        " last_at TEXT NOT NULL, count BIGINT NOT NULL, PRIMARY KEY (fingerprint, starts_at))",
        "CREATE INDEX webhook_alert_by_gateway ON webhook_alert (gateway, handled)",
    ),
    (
        "CREATE TABLE remediation_intent (identity TEXT NOT NULL, round BIGINT NOT NULL,"
        " gateway TEXT NOT NULL, served TEXT NOT NULL, activation_number BIGINT NOT NULL,"
        " target_version BIGINT NOT NULL, operation_number BIGINT NOT NULL,"
        " decision_number BIGINT NOT NULL, fingerprint TEXT NOT NULL, devices TEXT NOT NULL,"
        " asker TEXT NOT NULL, asked_by TEXT NOT NULL, intended_at TEXT NOT NULL,"
        " stage TEXT NOT NULL, stage_at TEXT NOT NULL, ending TEXT,"
        " PRIMARY KEY (identity, round))",
        "CREATE TABLE remediation_hold (gateway TEXT NOT NULL PRIMARY KEY, until TEXT NOT NULL,"
        " reason TEXT NOT NULL)",
        "CREATE TABLE remediation_approval (gateway TEXT NOT NULL PRIMARY KEY,"
        " plan_hash TEXT NOT NULL, approved_by TEXT NOT NULL, at TEXT NOT NULL)",
        "CREATE TABLE gateway_operation (gateway TEXT NOT NULL PRIMARY KEY,"
        " number BIGINT NOT NULL)",
        "CREATE TABLE remediation_kill_switch (at TEXT NOT NULL PRIMARY KEY,"
        " turned_by TEXT NOT NULL, reason TEXT NOT NULL)",
    ),
    # Of rows from before neither is known: NULL
    (
        "ALTER TABLE handshake_state ADD COLUMN failing_since DOUBLE PRECISION",
        "ALTER TABLE handshake_state ADD COLUMN resumed_at DOUBLE PRECISION",
    ),
    (
        "CREATE TABLE handshake_recent (gateway TEXT NOT NULL, device TEXT NOT NULL,"
        " facts TEXT NOT NULL, PRIMARY KEY (gateway, device))",
    ),
    (
        "CREATE TABLE trust_since (device_class TEXT NOT NULL, anchor TEXT NOT NULL,"
        " since TEXT NOT NULL, PRIMARY KEY (device_class, anchor))",
    ),
    (
        "CREATE TABLE rotation (id TEXT NOT NULL PRIMARY KEY, open BIGINT NOT NULL,"
        " plan TEXT NOT NULL, old_pem TEXT NOT NULL, new_pem TEXT NOT NULL,"
        " started_at TEXT NOT NULL, marks TEXT NOT NULL, orders TEXT NOT NULL)",
    ),
    (
        "CREATE TABLE remediation_rehearsal (gateway TEXT NOT NULL PRIMARY KEY,"
        " version BIGINT NOT NULL, fingerprint TEXT NOT NULL, at TEXT NOT NULL,"
        " fault TEXT NOT NULL)",
    ),
    (
        "CREATE TABLE remediation_trial (identity TEXT NOT NULL PRIMARY KEY,"
        " gateway TEXT NOT NULL, decision_number BIGINT NOT NULL, decided_at TEXT NOT NULL,"
        " verdict TEXT, detail TEXT NOT NULL, judged_at TEXT)",
    ),
    # Who carries it out, and how often that was renewed; of rows from before: nobody we know of
    (
        "ALTER TABLE remediation_intent ADD COLUMN owner TEXT",
        "ALTER TABLE remediation_intent ADD COLUMN renewals BIGINT NOT NULL DEFAULT 0",
    ),
)


class Store:
    """Transactions on the store.

    Raises:
        ConfigError: no store of this kind is supported.
    """

    def __init__(self, url: str, *, migrations: Sequence[Sequence[str]] = MIGRATIONS) -> None:
        if fault := fault_of_store(url):
            raise ConfigError([Fault(place="store", message=fault)])
        self.path = url.removeprefix(SQLITE)
        self._migrations = migrations
        self._engine: AsyncEngine | None = None
        self._writing = asyncio.Lock()
        self._users = 0
        self._is_idle = asyncio.Event()
        self._is_idle.set()

    async def open(self) -> None:
        """Open the file, make it where there is none, and bring it to the current version.

        Raises:
            StoreError: it cannot be used; may be tried again.
        """
        if self._engine is not None:
            return
        await asyncio.to_thread(self._make_file)
        engine = create_async_engine(
            URL.create("sqlite+aiosqlite", database=self.path), connect_args={"timeout": _BUSY_S}
        )
        event.listen(engine.sync_engine, "connect", _prepare)
        event.listen(engine.sync_engine, "begin", _begin)
        self._engine = engine
        try:
            await self._migrate()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Close the file once nobody uses it any more; may be opened again."""
        engine, self._engine = self._engine, None
        if engine is not None:
            # A connection that comes back to a pool that is gone is closed by nobody
            await self._is_idle.wait()
            await engine.dispose()

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Transaction]:
        """Begin a transaction; it is durable when the context ends, and nothing of it on an error.

        Raises:
            StoreError: nothing was written.
        """
        async with self._writing, self._transaction(writes=True) as transaction:
            yield transaction

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Transaction]:
        """Begin a transaction that only reads.

        Raises:
            StoreError: it cannot be read.
        """
        async with self._transaction(writes=False) as transaction:
            yield transaction

    @asynccontextmanager
    async def _transaction(self, *, writes: bool) -> AsyncIterator[Transaction]:
        if self._engine is None:
            raise StoreError(f"the store {self.path} is not open", retryable=True)
        try:
            async with self._used(), _transaction(self._engine, writes=writes) as transaction:
                yield transaction
        except DBAPIError as exc:
            raise self._translated(exc) from exc

    @asynccontextmanager
    async def _used(self) -> AsyncIterator[None]:
        self._users += 1
        self._is_idle.clear()
        try:
            yield
        finally:
            self._users -= 1
            if not self._users:
                self._is_idle.set()

    async def _migrate(self) -> None:
        async with self.writing() as connection:
            await connection.execute(
                text("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)")
            )
            found = await connection.scalar(text("SELECT max(version) FROM schema_version"))
            version = int(found or 0)
            if version > len(self._migrations):
                raise StoreError(
                    f"the store {self.path} has schema version {version}, this program knows"
                    f" {len(self._migrations)}: a newer one has used it; run that one again, or"
                    " set another file as store",
                    retryable=False,
                )
            for statements in self._migrations[version:]:
                for statement in statements:
                    await connection.execute(text(statement))
                version += 1
                await connection.execute(
                    text("INSERT INTO schema_version (version) VALUES (:version)"),
                    {"version": version},
                )

    def _make_file(self) -> None:
        """Make the file for our user alone; SQLite gives its companions the same mode."""
        if self.path == _MEMORY or Path(self.path).exists():
            return
        try:
            os.close(os.open(self.path, os.O_CREAT | os.O_WRONLY, 0o600))
        except OSError as exc:
            raise StoreError(
                f"the store {self.path} cannot be made: {exc.strerror}; its folder must exist and"
                " be writable for the user that runs this program",
                retryable=True,
            ) from exc

    def _translated(self, exc: DBAPIError) -> StoreError:
        """Return what SQLite's error means to an operator (sqlite.org/rescode.html)."""
        code = getattr(exc.orig, "sqlite_errorcode", 0) & 0xFF
        sentence, retryable = _SENTENCES.get(code, (f"failed: {exc.orig}", True))
        return StoreError(f"the store {self.path} {sentence}", retryable=retryable)


@asynccontextmanager
async def _transaction(engine: AsyncEngine, *, writes: bool) -> AsyncIterator[Transaction]:
    """Take a connection for one transaction, and give it back whatever happens meanwhile."""
    connection = engine.connect()
    try:
        await to_the_end(_begun(connection, writes=writes))
        yield Transaction(connection)
        await to_the_end(connection.commit())
    finally:
        if connection.sync_connection is not None:  # else it was never opened
            await to_the_end(connection.close())  # rolls back what is not committed


async def _begun(connection: AsyncConnection, *, writes: bool) -> None:
    await connection.start()  # type: ignore[unused-awaitable]  # returns itself
    await connection.execution_options(fleet_writes=writes)  # type: ignore[unused-awaitable]  # same
    _ = await connection.begin()


_SENTENCES = {
    sqlite3.SQLITE_CANTOPEN: (
        "cannot be opened; the file and its folder must be readable and writable for the user that"
        " runs this program",
        True,
    ),
    sqlite3.SQLITE_READONLY: (
        "cannot be written; the file and its folder must be writable for the user that runs this"
        " program",
        True,
    ),
    sqlite3.SQLITE_NOTADB: (
        "is not an SQLite database; move the file away, or set another one as store",
        False,
    ),
    sqlite3.SQLITE_CORRUPT: (
        "is damaged; move the file away or put a backup in its place",
        False,
    ),
    sqlite3.SQLITE_BUSY: (
        f"is locked by another process for more than {_BUSY_S} s; only one exporter may use it",
        True,
    ),
    sqlite3.SQLITE_LOCKED: ("is locked", True),
    sqlite3.SQLITE_FULL: ("cannot be written: the disk is full", True),
}


def _prepare(connection: Any, _record: object) -> None:
    # The driver would begin transactions by itself, and only at the first change
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    # A writer that began as a reader can fail at once when another wrote meanwhile
    writes = connection.get_execution_options().get("fleet_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
