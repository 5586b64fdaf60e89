"""``recovery-bundle``: its options; what it does is in ``bundling``, imported when it is done."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from exporter.cli.arguments import STORE, StoreFile

_FILE = click.Path(path_type=Path, dir_okay=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The options as given.

    Attributes:
        ca: Issuing CA first, then the CAs above it.
        like: The certificate that it takes the place of; its names are kept.
    """

    csr: Path
    ca: Path
    ca_key: Path | None
    signer: str | None
    like: Path | None
    names: tuple[str, ...]
    days: int
    stores: tuple[StoreFile, ...]
    config: Path | None
    output: Path


@click.command(
    "recovery-bundle",
    epilog="""\b
Examples:
  fleet-tls-exporter recovery-bundle --csr gw-1.csr --ca old-ca.pem --ca-key old-ca.key \\
      --like gw-1.pem --trust-store fw-4.2=anchors/fw-4.2.pem --output gw-1-recovery
  fleet-tls-exporter recovery-bundle --csr gw-1.csr --ca old-ca.pem --signer './sign-on-hsm' \\
      --config /etc/fleet-tls-exporter/config.yml --output gw-1-recovery

\b
Exit codes: 0 made, and accepted by every trust store; 1 refused by one, and nothing was written;
2 a file cannot be used.
""",
)
@click.option("--csr", type=_FILE, required=True, help="The gateway's request, PKCS #10 in PEM.")
@click.option(
    "--ca", type=_FILE, required=True, help="The old CA's certificate; those above it behind it."
)
@click.option(
    "--ca-key", type=_FILE, help="Its private key, PEM. A passphrase is asked for on the terminal."
)
@click.option(
    "--signer",
    metavar="COMMAND",
    help="Instead of the key: a command that reads the request on standard input and writes the"
    " certificate on standard output, both PEM. No shell is used.",
)
@click.option(
    "--like", type=_FILE, help="The gateway's present certificate: all its names are kept."
)
@click.option(
    "--name", "names", multiple=True, help="A DNS name or IP to put in; repeat it for more."
)
@click.option(
    "--days",
    type=click.IntRange(1, 90),
    default=30,
    show_default=True,
    help="Lifetime; it must outlive the overlap of the rotation that follows.",
)
@click.option(
    "--trust-store", "stores", type=STORE, multiple=True, help="What devices trust; repeat it."
)
@click.option("--config", type=_FILE, help="Judge by every trust store of this configuration.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder to be made; it must not be there yet.",
)
def command(**given: Any) -> int:
    """Make a certificate by the old CA for a gateway whose devices cannot be reached.

    Works without any network and writes no key. The certificate carries the request's key, its
    names, and the usages that clients ask for; it is judged by every device's trust store before
    anything is written.
    """
    asked = Asked(**given)
    from exporter.cli.bundling import make_bundle  # noqa: PLC0415 - not before it is needed

    return make_bundle(asked)
