"""``/runbooks``: what to do about each alert; the alerts' own links lead here."""

from importlib.resources import files

from aiohttp import web


def _names() -> list[str]:
    folder = files("exporter.bundled.runbooks")
    return sorted(
        found.name.removesuffix(".md") for found in folder.iterdir() if found.name.endswith(".md")
    )


async def runbooks(_request: web.Request) -> web.Response:
    """Answer with the paths of all of them."""
    return web.Response(text="".join(f"/runbooks/{name}\n" for name in _names()))


async def runbook(request: web.Request) -> web.Response:
    """Answer with the one for the alert of this name, as it is written."""
    name = request.match_info["name"].removesuffix(".md")
    if name not in _names():
        text = "There is no runbook of this name; /runbooks names all that there are.\n"
        return web.Response(text=text, status=404)
    path = files("exporter.bundled.runbooks") / f"{name}.md"
    return web.Response(text=path.read_text("utf-8"))
