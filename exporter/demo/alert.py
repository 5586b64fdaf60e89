"""The alert that asks for a rollback, as Alertmanager would deliver it; pure."""

import hashlib
from collections.abc import Mapping
from datetime import datetime

_NAME = "FleetTLSGatewayNotAccepted"


def alert_body(gateway: str, starts_at: datetime) -> Mapping[str, object]:
    """Return a delivery (``version: "4"``) with the alert of the bundled rules for ``gateway``."""
    labels = {
        "alertname": _NAME,
        "gateway": gateway,
        "severity": "critical",
        "scope": "gateway",
        "remediation": "rollback",
    }
    alert = {
        "status": "firing",
        "labels": labels,
        "annotations": {"summary": f"{gateway} serves what its devices will not accept"},
        "startsAt": starts_at.isoformat(),
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "",
        "fingerprint": hashlib.sha256(repr(labels).encode()).hexdigest()[:16],
    }
    return {
        "version": "4",
        "groupKey": f'{{}}/{{remediation="rollback"}}:{{gateway="{gateway}"}}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "fleet-tls-rollback",
        "groupLabels": {"gateway": gateway},
        "commonLabels": labels,
        "commonAnnotations": {},
        "externalURL": "",
        "alerts": [alert],
    }
