"""The command line ``fleet-tls-exporter``."""


def main() -> None:
    """Run the command line."""
    raise SystemExit(2)
