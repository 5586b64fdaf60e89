"""``GET /probe``: one look now, for those who want Prometheus to set the pace."""

import asyncio
import json
from dataclasses import replace

from aiohttp import web

from exporter.clock import Clock
from exporter.observations import Durations, Observation, Reason
from exporter.probe.model import Limits, endpoint_of
from exporter.probe.resolve import Resolver
from exporter.report import look_json
from exporter.web.asked import Asked, asked_in
from exporter.web.drop_in import families_of, rendered
from exporter.web.negotiate import OPENMETRICS_TYPE, TEXT_TYPE, wants_openmetrics
from exporter.web.service import SERVICE, Service
from exporter.wording import shown

AT_ONCE = 100
"""Looks under way; further requests wait, each within its own time."""

_TIMEOUT_HEADER = "X-Prometheus-Scrape-Timeout-Seconds"


class ProbeEndpoint:
    """Looks at one target per request."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._resolver = Resolver(clock)
        self._places = asyncio.Semaphore(AT_ONCE)

    async def handle(self, request: web.Request) -> web.Response:
        """Answer with the metrics of one look; 400 with a sentence for what cannot be asked."""
        service = request.app[SERVICE]
        began_s = self._clock.monotonic()
        try:
            asked = asked_in(
                request.query,
                request.headers.get(_TIMEOUT_HEADER),
                service.snapshot(),
                service.limits,
            )
        except ValueError as exc:
            raise web.HTTPBadRequest(text=f"{exc}\n") from exc
        observation = await self._look(service, asked)
        verdicts = service.judge(
            observation.chain,
            asked.target.trust_stores,
            name=asked.target.checked_name,
            at=observation.observed_at,
        )
        if request.query.get("debug") == "true":
            return web.Response(text=json.dumps(look_json(observation, verdicts), indent=2) + "\n")
        openmetrics = wants_openmetrics(request.headers.get("Accept", ""))
        took_s = self._clock.monotonic() - began_s
        body = rendered(families_of(observation, verdicts, took_s=took_s), openmetrics=openmetrics)
        content_type = OPENMETRICS_TYPE if openmetrics else TEXT_TYPE
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def _look(self, service: Service, asked: Asked) -> Observation:
        try:
            async with asyncio.timeout(asked.budget_s), self._places:
                return await self._look_there(service, asked)
        except TimeoutError:
            return Observation(
                target=asked.target.name,
                address=asked.target.address or "",
                observed_at=self._clock.now(),
                reason=Reason.HANDSHAKE_TIMEOUT,
                detail=f"not finished within the {asked.budget_s:g} s that the scrape leaves",
            )

    async def _look_there(self, service: Service, asked: Asked) -> Observation:
        endpoint = endpoint_of(asked.target)
        limits = _within(service.limits, asked.budget_s)
        if asked.is_known or service.reach.allows_name(endpoint.host):
            return await service.look(endpoint, limits)
        began_s = self._clock.monotonic()
        address = await self._allowed_address(service, asked)
        resolve_s = self._clock.monotonic() - began_s
        # The address that was checked is the one that is looked at: a name server that answers
        # differently the second time (DNS rebinding) is not asked a second time
        observation = await service.look(replace(endpoint, host=address), limits)
        spent: Durations = observation.durations_s
        return replace(
            observation,
            address=endpoint.address,
            durations_s=replace(spent, resolve=resolve_s),
        )

    async def _allowed_address(self, service: Service, asked: Asked) -> str:
        host, port = asked.target.host or "", asked.target.port or 0
        found = []
        if service.reach.has_networks():
            try:
                found = await self._resolver.resolve(host, port)
            except (OSError, UnicodeError):
                found = []
        for address in found:
            ip = str(address.sockaddr[0])
            if service.reach.allows_address(ip):
                return ip
        raise web.HTTPBadRequest(
            text=f"the target {shown(asked.target.name)} is neither in the inventory nor allowed"
            " by probe_endpoint.allow of the configuration\n"
        )


def _within(limits: Limits, budget_s: float) -> Limits:
    # What is left of the budget after one slow phase has still to be enough to tell about it
    return replace(limits, phase_s=min(limits.phase_s, 0.9 * budget_s))
