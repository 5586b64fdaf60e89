"""The files of a demo: keys, trust stores, token, and a configuration of our own service."""

import json
import secrets
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import yaml

from exporter.demo.alert import alert_body
from exporter.demo.authorities import GATEWAY_NAME, Authorities, Served
from exporter.demo.device import Device
from exporter.demo.fleet import FIRMWARE, Pace, firmware_anchors
from exporter.demo.options import Remediation, RotationTimes
from exporter.demo.pki import Issued
from exporter.durations import format_duration

GATEWAY = "gw-1"
MANAGEMENT_API = "site-a"
_DEVICE_STORE = "device-ca"


class Layout:
    """Where everything is in the demo's directory.

    Args:
        token: The credential to use; None: a fresh one is made.
        rotating: The times of a rotation that the service may carry out; None: it may only plan.
        remediation: What the service may do by itself.
    """

    def __init__(
        self,
        directory: Path,
        token: bytes | None = None,
        *,
        rotating: RotationTimes | None = None,
        remediation: Remediation = Remediation.DRY_RUN,
    ) -> None:
        self.directory = directory
        self._rotating = rotating
        self._token = token or secrets.token_urlsafe(32).encode() + b"\n"
        self._remediation = remediation
        self.config = directory / "config.yml"
        self.token_file = directory / "token"
        self.device_token_file = directory / "device-token"
        self.gateway_log = directory / "gateway.log"
        self.agent_config = directory / "agent.yml"
        self.pki = directory / "pki"
        self.gateway = directory / "gateway"
        self.devices = directory / "devices"
        self.anchors = directory / "anchors"
        self.terminator = directory / "terminator"
        self.alert = directory / "alert.json"

    def write_secrets(self, ca: Authorities) -> None:
        """Write the CAs with their keys, and the token; keys and token are for us alone."""
        for folder in (self.pki, self.gateway, self.devices, self.anchors):
            folder.mkdir(mode=0o700)
        _write_private(self.token_file, self._token)
        _write_private(self.device_token_file, secrets.token_urlsafe(32).encode() + b"\n")
        named = {
            "old-ca": ca.old_ca,
            "old-intermediate": ca.old_intermediate,
            "new-ca": ca.new_ca,
            "new-intermediate": ca.new_intermediate,
            "device-ca": ca.device_ca,
        }
        for name, issued in named.items():
            (self.pki / f"{name}.pem").write_bytes(issued.pem)
            _write_private(self.pki / f"{name}.key", issued.key_pem)

    def write_trust_stores(self, ca: Authorities, devices: Sequence[Device]) -> None:
        """Write what each firmware ships, once by its name and once into each device."""
        firmware = firmware_anchors(ca)
        for name, anchors in firmware.items():
            self._write_bundle(name, [issued for _, issued in anchors])
        self._write_bundle(_DEVICE_STORE, [ca.device_ca])
        for device in devices:
            device.trust_store.mkdir(parents=True)
            for file_name, issued in firmware[FIRMWARE[device.device_class]]:
                (device.trust_store / file_name).write_bytes(issued.pem)

    def write_terminator(self, files: Mapping[Path, str]) -> None:
        """Write a real terminator's own files; its folder for the agent's is there as well."""
        (self.terminator / "include").mkdir(mode=0o700, parents=True)
        for path, text in files.items():
            path.write_text(text)

    def write_alert(self, at: datetime) -> None:
        """Write what Alertmanager would send of an outage that began ``at``."""
        self.alert.write_text(json.dumps(alert_body(GATEWAY, at), indent=2) + "\n")

    def write_agent_config(
        self, devices: Sequence[Device], served: Served, terminator: Mapping[str, object]
    ) -> Mapping[str, object]:
        """Write the agent's configuration, and what it takes on as version 1; return it."""
        chain, key = self.pki / "gateway.pem", self.pki / "gateway.key"
        chain.write_bytes(served.chain_pem)
        _write_private(key, served.key_pem)
        document: dict[str, object] = {
            "listen": "127.0.0.1:0",
            "web": {
                "token_file": str(self.token_file),
                "report_token_file": str(self.device_token_file),
            },
            "directory": str(self.gateway),
            "terminator": terminator,
            "initial": {"chain_file": str(chain), "key_file": str(key)},
            "server_name": GATEWAY_NAME,
            "second_port": "127.0.0.1:0",
            "proof": {"rounds": 2, "within": "10s"},
            "devices": [
                {"name": device.name, "fallback_channel": device.has_fallback}
                for device in devices
            ],
        }
        self.agent_config.write_text(
            "# Written by the demo: the agent in front of its gateway\n"
            + yaml.safe_dump(document, sort_keys=False)
        )
        return document

    def write_config(
        self,
        devices: Sequence[Device],
        *,
        listen: str,
        gateway: str,
        management_api: str,
        device_addresses: Mapping[str, str],
        pace: Pace,
    ) -> None:
        """Write the service's configuration; ``device_addresses`` of those that listen."""
        contact = format_duration(pace.contact_s)
        stores = sorted({*FIRMWARE.values(), _DEVICE_STORE})
        document = {
            "listen": listen,
            # Said outright: the default would be systemd's state directory where there is one
            "store": "sqlite:///state.db",
            "trust_stores": [
                {"name": name, "file": f"{self.anchors.name}/{name}.pem"} for name in stores
            ],
            "device_classes": [
                {"name": name, "holds": [store], "contact_interval": contact}
                for name, store in FIRMWARE.items()
            ],
            "targets": {
                "static": [
                    _gateway_entry(gateway),
                    *(_device_entry(device, device_addresses) for device in devices),
                ]
            },
            "probe": {
                "interval": f"{pace.probe_s}s",
                "timeout": "2s",
                "failing_interval": f"{pace.probe_s}s",
            },
            "handshake_logs": [
                {
                    "file": self.gateway_log.name,
                    "gateway": GATEWAY,
                    "side": "gateway",
                }
            ],
            "management_apis": [
                {
                    "name": MANAGEMENT_API,
                    "url": management_api,
                    "token_file": self.token_file.name,
                    "poll_interval": f"{pace.probe_s}s",
                }
            ],
            "web": {"token_file": self.token_file.name},
            "webhook": {"token_file": self.token_file.name},
            "remediation": {"mode": str(self._remediation)},
            "rotation": self._rotation(),
        }
        self.config.write_text(
            "# Written by the demo: a complete configuration, to look at and to copy from\n"
            + yaml.safe_dump(document, sort_keys=False)
        )

    def _rotation(self) -> Mapping[str, object]:
        """Return how the fleet gets from the old CA to the new one."""
        signer = [sys.executable, "-m", "exporter.demo.sign", str(self.pki / "new-intermediate")]
        section: dict[str, object] = {
            "mode": "dry_run",
            "new_ca_file": f"{self.pki.name}/new-ca.pem",
            "signer": {"command": signer},
        }
        if self._rotating is None:
            return section
        return section | {
            "mode": "act",
            "interval": format_duration(self._rotating.interval_s),
            "soak": format_duration(self._rotating.soak_s),
            "overlap": format_duration(self._rotating.overlap_s),
            "retry_pause": "5s",
        }

    def _write_bundle(self, name: str, anchors: Sequence[Issued]) -> None:
        (self.anchors / f"{name}.pem").write_bytes(b"".join(anchor.pem for anchor in anchors))


def _gateway_entry(address: str) -> dict[str, object]:
    return {
        "name": GATEWAY,
        "address": address,
        "role": "gateway",
        "server_name": GATEWAY_NAME,
        "trust_stores": sorted(set(FIRMWARE.values())),
        "management_api": MANAGEMENT_API,
    }


def _device_entry(device: Device, addresses: Mapping[str, str]) -> dict[str, object]:
    entry: dict[str, object] = {"name": device.name}
    if device.name in addresses:
        entry |= {"address": addresses[device.name], "trust_stores": [_DEVICE_STORE]}
    entry |= {
        "gateway": GATEWAY,
        "device_class": device.device_class,
        "rollout_group": device.rollout_group,
        "peers": [device.address],
    }
    return entry


def _write_private(path: Path, data: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(data)
