"""What is in the way of a rotation, gathered so that ten thousand can be read; pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from exporter.rotation.blockers import Blocker, BlockReason, Subject

_NAMES = 12
_SAYINGS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Saying:
    """What would unblock some, who they are, and when it is to be expected at the earliest."""

    unblocks: str
    names: tuple[str, ...]
    count: int
    expected_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """All that is in the way for one reason.

    Attributes:
        since: The earliest; None: not known.
        sayings: The most common first; ``more_count`` are told by none of them.
    """

    reason: BlockReason
    subject: Subject
    count: int
    since: datetime | None
    sayings: tuple[Saying, ...]
    more_count: int


def obstacles_of(blockers: Sequence[Blocker]) -> Iterator[Obstacle]:
    """Yield what is in the way by reason, in the gate's own order."""
    groups: dict[tuple[Subject, BlockReason], list[Blocker]] = {}
    for one in blockers:
        groups.setdefault((one.subject, one.reason), []).append(one)
    for (subject, reason), found in groups.items():
        if reason is BlockReason.AWAITING_APPROVAL and len(groups) > 1:
            continue  # a yes now would open nothing: what is in the way comes first
        sayings = _sayings(found)
        yield Obstacle(
            reason=reason,
            subject=subject,
            count=len(found),
            since=min((one.since for one in found if one.since), default=None),
            sayings=tuple(sayings[:_SAYINGS]),
            more_count=sum(one.count for one in sayings[_SAYINGS:]),
        )


def _sayings(found: Iterable[Blocker]) -> list[Saying]:
    by_words: dict[str, list[Blocker]] = {}
    for one in found:
        by_words.setdefault(one.unblocks, []).append(one)
    sayings = [
        Saying(
            unblocks=words,
            names=tuple(one.name for one in alike[:_NAMES]),
            count=len(alike),
            expected_at=min((one.expected_at for one in alike if one.expected_at), default=None),
        )
        for words, alike in by_words.items()
    ]
    return sorted(sayings, key=lambda one: -one.count)
