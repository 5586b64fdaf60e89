"""Verdicts: one chain judged against one trust store at one moment."""

from exporter.verdicts.model import Verdict

__all__ = ["Verdict"]
