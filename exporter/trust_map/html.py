"""The trust map as one HTML page that needs nothing else; pure."""

from importlib.resources import files

import jinja2
from markupsafe import Markup

from exporter.trust_map import sentences
from exporter.trust_map.model import TrustMap
from exporter.trust_map.svg import as_svg

_environment = jinja2.Environment(
    autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
)


def as_html(told: TrustMap) -> str:
    """Return the page: the drawing, and tables of all that it shows."""
    template = (files("exporter.trust_map") / "page.html").read_text("utf-8")
    return _environment.from_string(template).render(
        told=told,
        say=sentences,
        drawing=Markup(as_svg(told)),  # noqa: S704 - as_svg escapes all that it is given
    )
