"""What devices reported that they trust, beside what they are to trust, in words; pure."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from exporter.certificates import Certificate
from exporter.trust_store.model import Standing, SyncState

SYNC_WORDS: Mapping[SyncState, str] = {
    SyncState.SYNCED: "hold what is wanted",
    SyncState.PENDING: "do not yet",
    SyncState.FAILED: "failed",
    SyncState.STALE: "reported too long ago",
    SyncState.NEVER_REPORTED: "never reported",
}
"""Of devices, by their reports."""
SYNC_LEVELS: Mapping[SyncState, str] = {
    SyncState.SYNCED: "good",
    SyncState.PENDING: "awaited",
    SyncState.FAILED: "refuses",
    SyncState.STALE: "silent",
    SyncState.NEVER_REPORTED: "unknown",
}
"""The shape and colour of each: those of a device's standing."""
_SAYS: Mapping[SyncState | None, str] = {
    SyncState.SYNCED: "It holds what is wanted of it.",
    SyncState.PENDING: "It does not hold yet what is wanted of it.",
    SyncState.FAILED: "Its platform says that the update failed.",
    SyncState.STALE: "Its report is too old: what it trusts now is not known.",
    SyncState.NEVER_REPORTED: "It never reported: what it trusts is not known from itself.",
    None: "It reported, and nothing is known to be wanted of it.",
}
_LISTED = 20


def sync_counts(standings: Mapping[str, Standing], *, is_polled: bool) -> Mapping[SyncState, int]:
    """Return how many devices are in each state; none where nobody reports at all."""
    known = [one.known for one in standings.values()]
    if not is_polled and not any(one.report or one.word for one in known):
        return {}
    counts = Counter(one.state for one in standings.values())
    return {state: counts[state] for state in SyncState if counts[state]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchors:
    """Anchors of one kind, by name where their certificate is known, else by SHA-256.

    Attributes:
        left_count: Those that are not named.
    """

    title: str
    names: tuple[str, ...]
    left_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustView:
    """One device's report.

    Attributes:
        shape: Of the state, as in ``SYNC_LEVELS``.
        platform: What its platform says, in words; empty: nothing.
    """

    sentence: str
    shape: str
    reported_at: datetime | None
    received_at: datetime | None
    wanted_since: datetime | None
    platform: str
    anchors: tuple[Anchors, ...]


def trust_view(
    standing: Standing | None, certificate: Callable[[str], Certificate | None]
) -> TrustView | None:
    """Return what is to be told; None where nothing was ever reported or said of the device.

    ``certificate`` finds an anchor by its SHA-256.
    """
    if standing is None or not (standing.known.report or standing.known.word):
        return None
    report, word, difference = standing.known.report, standing.known.word, standing.difference
    kinds = (
        ("reported", report.anchors if report else ()),
        ("missing", difference.missing if difference else ()),
        ("more than wanted", difference.extra if difference else ()),
        ("over", difference.expired if difference else ()),
        ("over soon", difference.expiring if difference else ()),
    )
    return TrustView(
        sentence=_SAYS[standing.state],
        shape=SYNC_LEVELS[standing.state] if standing.state else "unknown",
        reported_at=report.reported_at if report else None,
        received_at=report.received_at if report else None,
        wanted_since=standing.wanted.since if standing.wanted else None,
        platform=f"{word.status.value}{f': {word.error}' if word.error else ''}" if word else "",
        anchors=tuple(
            _anchors(title, sorted(found), certificate) for title, found in kinds if found
        ),
    )


def _anchors(
    title: str, found: Iterable[str], certificate: Callable[[str], Certificate | None]
) -> Anchors:
    known = list(found)
    names = []
    for fingerprint in known[:_LISTED]:
        one = certificate(fingerprint)
        text = one.subject_cn or one.subject if one else ""
        names.append(f"{text} ({fingerprint[:8]})" if text else f"SHA-256 {fingerprint[:16]}")
    return Anchors(title=title, names=tuple(names), left_count=len(known) - len(names))
