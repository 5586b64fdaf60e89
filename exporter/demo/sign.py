"""The demo's signer: a gateway's request on standard input, its chain on standard output.

Called as ``python -m exporter.demo.sign ISSUER``, with ``ISSUER.pem`` and ``ISSUER.key`` at hand.
"""

import sys
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from exporter.clock import SystemClock
from exporter.demo.authorities import gateway_chain
from exporter.demo.pki import Issued


def issuer_at(path: Path) -> Issued:
    """Return the CA of which ``path`` names both files, without their endings."""
    key = path.with_suffix(".key").read_bytes()
    return Issued(
        certificate=x509.load_pem_x509_certificate(path.with_suffix(".pem").read_bytes()),
        key=serialization.load_pem_private_key(key, None),  # type: ignore[arg-type] # one of the demo's own
    )


def main() -> None:
    """Sign the one request that comes."""
    issuer = issuer_at(Path(sys.argv[1]))
    sys.stdout.write(gateway_chain(sys.stdin.read(), issuer, SystemClock().now()))


if __name__ == "__main__":
    main()
