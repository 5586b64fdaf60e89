"""``/api/v1/devices``: what each device trusts, beside what it is to trust and is served."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from aiohttp import web

from exporter.clock import Clock
from exporter.fleet import TargetState
from exporter.report import Json, rfc3339
from exporter.targets.model import Role
from exporter.trust_store.model import Standing, SyncState
from exporter.trust_store.sync import TrustSync
from exporter.web.api import acceptance_json, refused
from exporter.web.paging import page_of
from exporter.web.service import SERVICE
from exporter.wording import listed, shown


class Devices:
    """The page; it needs the time, to say how old a report is."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def handle(self, request: web.Request) -> web.Response:
        """Answer with a page of devices, by name: ``?limit=&cursor=&state=``."""
        service = request.app[SERVICE]
        states, trust, now = service.snapshot().targets, service.trust, self._clock.now()
        try:
            names = _names(states, trust.standings, request.query.get("state", ""))
            page = page_of(
                names, request.query, lambda name: device_json(states[name], trust, now)
            )
        except ValueError as exc:
            return refused(str(exc))
        return web.json_response(page)


def _names(
    states: Mapping[str, TargetState], standings: Mapping[str, Standing], wanted: str
) -> Iterable[str]:
    devices = (name for name, state in states.items() if state.target.role is Role.DEVICE)
    if not wanted:
        return devices
    if wanted not in set(SyncState):
        raise ValueError(f"state {shown(wanted)} is not known; there are: {listed(SyncState)}")
    return (name for name in devices if name in standings and standings[name].state == wanted)


def device_json(state: TargetState, trust: TrustSync, now: datetime) -> Json:
    """Return what is known of one device's trust; what is not known is null."""
    target, standing = state.target, trust.standings.get(state.target.name)
    return {
        "name": target.name,
        "gateway": target.gateway,
        "device_class": target.device_class or None,
        "rollout_group": target.rollout_group or None,
        "management_api": trust.speaker_of(target.name),
        "state": standing.state.value if standing and standing.state else None,
        "wanted_since": rfc3339(standing.wanted.since) if standing and standing.wanted else None,
        "platform": _word_json(standing),
        "report": _report_json(standing, now),
        **_anchors_json(standing, trust),
        "accepts_gateway": acceptance_json(state.acceptance),
    }


def _word_json(standing: Standing | None) -> Json | None:
    if standing is None or standing.known.word is None:
        return None
    word = standing.known.word
    return {
        "status": word.status.value,
        "since": rfc3339(word.told_at),
        "error": word.error or None,
    }


def _report_json(standing: Standing | None, now: datetime) -> Json | None:
    if standing is None or standing.known.report is None:
        return None
    report = standing.known.report
    return {
        "received_at": rfc3339(report.received_at),
        "reported_at": rfc3339(report.reported_at),
        "age_s": round(max(0.0, (now - report.received_at).total_seconds()), 3),
        "anchors": len(report.anchors),
    }


def _anchors_json(standing: Standing | None, trust: TrustSync) -> Json:
    found = standing.difference if standing is not None else None
    if found is None:
        return dict.fromkeys(("missing", "extra", "expired", "expiring"))
    return {
        "missing": _named(found.missing, trust),
        "extra": _named(found.extra, trust),
        "expired": _named(found.expired, trust),
        "expiring": _named(found.expiring, trust),
    }


def _named(anchors: Iterable[str], trust: TrustSync) -> list[Json]:
    named: list[Json] = []
    for fingerprint in anchors:
        certificate = trust.certificate(fingerprint)
        named.append(
            {
                "fingerprint_sha256": fingerprint,
                "subject": certificate.subject if certificate else None,
                "not_after": rfc3339(certificate.not_after) if certificate else None,
            }
        )
    return named
