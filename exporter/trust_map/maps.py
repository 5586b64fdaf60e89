"""Makes the trust map of the running service when somebody asks for it."""

import asyncio
from collections.abc import Callable, Mapping

from exporter.clock import Clock
from exporter.fleet import FleetSnapshot
from exporter.store import Store
from exporter.trust_map.build import trust_map
from exporter.trust_map.facts import Facts
from exporter.trust_map.history import History
from exporter.trust_map.model import TrustMap
from exporter.verdicts.cache import Judge

_KEPT_S = 10.0
_MOST_VERDICTS = 20_000

SignedBy = Mapping[str, tuple[str, ...]]


class TrustMaps:
    """The latest map, made in a thread, one at a time, and for some seconds the answer to all.

    It has a judge of its own: what would be without a CA must not push the verdicts on what is
    out of the other one's memory.
    """

    def __init__(
        self,
        snapshot: Callable[[], FleetSnapshot],
        signed_by: Callable[[], SignedBy],
        store: Store,
        clock: Clock,
    ) -> None:
        self._snapshot = snapshot
        self._signed_by = signed_by
        self._clock = clock
        self._history = History(store, clock, self._facts)
        self._judge = Judge(_MOST_VERDICTS)
        self._making = asyncio.Lock()
        self._latest: TrustMap | None = None
        self._made_at_s = 0.0

    async def map(self) -> TrustMap:
        """Return the map, at most some seconds old."""
        async with self._making:
            now_s = self._clock.monotonic()
            if self._latest is None or now_s - self._made_at_s >= _KEPT_S:
                self._latest = await asyncio.to_thread(trust_map, self._facts(), self._judge)
                self._made_at_s = now_s
            return self._latest

    async def run(self) -> None:
        """Remember since when what is trusted, until cancelled."""
        await self._history.run()

    def _facts(self) -> Facts:
        snapshot = self._snapshot()
        return Facts(
            at=self._clock.now(),
            targets=snapshot.targets,
            stores=snapshot.stores,
            reported=snapshot.reported,
            certificates=snapshot.certificates,
            since=dict(self._history.since),
            signed_by=self._signed_by(),
        )
