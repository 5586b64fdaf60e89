"""``rules`` and ``dashboards``: write what Prometheus and Grafana read."""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

import click

from exporter.errors import ConfigError, Fault


@click.command(
    "rules",
    epilog="""\b
Examples:
  fleet-tls-exporter rules --output /etc/prometheus/fleet-tls
  fleet-tls-exporter rules --show-values > values.yml
  fleet-tls-exporter rules --values values.yml --output /etc/prometheus/fleet-tls

\b
Then in prometheus.yml: rule_files: [fleet-tls/*.yml]
""",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where to write fleet-tls.rules.yml; made if it is not there. The file is replaced.",
)
@click.option(
    "--values",
    "values_file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True, readable=True),
    metavar="FILE",
    help="What differs from the defaults: thresholds, waits, links, alerts not wanted.",
)
@click.option("--show-values", is_flag=True, help="Print the file of values with the defaults.")
def rules(output: Path | None, values_file: Path | None, *, show_values: bool) -> None:
    """Write the Prometheus rules: alerts, and what is recorded for them."""
    from exporter.alerts import Values, load_values, rules_text, values_text  # noqa: PLC0415 - help stays quick

    if show_values:
        print(values_text(), end="")
        return
    if output is None:
        raise click.UsageError("say where to write them: --output DIR")
    values = load_values(values_file) if values_file else Values()
    _write({"fleet-tls.rules.yml": rules_text(values).encode()}, output)


@click.command(
    "dashboards",
    epilog="""\b
Example:
  fleet-tls-exporter dashboards --output /var/lib/grafana/dashboards
""",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    metavar="DIR",
    help="Where to write; made if it is not there. Files of the same name are replaced.",
)
def dashboards(output: Path) -> None:
    """Write the bundled Grafana dashboards."""
    folder = files("exporter.bundled.dashboards")
    found = [source for source in folder.iterdir() if source.name.endswith(".json")]
    _write({source.name: source.read_bytes() for source in found}, output)


def _write(texts: Mapping[str, bytes], output: Path) -> None:
    try:
        output.mkdir(parents=True, exist_ok=True)
        for name, text in sorted(texts.items()):
            (output / name).write_bytes(text)
            print(output / name)
    except OSError as exc:
        message = f"{exc.filename or output} cannot be written: {exc.strerror}"
        raise ConfigError([Fault(place="--output", message=message)]) from exc
