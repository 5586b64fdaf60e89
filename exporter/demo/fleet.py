"""Which devices the demo has, and what each firmware trusts; pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from exporter.demo.authorities import Authorities
from exporter.demo.device import Device
from exporter.demo.pki import Issued

_CLASSES = ("sensor", "camera", "controller")
FIRMWARE = {"sensor": "fw-4.2", "camera": "fw-5.0", "controller": "fw-4.2"}
"""The trust store that devices of a class ship with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often things happen; more devices are slower, so that one machine carries them.

    Attributes:
        contact_s: Between two connections of one device, give or take a fifth.
        probe_s: Between two looks of the service at one target.
    """

    contact_s: float
    probe_s: int


def pace_of(device_count: int) -> Pace:
    """Return the pace for so many devices: at most some twenty handshakes a second."""
    return Pace(contact_s=max(1.5, device_count / 20), probe_s=2 if device_count <= 60 else 5)


def devices_of(count: int, stores: Path) -> tuple[Device, ...]:
    """Return ``count`` devices, their trust stores below ``stores``.

    A tenth, rounded up, are canaries; every third listens itself; every sixth can be reached
    through the gateway only.
    """
    canary_count = -(-count // 10)
    return tuple(
        Device(
            name=(name := f"dev-{number:02d}"),
            address=f"127.0.1.{number}",
            device_class=_CLASSES[number % len(_CLASSES)],
            rollout_group="canary" if number <= canary_count else "production",
            trust_store=stores / name / "truststore",
            listens=number % 3 == 0,
            has_fallback=number % 6 != 0,
        )
        for number in range(1, count + 1)
    )


def firmware_anchors(ca: Authorities) -> Mapping[str, Sequence[tuple[str, Issued]]]:
    """Return what each firmware trusts, as (file name, CA); the new CA is in none of them."""
    return {
        "fw-4.2": (("old-ca.pem", ca.old_ca),),
        "fw-5.0": (("old-ca.pem", ca.old_ca), ("vendor-ca.pem", ca.vendor_ca)),
    }
