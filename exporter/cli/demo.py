"""``demo``: a fleet on loopback, and the service watching it."""

from pathlib import Path
from typing import Any

import click

TERMINATORS = ("embedded", "nginx", "haproxy", "mosquitto")
BREAKS = ("unknown-ca", "expired", "missing-intermediate", "hostname")
MODES = ("off", "dry_run", "act")


@click.command(
    "demo",
    epilog="""\b
Examples:
  fleet-tls-exporter demo
  fleet-tls-exporter demo --break unknown-ca
  fleet-tls-exporter demo --rotate
  fleet-tls-exporter demo --terminator nginx --break unknown-ca --remediation act
  fleet-tls-exporter demo --devices 40 --port 0 --json

\b
Runs until SIGTERM or Ctrl-C and leaves nothing behind.
""",
)
@click.option("--devices", default=18, show_default=True, help="How many devices.")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Where the service listens; the fleet itself stays on loopback.",
)
@click.option(
    "--port", default=9883, show_default=True, help="Of the service; 0: any that is free."
)
@click.option(
    "--terminator",
    type=click.Choice(TERMINATORS),
    default="embedded",
    show_default=True,
    help="What ends the devices' TLS connections.",
)
@click.option(
    "--break",
    "break_",
    type=click.Choice(BREAKS),
    help="Make this outage, once all was seen to be well.",
)
@click.option("--rotate", is_flag=True, help="Rotate to the new CA, phase by phase, in minutes.")
@click.option(
    "--remediation",
    type=click.Choice(MODES),
    default="dry_run",
    show_default=True,
    help="Whether the service may change the gateway by itself.",
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Holds the credential to use; without it a fresh one is made.",
)
@click.option("--json", "json", is_flag=True, help="One line of JSON once every target was seen.")
def command(**given: Any) -> None:
    """Start a gateway and devices on loopback, and watch them.

    Real TLS listeners, devices that connect with their own trust stores, a small PKI made for
    the occasion.
    """
    from exporter.cli.showing import show_demo  # noqa: PLC0415 - help stays quick

    show_demo(given)
