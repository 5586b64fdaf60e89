"""What a platform or a device says becomes what we know, or is refused; pure."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import overload

from exporter.certificates import printable
from exporter.gateway.messages import DeviceTrustStore
from exporter.observations import TrustReport
from exporter.trust_store.compare import FUTURE
from exporter.trust_store.model import Known, Word

MOST_ANCHORS = 1_000
"""Of one device; the largest stores in use hold about 150."""

_ERROR_CHARS = 200
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
# Below that, another clock is as right as ours; beyond, it is wrong and said so by its own answers
_OFFSET_S = 60.0


class Ignored(StrEnum):
    """Why an entry of a platform's answer was not taken."""

    UNKNOWN_DEVICE = "unknown_device"
    """No device of the inventory."""
    OTHER_API = "other_api"
    """A device that another management API speaks for."""
    FUTURE = "future"
    """Received in the future."""
    NO_TIME = "no_time"
    """It says neither when it was received nor a possible moment of writing."""
    TOO_MANY_ANCHORS = "too_many_anchors"


def known_of(entry: DeviceTrustStore, *, offset_s: float | None, now: datetime) -> Known | Ignored:
    """Return what ``entry`` says, in our time; ``offset_s`` is our clock minus the platform's.

    A report without a moment of receipt was received when it was written, if that is possible.
    """
    word = Word(
        status=entry.status,
        told_at=now,
        error=printable((entry.error or "")[:_ERROR_CHARS]),
    )
    if entry.anchors is None:
        return Known(word=word)
    if len(entry.anchors) > MOST_ANCHORS:
        return Ignored.TOO_MANY_ANCHORS
    received_at, reported_at = in_utc(entry.received_at), in_utc(entry.reported_at)
    if received_at is None:
        if reported_at is None or reported_at > now + FUTURE:
            return Ignored.NO_TIME
        received_at = reported_at
    elif offset_s is not None and abs(offset_s) > _OFFSET_S:
        received_at = _shifted(received_at, offset_s)
    if received_at > now + FUTURE:
        return Ignored.FUTURE
    report = TrustReport(
        device=entry.device_id,
        anchors=frozenset(entry.anchors),
        reported_at=reported_at or received_at,
        received_at=received_at,
    )
    return Known(report=report, word=word)


@overload
def in_utc(at: datetime) -> datetime: ...
@overload
def in_utc(at: None) -> None: ...
def in_utc(at: datetime | None) -> datetime | None:
    """Return the moment in UTC; at the ends of the calendar the last one that there is."""
    if at is None:
        return None
    try:
        return at.astimezone(UTC)
    except OverflowError:
        return _FIRST if at.year == 1 else _LAST


def _shifted(at: datetime, by_s: float) -> datetime:
    try:
        return at + timedelta(seconds=by_s)
    except OverflowError:
        return at


def merged(old: Known, new: Known) -> Known:
    """Return what is known after ``new``; ``old`` itself when it brings nothing.

    Of two reports the one received later counts, in whatever order and however often they come.
    A report that was pushed leaves nothing of what the platform said before it.
    """
    report = _later(old.report, new.report)
    word = old.word
    if new.word is not None:
        if word is None or (word.status, word.error) != (new.word.status, new.word.error):
            word = new.word
    elif report is not old.report:
        word = None
    if report is old.report and word is old.word:
        return old
    return Known(report=report, word=word)


def _later(old: TrustReport | None, new: TrustReport | None) -> TrustReport | None:
    if old is None or new is None:
        return old or new
    return new if _order(new) > _order(old) else old


def _order(report: TrustReport) -> tuple[datetime, datetime, list[str]]:
    return report.received_at, report.reported_at, sorted(report.anchors)
