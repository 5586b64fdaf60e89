"""How a device stands to its gateway: the worst that is known; unknown is never good; pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from exporter.fleet import TargetState
from exporter.handshake_log.counts import Tally
from exporter.observations import Reason, RejectedBy
from exporter.report import outcome_of


class Standing(StrEnum):
    """What is to be said of a device first; the order of definition is that of urgency."""

    REFUSES = "refuses"
    WOULD_REFUSE = "would_refuse"
    REFUSED = "refused"
    FAILING = "failing"
    OWN_FAULT = "own_fault"
    SILENT = "silent"
    AWAITED = "awaited"
    UNKNOWN = "unknown"
    GOOD = "good"


STANDING_WORDS: Mapping[Standing, tuple[str, str]] = {
    Standing.REFUSES: ("refuses", "refuse"),
    Standing.WOULD_REFUSE: ("would refuse", "would refuse"),
    Standing.REFUSED: ("is refused", "are refused"),
    Standing.FAILING: ("fails", "fail"),
    Standing.OWN_FAULT: ("own endpoint is bad", "own endpoints are bad"),
    Standing.SILENT: ("silent", "silent"),
    Standing.AWAITED: ("not back yet", "not back yet"),
    Standing.UNKNOWN: ("unknown", "unknown"),
    Standing.GOOD: ("accepts", "accept"),
}
"""For one device, and for many."""

STANDING_MEANING: Mapping[Standing, str] = {
    Standing.REFUSES: "the device refused its gateway in its latest full handshake",
    Standing.WOULD_REFUSE: "what the gateway serves now leads to nothing that the device trusts",
    Standing.REFUSED: "the gateway refused the device's own certificate",
    Standing.FAILING: "the latest full handshake failed, and it is not known who refused",
    Standing.OWN_FAULT: "a look at the device's own endpoint brought bad news",
    Standing.SILENT: "not heard of for longer than two contact intervals",
    Standing.AWAITED: "it refused what was served before, and has not tried what is served now",
    Standing.UNKNOWN: "something that would be needed to call it good is not known",
    Standing.GOOD: "it accepts what its gateway serves; nothing speaks against it",
}


def standing_words(standing: Standing, count: int = 1) -> str:
    """Return what is said of ``count`` devices that stand so."""
    return STANDING_WORDS[standing][count != 1]


class Missing(StrEnum):
    """What is not known of a device that would be needed to call it good."""

    NO_GATEWAY = "no_gateway"
    SERVED_UNKNOWN = "served_unknown"
    TRUST_UNKNOWN = "trust_unknown"
    NEVER_HEARD = "never_heard"
    NOT_LOOKED_AT = "not_looked_at"


MISSING_WORDS: Mapping[Missing, str] = {
    Missing.NO_GATEWAY: "nothing says which gateway is theirs",
    Missing.SERVED_UNKNOWN: "what their gateway serves now is not known",
    Missing.TRUST_UNKNOWN: "what they trust is not known",
    Missing.NEVER_HEARD: "they were never heard of",
    Missing.NOT_LOOKED_AT: "no recent look at their own endpoint",
}
MISSING_ADVICE: Mapping[Missing, str] = {
    Missing.NO_GATEWAY: "Write the device's gateway into the inventory.",
    Missing.SERVED_UNKNOWN: "See the gateway itself: it was not looked at, or does not answer.",
    Missing.TRUST_UNKNOWN: "Write what the device or its class holds, or let it report its store;"
    " where it reported, add the certificates of its anchors to trust_stores.",
    Missing.NEVER_HEARD: "Look whether it is switched on, and whether its peers are written down.",
    Missing.NOT_LOOKED_AT: "Wait for the next look; else see the exporter's own metrics.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One device at one gateway.

    Attributes:
        gateway: None: the device has none.
        reason: A ``Reason`` or a ``Missing``; empty where there is nothing to explain.
        since: Since when it stands so; None: not known.
        heard_at: The latest full handshake that a log told of, whatever its outcome.
    """

    gateway: str | None
    device: str
    standing: Standing
    reason: str = ""
    since: datetime | None = None
    heard_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What is known of a gateway that its devices are judged by.

    Attributes:
        served_since: When the chain it serves now was first seen; None: it serves none now, as
            far as is known.
        changed_at: The same where another chain was seen before; None: no change was seen.
        tells_success: A log tells of its successful handshakes: silence means something.
    """

    served_since: datetime | None = None
    changed_at: datetime | None = None
    tells_success: bool = False


# As the alert has it by default: two contact intervals, and no silence is shorter than this
_SILENT_INTERVALS = 2
_LEAST_SILENCE_S = 300.0

_REFUSALS: Mapping[RejectedBy, Standing] = {
    RejectedBy.DEVICE: Standing.REFUSES,
    RejectedBy.GATEWAY: Standing.REFUSED,
    RejectedBy.UNKNOWN: Standing.FAILING,
}
_Found = tuple[Standing, str, datetime | None]


def cell_of(
    gateway: str | None,
    state: TargetState,
    tally: Tally | None,
    around: Surroundings,
    now: datetime,
) -> Cell:
    """Return how the device ``state`` stands to ``gateway``, of whose log ``tally`` is.

    With time alone a cell becomes silent and nothing else: see ``silent_from``.
    """
    told = state.acceptance
    predicts = told is not None and told.gateway == gateway and told.accepts is not None
    standing, reason, since = (
        _by_handshake(state, tally, around, predicts=predicts)
        or (_by_prediction(state, around) if predicts else None)
        or _by_own_endpoint(state)
        or _by_what_is_missing(gateway, state, tally, around, predicts=predicts)
        or _by_silence(state, tally, around, now)
        or (Standing.GOOD, "", None)
    )
    return Cell(
        gateway=gateway,
        device=state.target.name,
        standing=standing,
        reason=reason,
        since=since,
        heard_at=heard_at(tally),
    )


def heard_at(tally: Tally | None) -> datetime | None:
    """Return the moment of the latest full handshake in a log; None: there was none."""
    latest_s = max(tally.told_s, tally.success_s or 0.0) if tally else 0.0
    return moment_of(latest_s) if latest_s else None


def earliest(moments: Iterable[datetime | None]) -> datetime | None:
    """Return the first of ``moments``; None unless all are known, and there is one."""
    known = list(moments)
    told = [moment for moment in known if moment is not None]
    return min(told) if told and len(told) == len(known) else None


def moment_of(seconds: float) -> datetime:
    """Return the aware moment of ``seconds`` since 1970."""
    return datetime.fromtimestamp(seconds, tz=UTC)


def _by_handshake(
    state: TargetState, tally: Tally | None, around: Surroundings, *, predicts: bool
) -> _Found | None:
    """Say what a failed handshake says: seen beats predicted."""
    if tally is None or tally.failing is None:
        return None
    reason, by = tally.failing
    since = moment_of(tally.failing_since_s) if tally.failing_since_s else None
    accepts = predicts and state.acceptance is not None and state.acceptance.verdict.verified
    served_since = around.changed_at
    is_of_before = served_since is not None and tally.told_s < served_since.timestamp()
    if by is RejectedBy.DEVICE and accepts and is_of_before:
        return Standing.AWAITED, reason.value, since
    return _REFUSALS[by], reason.value, since


def _by_prediction(state: TargetState, around: Surroundings) -> _Found | None:
    if state.acceptance is None or state.acceptance.verdict.verified:
        return None
    reason = state.acceptance.verdict.reasons[0]
    # Of an ended certificate the very moment is known, whoever looked
    since = None if reason is Reason.EXPIRED else around.changed_at
    return Standing.WOULD_REFUSE, reason.value, since


def _by_own_endpoint(state: TargetState) -> _Found | None:
    if state.target.host is None or state.is_success is not False:
        return None
    failure = state.observation.reason if state.observation else None
    outcome = outcome_of([*state.verdicts.values()], failure=failure)
    return Standing.OWN_FAULT, (outcome.reason or Reason.OTHER).value, state.failing_since


def _by_what_is_missing(
    gateway: str | None,
    state: TargetState,
    tally: Tally | None,
    around: Surroundings,
    *,
    predicts: bool,
) -> _Found | None:
    missing: Missing | None = None
    if state.target.host is not None and state.is_success is None:
        missing = Missing.NOT_LOOKED_AT
    elif gateway is None and state.target.host is None:
        missing = Missing.NO_GATEWAY
    elif gateway is not None and not predicts:
        missing = _why_not_predicted(tally, around)
    elif around.tells_success and state.target.contact_interval_s and not tally:
        missing = Missing.NEVER_HEARD
    return (Standing.UNKNOWN, missing.value, None) if missing else None


def _why_not_predicted(tally: Tally | None, around: Surroundings) -> Missing | None:
    if around.served_since is None:
        return Missing.SERVED_UNKNOWN
    # A full handshake with what is served now says all; one of before says nothing about it
    proven_s = tally.proven_s if tally else None
    if proven_s is not None and proven_s >= around.served_since.timestamp():
        return None
    return Missing.TRUST_UNKNOWN


def silent_from(state: TargetState, tally: Tally | None, around: Surroundings) -> datetime | None:
    """Return after which moment the device is silent unless it is heard of; None: never."""
    interval_s = state.target.contact_interval_s
    contact_s = tally.contact_s if tally else None
    if not around.tells_success or not interval_s or contact_s is None:
        return None
    return moment_of(contact_s + max(_SILENT_INTERVALS * interval_s, _LEAST_SILENCE_S))


def _by_silence(
    state: TargetState, tally: Tally | None, around: Surroundings, now: datetime
) -> _Found | None:
    end = silent_from(state, tally, around)
    if end is None or now <= end or tally is None or tally.contact_s is None:
        return None
    return Standing.SILENT, "", moment_of(tally.contact_s)
