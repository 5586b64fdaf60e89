"""Who carries an action out: its owner renews a lease while it works; without that it runs out.

How long ago a lease was renewed is told by whoever watches it, on a monotonic clock of its own:
no wall clock that jumps, here or there, ends a lease or keeps one. Whoever takes an action up
gives it a higher operation number, by which the store refuses every further step of the one
before, and the agent a request of it that comes late.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import RowMapping, text

from exporter.clock import Clock
from exporter.journal import Kind, append
from exporter.operations import next_operation
from exporter.remediation import rows as rows_of
from exporter.remediation.intents import Intent, Stage
from exporter.store import Store

LEASE_S = 15.0
"""After so long without a renewal an action may be taken up by another process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """A lease as it was first seen, and when, by our monotonic clock."""

    lease: tuple[str | None, int]
    since_s: float


class Leases:
    """The leases of all actions without an end, as one process sees them.

    Args:
        owner: This process.

    Raises:
        StoreError: from each method, when the store cannot be used; nothing was written.
    """

    def __init__(self, store: Store, owner: str, clock: Clock) -> None:
        self._store = store
        self._owner = owner
        self._clock = clock
        self._seen: dict[tuple[str, int], _Seen] = {}
        self._looked_s = clock.monotonic()

    @property
    def others(self) -> frozenset[tuple[str, int]]:
        """The actions without an end that others carried out at the last look."""
        return frozenset(self._seen)

    async def run_out(self) -> Sequence[Intent]:
        """Renew our own leases, and return the actions of others whose lease has run out.

        To be called several times within ``LEASE_S``: what was not watched is not counted.
        """
        async with self._store.reading() as connection:
            found = await connection.execute(
                text("SELECT * FROM remediation_intent WHERE stage <> 'ended'")
            )
            rows = list(found.mappings())
        others = [row for row in rows if row["owner"] != self._owner]
        if len(others) < len(rows):
            await self._renew()
        self._watch(others)
        now_s = self._clock.monotonic()
        return [
            rows_of.intent(row)
            for row in others
            if now_s - self._seen[_key(row)].since_s >= LEASE_S
        ]

    def _watch(self, others: Sequence[RowMapping]) -> None:
        now_s = self._clock.monotonic()
        # We were stopped ourselves, or had no store: the others may have had none either
        before = self._seen if now_s - self._looked_s < LEASE_S / 2 else {}
        self._looked_s = now_s
        self._seen = {}
        for row in others:
            now, seen = _Seen(lease=_lease(row), since_s=now_s), before.get(_key(row))
            self._seen[_key(row)] = seen if seen and seen.lease == now.lease else now

    async def _renew(self) -> None:
        async with self._store.writing() as connection:
            await connection.execute(
                text(
                    "UPDATE remediation_intent SET renewals = renewals + 1"
                    " WHERE owner = :owner AND stage <> 'ended'"
                ),
                {"owner": self._owner},
            )

    async def take(self, intent: Intent, *, at: datetime) -> Intent | None:
        """Make ``intent`` ours under a new number; None: it has ended, or somebody works on it."""
        async with self._store.writing() as connection:
            row = await rows_of.row_of(connection, intent)
            kept, seen = rows_of.intent(row), self._seen.get(_key(row))
            is_taken = kept.operation_number != intent.operation_number
            is_alive = row["owner"] == self._owner or (seen and seen.lease != _lease(row))
            if kept.stage is Stage.ENDED or is_taken or is_alive:
                return None
            gateway = intent.identity.gateway
            number = await next_operation(connection, gateway, above=kept.operation_number)
            await connection.execute(
                text(
                    "UPDATE remediation_intent SET owner = :owner, renewals = renewals + 1,"
                    " operation_number = :number WHERE identity = :identity AND round = :round"
                ),
                {
                    "owner": self._owner,
                    "number": number,
                    "identity": intent.identity.key,
                    "round": intent.round,
                },
            )
            body = {
                "key": intent.key,
                "taken_up_by": self._owner,
                "from": row["owner"] or "",
                "operation_number": number,
            }
            await append(connection, Kind.ATTEMPT, body, at=at, gateway=gateway)
        return replace(kept, operation_number=number)


def _key(row: RowMapping) -> tuple[str, int]:
    return str(row["identity"]), int(row["round"])


def _lease(row: RowMapping) -> tuple[str | None, int]:
    return row["owner"], int(row["renewals"])
