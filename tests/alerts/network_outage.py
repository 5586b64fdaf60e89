"""The alerts of a gateway that the network lost, as the rules raise them."""

from collections.abc import Mapping, Sequence

Labels = Mapping[str, str]


def alerts_of_an_outage(gateway: str, devices: Sequence[str]) -> list[Labels]:
    """All that fire in the end where each device has an endpoint of its own, too."""
    of_gateway = {"job": "fleet-tls", "severity": "critical", "gateway": gateway}
    of_device = {"job": "fleet-tls", "severity": "warning", "gateway": gateway}
    return [
        {"alertname": "FleetTLSGatewayUnreachable", **of_gateway, "target": gateway},
        {"alertname": "FleetTLSGatewayDevicesSilent", **of_gateway},
        *(
            {"alertname": "FleetTLSDeviceSilent", **of_device, "device": device}
            for device in devices
        ),
        *(
            {"alertname": "FleetTLSDeviceUnreachable", **of_device, "target": device}
            for device in devices
        ),
    ]
