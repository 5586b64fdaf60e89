"""Prometheus exporter for the TLS state of an IoT fleet."""

__version__ = "0.1.0"
