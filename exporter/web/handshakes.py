"""``/api/v1/handshakes``: what the logs tell of each device, and what nobody could attribute."""

from datetime import UTC, datetime

from aiohttp import web

from exporter.clock import Clock
from exporter.handshake_log.counts import Key, UnknownPeer, Why
from exporter.handshake_log.sources import HandshakeLogs
from exporter.report import Json, rfc3339
from exporter.web.api import refused
from exporter.web.paging import page_of
from exporter.web.service import SERVICE

_BETWEEN = "\n"  # no name holds one


class Handshakes:
    """The page; it needs the time, to say how far reading is behind."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def handle(self, request: web.Request) -> web.Response:
        """Answer with a page of gateways and devices: ``?limit=&cursor=``."""
        logs = request.app[SERVICE].logs
        keys = {_BETWEEN.join(key): key for key in logs.shown.tallies}
        try:
            page = page_of(keys, request.query, lambda key: _tally_json(logs, keys[key]))
        except ValueError as exc:
            return refused(str(exc))
        return web.json_response(
            {
                **page,
                "sources": _sources_json(logs, self._clock.monotonic()),
                "unknown_peers": [
                    _peer_json(key, seen) for key, seen in reversed(list(logs.peers.items()))
                ],
                "suspicious": [
                    {"shape": shape, "count": count}
                    for shape, count in reversed(list(logs.shapes.items()))
                ],
                "store": {"ok": not logs.store_fault, "detail": logs.store_fault or None},
            }
        )


def _tally_json(logs: HandshakeLogs, key: Key) -> Json:
    gateway, device = key
    tally = logs.shown.tallies[key]
    return {
        "gateway": gateway or None,
        "device": device or None,
        "handshakes": tally.full_count,
        "resumed": tally.resumed_count,
        "failures": [
            {**_why_json(why), "count": count}
            for why, count in tally.failure_counts.items()
            if count
        ],
        "failing": _why_json(tally.failing) if tally.failing and device else None,
        "last_success_at": None if tally.success_s is None else _moment(tally.success_s),
    }


def _why_json(why: Why) -> Json:
    return {"reason": why[0].value, "rejected_by": why[1].value}


def _sources_json(logs: HandshakeLogs, now_s: float) -> list[Json]:
    return [
        {
            "name": name,
            "ok": stats.is_ok,
            "detail": stats.fault or None,
            "lines": stats.line_count,
            "matched": stats.matched_count,
            "cut": stats.cut_count,
            "suspicious": stats.suspicious_count,
            "lag_s": round(stats.lag_s(now_s), 3),
        }
        for name, stats in logs.stats.items()
    ]


def _peer_json(key: Key, seen: UnknownPeer) -> Json:
    return {
        "gateway": key[0] or None,
        "peer": key[1],
        "count": seen.count,
        "last_at": None if seen.last_at is None else rfc3339(seen.last_at),
        "last_failure": _why_json(seen.why) if seen.why else None,
    }


def _moment(seconds: float) -> str:
    return rfc3339(datetime.fromtimestamp(seconds, tz=UTC))
