"""Bodies as Alertmanager sends them."""

import json
from collections.abc import Mapping


def alert(number: int = 1, *, status: str = "firing", **labels: str) -> dict[str, object]:
    """One alert; its labels ask for a rollback of gw-1 unless told otherwise."""
    wanted = {
        "alertname": "GatewayServesUnacceptedChain",
        "gateway": "gw-1",
        "remediation": "rollback",
    }
    return {
        "status": status,
        "labels": {key: text for key, text in {**wanted, **labels}.items() if text},
        "annotations": {"summary": "18 of 18 devices refuse gw-1"},
        "startsAt": f"2026-11-25T11:{number % 60:02}:00.123456789Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus.example/graph",
        "fingerprint": f"{number:016x}",
    }


def body(*alerts: Mapping[str, object], **changes: object) -> bytes:
    """A delivery of ``alerts``."""
    return json.dumps(
        {
            "version": "4",
            "groupKey": '{}:{gateway="gw-1"}',
            "truncatedAlerts": 0,
            "status": "firing",
            "receiver": "fleet-tls-exporter",
            "groupLabels": {"gateway": "gw-1"},
            "commonLabels": {},
            "commonAnnotations": {},
            "externalURL": "http://alertmanager.example",
            "alerts": list(alerts),
            **changes,
        }
    ).encode()
