"""The trust map as one HTML page that needs nothing else; pure."""

from importlib.resources import files

import jinja2
from markupsafe import Markup

from exporter.trust_map import sentences
from exporter.trust_map.model import TrustMap
from exporter.trust_map.svg import as_svg

_environment = jinja2.Environment(
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=jinja2.StrictUndefined,
    loader=jinja2.FunctionLoader(
        lambda name: (files("exporter.trust_map") / name).read_text("utf-8")
    ),
)


def as_html(told: TrustMap) -> str:
    """Return the page: the drawing, and tables of all that it shows."""
    page = _environment.get_template("page.html")
    return page.render(told=told, say=sentences, body=body_of(told))


def body_of(told: TrustMap) -> Markup:
    """Return what stands on the page, for another one: nothing in it needs a style sheet."""
    body = _environment.get_template("body.html")
    return Markup(body.render(told=told, say=sentences, drawing=drawing_of(told)))  # noqa: S704 - the template escapes


def drawing_of(told: TrustMap) -> Markup:
    """Return the drawing, to stand in a page."""
    return Markup(as_svg(told))  # noqa: S704 - as_svg escapes all that it is given
