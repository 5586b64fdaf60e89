"""``probe``: its options; what it does is in ``looking``, imported when it is done."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from exporter.cli.arguments import DURATION, HOST_PORT, STORE, HostPort, StoreFile

PROTOCOLS = (
    "tls", "dtls", "smtp", "imap", "pop3", "ftp", "ldap", "xmpp", "postgres", "mysql",
)  # fmt: skip
PROFILES = ("normal", "strict")
_FILE = click.Path(path_type=Path, dir_okay=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The options as given."""

    where: HostPort | None
    targets_file: Path | None
    protocol: str
    server_name: str | None
    stores: tuple[StoreFile, ...]
    client_cert: Path | None
    client_key: Path | None
    timeout_s: float
    concurrency: int
    profile: str
    as_json: bool


@click.command(
    "probe",
    epilog="""\b
Examples:
  fleet-tls-exporter probe gw-1.example:8883
  fleet-tls-exporter probe 10.0.0.5:8883 --server-name gw-1.example \\
      --trust-store fw-4.2=anchors/fw-4.2.pem --trust-store fw-5.0=anchors/fw-5.0.pem
  fleet-tls-exporter probe --targets targets/site-a.json --json | jq 'select(.verified | not)'

\b
Exit codes: 0 every look is verified by every store; 1 one is not; 2 it cannot be tried.
""",
)
@click.argument("where", metavar="HOST:PORT", type=HOST_PORT, required=False)
@click.option(
    "--targets",
    "targets_file",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    metavar="FILE",
    help="Many looks: a Prometheus file_sd file, or one HOST:PORT a line; - is standard input.",
)
@click.option(
    "--protocol",
    type=click.Choice(PROTOCOLS),
    default="tls",
    show_default=True,
    metavar="P",
    help=f"What is spoken: {', '.join(PROTOCOLS)}.",
)
@click.option(
    "--server-name",
    metavar="N",
    help="SNI, and the name the certificate must be for. Default: HOST (an IP: no SNI, the IP is"
    ' checked). "" checks no name.',
)
@click.option(
    "--trust-store",
    "stores",
    type=STORE,
    multiple=True,
    help="Anchors to judge by; repeat it for more stores. Default: the system's store.",
)
@click.option(
    "--client-cert",
    type=_FILE,
    metavar="PEM",
    help="Certificate, with its chain, for an endpoint that asks for one.",
)
@click.option("--client-key", type=_FILE, metavar="PEM", help="Its private key, not encrypted.")
@click.option(
    "--timeout",
    "timeout_s",
    type=DURATION,
    default="5s",
    show_default=True,
    help="For each phase: name resolution, connection, handshake.",
)
@click.option(
    "--concurrency",
    type=click.IntRange(1, 2_000),
    default=100,
    show_default=True,
    help="With --targets: looks at the same time.",
)
@click.option(
    "--profile",
    type=click.Choice(PROFILES),
    default="normal",
    show_default=True,
    help="strict: what breaks RFC 5280's form is refused, not only remarked.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="One JSON object; with --targets one a line."
)
def command(**given: Any) -> int:
    """Look at one endpoint, or at many, and judge what is served.

    The handshake is finished without verifying, so that the chain and its dates are shown
    whatever the verdict. Then each trust store judges.
    """
    asked = Asked(**given)
    if (asked.where is None) == (asked.targets_file is None):
        raise click.UsageError("Name one endpoint, HOST:PORT, or many: --targets FILE.")
    if (asked.client_cert is None) != (asked.client_key is None):
        raise click.UsageError("--client-cert and --client-key go together; one is missing.")
    from exporter.cli.looking import look  # noqa: PLC0415 - 0.2 s that --help need not wait for

    return look(asked)
