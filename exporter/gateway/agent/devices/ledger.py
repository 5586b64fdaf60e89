"""The devices' reports and updates in the durable store."""

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import text

from exporter.certificates import Certificate, CertificateCache
from exporter.gateway.agent import kept
from exporter.gateway.messages import DeviceUpdateStatus, TrustStoreOperation
from exporter.transaction import Transaction

_REVISION = "trust_revision"
_UPDATE_NUMBER = "trust_update_number"
MAX_ANCHORS = 10_000
"""Certificates kept that devices trust; beyond, a reported hash stays a hash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What one device said it trusts.

    Attributes:
        reported_at: By its own clock.
        received_at: By ours.
    """

    device: str
    anchors: frozenset[str]
    reported_at: datetime
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """One change of one device's trust store.

    Attributes:
        number: Of the request it came with; the devices of one request share it.
        by_fallback: The device may have it over its fallback channel.
    """

    number: int
    device: str
    operation_id: str
    operation: TrustStoreOperation
    fingerprint: str
    priority: str | None
    asked_at: datetime
    status: DeviceUpdateStatus = DeviceUpdateStatus.PENDING
    error: str | None = None
    attempts: int = 0
    by_fallback: bool = False

    def is_done_in(self, anchors: frozenset[str]) -> bool:
        """Whether a device that reports ``anchors`` has carried it out."""
        return (self.fingerprint in anchors) is (self.operation is TrustStoreOperation.ADD)


async def reports(connection: Transaction) -> Mapping[str, Report]:
    """Return the latest report of each device that ever made one."""
    rows = await connection.execute(
        text("SELECT device, anchors, reported_at, received_at FROM report")
    )
    return {
        row.device: Report(
            device=row.device,
            anchors=frozenset(json.loads(row.anchors)),
            reported_at=datetime.fromisoformat(row.reported_at),
            received_at=_moment(row.received_at),
        )
        for row in rows
    }


async def keep_report(connection: Transaction, report: Report) -> None:
    """Write a report in place of the device's last one."""
    await connection.execute(
        text(
            "INSERT INTO report (device, anchors, reported_at, received_at)"
            " VALUES (:device, :anchors, :reported_at, :received_at)"
            " ON CONFLICT (device) DO UPDATE SET anchors = excluded.anchors,"
            " reported_at = excluded.reported_at, received_at = excluded.received_at"
        ),
        {
            "device": report.device,
            "anchors": json.dumps(sorted(report.anchors)),
            "reported_at": report.reported_at.isoformat(),
            "received_at": report.received_at.timestamp(),
        },
    )


async def anchors(connection: Transaction, cache: CertificateCache) -> Mapping[str, Certificate]:
    """Return the certificates that somebody has shown us as trusted, by fingerprint."""
    rows = await connection.execute(text("SELECT fingerprint, der FROM anchor"))
    return {row.fingerprint: cache.get(base64.b64decode(row.der)) for row in rows}


async def learn(connection: Transaction, certificates: Iterable[Certificate]) -> None:
    """Keep certificates that are trusted somewhere."""
    rows = [
        {
            "fingerprint": certificate.fingerprint_sha256,
            "der": base64.b64encode(certificate.der).decode(),
            "limit": MAX_ANCHORS,
        }
        for certificate in certificates
    ]
    if rows:
        await connection.execute(
            text(
                "INSERT INTO anchor (fingerprint, der) SELECT :fingerprint, :der"
                " WHERE (SELECT count(*) FROM anchor) < :limit ON CONFLICT DO NOTHING"
            ),
            rows,
        )


async def updates(connection: Transaction, device: str | None = None) -> Sequence[Update]:
    """Return the updates of one device, or of all, the oldest first."""
    condition = "" if device is None else " WHERE device = :device"
    rows = await connection.execute(
        text(
            "SELECT number, device, operation_id, operation, fingerprint, priority, status,"  # noqa: S608 - our own constant
            f" error, attempts, by_fallback, asked_at FROM trust_update{condition}"
            " ORDER BY number, device"
        ),
        {} if device is None else {"device": device},
    )
    return [
        Update(
            number=row.number,
            device=row.device,
            operation_id=row.operation_id,
            operation=TrustStoreOperation(row.operation),
            fingerprint=row.fingerprint,
            priority=row.priority,
            asked_at=_moment(row.asked_at),
            status=DeviceUpdateStatus(row.status),
            error=row.error,
            attempts=row.attempts,
            by_fallback=bool(row.by_fallback),
        )
        for row in rows
    ]


async def next_number(connection: Transaction) -> int:
    """Return a number for the updates of one request; it was never given before."""
    return await kept.raise_count(connection, _UPDATE_NUMBER)


async def ask(connection: Transaction, wanted: Sequence[Update]) -> None:
    """Write what devices are to do.

    What a device has done before, and what is contrary or the same, makes place for it.
    """
    rows = [
        {
            "number": one.number,
            "device": one.device,
            "operation_id": one.operation_id,
            "operation": one.operation,
            "fingerprint": one.fingerprint,
            "priority": one.priority,
            "status": one.status,
            "done": DeviceUpdateStatus.COMPLETE,
            "by_fallback": int(one.by_fallback),
            "asked_at": one.asked_at.timestamp(),
        }
        for one in wanted
    ]
    if not rows:
        return
    await connection.execute(
        text(
            "DELETE FROM trust_update WHERE device = :device"
            " AND (status = :done OR fingerprint = :fingerprint)"
        ),
        rows,
    )
    await connection.execute(
        text(
            "INSERT INTO trust_update (number, device, operation_id, operation, fingerprint,"
            " priority, status, error, attempts, by_fallback, asked_at) VALUES (:number,"
            " :device, :operation_id, :operation, :fingerprint, :priority, :status, NULL, 0,"
            " :by_fallback, :asked_at)"
        ),
        rows,
    )


async def set_status(
    connection: Transaction, update: Update, status: DeviceUpdateStatus, error: str | None
) -> None:
    """Write what became of one update of one device."""
    await connection.execute(
        text(
            "UPDATE trust_update SET status = :status, error = :error, attempts = attempts + 1"
            " WHERE device = :device AND number = :number"
        ),
        {"status": status, "error": error, "device": update.device, "number": update.number},
    )


async def open_fallback(connection: Transaction, device: str) -> None:
    """Let what a device has not done be fetched over its fallback channel."""
    await connection.execute(
        text(
            "UPDATE trust_update SET by_fallback = 1, status = :pending, error = NULL"
            " WHERE device = :device AND status != :done"
        ),
        {
            "device": device,
            "pending": DeviceUpdateStatus.PENDING,
            "done": DeviceUpdateStatus.COMPLETE,
        },
    )


async def revision(connection: Transaction) -> int:
    """Return a number that rises whenever anything of a device changes."""
    return await kept.count(connection, _REVISION)


async def touch(connection: Transaction) -> None:
    """Let the revision rise."""
    await kept.raise_count(connection, _REVISION)


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
