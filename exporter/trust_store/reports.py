"""What is known and wanted of each device, and what of it is yet to be written."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from types import MappingProxyType

from exporter.certificates import Certificate
from exporter.trust_store.merge import merged
from exporter.trust_store.model import Known, Wanted, digest_of
from exporter.trust_store.records import Records

MOST_CERTIFICATES = 4_000
"""Kept of those that were pushed as a whole; 4 MB or so."""

# Where only the moment of receipt has moved: a fleet that reports all day would be a write for
# each device and minute to what may be a flash card. After a crash a report looks older by that.
_QUIET = timedelta(minutes=15)
# A device that comes back after so long begins anew
_GONE = timedelta(days=30)
_NOTHING = Known()


class ReportBook:
    """The last good report of each device, and since when what is wanted of it is wanted.

    What it is told is kept in memory at once; ``take_change`` hands out what is to be written.
    """

    def __init__(self) -> None:
        self._known: dict[str, Known] = {}
        self._wanted: dict[str, Wanted] = {}
        self._since: dict[str, tuple[str, datetime]] = {}
        self._certificates: dict[str, Certificate] = {}
        self._shared: dict[frozenset[str], frozenset[str]] = {}
        self._durable: dict[str, Known] = {}
        self._change = Records()

    @property
    def certificates(self) -> Mapping[str, Certificate]:
        """Anchors that were reported as whole certificates, by SHA-256."""
        return MappingProxyType(self._certificates)

    def known(self, device: str) -> Known:
        """Return what is known of a device."""
        return self._known.get(device, _NOTHING)

    def wanted(self, device: str) -> Wanted | None:
        """Return what is wanted of a device; None: nothing is known to be."""
        return self._wanted.get(device)

    # What it is told

    def take(self, device: str, new: Known) -> bool:
        """Take in what was said of a device; False: it brought nothing."""
        old = self.known(device)
        now_known = merged(old, new)
        if now_known is old:
            return False
        report = now_known.report
        if report is not None and report is not old.report:
            # Of 10,000 devices most trust the same: it is kept once
            anchors = self._shared.setdefault(report.anchors, report.anchors)
            now_known = replace(now_known, report=replace(report, anchors=anchors))
        self._known[device] = now_known
        self._change.known[device] = now_known
        return True

    def want(self, wanted: Mapping[str, frozenset[str]], now: datetime) -> set[str]:
        """Take over what is wanted of each device; return those of which it is another."""
        digests = {anchors: digest_of(anchors) for anchors in set(wanted.values())}
        before, self._wanted = self._wanted, {}
        changed = before.keys() - wanted.keys()
        for device, anchors in wanted.items():
            digest = digests[anchors]
            old = before.get(device)
            since = self._since.get(device)
            if since is None or since[0] != digest:
                since = self._since[device] = self._change.wanted[device] = (digest, now)
            if old is None or old.anchors != anchors or old.since != since[1]:
                old = Wanted(anchors=anchors, since=since[1])
                changed.add(device)
            self._wanted[device] = old
        return changed

    def learn(self, certificates: Iterable[Certificate]) -> bool:
        """Keep whole certificates of anchors; False: all were known, or there is no more room."""
        fresh = {
            one.fingerprint_sha256: one
            for one in certificates
            if one.fingerprint_sha256 not in self._certificates
        }
        room = max(0, MOST_CERTIFICATES - len(self._certificates))
        kept = dict(list(fresh.items())[:room])
        self._certificates |= kept
        self._change.certificates |= kept
        return bool(kept)

    # What becomes durable

    def take_change(self) -> Records:
        """Return what is to be written, and begin a new change."""
        change, self._change = self._change, Records()
        change.known = {
            device: known
            for device, known in change.known.items()
            if _is_worth_writing(self._durable.get(device), known)
        }
        return change

    def put_back(self, change: Records) -> None:
        """Take back what could not be written; what came since goes before it."""
        later = self._change
        self._change = Records(
            known=change.known | later.known,
            wanted=change.wanted | later.wanted,
            certificates=change.certificates | later.certificates,
        )

    def note_written(self, change: Records) -> None:
        """Take note that ``change`` is durable."""
        self._durable.update(change.known)

    def forget(self, keep: Collection[str], now: datetime) -> list[str]:
        """Forget devices outside ``keep`` that were last heard of long ago; return which."""
        gone = [
            device
            for device in self._known.keys() | self._since.keys()
            if device not in keep and now - self._heard_at(device) > _GONE
        ]
        for device in gone:
            for kept in (self._known, self._since, self._durable):
                kept.pop(device, None)
        self._shared = {
            known.report.anchors: known.report.anchors
            for known in self._known.values()
            if known.report is not None
        }
        return gone

    def restore(self, stored: Records) -> None:
        """Take over what the store holds, beside what has come in already.

        ``want`` is to be called once more: something may be wanted for longer than it seemed.
        """
        self._certificates = stored.certificates | self._certificates
        for device, known in stored.known.items():
            self._durable[device] = known
            if known.report is not None:
                self._shared.setdefault(known.report.anchors, known.report.anchors)
            newer = self._known.get(device)
            self._known[device] = known if newer is None else merged(known, newer)
        for device, (digest, since) in stored.wanted.items():
            newer_since = self._since.get(device)
            if newer_since is None or newer_since[0] == digest:
                self._since[device] = (digest, since)

    def _heard_at(self, device: str) -> datetime:
        known, since = self.known(device), self._since.get(device)
        moments = [known.report.received_at] if known.report else []
        moments += [known.word.told_at] if known.word else []
        moments += [since[1]] if since else []
        return max(moments)


def _is_worth_writing(durable: Known | None, known: Known) -> bool:
    if durable is None or durable.report is None or known.report is None:
        return True
    return (
        known.word != durable.word
        or known.report.anchors != durable.report.anchors
        or known.report.received_at - durable.report.received_at >= _QUIET
    )
