"""The journal: what was asked, decided, intended, tried and achieved, in order, chained by hashes.

Append-only. Each entry holds the hash of the one before, so that a changed or missing entry is
found (``faults_in``). The past is pruned only behind a checkpoint entry, which holds the hash of
the last entry that was pruned and how many there were. What a chain cannot show is that its own
end was cut off: for that the head's hash is in the log of each action.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from sqlalchemy import RowMapping, text

from exporter.transaction import Transaction

GENESIS = "0" * 64
"""What the first entry holds as the hash of the one before."""

JOURNAL = (
    "CREATE TABLE journal (number BIGINT NOT NULL PRIMARY KEY, at TEXT NOT NULL,"
    " gateway TEXT NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL,"
    " previous_hash TEXT NOT NULL, hash TEXT NOT NULL)",
    "CREATE INDEX journal_by_gateway ON journal (gateway, number)",
)
"""Its part of the schema."""


class Kind(StrEnum):
    """What an entry tells of."""

    DELIVERY = "delivery"
    DECISION = "decision"
    INTENT = "intent"
    ATTEMPT = "attempt"
    OUTCOME = "outcome"
    JUDGEMENT = "judgement"
    HOLD = "hold"
    RELEASE = "release"
    APPROVAL = "approval"
    KILL_SWITCH = "kill_switch"
    REHEARSAL = "rehearsal"
    ROTATION = "rotation"
    CHECKPOINT = "checkpoint"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry.

    Attributes:
        gateway: Empty for what is about no single gateway.
        body: JSON, as it was written: the hash is of these characters.
    """

    number: int
    at: datetime
    gateway: str
    kind: Kind
    body: str
    previous_hash: str
    hash: str

    def facts(self) -> Mapping[str, object]:
        """Return the body as a mapping."""
        return dict(json.loads(self.body))

    def expected_hash(self) -> str:
        """Return the hash that the entry should hold."""
        parts = [
            self.number, self.at.isoformat(), self.gateway, self.kind, self.body,
            self.previous_hash,
        ]  # fmt: skip
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What an entry will tell, before it has its place."""

    kind: Kind
    body: Mapping[str, object]
    at: datetime
    gateway: str = ""


async def append(
    connection: Transaction,
    kind: Kind,
    body: Mapping[str, object],
    *,
    at: datetime,
    gateway: str = "",
) -> Entry:
    """Add an entry within the transaction of what it tells of; return it."""
    news = News(kind=kind, body=body, at=at, gateway=gateway)
    (entry,) = await append_all(connection, [news])
    return entry


async def append_all(connection: Transaction, told: Sequence[News]) -> Sequence[Entry]:
    """Add entries, in this order; return them."""
    last = await head(connection)
    made: list[Entry] = []
    for news in told:
        last = _behind(last, news)
        made.append(last)
    if made:
        await connection.execute(
            text(
                "INSERT INTO journal (number, at, gateway, kind, body, previous_hash, hash)"
                " VALUES (:number, :at, :gateway, :kind, :body, :previous_hash, :hash)"
            ),
            [_columns(entry) for entry in made],
        )
    return made


def _behind(last: Entry | None, news: News) -> Entry:
    """Return the entry that follows ``last``."""
    draft = Entry(
        number=last.number + 1 if last else 1,
        at=news.at,
        gateway=news.gateway,
        kind=news.kind,
        body=json.dumps(news.body, sort_keys=True),
        previous_hash=last.hash if last else GENESIS,
        hash="",
    )
    return replace(draft, hash=draft.expected_hash())


def _columns(entry: Entry) -> Mapping[str, object]:
    return {
        "number": entry.number, "at": entry.at.isoformat(), "gateway": entry.gateway,
        "kind": entry.kind.value, "body": entry.body, "previous_hash": entry.previous_hash,
        "hash": entry.hash,
    }  # fmt: skip


async def head(connection: Transaction) -> Entry | None:
    """Return the last entry; None: there is none."""
    rows = await connection.execute(text("SELECT * FROM journal ORDER BY number DESC LIMIT 1"))
    row = rows.mappings().first()
    return _entry(row) if row is not None else None


async def entries(
    connection: Transaction,
    *,
    gateway: str | None = None,
    kinds: Iterable[Kind] = (),
    after: int = 0,
    limit: int = 1_000,
) -> list[Entry]:
    """Return at most ``limit`` entries behind number ``after``, the oldest first.

    ``gateway``: only what is about it; ``kinds``: only these, none given: all.
    """
    wanted = ", ".join(f"'{kind.value}'" for kind in kinds)
    query = "SELECT * FROM journal WHERE number > :after"
    query += " AND gateway = :gateway" if gateway is not None else ""
    query += f" AND kind IN ({wanted})" if wanted else ""
    rows = await connection.execute(
        text(f"{query} ORDER BY number LIMIT :limit"),
        {"after": after, "limit": limit, "gateway": gateway},
    )
    return [_entry(row) for row in rows.mappings()]


async def prune(
    connection: Transaction, *, before: datetime, keep_from: int | None, at: datetime
) -> int:
    """Remove the oldest entries that are older than ``before``; return how many.

    Only whole beginnings are removed: nothing from the number ``keep_from`` on, which is the
    first that something unfinished needs, and never the last entry.
    """
    last = await head(connection)
    if last is None:
        return 0
    end = min(last.number, keep_from or last.number)
    rows = await connection.execute(
        text("SELECT number FROM journal WHERE at >= :before ORDER BY number LIMIT 1"),
        {"before": before.isoformat()},
    )
    first_kept = min(end, rows.scalar() or end)
    rows = await connection.execute(
        text("SELECT hash FROM journal WHERE number = :number"), {"number": first_kept - 1}
    )
    pruned_hash = rows.scalar()
    if pruned_hash is None:
        return 0
    gone = await connection.execute(
        text("DELETE FROM journal WHERE number < :number"), {"number": first_kept}
    )
    body = {"pruned_to": first_kept - 1, "hash": str(pruned_hash), "count": gone.rowcount}
    await append(connection, Kind.CHECKPOINT, body, at=at)
    return gone.rowcount


class ChainCheck:
    """Checks entries one after the other, the oldest first; pure.

    Attributes:
        count: Entries so far; ``head``: the hash of the last one.
    """

    def __init__(self) -> None:
        self.count = 0
        self.head = ""
        self._first: Entry | None = None
        self._last: Entry | None = None
        self._checkpoints: dict[int, str] = {0: GENESIS}

    def faults_of(self, entry: Entry) -> Iterator[str]:
        """Yield a sentence for each way in which ``entry`` is changed or out of place."""
        if entry.hash != entry.expected_hash():
            yield f"entry {entry.number} was changed: its hash is not that of what it says"
        last = self._last
        if last is None:
            self._first = entry
        elif entry.number != last.number + 1:
            yield f"between entries {last.number} and {entry.number} some are missing"
        elif entry.previous_hash != last.hash:
            yield f"entry {entry.number} does not follow entry {last.number}"
        if entry.kind is Kind.CHECKPOINT:
            facts = entry.facts()
            self._checkpoints[int(str(facts["pruned_to"]))] = str(facts["hash"])
        self._last, self.head, self.count = entry, entry.hash, self.count + 1

    def faults_of_beginning(self) -> Iterator[str]:
        """Yield a sentence when what came before the first entry is not accounted for."""
        first = self._first
        if first is not None and self._checkpoints.get(first.number - 1) != first.previous_hash:
            yield f"the journal begins at entry {first.number}, and no checkpoint says why"


def faults_in(journal: Iterable[Entry]) -> Iterator[str]:
    """Yield a sentence for each entry that was changed, is missing or is out of place; pure.

    ``journal``: all entries there are, the oldest first.
    """
    check = ChainCheck()
    for entry in journal:
        yield from check.faults_of(entry)
    yield from check.faults_of_beginning()


def _entry(row: RowMapping | Mapping[str, object]) -> Entry:
    return Entry(
        number=int(str(row["number"])),
        at=datetime.fromisoformat(str(row["at"])),
        gateway=str(row["gateway"]),
        kind=Kind(str(row["kind"])),
        body=str(row["body"]),
        previous_hash=str(row["previous_hash"]),
        hash=str(row["hash"]),
    )
