"""``trust-map``: which device classes trust which CAs, and what hangs on each."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import click

from exporter.cli.asking import Service, ServiceError, asks_the_service
from exporter.cli.terminal import safe

if TYPE_CHECKING:
    from exporter.trust_map.model import TrustMap

_PATH = "/api/v1/trust-map"


@click.command(
    "trust-map",
    epilog="""\b
Examples:
  fleet-tls-exporter trust-map --config /etc/fleet-tls-exporter/config.yml
  fleet-tls-exporter trust-map --format svg > trust-map.svg
  fleet-tls-exporter trust-map --url https://exporter.example:9883 --ca-file ca.pem --format json

\b
Exit codes: 0 here is the map; 2 the service cannot be asked.
""",
)
@click.option(
    "--format",
    "shape",
    type=click.Choice(["text", "svg", "html", "json"]),
    default="text",
    show_default=True,
    help="html holds the drawing and tables, and needs nothing else.",
)
@asks_the_service
def command(shape: str, service: Service) -> None:
    """Print the trust map of the running service.

    Which device classes trust which CAs, since when and until when, what hangs on each CA
    (gateways, listening devices, client certificates), and which devices would go dark if it were
    removed or had expired today.
    """
    print(_FORMS[shape](_map_of(service)), end="")


def _map_of(service: Service) -> "TrustMap":
    from pydantic import ValidationError  # noqa: PLC0415 - help stays quick

    from exporter.trust_map.model import TrustMap  # noqa: PLC0415 - likewise

    try:
        return TrustMap.model_validate_json(service.ask(_PATH))
    except ValidationError as exc:
        raise ServiceError(
            f"what {service.url}{_PATH} answers is no trust map; is it another program, or a"
            " much newer version?"
        ) from exc


def _as_text(told: "TrustMap") -> str:
    from exporter.trust_map.text import as_text  # noqa: PLC0415 - help stays quick

    return "".join(f"{safe(line)}\n" for line in as_text(told).rstrip("\n").split("\n"))


def _as_svg(told: "TrustMap") -> str:
    from exporter.trust_map.svg import as_svg  # noqa: PLC0415 - help stays quick

    return as_svg(told)


def _as_html(told: "TrustMap") -> str:
    from exporter.trust_map.html import as_html  # noqa: PLC0415 - help stays quick

    return as_html(told)


def _as_json(told: "TrustMap") -> str:
    return told.model_dump_json(indent=2) + "\n"


_FORMS: Mapping[str, Callable[["TrustMap"], str]] = {
    "text": _as_text,
    "svg": _as_svg,
    "html": _as_html,
    "json": _as_json,
}
