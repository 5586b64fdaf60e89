"""The durable record of changes: intents before they are begun, and how they ended."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sqlalchemy import text
from sqlalchemy.engine import RowMapping

from exporter.gateway.agent import kept
from exporter.gateway.agent.history import Activation, Change, Confirmation, Kind, Step, Way
from exporter.gateway.messages import OperationStatus
from exporter.store import Store
from exporter.transaction import Transaction

_OPERATION_NUMBER = "operation_number"
_COLUMNS = (
    "id, kind, from_version, to_version, step, status, detail, started_at, ended_at,"
    " confirm_within, confirm_by, confirmation"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """All that is known of what was served.

    Attributes:
        proven: When each version was last proved to be served.
        pending: The change that waits for ``confirm``; None: none does.
    """

    activations: Sequence[Activation]
    proven: Mapping[int, datetime]
    pending: Change | None
    last_operation_number: int

    @property
    def served(self) -> int | None:
        """The version that was activated last."""
        return self.activations[-1].version if self.activations else None


class Journal:
    """Reads and writes the record; each method is one transaction, or part of the caller's."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def record(self) -> Record:
        """Return what is known.

        Raises:
            StoreError: it cannot be read; so do all methods here.
        """
        async with self.store.reading() as connection:
            activations = await connection.execute(
                text("SELECT number, version, way, at FROM activation ORDER BY number")
            )
            proofs = await connection.execute(text("SELECT version, at FROM proof"))
            pending = await connection.execute(
                text(f"SELECT {_COLUMNS} FROM change WHERE confirmation = :awaited"),  # noqa: S608 - our own constant
                {"awaited": Confirmation.AWAITED},
            )
            return Record(
                activations=[_activation(row) for row in activations.mappings()],
                proven={row.version: _moment(row.at) for row in proofs},
                pending=next((_change(row) for row in pending.mappings()), None),
                last_operation_number=await last_operation_number(connection),
            )

    async def change(self, id_: str) -> Change | None:
        """Return one change; None: there is none of that id."""
        found = await self._changes("id = :it", {"it": id_})
        return found[0] if found else None

    async def unfinished(self) -> Sequence[Change]:
        """Return the changes of which the outcome is not known."""
        return await self._changes("step != :it", {"it": Step.DONE})

    async def last_version(self) -> int:
        """Return the highest version that any change was about; 0: there was none."""
        async with self.store.reading() as connection:
            found = await connection.scalar(text("SELECT max(to_version) FROM change"))
            return int(found or 0)

    async def _changes(self, condition: str, values: Mapping[str, object]) -> Sequence[Change]:
        async with self.store.reading() as connection:
            rows = await connection.execute(
                text(f"SELECT {_COLUMNS} FROM change WHERE {condition}"),  # noqa: S608 - our own constants
                dict(values),
            )
            return [_change(row) for row in rows.mappings()]

    async def at_step(self, change: Change, step: Step) -> Change:
        """Write that ``step`` is about to be taken; return the change as it is now."""
        async with self.store.writing() as connection:
            await connection.execute(
                text("UPDATE change SET step = :step WHERE id = :id"),
                {"step": step, "id": change.id},
            )
        return replace(change, step=step)

    async def proved(self, version: int, at: datetime) -> None:
        """Write that a version was seen to be served."""
        async with self.store.writing() as connection:
            await _prove(connection, version, at)

    async def activated(self, version: int, way: Way, at: datetime) -> None:
        """Write that a version began to be served."""
        async with self.store.writing() as connection:
            await activate(connection, version, way, at)


async def intend(connection: Transaction, change: Change) -> None:
    """Write a change before anything of it is done."""
    await connection.execute(
        text(
            f"INSERT INTO change ({_COLUMNS}) VALUES (:id, :kind, :from_version, :to_version,"  # noqa: S608 - our own constant
            " :step, NULL, '', :started_at, NULL, :confirm_within, NULL, NULL)"
        ),
        {
            "id": change.id,
            "kind": change.kind,
            "from_version": change.from_version,
            "to_version": change.to_version,
            "step": change.step,
            "started_at": change.started_at.timestamp(),
            "confirm_within": change.confirm_within_s,
        },
    )


async def finish(connection: Transaction, change: Change, proven: int | None) -> None:
    """Write how a change ended; ``proven`` is the version that was seen to be served then."""
    assert change.ended_at is not None  # noqa: S101 - it is over
    await connection.execute(
        text(
            "UPDATE change SET step = :step, status = :status, detail = :detail,"
            " ended_at = :ended_at, confirm_by = :confirm_by, confirmation = :confirmation"
            " WHERE id = :id"
        ),
        {
            "step": change.step,
            "status": change.status,
            "detail": change.detail,
            "ended_at": change.ended_at.timestamp(),
            "confirm_by": change.confirm_by.timestamp() if change.confirm_by else None,
            "confirmation": change.confirmation,
            "id": change.id,
        },
    )
    if proven is not None:
        await _prove(connection, proven, change.ended_at)
    if change.status is OperationStatus.SUCCESS:
        way = Way.FORWARD if change.kind is Kind.ROTATE else Way.BACK
        began_at = change.switched_at or change.ended_at
        await activate(connection, change.to_version, way, began_at)
        await end_other_waits(connection, change.id)


async def end_other_waits(connection: Transaction, but: str) -> None:
    """Write that nobody waits for the confirmation of any change but one."""
    await connection.execute(
        text(
            "UPDATE change SET confirmation = :lapsed WHERE confirmation = :awaited AND id != :id"
        ),
        {"lapsed": Confirmation.LAPSED, "awaited": Confirmation.AWAITED, "id": but},
    )


async def confirm(connection: Transaction, id_: str) -> None:
    """Write that a change was confirmed."""
    await connection.execute(
        text("UPDATE change SET confirmation = :given WHERE id = :id"),
        {"given": Confirmation.GIVEN, "id": id_},
    )


async def activate(connection: Transaction, version: int, way: Way, at: datetime) -> None:
    """Write that ``version`` began to be served."""
    await connection.execute(
        text(
            "INSERT INTO activation (number, version, way, at)"
            " SELECT coalesce(max(number), 0) + 1, :version, :way, :at FROM activation"
        ),
        {"version": version, "way": way, "at": at.timestamp()},
    )


async def last_operation_number(connection: Transaction) -> int:
    """Return the highest operation number so far; 0: there was none."""
    return await kept.count(connection, _OPERATION_NUMBER)


async def keep_operation_number(connection: Transaction, number: int) -> None:
    """Write an operation number that is not lower than the last."""
    await kept.put(connection, _OPERATION_NUMBER, str(number))


async def _prove(connection: Transaction, version: int, at: datetime) -> None:
    await connection.execute(
        text(
            "INSERT INTO proof (version, at) VALUES (:version, :at)"
            " ON CONFLICT (version) DO UPDATE SET at = excluded.at"
        ),
        {"version": version, "at": at.timestamp()},
    )


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _activation(row: RowMapping) -> Activation:
    return Activation(
        number=row["number"], version=row["version"], way=Way(row["way"]), at=_moment(row["at"])
    )


def _change(row: RowMapping) -> Change:
    return Change(
        id=row["id"],
        kind=Kind(row["kind"]),
        from_version=row["from_version"],
        to_version=row["to_version"],
        started_at=_moment(row["started_at"]),
        step=Step(row["step"]),
        status=OperationStatus(row["status"]) if row["status"] else None,
        detail=row["detail"],
        ended_at=_moment(row["ended_at"]) if row["ended_at"] else None,
        confirm_within_s=row["confirm_within"],
        confirm_by=_moment(row["confirm_by"]) if row["confirm_by"] else None,
        confirmation=Confirmation(row["confirmation"]) if row["confirmation"] else None,
    )
