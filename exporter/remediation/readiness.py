"""Whether a gateway could be rolled back at this moment: by evidence and a rehearsal; pure.

Only yes is ready. What is not known, was not rehearsed, or failed is no, with the reason.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from exporter.durations import format_duration
from exporter.modes import Mode
from exporter.remediation.model import Answer, Evidence, PreviousVersion
from exporter.remediation.options import Options
from exporter.remediation.refusals import why_no_way_back
from exporter.wording import listed

_NAMED = 6
_SLACK = timedelta(hours=1)
_AGAIN = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsed:
    """What came of serving a version on the gateway's second port.

    Attributes:
        fingerprint: Of the version's leaf.
        fault: Why it did not show the whole version by every way; empty: it did.
    """

    gateway: str
    version: int
    fingerprint: str
    at: datetime
    fault: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """Whether a gateway could be rolled back.

    Attributes:
        reason: Everything that speaks against it; empty exactly when it is ready.
        served_version: That it serves now; None: it is none of the API's, or it is not known.
        version: That it would go back to; None: there is none, or it is not known.
        accepting_count: Devices that accept it, of ``device_count``.
        rehearsed_at: When that version was last served on the second port, with success or not.
    """

    gateway: str
    is_ready: bool
    reason: str
    served_version: int | None
    version: int | None
    accepting_count: int
    device_count: int
    checked_at: datetime
    rehearsed_at: datetime | None

    @property
    def is_first(self) -> bool:
        """Whether the first version is served, so that there is nothing to undo."""
        return self.served_version == 1 and self.version is None


def readiness_of(
    evidence: Evidence, rehearsed: Rehearsed | None, options: Options, *, now: datetime
) -> Readiness:
    """Return whether ``evidence.gateway`` could go back, and all that speaks against it."""
    previous = _previous(evidence)
    last = rehearsed if _is_about(rehearsed, previous) else None
    faults = [*why_no_way_back(evidence, options, now=now).values(), *_unaccepted(evidence)]
    if previous is not None:
        faults.extend(_unrehearsed(previous, last, options, now))
    return Readiness(
        gateway=evidence.gateway,
        is_ready=not faults and previous is not None,
        reason="; ".join(faults),
        served_version=evidence.versions.current if evidence.versions is not None else None,
        version=previous.number if previous is not None else None,
        accepting_count=len(_names(evidence)[Answer.YES]),
        device_count=len(evidence.devices),
        checked_at=now,
        rehearsed_at=last.at if last is not None else None,
    )


def is_rehearsal_due(
    evidence: Evidence, rehearsed: Rehearsed | None, options: Options, *, now: datetime
) -> bool:
    """Return whether the previous version should be served on the second port by itself."""
    previous = _previous(evidence)
    if previous is None or not options.rehearsal_interval or why_not_now(evidence, options):
        return False
    if why_no_way_back(evidence, options, now=now):
        return False  # it would show nothing that is not known
    if rehearsed is None or not _is_about(rehearsed, previous):
        return True
    interval = timedelta(seconds=options.rehearsal_interval)
    pause = min(interval, _AGAIN) if rehearsed.fault else interval
    return not rehearsed.at <= now < rehearsed.at + pause  # also when our clock went back


def why_not_now(evidence: Evidence, options: Options) -> str:
    """Return why nothing may be rehearsed at this moment, by nobody; empty: it may."""
    if options.mode is Mode.DISABLED:
        return "remediation is switched off"
    if evidence.is_killed is not False:
        return "the kill switch is on, or it is not known whether it is"
    if evidence.is_in_progress is not False:
        return "an action on it is under way"
    if evidence.is_rotation_in_charge is not False:
        return "a rotation is in charge, and may need the second port itself"
    return ""


def _previous(evidence: Evidence) -> PreviousVersion | None:
    return evidence.versions.previous if evidence.versions is not None else None


def _is_about(rehearsed: Rehearsed | None, previous: PreviousVersion | None) -> bool:
    return (
        rehearsed is not None
        and previous is not None
        and (rehearsed.version, rehearsed.fingerprint) == (previous.number, previous.fingerprint)
    )


def _names(evidence: Evidence) -> Mapping[Answer, list[str]]:
    found: dict[Answer, list[str]] = {answer: [] for answer in Answer}
    for device in evidence.devices:
        found[device.accepts_previous.answer].append(device.device)
    return found


def _unaccepted(evidence: Evidence) -> Iterator[str]:
    """Yield what the devices' stores say against it; nobody is no yes either."""
    if evidence.versions is None or evidence.versions.previous is None:
        return
    names, total = _names(evidence), len(evidence.devices)
    if not total:
        yield "no device behind it is in the inventory, so nobody is known to accept it"
    if names[Answer.NO]:
        out = names[Answer.NO]
        yield f"{len(out)} of {total} devices would not accept it: {listed(out, _NAMED)}"
    if names[Answer.UNKNOWN]:
        unknown = names[Answer.UNKNOWN]
        yield (
            f"of {len(unknown)} of {total} devices it is not known whether they would accept it:"
            f" {listed(unknown, _NAMED)}"
        )


def _unrehearsed(
    previous: PreviousVersion, last: Rehearsed | None, options: Options, now: datetime
) -> Iterator[str]:
    if last is None:
        yield f"version {previous.number} was never served on the second port"
        return
    if last.fault:
        yield f"its rehearsal at {last.at:%Y-%m-%d %H:%M} UTC failed: {last.fault}"
        return
    interval_s = options.rehearsal_interval
    if interval_s and now - last.at > timedelta(seconds=2 * interval_s) + _SLACK:
        yield (
            f"it was last rehearsed at {last.at:%Y-%m-%d %H:%M} UTC, and should be every"
            f" {format_duration(interval_s)}"
        )
