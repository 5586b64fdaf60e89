"""``gateway-agent``: the management API in front of a TLS terminator, until a signal comes."""

from pathlib import Path

import click

from exporter.log_output import LEVELS, LogFormat, set_up_logging


@click.command(
    "gateway-agent",
    epilog="""\b
Examples:
  fleet-tls-exporter gateway-agent --config /etc/fleet-tls-exporter/agent.yml
  fleet-tls-exporter gateway-agent --config agent.yml --check

\b
SIGTERM ends the agent within 5 s; what was being changed is settled at the next start.
Exit codes: 0 ended by a signal, or nothing wrong with FILE; 2 it cannot run.
""",
)
@click.option(
    "--config",
    "config",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    metavar="FILE",
    help="What the agent stands in front of, YAML; see docs/gateway-agent.md.",
)
@click.option("--check", is_flag=True, help="Tell every fault of FILE, and end.")
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
def command(config: Path, check: bool, log_format: str, log_level: str) -> None:  # noqa: FBT001 - click's flag
    """Serve the management API of one gateway, as FILE says."""
    set_up_logging(LogFormat(log_format), log_level)
    from exporter.cli.agent import check_agent, serve_agent  # noqa: PLC0415 - help stays quick

    if check:
        check_agent(config)
    else:
        serve_agent(config)
