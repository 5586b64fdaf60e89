"""``GET /metrics``: everything that is known, cached."""

from aiohttp import web

from exporter.web.negotiate import (
    OPENMETRICS_TYPE,
    TEXT_TYPE,
    shard_in,
    wants_gzip,
    wants_openmetrics,
)
from exporter.web.service import SERVICE

_VARY = "Accept, Accept-Encoding"


async def metrics(request: web.Request) -> web.Response:
    """Answer with the exposition that the client's ``Accept`` headers ask for."""
    shard = None
    if "shard" in request.query:
        try:
            shard = shard_in(request.query["shard"])
        except ValueError as exc:
            raise web.HTTPBadRequest(text=f"{exc}\n") from exc
    openmetrics = wants_openmetrics(request.headers.get("Accept", ""))
    gzip = wants_gzip(request.headers.get("Accept-Encoding", ""))
    chunks = await request.app[SERVICE].scrape(openmetrics=openmetrics, gzip=gzip, shard=shard)
    headers = {"Content-Type": OPENMETRICS_TYPE if openmetrics else TEXT_TYPE, "Vary": _VARY}
    if gzip:
        headers["Content-Encoding"] = "gzip"
    return web.Response(body=b"".join(chunks), headers=headers)
