"""The command line ``fleet-tls-exporter``: its entry, and how it ends."""

import sys
import warnings

from exporter.cli.ending import leave
from exporter.cli.group import run_commands


def main() -> None:
    """Run the command line and end the process.

    Exit codes: 0 good; 1 the answer is bad news; 2 wrong usage, unreadable file, cannot run.
    """
    if not sys.warnoptions:
        # Libraries warn developers of odd certificates; operators hear of them by our verdicts
        warnings.simplefilter("ignore")
    leave(run_commands())
