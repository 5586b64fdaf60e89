"""``check-config``: every fault of a configuration, or the values in force."""

import sys
from pathlib import Path

import click

from exporter.cli.terminal import safe

_BAD_NEWS = 1


@click.command(
    "check-config",
    epilog="""\b
Example:
  fleet-tls-exporter check-config /etc/fleet-tls-exporter/config.yml

\b
Exit codes: 0 it can be used; 1 it cannot; 2 there is no such file.
""",
)
@click.argument(
    "file", type=click.Path(path_type=Path, dir_okay=False, exists=True, readable=True)
)
def command(file: Path) -> int:
    """Check FILE and the files it names.

    Prints the values in force, defaults filled in, secrets left out; or all faults at once, each
    with its line, on standard error.
    """
    from exporter.config import check, effective  # noqa: PLC0415 - help stays quick

    config, faults = check(file)
    if config is not None:
        print(effective(config), end="")
        return 0
    for fault in faults:
        print(safe(str(fault)), file=sys.stderr)
    count = len(faults)
    print(f"{file} cannot be used: {count} fault{'' if count == 1 else 's'}", file=sys.stderr)
    return _BAD_NEWS
