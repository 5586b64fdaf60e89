"""The service's configuration over real terminators: all their addresses, agents and logs."""

from collections.abc import Mapping, Sequence

import yaml

from exporter.demo.device import Device
from exporter.demo.fleet import Pace
from exporter.demo.layout import Layout
from tests.rotation.lives import CONTACT_S, Life
from tests.rotation.real_gateway import Gateway
from tests.rotation.signer import write_signer


def write_config(
    layout: Layout,
    devices: Sequence[Device],
    gateways: Mapping[str, Gateway],
    lives: Mapping[str, Life],
    *,
    signer: str,
    sections: Mapping[str, object],
) -> None:
    """Write the demo's configuration, of these gateways and of who lives behind which.

    Args:
        signer: The CA of the demo that signs what gateways ask for.
        sections: Take the place of those of the same name.
    """
    first = next(iter(gateways.values()))
    layout.write_config(
        devices, listen="127.0.0.1:0", gateway=first.address, management_api=first.url,
        device_addresses={}, pace=Pace(contact_s=CONTACT_S, probe_s=1),
    )  # fmt: skip
    config = yaml.safe_load(layout.config.read_text("utf-8"))
    entry, *others = config["targets"]["static"]
    api, log = config["management_apis"][0], config["handshake_logs"][0]
    config["targets"]["static"] = [
        {**entry, "name": one.name, "address": one.address, "management_api": f"api-{one.name}"}
        for one in gateways.values()
    ] + [{**other, "gateway": lives[other["name"]].gateway} for other in others]
    config["management_apis"] = [
        {**api, "name": f"api-{one.name}", "url": one.url} for one in gateways.values()
    ]
    config["handshake_logs"] = [
        {**log, "file": f"{one.real.folder}/{name}", "gateway": one.name, "read_from": "end"}
        for one in gateways.values()
        for name in one.real.logs
    ]
    command = write_signer(layout.directory, layout.pki / signer)
    config["rotation"] |= {"signer": {"command": command}, "retry_pause": "1s"}
    layout.config.write_text(yaml.safe_dump({**config, **sections}, sort_keys=False))
