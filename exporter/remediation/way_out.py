"""What a person does where no rollback helps: the command of the offline way out; pure."""

import shlex
from collections.abc import Iterable


def way_out(gateway: str, stores: Iterable[str]) -> str:
    """Return the command that makes a certificate which the devices accept, as to be typed.

    ``stores``: what the devices trust, as ``NAME=FILE``. Files that only a person has are named
    by what they are.
    """
    command = [
        "fleet-tls-exporter", "recovery-bundle", "--csr", f"{gateway}.csr",
        "--ca", "OLD_CA.pem", "--ca-key", "OLD_CA.key", "--output", f"{gateway}-recovery",
    ]  # fmt: skip
    # The command judges by what the devices trust, and does nothing without
    for store in list(stores) or ["DEVICES.pem"]:
        command += ["--trust-store", store]
    return f"The way out without their network: {shlex.join(command)}"
