"""Remembers since when each device class is known to trust each CA."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType

from sqlalchemy import text

from exporter.clock import Clock, every
from exporter.errors import StoreError
from exporter.store import Store
from exporter.trust_map.facts import Facts, Pair, holders_of, known_certificates

log = logging.getLogger(__name__)

FORGET = timedelta(days=1)
"""What no device of a class was known to trust for so long begins anew when it comes back. Less
would take a restart, or an API that is away for an hour, for a removal."""
MOST_PAIRS = 20_000

_INTERVAL_S = 60.0


class History:
    """The first moment at which a class was known to trust a CA, durable.

    Nothing is forgotten of a class while nobody can say what its devices trust.
    """

    def __init__(self, store: Store, clock: Clock, facts: Callable[[], Facts]) -> None:
        self._store = store
        self._clock = clock
        self._facts = facts
        self._since: dict[Pair, datetime] = {}
        self._missing_since: dict[Pair, datetime] = {}
        self._is_loaded = False
        self._fault = ""

    @property
    def since(self) -> Mapping[Pair, datetime]:
        """As far as it is known; of what is younger than a minute nothing is."""
        return MappingProxyType(self._since)

    async def run(self) -> None:
        """Note what changes until cancelled."""
        try:
            await self._clock.sleep(_INTERVAL_S)  # reports come in first
            await every(_INTERVAL_S, self.tick, self._clock)
        finally:
            await self._store.close()

    async def tick(self) -> None:
        """Note what is trusted now; a store that cannot be used is tried again next time."""
        pairs = await asyncio.to_thread(trusted_pairs, self._facts())
        if not pairs and not self._is_loaded:
            return  # a fleet of which nothing is known needs no file
        try:
            await self._note(pairs)
        except StoreError as exc:
            if str(exc) != self._fault:
                log.warning("since when CAs are trusted is not noted: %s", exc)
            self._fault = str(exc)
        else:
            self._fault = ""

    async def _note(self, pairs: frozenset[Pair]) -> None:
        if not self._is_loaded:
            await self._load()
        now = self._clock.now()
        fresh = dict.fromkeys(sorted(pairs - self._since.keys())[: self._room], now)
        gone = self._gone(pairs, now)
        if not fresh and not gone:
            return
        async with self._store.writing() as connection:
            for statement, rows in (
                (_ADD, [_row(pair) | {"since": at.isoformat()} for pair, at in fresh.items()]),
                (_REMOVE, [_row(pair) for pair in gone]),
            ):
                if rows:
                    await connection.execute(text(statement), rows)
        self._since |= fresh
        for pair in gone:
            del self._since[pair]
            del self._missing_since[pair]

    @property
    def _room(self) -> int:
        return max(0, MOST_PAIRS - len(self._since))

    def _gone(self, pairs: frozenset[Pair], now: datetime) -> list[Pair]:
        known_classes = {device_class for device_class, _ in pairs}
        absent = {pair for pair in self._since.keys() - pairs if pair[0] in known_classes}
        self._missing_since = {pair: self._missing_since.get(pair, now) for pair in absent}
        return [pair for pair, at in self._missing_since.items() if now - at >= FORGET]

    async def _load(self) -> None:
        await self._store.open()
        async with self._store.reading() as connection:
            rows = await connection.execute(
                text("SELECT device_class, anchor, since FROM trust_since")
            )
            for device_class, anchor, since in rows:
                self._since[device_class, anchor] = datetime.fromisoformat(since)
        self._is_loaded = True


def trusted_pairs(facts: Facts) -> frozenset[Pair]:
    """Return which class trusts which CA, as far as it is known of any of its devices."""
    certificates = known_certificates(facts)
    alike = {(one.device_class, one.anchors) for one in holders_of(facts, certificates)}
    return frozenset((name, anchor) for name, anchors in alike for anchor in anchors)


def _row(pair: Pair) -> dict[str, str]:
    return {"device_class": pair[0], "anchor": pair[1]}


_ADD = (
    "INSERT INTO trust_since (device_class, anchor, since)"
    " VALUES (:device_class, :anchor, :since)"
    " ON CONFLICT (device_class, anchor) DO NOTHING"
)
_REMOVE = "DELETE FROM trust_since WHERE device_class = :device_class AND anchor = :anchor"
