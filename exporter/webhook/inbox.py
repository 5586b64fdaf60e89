"""Deliveries on their way into the store: answered once they are durable, each alert kept once."""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import bindparam, text

from exporter.clock import Clock
from exporter.errors import ExporterError, StoreError
from exporter.journal import Kind, News, append_all
from exporter.store import Store
from exporter.transaction import Transaction
from exporter.webhook.payload import Alert, Delivery
from exporter.webhook.times import SenderTimes

log = logging.getLogger(__name__)

KEPT = timedelta(days=30)
# Alertmanager repeats what fires every 4 h by default; what is not repeated for a day is over,
# and its "resolved" was lost
_FIRES_FOR = timedelta(days=1)
_MOST_WAITING = 500
_TOGETHER = 200
_NAMED = 50  # alerts in a journal entry; the rest are counted
_SLICE = 250  # of a delivery at a time: ten thousand at once would hold up everybody else
_FIRING, _RESOLVED = "firing", "resolved"

_Key = tuple[str, str]
_Numbered = tuple[int, Alert]  # with the place of its delivery in the batch
_UNSEEN = datetime.min.replace(tzinfo=UTC)


class InboxBusyError(ExporterError):
    """Too many deliveries wait for the store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What became of a delivery's alerts.

    Attributes:
        accepted: New, or in another state than before, and asking for something.
        duplicate: Known in that state already.
        ignored: Asking for nothing.
    """

    accepted: int
    duplicate: int
    ignored: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A gateway that alerts ask to look at.

    Attributes:
        is_firing: At least one of them still fires; else all were resolved.
        alerts: Fingerprint, start and the state that was seen; for ``handled``.
        since: The earliest start of those that fire, or of all.
    """

    gateway: str
    is_firing: bool
    alerts: tuple[tuple[str, str, str], ...]
    since: datetime


@dataclass(slots=True, kw_only=True)
class _Waiting:
    delivery: Delivery
    at: datetime
    done: asyncio.Future[Receipt]

    @property
    def alerts(self) -> Sequence[Alert]:
        """Its alerts."""
        return self.delivery.alerts


class Inbox:
    """Takes deliveries and tells which gateways they ask to look at.

    Its table is ``webhook_alert``: ``state`` is what was delivered last, ``handled`` the state
    that was looked at, empty for none; ``ignored`` is empty for what asks for a look.

    Deliveries that come while a transaction is under way are written together by the next.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._waiting: list[_Waiting] = []
        self._work = asyncio.Event()
        self._times = SenderTimes()
        self.asked = asyncio.Event()
        """Set when something new asks for a look; whoever looks clears it."""
        self._is_truncated = False

    async def accept(self, delivery: Delivery) -> Receipt:
        """Return once ``delivery`` is durable.

        Raises:
            InboxBusyError: too many wait already; nothing was taken.
            StoreError: it could not be written; nothing was taken.
        """
        if delivery.newest_at is not None:
            self._times.note(delivery.newest_at, self._clock.monotonic())
        if len(self._waiting) >= _MOST_WAITING:
            raise InboxBusyError("too many deliveries wait for the store; send it again")
        done: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(delivery=delivery, at=self._clock.now(), done=done))
        self._work.set()
        return await done

    def clock_offset_at_most_s(self) -> float | None:
        """Return by how much our clock is at most ahead of the alerts'; None: not known."""
        return self._times.offset_at_most_s(self._clock.now(), self._clock.monotonic())

    async def run(self) -> None:
        """Write what comes, until cancelled."""
        try:
            while True:
                await self._work.wait()
                self._work.clear()
                while self._waiting:
                    batch, self._waiting = self._waiting[:_TOGETHER], self._waiting[_TOGETHER:]
                    await self._write(batch)
        finally:
            for waiting in self._waiting:
                waiting.done.cancel()

    async def pending(self) -> list[Asked]:
        """Return the gateways that something not yet looked at asks for.

        Raises:
            StoreError: the store cannot be read.
        """
        async with self._store.reading() as connection:
            rows = await connection.execute(
                text(
                    "SELECT gateway, fingerprint, starts_at, state FROM webhook_alert"
                    " WHERE ignored = '' AND (state = 'firing' OR handled <> state)"
                    " AND gateway IN (SELECT gateway FROM webhook_alert"
                    " WHERE ignored = '' AND handled <> state) ORDER BY starts_at"
                )
            )
            found: dict[str, list[tuple[str, str, str]]] = {}
            for gateway, *alert in rows:
                found.setdefault(gateway, []).append((alert[0], alert[1], alert[2]))
        return [_asked(gateway, alerts) for gateway, alerts in found.items()]

    def take_truncated(self) -> bool:
        """Return whether alerts were left out of what was delivered since this was asked last."""
        was, self._is_truncated = self._is_truncated, False
        return was

    async def firing_gateways(self) -> set[str]:
        """Return the gateways about which an alert fires, as far as was delivered lately.

        Raises:
            StoreError: the store cannot be read.
        """
        since = self._clock.now() - _FIRES_FOR
        async with self._store.reading() as connection:
            rows = await connection.scalars(
                text(
                    "SELECT DISTINCT gateway FROM webhook_alert"
                    " WHERE ignored = '' AND state = 'firing' AND last_at > :since"
                ),
                {"since": since.isoformat()},
            )
            return set(rows)

    async def mark(self, asked: Asked) -> None:
        """Note that what was ``asked`` was looked at, in that state.

        Raises:
            StoreError: it could not be written; it will be asked again.
        """
        async with self._store.writing() as connection:
            await connection.execute(
                text(
                    "UPDATE webhook_alert SET handled = :state"
                    " WHERE fingerprint = :fingerprint AND starts_at = :starts_at"
                ),
                # At once: ten thousand steps of their own would hold up the deliveries
                [
                    {"state": state, "fingerprint": fingerprint, "starts_at": starts_at}
                    for fingerprint, starts_at, state in asked.alerts
                ],
            )

    async def _write(self, batch: Sequence[_Waiting]) -> None:
        receipts: Sequence[Receipt | StoreError]
        try:
            async with self._store.writing() as connection:
                receipts = await _taken(connection, batch)
        except StoreError as exc:
            log.warning("deliveries were refused: %s", exc)
            receipts = [exc] * len(batch)
        except BaseException:
            for waiting in batch:
                waiting.done.cancel()  # nobody is told that it is kept
            raise
        for waiting, receipt in zip(batch, receipts, strict=True):
            _tell(waiting, receipt)
        kept = [
            (waiting.delivery, receipt)
            for waiting, receipt in zip(batch, receipts, strict=True)
            if isinstance(receipt, Receipt)
        ]
        # It comes again with each group interval, so it need not be durable
        self._is_truncated |= any(delivery.truncated_count for delivery, _ in kept)
        if self._is_truncated or any(receipt.accepted for _, receipt in kept):
            self.asked.set()


async def forget(connection: Transaction, *, now: datetime) -> int:
    """Remove alerts that were not delivered any more for ``KEPT``; return how many."""
    gone = await connection.execute(
        text("DELETE FROM webhook_alert WHERE last_at < :before"),
        {"before": (now - KEPT).isoformat()},
    )
    return gone.rowcount


def _tell(waiting: _Waiting, receipt: Receipt | StoreError) -> None:
    if waiting.done.done():
        return  # whoever asked went away
    if isinstance(receipt, StoreError):
        waiting.done.set_exception(StoreError(str(receipt), retryable=receipt.retryable))
    else:
        waiting.done.set_result(receipt)


def _asked(gateway: str, alerts: Sequence[tuple[str, str, str]]) -> Asked:
    firing = [one for one in alerts if one[2] == _FIRING]
    return Asked(
        gateway=gateway,
        is_firing=bool(firing),
        alerts=tuple(alerts),
        since=datetime.fromisoformat(min(one[1] for one in firing or alerts)),
    )


@dataclass(slots=True, kw_only=True)
class _Row:
    """One alert's row, as it is and as it will be."""

    alert: Alert
    state: str
    ignored: str
    is_new: bool
    at: datetime
    count: int = 0


async def _taken(connection: Transaction, batch: Sequence[_Waiting]) -> Sequence[Receipt]:
    counts: list[Counter[str]] = [Counter() for _ in batch]
    fresh: list[list[Alert]] = [[] for _ in batch]
    for part in _in_slices([(n, alert) for n, one in enumerate(batch) for alert in one.alerts]):
        rows = await _known(connection, [alert for _, alert in part])
        for number, alert in part:
            is_changed = _put(rows, alert, batch[number].at)
            kind = "ignored" if alert.ignored else "accepted" if is_changed else "duplicate"
            counts[number][kind] += 1
            if is_changed:
                fresh[number].append(alert)
        await _keep(connection, rows.values())
    told = [
        News(kind=Kind.DELIVERY, body=_told(waiting.delivery, new), at=waiting.at)
        for waiting, new in zip(batch, fresh, strict=True)
        if new
    ]
    await append_all(connection, told)
    return [
        Receipt(accepted=one["accepted"], duplicate=one["duplicate"], ignored=one["ignored"])
        for one in counts
    ]


def _in_slices(alerts: Sequence[_Numbered]) -> Iterator[Sequence[_Numbered]]:
    for start in range(0, len(alerts), _SLICE):
        yield alerts[start : start + _SLICE]


def _put(rows: dict[_Key, _Row], alert: Alert, at: datetime) -> bool:
    """Put ``alert`` among ``rows``; return whether it is new, or in another state than it was."""
    state = _FIRING if alert.is_firing else _RESOLVED
    ignored = alert.ignored or ""
    row = rows.get(_key(alert))
    if row is None:
        rows[_key(alert)] = _Row(
            alert=alert, state=state, ignored=ignored, is_new=True, count=1, at=at
        )
        return True
    # What was resolved stays so: a late "firing" of the same start comes out of order
    state = _RESOLVED if row.state == _RESOLVED else state
    is_changed = (state, ignored) != (row.state, row.ignored)
    row.alert, row.state, row.ignored, row.count, row.at = (
        alert, state, ignored, row.count + 1, at,
    )  # fmt: skip
    return is_changed


async def _known(connection: Transaction, alerts: Sequence[Alert]) -> dict[_Key, _Row]:
    """Return the rows that there are of ``alerts``."""
    by_key = {_key(alert): alert for alert in alerts}
    found: dict[_Key, _Row] = {}
    query = text(
        "SELECT fingerprint, starts_at, state, ignored FROM webhook_alert"
        " WHERE fingerprint IN :fingerprints"
    ).bindparams(bindparam("fingerprints", expanding=True))
    fingerprints = sorted({key[0] for key in by_key})
    for fingerprint, starts_at, state, ignored in await connection.execute(
        query, {"fingerprints": fingerprints}
    ):
        alert = by_key.get((fingerprint, starts_at))
        if alert is not None:
            found[fingerprint, starts_at] = _Row(
                alert=alert, state=state, ignored=ignored, is_new=False, at=_UNSEEN
            )
    return found


async def _keep(connection: Transaction, rows: Iterable[_Row]) -> None:
    new: list[dict[str, object]] = []
    old: list[dict[str, object]] = []
    for row in rows:
        fingerprint, starts_at = _key(row.alert)
        (new if row.is_new else old).append(
            {
                "fingerprint": fingerprint, "starts_at": starts_at, "name": row.alert.name,
                "gateway": row.alert.gateway, "state": row.state, "ignored": row.ignored,
                "at": row.at.isoformat(), "count": row.count,
            }
        )  # fmt: skip
    if new:
        await connection.execute(
            text(
                "INSERT INTO webhook_alert (fingerprint, starts_at, name, gateway, state, ignored,"
                " handled, first_at, last_at, count) VALUES (:fingerprint, :starts_at, :name,"
                " :gateway, :state, :ignored, '', :at, :at, :count)"
            ),
            new,
        )
    if old:
        await connection.execute(
            text(
                "UPDATE webhook_alert SET state = :state, ignored = :ignored, last_at = :at,"
                " count = count + :count"
                " WHERE fingerprint = :fingerprint AND starts_at = :starts_at"
            ),
            old,
        )


def _key(alert: Alert) -> _Key:
    return alert.fingerprint, alert.starts_at.isoformat()


def _told(delivery: Delivery, fresh: Sequence[Alert]) -> dict[str, object]:
    return {
        "alerts": len(delivery.alerts),
        "truncated": delivery.truncated_count,
        "new": [
            {
                "name": alert.name,
                "gateway": alert.gateway,
                "firing": alert.is_firing,
                "starts_at": alert.starts_at.isoformat(),
                "ignored": alert.ignored,
            }
            for alert in fresh[:_NAMED]
        ],
        "new_count": len(fresh),
    }
