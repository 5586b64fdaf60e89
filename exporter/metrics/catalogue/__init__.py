"""Every metric, declared once; nothing is exposed that is not in here."""

from collections.abc import Mapping

from exporter.metrics.catalogue.handshakes import HANDSHAKES
from exporter.metrics.catalogue.management import MANAGEMENT
from exporter.metrics.catalogue.model import HANDING, Filler, Kind, Metric
from exporter.metrics.catalogue.own import OWN
from exporter.metrics.catalogue.remediation import REMEDIATION
from exporter.metrics.catalogue.rotation import ROTATION
from exporter.metrics.catalogue.targets import DETAILS, TARGETS
from exporter.metrics.catalogue.trust import TRUST, TRUST_DEVICES
from exporter.metrics.catalogue.webhook import WEBHOOK

__all__ = ["CATALOGUE", "HANDING", "Filler", "Kind", "Metric"]

CATALOGUE: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        *OWN,
        *MANAGEMENT,
        *WEBHOOK,
        *REMEDIATION,
        *ROTATION,
        *TRUST,
        *TARGETS,
        *TRUST_DEVICES,
        *HANDSHAKES,
        *DETAILS,
    )
}
"""By name, in the order in which they are exposed. Where the series budget does not suffice,
the first ones stay."""
