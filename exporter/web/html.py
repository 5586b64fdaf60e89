"""Pages for people: templates and assets from the package, and what a browser may do with them."""

import hashlib
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from urllib.parse import quote

import jinja2
from aiohttp import web
from markupsafe import Markup

from exporter.plain_words import ago, time_left
from exporter.report import rfc3339
from exporter.web.negotiate import wants_gzip

# Nothing from outside, nothing inline, in no frame; the script asks only this server
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Referrer-Policy": "no-referrer",
    # What a browser shows from its memory would look current and is not
    "Cache-Control": "no-store",
}
ASSETS = ("style.css", "fleet.js", "icon-bad.svg", "icon-unknown.svg", "icon-warn.svg",
          "icon-good.svg", "icon.svg")  # fmt: skip
_COMPRESSED_BYTES = 2_000


def text_of(name: str) -> str:
    """Return a file of the package's pages."""
    return (files("exporter.web") / "pages" / name).read_text("utf-8")


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        loader=jinja2.FunctionLoader(text_of),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "age": _age,
        "left": _left,
        "day": lambda at: f"{at:%Y-%m-%d %H:%M}",
        "segment": lambda name: quote(name, safe=""),
        "number": lambda count: f"{count:,}",
    }
    return environment


def _age(at: datetime | None, now: datetime) -> Markup:
    """Return how old ``at`` is, as a ``time`` element that the script keeps current."""
    if at is None:
        return Markup("never")
    return Markup(
        '<time datetime="{}" title="{:%Y-%m-%d %H:%M:%S} UTC" data-age>{}</time>'
    ).format(rfc3339(at), at, ago(at, now))


def _left(end: datetime, now: datetime) -> Markup:
    return Markup('<time datetime="{}" title="{:%Y-%m-%d %H:%M:%S} UTC">{}</time>').format(
        rfc3339(end), end, time_left(end, now)
    )


ENVIRONMENT = _environment()


def rendered(template: str, **context: object) -> str:
    """Return a template with its values; takes its time with a large page."""
    return ENVIRONMENT.get_template(template).render(**context)


def page(request: web.Request, text: str, *, status: int = 200) -> web.Response:
    """Return the answer with a page."""
    answer = web.Response(text=text, status=status, content_type="text/html", headers=HEADERS)
    if len(text) > _COMPRESSED_BYTES and wants_gzip(request.headers.get("Accept-Encoding", "")):
        answer.enable_compression(web.ContentCoding.gzip)
    return answer


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asset:
    body: bytes
    etag: str
    content_type: str


class Assets:
    """The served files of the pages; a browser keeps them while they are the same."""

    def __init__(self) -> None:
        self._assets = {name: _asset(name) for name in ASSETS}

    async def handle(self, request: web.Request) -> web.Response:
        """Answer with the file that the path ends in."""
        asset = self._assets[request.path.rpartition("/")[2]]
        headers = {"Cache-Control": "no-cache", "ETag": f'"{asset.etag}"'}
        known = request.if_none_match or ()
        if any(tag.value == asset.etag for tag in known):
            return web.Response(status=304, headers=headers)
        return web.Response(
            body=asset.body, content_type=asset.content_type, charset="utf-8", headers=headers
        )


def _asset(name: str) -> _Asset:
    body = text_of(name).encode()
    return _Asset(
        body=body,
        etag=hashlib.sha256(body).hexdigest()[:16],
        content_type=mimetypes.guess_type(name)[0] or "application/octet-stream",
    )
