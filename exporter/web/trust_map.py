"""``/trust-map`` and ``/api/v1/trust-map``: which classes trust which CAs, what hangs on each."""

import asyncio

from aiohttp import web

from exporter.trust_map.html import body_of
from exporter.web.html import page, rendered
from exporter.web.service import SERVICE


async def trust_map(request: web.Request) -> web.Response:
    """Answer with the whole map."""
    told = await request.app[SERVICE].trust_map()
    return web.json_response(text=told.model_dump_json())


async def trust_map_page(request: web.Request) -> web.Response:
    """Answer with the map for people."""
    told = await request.app[SERVICE].trust_map()
    body = await asyncio.to_thread(body_of, told)
    return page(request, rendered("trust_map.html", root="", body=body))
