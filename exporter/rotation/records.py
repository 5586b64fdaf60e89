"""What a rotation must not forget: its plan, chains and marks, each change with its entry."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from pydantic import TypeAdapter
from sqlalchemy import RowMapping, text

from exporter.errors import ExporterError
from exporter.journal import Entry, Kind, append, entries
from exporter.operations import next_operation
from exporter.rotation.model import Marks, Phase, Plan
from exporter.store import Store

_PLAN, _MARKS = TypeAdapter(Plan), TypeAdapter(Marks)
_PART = 1_000


class TakenError(ExporterError):
    """Another rotation is in charge of the same gateways or CAs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordered:
    """What was asked of a signer for one gateway, and what came back; PEM, no secret.

    Attributes:
        chain: Empty: nothing came back yet.
    """

    request: str
    chain: str


_ORDERS = TypeAdapter(dict[str, Ordered])


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """One rotation as the store knows it.

    Attributes:
        old_pem: Certificate of the CA that goes, ``new_pem`` of the one that comes.
        orders: By gateway.
    """

    plan: Plan
    old_pem: str
    new_pem: str
    started_at: datetime
    marks: Marks = field(default_factory=Marks)
    orders: Mapping[str, Ordered] = field(default_factory=dict)


class Records:
    """Reads and writes them; every method is one transaction.

    Raises:
        StoreError: from each method, when the store cannot be used; nothing was written.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    async def start(self, rotation: Rotation, *, by: str) -> None:
        """Keep a new rotation.

        Raises:
            TakenError: one that has not ended shares a gateway or a CA with it.
        """
        plan = rotation.plan
        async with self._store.writing() as connection:
            rows = await connection.execute(text("SELECT * FROM rotation WHERE id = :id OR open"
                                                 " = 1"), {"id": plan.id})  # fmt: skip
            for row in rows.mappings():
                other = _rotation(row).plan
                if _is_in_the_way(other, plan):
                    raise TakenError(
                        f"the rotation {other.id} has the same name, gateways or CAs; end it first"
                    )
            await connection.execute(
                text(
                    "INSERT INTO rotation (id, open, plan, old_pem, new_pem, started_at, marks,"
                    " orders) VALUES (:id, 1, :plan, :old_pem, :new_pem, :started_at, :marks,"
                    " :orders)"
                ),
                {
                    "id": plan.id,
                    "plan": _PLAN.dump_json(plan).decode(),
                    "old_pem": rotation.old_pem,
                    "new_pem": rotation.new_pem,
                    "started_at": rotation.started_at.isoformat(),
                    **_changing(rotation),
                },
            )
            body = {"rotation": plan.id, "plan_hash": plan.hash, "by": by, "what": "start"}
            await append(connection, Kind.ROTATION, body, at=rotation.started_at)

    async def note(
        self, rotation: Rotation, facts: Mapping[str, object], *, at: datetime, gateway: str = ""
    ) -> None:
        """Keep the changed marks and orders of ``rotation``, and what changed them."""
        body = {"rotation": rotation.plan.id, **facts}
        async with self._store.writing() as connection:
            await append(connection, Kind.ROTATION, body, at=at, gateway=gateway)
            await connection.execute(
                text(
                    "UPDATE rotation SET marks = :marks, orders = :orders, open = :open"
                    " WHERE id = :id"
                ),
                {
                    "id": rotation.plan.id,
                    "open": int(rotation.marks.ended is None),
                    **_changing(rotation),
                },
            )

    async def operation(self, gateway: str, *, above: int) -> int:
        """Give out the next operation number of ``gateway``."""
        async with self._store.writing() as connection:
            return await next_operation(connection, gateway, above=above)

    async def open(self) -> list[Rotation]:
        """Return the rotations that have not ended, the oldest first."""
        async with self._store.reading() as connection:
            rows = await connection.execute(
                text("SELECT * FROM rotation WHERE open = 1 ORDER BY started_at")
            )
            return [_rotation(row) for row in rows.mappings()]

    async def removed(self) -> Mapping[str, str]:
        """Return the CAs whose removal from devices was ever begun, as PEM by SHA-256."""
        async with self._store.reading() as connection:
            rows = await connection.execute(text("SELECT * FROM rotation"))
            found = [_rotation(row) for row in rows.mappings()]
        return {one.plan.old_ca: one.old_pem for one in found if one.marks.removing_at is not None}

    async def stopped(self) -> frozenset[tuple[str, str]]:
        """Return gateway and leaf of each renewal that ended without renewing it."""
        async with self._store.reading() as connection:
            rows = await connection.execute(text("SELECT * FROM rotation WHERE open = 0"))
            found = [_rotation(row) for row in rows.mappings()]
        return frozenset(
            (gateway.name, gateway.before)
            for one in found
            if one.plan.is_renewal and one.marks.ended is not Phase.DONE
            for gateway in one.plan.gateways
        )

    async def history(self, name: str | None, *, after: int, limit: int) -> list[Entry]:
        """Return the journal's entries about one rotation, or about all, the oldest first."""
        found: list[Entry] = []
        async with self._store.reading() as connection:
            while len(found) < limit:
                part = await entries(connection, kinds=(Kind.ROTATION,), after=after, limit=_PART)
                found += [one for one in part if name in (None, one.facts().get("rotation"))]
                if len(part) < _PART:
                    break
                after = part[-1].number
        return found[:limit]

    async def get(self, name: str) -> Rotation | None:
        """Return one, also one that has ended; None: there is none of that name."""
        async with self._store.reading() as connection:
            rows = await connection.execute(
                text("SELECT * FROM rotation WHERE id = :id"), {"id": name}
            )
            row = rows.mappings().first()
            return None if row is None else _rotation(row)


def with_marks(rotation: Rotation, **changes: object) -> Rotation:
    """Return the same with other marks."""
    return replace(rotation, marks=replace(rotation.marks, **changes))  # type: ignore[arg-type] # names of fields


def _is_in_the_way(other: Plan, plan: Plan) -> bool:
    names = {one.name for one in plan.gateways}
    if other.id == plan.id or names & {one.name for one in other.gateways}:
        return True
    # Renewals change nothing but what their own gateways serve
    are_renewals = plan.is_renewal and other.is_renewal
    return not are_renewals and bool({plan.old_ca, plan.new_ca} & {other.old_ca, other.new_ca})


def _changing(rotation: Rotation) -> dict[str, str]:
    return {
        "marks": _MARKS.dump_json(rotation.marks).decode(),
        "orders": _ORDERS.dump_json(dict(rotation.orders)).decode(),
    }


def _rotation(row: RowMapping) -> Rotation:
    return Rotation(
        plan=_PLAN.validate_json(row["plan"]),
        old_pem=row["old_pem"],
        new_pem=row["new_pem"],
        started_at=datetime.fromisoformat(row["started_at"]),
        marks=_MARKS.validate_json(row["marks"]),
        orders=_ORDERS.validate_json(row["orders"]),
    )
