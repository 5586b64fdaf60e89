"""The configuration: read, checked, shown and documented."""

from exporter.config.effective import check, effective
from exporter.config.load import load
from exporter.config.model import Config

__all__ = ["Config", "check", "effective", "load"]
