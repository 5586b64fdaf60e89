"""``logs``: what handshake logs say, and what they cannot say as they are set up."""

from pathlib import Path

import click


@click.group("logs")
def command() -> None:
    """Try what handshake logs say."""


@command.command(
    "classify",
    short_help="What the parser makes of each line.",
    epilog="""\b
Examples:
  fleet-tls-exporter logs classify /var/log/nginx/error.log
  journalctl -u mosquitto -o cat | fleet-tls-exporter logs classify --json -
""",
)
@click.argument(
    "file",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    default="-",
    metavar="[FILE|-]",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each line, in order.")
@click.option(
    "--config",
    "config",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="CONFIG",
    help="Use the formats and message keys of its handshake_logs too.",
)
def classify(file: Path, as_json: bool, config: Path | None) -> None:  # noqa: FBT001 - click passes options by name
    """Say what the parser makes of each line of FILE (default: standard input).

    Each line is judged by itself. Without --json only those lines are shown that tell of a
    handshake, and then how many there were of each reason. A file of gzip is unpacked.
    """
    from exporter.cli.classifying import show_lines  # noqa: PLC0415 - help stays quick

    show_lines(file, as_json=as_json, config=config)


@command.command(
    "doctor",
    short_help="Which log source cannot show a device's refusal.",
    epilog="""\b
Example:
  fleet-tls-exporter logs doctor --config /etc/fleet-tls-exporter/config.yml

\b
Exit codes: 0 no source is known to be blind; 1 one is; 2 the configuration cannot be used.
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
def doctor(config: Path) -> int:
    """Say which log source cannot show a device's refusal as it is set up, and what helps.

    Reads the logs' latest lines, and the terminators' own configuration where it may.
    """
    from exporter.cli.doctoring import show_diagnoses  # noqa: PLC0415 - help stays quick

    return show_diagnoses(config)
