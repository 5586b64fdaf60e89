"""``run``: the service, until SIGTERM or SIGINT."""

from pathlib import Path

import click

from exporter.log_output import LEVELS, LogFormat, set_up_logging


@click.command(
    "run",
    epilog="""\b
Examples:
  fleet-tls-exporter run --config /etc/fleet-tls-exporter/config.yml
  fleet-tls-exporter run --config config.yml --log-format json --log-level warning

\b
SIGHUP reads the configuration again; SIGTERM ends the service within 5 s.
Exit codes: 0 ended by a signal; 2 it cannot run.
""",
)
@click.option(
    "--config",
    "config",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    metavar="FILE",
    help="The configuration, YAML.",
)
@click.option(
    "--log-format",
    type=click.Choice([shape.value for shape in LogFormat]),
    default=LogFormat.TEXT.value,
    show_default=True,
    help="text is made for journald, too: it then carries priorities instead of moments.",
)
@click.option(
    "--log-level",
    type=click.Choice(LEVELS),
    default="info",
    show_default=True,
    help="The least level that is written.",
)
def command(config: Path, log_format: str, log_level: str) -> None:
    """Watch the fleet of FILE, and serve /metrics and its other pages."""
    set_up_logging(LogFormat(log_format), log_level)
    from exporter.cli.service import serve  # noqa: PLC0415 - 0.4 s that --help need not wait for

    serve(config)
