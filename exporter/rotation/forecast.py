"""When the last device is synced at the present pace, beside when the certificate ends; pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from exporter.rotation.model import Phase
from exporter.rotation.phases import trusts_new
from exporter.rotation.view import View

_EARLY = frozenset({Phase.PLANNED, Phase.ADDING, Phase.VALIDATING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What is to be expected.

    Attributes:
        last_synced_at: When the last device is expected to trust the new CA; None: nobody can
            say.
        expires_at: When the first of the certificates that are to be replaced ends; None: it is
            not known, or all are replaced.
        sentence: Both in words, with what it means.
    """

    last_synced_at: datetime | None
    expires_at: datetime | None
    sentence: str


def forecast_of(view: View) -> Forecast:
    """Return the forecast."""
    expires_at = _expires_at(view)
    last_at = _last_synced_at(view)
    return Forecast(
        last_synced_at=last_at,
        expires_at=expires_at,
        sentence=_sentence(view, last_at, expires_at),
    )


def _expires_at(view: View) -> datetime | None:
    ends = (
        found.before_not_after
        for one in view.plan.gateways
        if one.name not in view.position.on_new
        and (found := view.facts.gateways.get(one.name)) is not None
    )
    return min((end for end in ends if end is not None), default=None)


def _counts(view: View) -> tuple[int, int]:
    devices = view.devices
    return sum(trusts_new(one, view.now) for one in devices), len(devices)


def _last_synced_at(view: View) -> datetime | None:
    """Return when the last one is synced, at the pace since the beginning; None: no pace yet."""
    synced, total = _counts(view)
    begun_at = view.marks.begun_at
    if view.plan.is_renewal or begun_at is None or not total or view.phase not in _EARLY:
        return None
    if synced >= total:
        return view.now
    if not synced:
        return None
    return view.now + (view.now - begun_at) / synced * (total - synced)


def _sentence(view: View, last_at: datetime | None, expires_at: datetime | None) -> str:
    expires = "when the certificate expires is not known"
    if expires_at is not None:
        expires = f"the certificate expires on {expires_at:%Y-%m-%d %H:%M}"
    if view.plan.is_renewal or view.phase not in _EARLY:
        return expires if expires_at is not None else ""
    synced, total = _counts(view)
    if total and synced >= total:
        return f"all {total} devices trust the new CA; {expires}"
    if last_at is None:
        return (
            f"{synced} of {total} devices trust the new CA, and nobody can say yet when the last"
            f" one does; {expires}"
        )
    said = f"at the current pace the last device is synced on {last_at:%Y-%m-%d %H:%M}, {expires}"
    if expires_at is not None and last_at + timedelta(seconds=view.options.soak) > expires_at:
        return f"{said}: TOO LATE"
    return said
