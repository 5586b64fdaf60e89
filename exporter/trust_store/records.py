"""What is known and wanted of each device, in the store."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from exporter.certificates import Certificate, describe
from exporter.errors import CertificateError
from exporter.gateway.messages import DeviceUpdateStatus
from exporter.observations import TrustReport
from exporter.transaction import Transaction
from exporter.trust_store.model import Known, Word, digest_of

log = logging.getLogger(__name__)

_SLICE = 500
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True, kw_only=True)
class Records:
    """What the store holds, or is to take in as a whole.

    Attributes:
        known: By device.
        wanted: By device: the digest of what is wanted, and since when.
        certificates: By SHA-256.
    """

    known: dict[str, Known] = field(default_factory=dict)
    wanted: dict[str, tuple[str, datetime]] = field(default_factory=dict)
    certificates: dict[str, Certificate] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether there is anything."""
        return bool(self.known or self.wanted or self.certificates)


async def read(connection: Transaction) -> Records:
    """Return all that the store holds."""
    found = Records()
    for der in await connection.scalars(text("SELECT der FROM trust_certificate")):
        certificate = _certificate_in(der)
        if certificate is not None:
            found.certificates[certificate.fingerprint_sha256] = certificate
    sets = {
        digest: frozenset(anchors.split())
        for digest, anchors in await connection.execute(
            text("SELECT digest, anchors FROM trust_anchor_set")
        )
    }
    for device, *rest in await connection.execute(
        text(
            "SELECT device, anchor_set, reported_at, received_at, status, error, told_at"
            " FROM trust_report"
        )
    ):
        try:
            found.known[device] = _known_in(device, rest, sets)
        except (ValueError, OverflowError):
            log.warning("what the store holds of a device cannot be read: device=%r", device)
    for device, digest, since in await connection.execute(
        text("SELECT device, digest, since FROM trust_wanted")
    ):
        found.wanted[device] = (digest, _moment(since))
    return found


def _certificate_in(der: str) -> Certificate | None:
    try:
        return describe(bytes.fromhex(der))
    except (ValueError, CertificateError):
        log.warning("a certificate in the store cannot be read and is left out")
        return None


def _known_in(device: str, row: Sequence[object], sets: Mapping[str, frozenset[str]]) -> Known:
    digest, reported_at, received_at, status, error, told_at = row
    report = word = None
    if isinstance(digest, str) and digest in sets:
        report = TrustReport(
            device=device,
            anchors=sets[digest],
            reported_at=_moment(reported_at),
            received_at=_moment(received_at),
        )
    if isinstance(status, str):
        word = Word(status=DeviceUpdateStatus(status), told_at=_moment(told_at), error=str(error))
    return Known(report=report, word=word)


async def write(connection: Transaction, change: Records) -> None:
    """Write ``change`` in the transaction of ``connection``."""
    sets: dict[frozenset[str], str] = {}
    reports = [_report_row(device, known, sets) for device, known in change.known.items()]
    for statement, rows in (
        (_SET, [{"digest": digest, "anchors": " ".join(one)} for one, digest in sets.items()]),
        (_REPORT, reports),
        (
            _WANTED,
            [
                {"device": device, "digest": digest, "since": _micros(since)}
                for device, (digest, since) in change.wanted.items()
            ],
        ),
        (
            _CERTIFICATE,
            [
                {"fingerprint": fingerprint, "der": one.der.hex()}
                for fingerprint, one in change.certificates.items()
            ],
        ),
    ):
        # In slices: each is bound to its statement within the event loop
        for begin in range(0, len(rows), _SLICE):
            await connection.execute(text(statement), rows[begin : begin + _SLICE])


async def erase(connection: Transaction, devices: Iterable[str]) -> None:
    """Remove devices, and the sets of anchors that nobody has any more."""
    for device in devices:
        for table in ("trust_report", "trust_wanted"):
            statement = f"DELETE FROM {table} WHERE device = :device"  # noqa: S608 - our own names
            await connection.execute(text(statement), {"device": device})
    await connection.execute(
        text(
            "DELETE FROM trust_anchor_set WHERE digest NOT IN"
            " (SELECT anchor_set FROM trust_report WHERE anchor_set IS NOT NULL)"
        )
    )


def _report_row(device: str, known: Known, sets: dict[frozenset[str], str]) -> dict[str, object]:
    report, word = known.report, known.word
    if report is not None and report.anchors not in sets:
        sets[report.anchors] = digest_of(report.anchors)
    return {
        "device": device,
        "anchor_set": sets[report.anchors] if report else None,
        "reported_at": _micros(report.reported_at) if report else None,
        "received_at": _micros(report.received_at) if report else None,
        "status": word.status.value if word else None,
        "error": word.error if word else "",
        "told_at": _micros(word.told_at) if word else None,
    }


def _micros(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)


def _moment(micros: object) -> datetime:
    return _EPOCH + timedelta(microseconds=int(str(micros)))


def _upsert(table: str, key: str, *values: str) -> str:
    names = (key, *values)
    return (
        f"INSERT INTO {table} ({', '.join(names)})"  # noqa: S608 - our own names
        f" VALUES ({', '.join(':' + name for name in names)})"
        f" ON CONFLICT ({key})"
        f" DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in values)}"
    )


_SET = _upsert("trust_anchor_set", "digest", "anchors")
_REPORT = _upsert(
    "trust_report",
    "device",
    "anchor_set", "reported_at", "received_at", "status", "error", "told_at",
)  # fmt: skip
_WANTED = _upsert("trust_wanted", "device", "digest", "since")
_CERTIFICATE = _upsert("trust_certificate", "fingerprint", "der")
