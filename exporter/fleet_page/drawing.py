"""Geometry of what is drawn on the server: sparklines and the expiry timeline; pure."""

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from operator import attrgetter

from exporter.fleet import FleetSnapshot
from exporter.fleet_page.history import Sample, rates_of
from exporter.targets.model import Role

# Sparkline

BARS = 60
BAR_WIDTH = 3
SPARK_HEIGHT = 28


@dataclass(frozen=True, slots=True, kw_only=True)
class Sparkline:
    """Handshakes of one gateway over time.

    Attributes:
        good_path: Of an SVG ``path``; empty when there were none.
        axis_y: Good ones stand on it, bad ones hang from it, on the same scale.
        minutes: How far back it goes.
    """

    good_path: str
    bad_path: str
    axis_y: int
    good_count: int
    bad_count: int
    minutes: int


def sparkline_of(samples: Sequence[Sample]) -> Sparkline | None:
    """Return the sparkline; None: there is no time between two samples yet."""
    rates = rates_of(samples)
    if not rates:
        return None
    # Of a young history each bar is a sample, of a full one a minute
    each = -(-len(rates) // BARS)
    groups = [rates[max(0, end - each) : end] for end in range(len(rates), 0, -each)]
    good = [sum(rate[1] for rate in group) for group in groups]
    bad = [sum(rate[2] for rate in group) for group in groups]
    axis_y = SPARK_HEIGHT // 2 if any(bad) else SPARK_HEIGHT - 1
    scale = (axis_y - 1) / max(1, *good, *bad)
    return Sparkline(
        good_path=_bars(good, axis_y=axis_y, scale=-scale),
        bad_path=_bars(bad, axis_y=axis_y + 1, scale=scale),
        axis_y=axis_y,
        good_count=sum(good),
        bad_count=sum(bad),
        minutes=max(1, round((samples[-1].at - samples[0].at).total_seconds() / 60)),
    )


def _bars(newest_first: Sequence[int], *, axis_y: int, scale: float) -> str:
    parts = []
    for back, count in enumerate(newest_first):
        if count:
            # At least a pixel: one failure among thousands is to be seen
            height = math.copysign(max(1.0, abs(scale) * count), scale)
            left = (BARS - 1 - back) * BAR_WIDTH
            parts.append(f"M{left} {axis_y}v{height:.1f}h{BAR_WIDTH - 1}V{axis_y}z")
    return "".join(parts)


# Timeline


class Lane(StrEnum):
    """What ends."""

    GATEWAYS = "gateways"
    INTERMEDIATES = "intermediates"
    ANCHORS = "trust anchors"
    DEVICES = "device endpoints"
    CLIENTS = "client certificates"


@dataclass(slots=True, kw_only=True)
class End:
    """One certificate's end.

    Attributes:
        holder: Of those who have it, the first.
        holder_count: How many have it.
    """

    lane: Lane
    at: datetime
    subject: str
    holder: str
    holder_count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Ends that lie together on the drawing.

    Attributes:
        x: Of its middle.
        level: ``bad``, ``warn`` or ``good``, by the earliest.
        label: What stands beside it; empty where there is no room.
    """

    lane: Lane
    x: float
    y: int
    radius: float
    level: str
    count: int
    title: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A line across all lanes."""

    x: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """The drawing, and the same in words.

    Attributes:
        lanes: Their names with the y of their middle.
        nearest: The first to end, those that have ended before all.
    """

    width: int
    height: int
    lanes: tuple[tuple[str, int], ...]
    ticks: tuple[Tick, ...]
    marks: tuple[Mark, ...]
    nearest: tuple[End, ...]


WIDTH = 720
_LEFT = 130
_TOP = 22
_LANE = 34
_NEAREST = 6
_MERGED = 9.0  # px
_LABEL = 20  # letters
_LETTER = 6.2  # px
# Days to parts of the width: what is near has the most room
_SCALE = ((-30.0, 0.0), (0.0, 0.1), (7.0, 0.24), (14.0, 0.34), (30.0, 0.48), (90.0, 0.66),
          (365.0, 0.83), (3650.0, 1.0))  # fmt: skip
_DAYS = [days for days, _ in _SCALE]
_TICKS = {0.0: "now", 7.0: "7 d", 14.0: "14 d", 30.0: "30 d", 90.0: "90 d", 365.0: "1 y",
          3650.0: "10 y"}  # fmt: skip


def ends_of(snapshot: FleetSnapshot, clients: Mapping[str, datetime]) -> tuple[End, ...]:
    """Return the end of every certificate that is known, each once in each lane.

    ``clients`` has the end of each device's own certificate, as gateways' logs tell it.
    """
    found: dict[Lane, dict[str, End]] = {lane: {} for lane in Lane}

    def add(lane: Lane, key: str, at: datetime, subject: str, holder: str) -> None:
        known = found[lane].get(key)
        if known is None:
            found[lane][key] = End(lane=lane, at=at, subject=subject, holder=holder)
        else:
            known.holder_count += 1

    for name, state in snapshot.targets.items():
        is_gateway = state.target.role is Role.GATEWAY
        for position, one in enumerate(state.chain):
            leaf = Lane.GATEWAYS if is_gateway else Lane.DEVICES
            lane = Lane.INTERMEDIATES if position else leaf
            add(lane, one.fingerprint_sha256, one.not_after, one.subject_cn or one.subject, name)
    for store in snapshot.stores.values():
        for one in store.anchors:
            text = one.subject_cn or one.subject
            add(Lane.ANCHORS, one.fingerprint_sha256, one.not_after, text, store.name)
    for device, at in clients.items():
        add(Lane.CLIENTS, device, at, device, device)
    every = (end for of_lane in found.values() for end in of_lane.values())
    return tuple(sorted(every, key=attrgetter("at")))


def timeline_of(ends: Iterable[End], now: datetime) -> Timeline:
    """Return the drawing of ``ends``, which are in order."""
    kept = list(ends)
    by_lane: dict[Lane, list[End]] = {}
    for end in kept:
        by_lane.setdefault(end.lane, []).append(end)
    used = [lane for lane in Lane if lane in by_lane]
    lanes = tuple(
        (lane.value, _TOP + _LANE * number + _LANE // 2) for number, lane in enumerate(used)
    )
    marks = [
        mark
        for (_, y), lane in zip(lanes, used, strict=True)
        for mark in _marks(by_lane[lane], lane, y, now)
    ]
    return Timeline(
        width=WIDTH,
        height=_TOP + _LANE * len(lanes) + 4,
        lanes=lanes,
        ticks=tuple(Tick(x=_x_of_days(days), label=label) for days, label in _TICKS.items()),
        marks=tuple(marks),
        nearest=_nearest(kept),
    )


def _nearest(ends: Iterable[End]) -> tuple[End, ...]:
    """Return the first to end; what ends on one day in one lane is one line."""
    days: dict[tuple[Lane, date], list[End]] = {}
    for end in ends:
        day = (end.lane, end.at.date())
        if day not in days and len(days) == _NEAREST:
            continue  # later ones may still be of a day that is there, in the same lane
        days.setdefault(day, []).append(end)
    return tuple(
        replace(group[0], holder_count=sum(end.holder_count for end in group))
        for group in days.values()
    )


def _marks(ends: Sequence[End], lane: Lane, y: int, now: datetime) -> Iterable[Mark]:
    """Return the marks of one lane; what would cover each other becomes one."""
    groups: list[list[End]] = []
    left = -_MERGED
    for end in ends:
        x = _x_of(end.at, now)
        if not groups or x - left > _MERGED:
            groups.append([])
            left = x
        groups[-1].append(end)
    marks = [_mark(group, lane, y, now) for group in groups]
    edges = [mark.x - mark.radius for mark in marks[1:]] + [WIDTH]
    return [
        mark if mark.x + mark.radius + 8 + _LETTER * len(mark.label) < edge else _silent(mark)
        for mark, edge in zip(marks, edges, strict=True)
    ]


def _silent(mark: Mark) -> Mark:
    return replace(mark, label=f"{mark.count:,}" if mark.count > 1 else "")


def _mark(group: Sequence[End], lane: Lane, y: int, now: datetime) -> Mark:
    count = sum(end.holder_count for end in group) if lane is Lane.DEVICES else len(group)
    first = group[0]
    more = f" and {count - 1} more" if count > 1 else ""
    return Mark(
        lane=lane,
        x=round((_x_of(first.at, now) + _x_of(group[-1].at, now)) / 2, 1),
        y=y,
        radius=round(min(10.0, 4.0 + 1.5 * math.log10(count)), 1),
        level=level_of(first.at, now),
        count=count,
        label=f"{_short_of(first)}{f' and {count - 1:,} more' if count > 1 else ''}",
        title=f"{first.subject} ({first.holder}) {first.at:%Y-%m-%d %H:%M}{more}",
    )


def _short_of(end: End) -> str:
    text = end.holder if end.lane is Lane.GATEWAYS else end.subject
    return text if len(text) <= _LABEL else f"{text[: _LABEL - 1]}…"


def level_of(end: datetime, now: datetime) -> str:
    """Return ``bad``, ``warn`` or ``good``."""
    left = end - now
    if left < timedelta(days=7):
        return "bad"
    return "warn" if left < timedelta(days=30) else "good"


def _x_of(end: datetime, now: datetime) -> float:
    return _x_of_days((end - now).total_seconds() / 86_400)


def _x_of_days(days: float) -> float:
    days = min(max(days, _DAYS[0]), _DAYS[-1])
    upper = max(1, bisect_left(_DAYS, days))
    (low, low_part), (high, high_part) = _SCALE[upper - 1], _SCALE[upper]
    part = low_part + (high_part - low_part) * (days - low) / (high - low)
    return round(_LEFT + part * (WIDTH - _LEFT - 20), 1)
