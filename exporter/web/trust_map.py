"""``GET /api/v1/trust-map``: which device classes trust which CAs, and what hangs on each."""

from aiohttp import web

from exporter.web.service import SERVICE


async def trust_map(request: web.Request) -> web.Response:
    """Answer with the whole map."""
    told = await request.app[SERVICE].trust_map()
    return web.json_response(text=told.model_dump_json())
