"""What the program is called."""

PROGRAM = "fleet-tls-exporter"
