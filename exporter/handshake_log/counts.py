"""Counts handshakes by gateway and device; what is shown is what is durable."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType

from sqlalchemy import text

from exporter.handshake_log.recent import Recent
from exporter.observations import Reason, RejectedBy
from exporter.transaction import Transaction

Key = tuple[str, str]
"""Gateway and device; no device: nobody's."""

Why = tuple[Reason, RejectedBy]

_MAX_PEERS = 100
_SLICE = 500
_MAX_SHAPES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One handshake, attributed.

    Attributes:
        why: None for a success.
        is_resumed: None where the writer does not tell.
        is_evidence: A source that we trust tells it, and ``at`` is when it was.
    """

    gateway: str
    device: str
    source: str
    at: datetime
    why: Why | None
    is_resumed: bool | None = None
    client_not_after: datetime | None = None
    peer: str | None = None
    is_evidence: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What is known of one device at one gateway.

    Attributes:
        success_count: Handshakes that were finished and are not known to be resumed.
        proven_count: Those of them that are known to be full.
        failing: Why the latest full handshake failed; None: it did not.
        failing_since_s: When the present row of failures began, seconds since 1970; None: there
            is none, or it began under a version that did not keep this.
        told_s: When the latest full handshake was, likewise.
        told_by: The source that told of it.
        success_s: The latest of ``success_count``, likewise.
        proven_s: The latest of ``proven_count``, likewise; only these prove trust.
        resumed_s: The latest of ``resumed_count``, likewise: a sign of life.
    """

    success_count: int = 0
    resumed_count: int = 0
    proven_count: int = 0
    failure_counts: Mapping[Why, int] = field(default_factory=dict)
    failing: Why | None = None
    failing_since_s: float | None = None
    told_s: float = 0.0
    told_by: str = ""
    success_s: float | None = None
    proven_s: float | None = None
    resumed_s: float | None = None

    @property
    def contact_s(self) -> float | None:
        """The latest handshake that was finished, full or resumed; None: there was none."""
        return max(self.success_s or 0.0, self.resumed_s or 0.0) or None

    @property
    def full_count(self) -> int:
        """Full handshakes, failed ones included."""
        return self.success_count + sum(self.failure_counts.values())

    def after(self, event: Event) -> "Tally":
        """Return what is known after ``event``."""
        at_s = event.at.timestamp()
        if event.why is None and event.is_resumed:
            latest_s = max(at_s, self.resumed_s or 0.0)
            return replace(self, resumed_count=self.resumed_count + 1, resumed_s=latest_s)
        state = self
        if self._is_latest(event, at_s):
            since_s = self.failing_since_s if self.failing else at_s
            state = replace(
                self,
                failing=event.why,
                failing_since_s=since_s if event.why else None,
                told_s=at_s,
                told_by=event.source,
            )
        if event.why is None:
            return _succeeded(state, at_s, is_proof=event.is_resumed is False)
        counts = {**state.failure_counts, event.why: state.failure_counts.get(event.why, 0) + 1}
        return replace(state, failure_counts=counts)

    def _is_latest(self, event: Event, at_s: float) -> bool:
        """Whether ``event`` came after what is known.

        One log is in order, and its lines may lack a moment. Of two logs the later second tells,
        because many writers tell no more; within one second the failure does.
        """
        if event.source == self.told_by:
            return True
        second, known = int(at_s), int(self.told_s)
        return second > known or (second == known and (event.why is not None or not self.failing))


def _succeeded(tally: Tally, at_s: float, *, is_proof: bool) -> Tally:
    more = replace(
        tally,
        success_count=tally.success_count + 1,
        success_s=max(at_s, tally.success_s or 0.0),
    )
    if not is_proof:
        return more
    return replace(
        more, proven_count=tally.proven_count + 1, proven_s=max(at_s, tally.proven_s or 0.0)
    )


@dataclass(slots=True, kw_only=True)
class Change:
    """What is to become durable together."""

    tallies: dict[Key, Tally] = field(default_factory=dict)
    recent: dict[Key, Recent] = field(default_factory=dict)
    certificates: dict[str, float] = field(default_factory=dict)
    positions: dict[str, tuple[str | None, str]] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class UnknownPeer:
    """Somebody who is no device of the inventory."""

    count: int = 0
    last_at: datetime | None = None
    why: Why | None = None


class Counts:
    """The durable counts, and what is about to become durable.

    ``apply`` works on a ``Change``; nothing is shown before ``publish``, which is called once the
    change is in the store.
    """

    def __init__(self) -> None:
        self._tallies: dict[Key, Tally] = {}
        self._recent: dict[Key, Recent] = {}
        self._certificates: dict[str, float] = {}
        self._positions: dict[str, tuple[str | None, str]] = {}
        self.peers: OrderedDict[tuple[str, str], UnknownPeer] = OrderedDict()
        self.shapes: OrderedDict[str, int] = OrderedDict()

    @property
    def tallies(self) -> Mapping[Key, Tally]:
        """By gateway and device."""
        return MappingProxyType(self._tallies)

    @property
    def certificates(self) -> Mapping[str, float]:
        """The end of each device's certificate, seconds since 1970."""
        return MappingProxyType(self._certificates)

    def recent(self, gateway: str, since: datetime) -> Mapping[str, Recent]:
        """Return what is durable of each device that was heard of at ``gateway`` since then."""
        since_s = since.timestamp()
        return {
            device: recent
            for (at, device), recent in self._recent.items()
            if at == gateway and recent.latest_s >= since_s
        }

    def has_position(self, source: str) -> bool:
        """Whether anything of the source is durable yet."""
        return source in self._positions

    def position(self, source: str) -> tuple[str | None, str]:
        """Return where the source goes on, and what its joins wait for."""
        return self._positions.get(source, (None, ""))

    def apply(self, change: Change, event: Event) -> None:
        """Add ``event`` to ``change``."""
        key = (event.gateway, event.device)
        before = change.tallies.get(key) or self._tallies.get(key) or Tally()
        change.tallies[key] = before.after(event)
        if event.device:
            known = change.recent.get(key) or self._recent.get(key) or Recent()
            change.recent[key] = _recent_after(known, event)
        if event.device and event.client_not_after is not None:
            change.certificates[event.device] = event.client_not_after.timestamp()

    def publish(self, change: Change) -> None:
        """Show what has become durable."""
        self._tallies.update(change.tallies)
        self._recent.update(change.recent)
        self._certificates.update(change.certificates)
        self._positions.update(change.positions)

    def note_peer(self, event: Event) -> None:
        """Keep who is nobody's; the latest hundred."""
        if event.device or event.peer is None:
            return
        key = (event.gateway, event.peer[:128])
        seen = self.peers.setdefault(key, UnknownPeer())
        seen.count, seen.last_at, seen.why = seen.count + 1, event.at, event.why
        self.peers.move_to_end(key)
        if len(self.peers) > _MAX_PEERS:
            self.peers.popitem(last=False)

    def note_shape(self, shape: str) -> None:
        """Keep what nobody understands; the latest ten that differ."""
        self.shapes[shape] = self.shapes.get(shape, 0) + 1
        self.shapes.move_to_end(shape)
        if len(self.shapes) > _MAX_SHAPES:
            self.shapes.popitem(last=False)

    async def load(self, connection: Transaction) -> None:
        """Take over what the store holds."""
        for source, position, joins in await connection.execute(
            text("SELECT source, position, joins FROM log_position")
        ):
            self._positions[source] = (position, joins)
        for gateway, device, facts in await connection.execute(
            text("SELECT gateway, device, facts FROM handshake_recent")
        ):
            self._recent[gateway, device] = Recent.load(facts)
        for device, not_after in await connection.execute(
            text("SELECT device, not_after FROM client_certificate")
        ):
            self._certificates[device] = not_after
        for row in await connection.execute(
            text(
                "SELECT gateway, device, reason, rejected_by, failing_since, told_at, source,"
                " success_at, proven_at, resumed_at FROM handshake_state"
            )
        ):
            self._tallies[row.gateway, row.device] = Tally(
                failing=(Reason(row.reason), RejectedBy(row.rejected_by)) if row.reason else None,
                failing_since_s=row.failing_since,
                told_s=row.told_at,
                told_by=row.source,
                success_s=row.success_at,
                proven_s=row.proven_at,
                resumed_s=row.resumed_at,
            )
        for row in await connection.execute(
            text("SELECT gateway, device, kind, reason, rejected_by, count FROM handshake_tally")
        ):
            key = (row.gateway, row.device)
            self._tallies[key] = _with_count(self._tallies.get(key) or Tally(), row)


def _recent_after(known: Recent, event: Event) -> Recent:
    if event.why is not None:
        return known.failed(event.at, event.why, is_evidence=event.is_evidence)
    return known.succeeded(event.at, is_resumed=event.is_resumed, is_evidence=event.is_evidence)


def _with_count(tally: Tally, row: object) -> Tally:
    kind, count = getattr(row, "kind", ""), int(getattr(row, "count", 0))
    match kind:
        case "success":
            return replace(tally, success_count=count)
        case "resumed":
            return replace(tally, resumed_count=count)
        case "proven":
            return replace(tally, proven_count=count)
        case _:
            why = (Reason(getattr(row, "reason", "")), RejectedBy(getattr(row, "rejected_by", "")))
            return replace(tally, failure_counts={**tally.failure_counts, why: count})


async def write(connection: Transaction, change: Change) -> None:
    """Write ``change`` in the transaction of ``connection``."""
    counts: list[dict[str, object]] = []
    states: list[dict[str, object]] = []
    for (gateway, device), tally in change.tallies.items():
        place = {"gateway": gateway, "device": device}
        counts += [{**place, **row} for row in _count_rows(tally)]
        why = tally.failing
        states.append(
            {
                **place,
                "reason": why[0].value if why else "",
                "rejected_by": why[1].value if why else "",
                "failing_since": tally.failing_since_s,
                "told_at": tally.told_s,
                "source": tally.told_by,
                "success_at": tally.success_s,
                "proven_at": tally.proven_s,
                "resumed_at": tally.resumed_s,
            }
        )
    certificates: list[dict[str, object]] = [
        {"device": device, "not_after": at_s} for device, at_s in change.certificates.items()
    ]
    positions: list[dict[str, object]] = [
        {"source": source, "position": position, "joins": joins}
        for source, (position, joins) in change.positions.items()
    ]
    recent: list[dict[str, object]] = [
        {"gateway": gateway, "device": device, "facts": facts.dump()}
        for (gateway, device), facts in change.recent.items()
    ]
    for statement, rows in (
        (_COUNT, counts),
        (_STATE, states),
        (_RECENT, recent),
        (_CERTIFICATE, certificates),
        (_POSITION, positions),
    ):
        # In slices: each is bound to its statement within the event loop
        for begin in range(0, len(rows), _SLICE):
            await connection.execute(text(statement), rows[begin : begin + _SLICE])


def _count_rows(tally: Tally) -> Iterable[dict[str, object]]:
    plain = (
        ("success", tally.success_count),
        ("resumed", tally.resumed_count),
        ("proven", tally.proven_count),
    )
    for kind, count in plain:
        if count:
            yield {"kind": kind, "reason": "", "rejected_by": "", "count": count}
    for (reason, by), count in tally.failure_counts.items():
        yield {"kind": "failure", "reason": reason.value, "rejected_by": by.value, "count": count}


def _upsert(table: str, keys: tuple[str, ...], values: tuple[str, ...]) -> str:
    names = (*keys, *values)
    return (
        f"INSERT INTO {table} ({', '.join(names)})"  # noqa: S608 - our own names
        f" VALUES ({', '.join(':' + name for name in names)})"
        f" ON CONFLICT ({', '.join(keys)})"
        f" DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in values)}"
    )


_COUNT = _upsert(
    "handshake_tally", ("gateway", "device", "kind", "reason", "rejected_by"), ("count",)
)
_STATE = _upsert(
    "handshake_state",
    ("gateway", "device"),
    (
        "reason",
        "rejected_by",
        "failing_since",
        "told_at",
        "source",
        "success_at",
        "proven_at",
        "resumed_at",
    ),
)
_RECENT = _upsert("handshake_recent", ("gateway", "device"), ("facts",))
_CERTIFICATE = _upsert("client_certificate", ("device",), ("not_after",))
_POSITION = _upsert("log_position", ("source",), ("position", "joins"))
