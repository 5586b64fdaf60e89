"""The alert and recording rules for Prometheus, made from one file of values."""

from exporter.alerts.book import rules_text
from exporter.alerts.load import load_values
from exporter.alerts.values import Values
from exporter.alerts.values_text import values_text

__all__ = ["Values", "load_values", "rules_text", "values_text"]
