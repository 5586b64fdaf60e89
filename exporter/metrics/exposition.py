"""What a scrape is answered with: text 0.0.4 and OpenMetrics 1.0, plain and gzip."""

import asyncio
import logging
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from exporter.clock import Clock
from exporter.fleet.fleet import Watcher
from exporter.metrics.catalogue import CATALOGUE, HANDING, Filler, Metric
from exporter.metrics.columns import Family, Handed, Work
from exporter.metrics.gzipped import Piece, compress, stream
from exporter.metrics.lines import OF_NO_TARGET
from exporter.metrics.options import SERIES_BUDGET
from exporter.metrics.rows import Rows

log = logging.getLogger(__name__)

BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_EOF = b"# EOF\n"

Shard = tuple[int, int]
"""Number, from 1, and count."""


class LineSource(Protocol):
    """A part that renders its own families, those that the catalogue says it fills."""

    def lines_of(self, family: str) -> Iterable[bytes]:
        """Return the sample lines of the metric ``family``, each ending in a line feed.

        Label values are escaped by ``labels.label_value``.
        """
        ...


class OwnMetrics(Protocol):
    """Who renders the metrics about the exporter itself."""

    def render(self, *, openmetrics: bool) -> bytes:
        """Return whole families with their heads, without the end mark."""
        ...


class Watched(Protocol):
    """Who tells of the targets' changes: the fleet."""

    def watch(self, watcher: Watcher) -> None:
        """Tell ``watcher`` of the state and of all changes."""
        ...


def _no_counts() -> list[int]:
    return [0] * (len(BUCKETS_S) + 1)


@dataclass(slots=True, kw_only=True)
class ExpositionStats:
    """What the exposition counts of itself.

    Attributes:
        duration_counts: Scrapes by the bucket of ``BUCKETS_S``; the last one is all above.
        series_count: In the last whole scrape, without the exporter's own.
        left_out_count: Series left out because of the budget, added up over whole scrapes.
        duplicate_count: Series dropped because another had the same labels.
    """

    duration_counts: list[int] = field(default_factory=_no_counts)
    duration_sum_s: float = 0.0
    series_count: int = 0
    series_budget: int = SERIES_BUDGET
    left_out_count: int = 0
    duplicate_count: int = 0

    def add_duration(self, seconds: float) -> None:
        """Count one scrape."""
        self.duration_counts[bisect_left(BUCKETS_S, seconds)] += 1
        self.duration_sum_s += seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class _Selected:
    """A family, or a part of it; ``slots`` None: the whole."""

    metric: Metric
    family: Family
    slots: Sequence[int] | None


class Exposition:
    """Holds the lines of all families, and joins them when asked to.

    Each target's lines are rendered when its state changes. What a scrape costs does not depend
    on what is wrong: no data, duplicate or failing part can make it fail.
    """

    def __init__(
        self,
        fleet: Watched,
        clock: Clock,
        *,
        sources: Iterable[LineSource] = (),
        own: OwnMetrics | None = None,
        series_budget: int = SERIES_BUDGET,
    ) -> None:
        self._stats = ExpositionStats(series_budget=series_budget)
        self._clock = clock
        self._sources = tuple(sources)
        self._own = own
        self._rows = Rows()
        self._handed = {
            name: Handed() for name, metric in CATALOGUE.items() if metric.filler in HANDING
        }
        self._heads: dict[tuple[str, bool], Piece] = {}
        self._compressing = asyncio.Lock()
        fleet.watch(self._rows)

    @property
    def stats(self) -> ExpositionStats:
        """The counters."""
        self._stats.duplicate_count = self._rows.duplicate_count + sum(
            family.duplicate_count for _, family in self._families()
        )
        return self._stats

    def expose(self, own: OwnMetrics, sources: Iterable[LineSource] = ()) -> None:
        """Add the exporter's own metrics and further sources; before the first scrape."""
        self._own = own
        self._sources = (*self._sources, *sources)

    def limit(self, series_budget: int) -> None:
        """Expose at most ``series_budget`` series from now on, without the exporter's own."""
        self._stats.series_budget = series_budget

    def render(self, *, openmetrics: bool, shard: Shard | None = None) -> list[bytes]:
        """Return the whole exposition in chunks.

        Of a shard: its targets' series; what belongs to no target is in the first one.
        """
        began_s = self._clock.monotonic()
        chunks = [self._own_lines(openmetrics=openmetrics)] if _is_first(shard) else []
        chunks.extend(
            b"".join([part.metric.head(openmetrics=openmetrics), *part.family.cells(part.slots)])
            for part in self._select(shard)
        )
        if openmetrics:
            chunks.append(_EOF)
        self._stats.add_duration(self._clock.monotonic() - began_s)
        return chunks

    async def render_gzip(self, *, openmetrics: bool, shard: Shard | None = None) -> list[bytes]:
        """Return what ``render`` does as one gzip stream; a thread compresses what has changed.

        A second call at the same time waits for the first and has its work for nothing.
        """
        async with self._compressing:
            began_s = self._clock.monotonic()
            parts = list(self._pieces(openmetrics=openmetrics, shard=shard))
            chunks, finished = await asyncio.to_thread(_compress_all, parts)
            for done, piece in finished:
                done(piece)
            self._stats.add_duration(self._clock.monotonic() - began_s)
        return chunks

    def _pieces(self, *, openmetrics: bool, shard: Shard | None) -> Iterator[Piece | Work]:
        if _is_first(shard):
            yield _once([self._own_lines(openmetrics=openmetrics)])
        for part in self._select(shard):
            yield self._head(part.metric, openmetrics=openmetrics)
            if part.slots is None:
                yield from part.family.pieces()
            else:
                yield _once(part.family.cells(part.slots))
        if openmetrics:
            yield _once([_EOF])

    def _head(self, metric: Metric, *, openmetrics: bool) -> Piece:
        key = (metric.name, openmetrics)
        if key not in self._heads:
            self._heads[key] = compress(metric.head(openmetrics=openmetrics), 6)
        return self._heads[key]

    def _own_lines(self, *, openmetrics: bool) -> bytes:
        if self._own is None:
            return b""
        try:
            return self._own.render(openmetrics=openmetrics)
        except Exception:
            log.exception("the exporter's own metrics are left out of this scrape")
            return b""

    def _select(self, shard: Shard | None) -> list[_Selected]:
        """Return what is exposed, in order, within the budget."""
        self._ask_sources()
        left = self._stats.series_budget
        count = left_out_count = 0
        selected = []
        for metric, family in self._families():
            slots: Sequence[int] | None = None
            if family.series_count > left:
                slots = range(family.slots_within(left))
                left = sum(cell.count(b"\n") for cell in family.cells(slots))
                left_out_count += family.series_count - left
                count += left
                left = 0
            else:
                count += family.series_count
                left -= family.series_count
            slots = self._of_shard(metric, slots, shard)
            if family.series_count if slots is None else any(family.cells(slots)):
                selected.append(_Selected(metric=metric, family=family, slots=slots))
        if _is_first(shard):
            self._stats.series_count = count
            self._stats.left_out_count += left_out_count
        return selected

    def _families(self) -> Iterator[tuple[Metric, Family]]:
        for name, metric in CATALOGUE.items():
            if metric.filler is Filler.FLEET:
                yield metric, self._rows.columns[name]
            elif metric.filler in HANDING:
                yield metric, self._handed[name]

    def _of_shard(
        self, metric: Metric, slots: Sequence[int] | None, shard: Shard | None
    ) -> Sequence[int] | None:
        if shard is None:
            return slots
        if metric.filler is not Filler.FLEET or metric.name in OF_NO_TARGET:
            return slots if _is_first(shard) else ()
        own = self._rows.slots.of_shard(*shard)
        return own if slots is None else own[: bisect_left(own, len(slots))]

    def _ask_sources(self) -> None:
        for name, handed in self._handed.items():
            lines: list[bytes] = []
            try:
                for source in self._sources:
                    lines.extend(source.lines_of(name))
            except Exception:
                log.exception("a source of metrics failed; its last lines stay family=%s", name)
            else:
                handed.set(lines)


def _is_first(shard: Shard | None) -> bool:
    return shard is None or shard[0] == 1


def _once(cells: Sequence[bytes]) -> Work:
    return Work(cells=cells, level=1, done=_forget)


def _forget(_: Piece) -> None:
    """Keep nothing of a piece that is made anew at each scrape."""


def _compress_all(
    parts: Iterable[Piece | Work],
) -> tuple[list[bytes], list[tuple[Callable[[Piece], None], Piece]]]:
    """Return the stream, and for each work that was done whom to tell its result."""
    pieces: list[Piece] = []
    finished = []
    for part in parts:
        if isinstance(part, Work):
            piece = compress(b"".join(part.cells), part.level)
            finished.append((part.done, piece))
            pieces.append(piece)
        else:
            pieces.append(part)
    return stream(pieces), finished
