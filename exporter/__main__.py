"""``python -m exporter`` is the command ``fleet-tls-exporter``."""

from exporter.cli import main

if __name__ == "__main__":
    main()
