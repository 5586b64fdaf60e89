"""``verify``: its options; what it does is in ``judging``, imported when it is done."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from exporter.cli.arguments import MOMENT, STORE, StoreFile
from exporter.cli.probe import PROFILES


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The options as given.

    Attributes:
        at: None: now.
    """

    chain_file: Path
    stores: tuple[StoreFile, ...]
    server_name: str | None
    at: datetime | None
    profile: str
    as_json: bool


@click.command(
    "verify",
    epilog="""\b
Examples:
  fleet-tls-exporter verify new-chain.pem --trust-store fw-4.2=anchors/fw-4.2.pem
  fleet-tls-exporter verify new-chain.pem --trust-store old-ca.pem --server-name gw-1.example \\
      --at 2027-01-01 --json

\b
Exit codes: 0 verified by every store; 1 not; 2 a file cannot be read.
""",
)
@click.argument(
    "chain_file",
    metavar="CHAIN.pem",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
)
@click.option(
    "--trust-store",
    "stores",
    type=STORE,
    multiple=True,
    help="Anchors to judge by; repeat it for more stores. Default: the system's store.",
)
@click.option(
    "--server-name",
    metavar="N",
    help="DNS name or IP that the leaf must be for. Default: no name is checked.",
)
@click.option(
    "--at", type=MOMENT, help="Judge as of then: 2026-11-24T12:00:00Z or 2026-11-24. Default: now."
)
@click.option(
    "--profile",
    type=click.Choice(PROFILES),
    default="normal",
    show_default=True,
    help="strict: what breaks RFC 5280's form is refused, not only remarked.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def command(**given: Any) -> int:
    """Judge a chain in a file, without the network.

    The file holds the leaf first, then what the server would send with it. A private key beside
    them is passed over.
    """
    asked = Asked(**given)
    from exporter.cli.judging import verify  # noqa: PLC0415 - 0.1 s that --help need not wait for

    return verify(asked)
