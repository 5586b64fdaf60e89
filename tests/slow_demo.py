"""Our command, but in its demo one device takes its time over each update.

So the gate of a rotation waits for it as long as somebody wants to look at that.
"""

from collections.abc import Sequence
from unittest.mock import patch

from exporter.cli import main
from exporter.demo.authorities import Authorities
from exporter.demo.device import Device
from exporter.demo.layout import Layout

_SLOW = "dev-05"


class SlowLayout(Layout):
    """The same files, and one that slows a device down: it is there before the device runs."""

    def write_trust_stores(self, ca: Authorities, devices: Sequence[Device]) -> None:
        super().write_trust_stores(ca, devices)
        (self.devices / _SLOW / "update-delay").write_text("1h")


if __name__ == "__main__":
    with patch("exporter.demo.run.Layout", SlowLayout):
        main()
