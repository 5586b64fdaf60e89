"""``/-/healthy``, ``/-/ready`` and ``/-/reload``."""

from aiohttp import web

from exporter.errors import ConfigError
from exporter.web.service import SERVICE


async def healthy(_request: web.Request) -> web.Response:
    """Answer while the process lives."""
    return web.Response(text="Healthy.\n")


async def ready(request: web.Request) -> web.Response:
    """Answer 200 once what is shown is complete, 503 before."""
    readiness = request.app[SERVICE].readiness
    status = 200 if readiness.is_ready else 503
    return web.Response(text=f"{readiness.sentence}\n", status=status)


async def reload(request: web.Request) -> web.Response:
    """Read the configuration again; 500 with all faults when it cannot be used."""
    try:
        await request.app[SERVICE].reload()
    except ConfigError as exc:
        text = f"the configuration cannot be used, the last good one stays:\n{exc}\n"
        return web.Response(text=text, status=500)
    return web.Response(text="The configuration was read again.\n")
