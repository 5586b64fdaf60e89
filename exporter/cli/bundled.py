"""``rules`` and ``dashboards``: write what ships inside the package."""

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import click

from exporter.errors import ConfigError, Fault

_OUTPUT = click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    metavar="DIR",
    help="Where to write; made if it is not there. Files of the same name are replaced.",
)


@click.command(
    "rules",
    epilog="""\b
Example:
  fleet-tls-exporter rules --output /etc/prometheus/fleet-tls

\b
Then in prometheus.yml: rule_files: [fleet-tls/*.yml]
""",
)
@_OUTPUT
def rules(output: Path) -> None:
    """Write the bundled Prometheus alert rules."""
    _write("rules", (".yml",), output)


@click.command(
    "dashboards",
    epilog="""\b
Example:
  fleet-tls-exporter dashboards --output /var/lib/grafana/dashboards
""",
)
@_OUTPUT
def dashboards(output: Path) -> None:
    """Write the bundled Grafana dashboards."""
    _write("dashboards", (".json",), output)


def _write(kind: str, suffixes: tuple[str, ...], output: Path) -> None:
    try:
        output.mkdir(parents=True, exist_ok=True)
        for source in sorted(_bundled(kind, suffixes), key=lambda found: found.name):
            (output / source.name).write_bytes(source.read_bytes())
            print(output / source.name)
    except OSError as exc:
        message = f"{exc.filename or output} cannot be written: {exc.strerror}"
        raise ConfigError([Fault(place="--output", message=message)]) from exc


def _bundled(kind: str, suffixes: tuple[str, ...]) -> list[Traversable]:
    folder = files(f"exporter.bundled.{kind}")
    return [found for found in folder.iterdir() if found.name.endswith(suffixes)]
