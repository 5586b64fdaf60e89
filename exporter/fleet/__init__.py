"""The only mutable state of the data path, and the frozen values it hands out."""

from exporter.fleet.fleet import Fleet, Judging, Watcher
from exporter.fleet.model import Acceptance, Basis, FleetSnapshot, TargetState

__all__ = ["Acceptance", "Basis", "Fleet", "FleetSnapshot", "Judging", "TargetState", "Watcher"]
